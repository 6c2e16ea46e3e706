"""What a worker tells over HTTP: its health, its metrics, and the standing of accounts it keeps the books of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from ledger.state import UNOPENED, State
from schemas.chart import House
from schemas.kinds import Rung
from services.asking import AccountNotHere, Question, answer
from services.explain import AccountUnknown
from services.health import Page
from services.processors.clearing import Shard
from services.processors.records import Processor
from services.processors.sequencer import Sequencer
from services.processors.service import Service
from services.processors.whole import Whole
from services.projector import Projecting
from services.workers.measures import Measures
from services.workers.parts import KEEPS_BOOKS
from services.workers.runner import Worker

_JSON: Final = "application/json"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Telling:
    """A worker's pages: GET /health, GET /metrics, and of a clearing worker POST /ask {"shard": .., "question": {..}}.

    May be used from several threads.
    """

    def __init__(self, worker: Worker, measures: Measures) -> None:
        self._worker = worker
        self._measures = measures
        measures.registry.register(_Standing(worker))

    def page(self, method: str, path: str, body: bytes) -> Page:
        """The page at a path; 404 where there is none."""
        match method, path:
            case "GET", "/health":
                return _json(200, self.health())
            case "GET", "/metrics":
                return Page(200, _METRICS, self._measures.page())
            case "POST", "/ask" if self._worker.part.name in KEEPS_BOOKS:
                return self._asked(body)
            case _:
                return _json(404, {"error": "NO_SUCH_PAGE", "what": f"{method} {path}"})

    def health(self) -> dict[str, Any]:
        """The worker as plain data: its folds by partition, each with its n, how many records it lags behind, and what
        it waits for."""
        worker = self._worker
        folds = {
            shard: {"live": fold.live, "lag": worker.lag(shard), **fold.asked(_standing)}
            for shard, fold in sorted(worker.folds.items())
        }
        return {"part": worker.part.name, "shards": sorted(folds), "folds": folds, "last_error": worker.last_error}

    def _asked(self, body: bytes) -> Page:
        try:
            told = json.loads(body)
            shard, question = int(told["shard"]), Question.model_validate(told["question"])
        except ValidationError as error:
            return _json(
                422, {"error": "QUESTION_MALFORMED", "what": error.errors(include_url=False, include_context=False)}
            )
        except (ValueError, KeyError, TypeError) as error:
            return _json(422, {"error": "QUESTION_MALFORMED", "what": f"{type(error).__name__}: {error}"})
        fold = self._worker.folds.get(shard)
        if fold is None:
            return _json(421, {"error": "SHARD_NOT_HERE", "what": f"shard {shard} is another worker's"})
        try:
            return _json(200, fold.asked(lambda processor: answer(_state(processor), question)))
        except AccountUnknown as error:
            return _json(404, {"error": "ACCOUNT_UNKNOWN", "what": str(error)})
        except AccountNotHere as error:
            return _json(421, {"error": "ACCOUNT_NOT_HERE", "what": str(error)})


class _Standing(Collector):
    """Read from the folds when Prometheus asks."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector."""
        part = self._worker.part.name
        lag = GaugeMetricFamily("novate_lag_records", "Records not folded yet", labels=["part", "shard"])
        missing = GaugeMetricFamily("novate_missing", "1: waits for a lost part", labels=["part", "shard"])
        live = GaugeMetricFamily("novate_live", "1: has caught up with its start", labels=["part", "shard"])
        last = GaugeMetricFamily("novate_last_n", "The last entry folded", labels=["part", "shard"])
        age = GaugeMetricFamily("novate_mark_age_seconds", "Since the last mark's time", labels=["part", "shard"])
        rungs = GaugeMetricFamily("novate_accounts", "Accounts on each rung", labels=["part", "shard", "rung"])
        fund = GaugeMetricFamily(
            "novate_fund_balance", "The shard's part of the fund, smallest units", labels=["part", "shard", "asset"]
        )
        for shard, fold in sorted(self._worker.folds.items()):
            label = [part, str(shard)]
            lag.add_metric(label, self._worker.lag(shard))
            live.add_metric(label, int(fold.live))
            told = fold.asked(_figures)
            last.add_metric(label, told["n"])
            missing.add_metric(label, int(told["missing"] is not None))
            if told.get("time"):
                age.add_metric(label, time.time() - told["time"] / 1e6)
            for rung, count in told.get("rungs", {}).items():
                rungs.add_metric([*label, rung], count)
            for asset, balance in told.get("fund", {}).items():
                fund.add_metric([*label, str(asset)], balance)
        yield from (lag, live, last, missing, age, rungs, fund)


def _state(processor: Processor) -> State:
    if not isinstance(processor, Shard | Whole | Service):
        raise TypeError(f"{type(processor).__name__} keeps no books")
    return processor.state


def _standing(processor: Processor) -> dict[str, Any]:
    match processor:
        case Sequencer():
            return {"n": processor.n, "missing": None}
        case Shard() | Whole():
            missing = processor.missing
            return {"n": processor.state.n, "mark": processor.state.mark, "missing": missing}
        case Service():
            missing = processor.missing
            return {"n": processor.state.n, "mark": processor.state.mark, "missing": missing, "quiet": processor.quiet}
        case Projecting():
            return {"n": processor.n, "missing": None}
        case _:
            return {"n": 0, "missing": None}


def _figures(processor: Processor) -> dict[str, Any]:
    told = _standing(processor)
    if isinstance(processor, Shard | Whole | Service):
        told["time"] = processor.state.time
    if isinstance(processor, Shard | Whole):
        state = processor.state
        there = (state.accounts.owned == 1) & (state.accounts.status != UNOPENED)
        there[: len(House)] = False
        counts = np.bincount(state.accounts.rung[there], minlength=len(Rung)).tolist()
        told["rungs"] = {rung.name: counts[rung] for rung in Rung}
        assets = state.facts.assets
        told["fund"] = {listed.symbol: int(state.balance[House.FUND, asset]) for asset, listed in assets.items()}
    return told


def _json(status: int, told: dict[str, Any]) -> Page:
    return Page(status, _JSON, json.dumps(told).encode())

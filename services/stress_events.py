"""The answer of a stress as events for the journal, so that who reads it sees what was known, and when: how they
get there, and what a directory's outcomes hold of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ledger.journal.outcomes import OutcomeLog
from liquidation.impact import Decay
from schemas.events import EVENTS, StressReported, StressResult
from schemas.limits import MICRO
from schemas.outcomes import OUTCOMES, StressRecorded, StressResultRecorded
from schemas.sources import Role, source
from schemas.wire import OutcomeHeader, decode, encode_entry, messages_of, runs_of
from services.client import Client
from services.embedded import Engine
from services.lockstep import OUTCOME_LOG, Settings
from services.stress import Stress, Verdict

ALL: Final = 0xFFFF
"""stands where an underlying stands that moves alone: all of them move"""
HOUSE_SHARD: Final = 0
"""whose fold records what concerns no account"""
_MOST: Final = 2**62
_DECAYS: Final = tuple(Decay)


def reported(told: Stress) -> list[StressReported | StressResult]:
    """The report and its results, for one entry of the council's. Dollars become micro-dollars, nearest; what is past
    2^62 of them is told as that."""
    of, assumed = told.situation, told.assumed
    one, two = told.cover
    report = StressReported(
        decay=_DECAYS.index(assumed.impact.decay),
        results=len(told.verdicts),
        accounts=len(of.book.numbers),
        rounds=assumed.rounds,
        mark=of.mark,
        position=of.position,
        time=of.time,
        volatility=_micro(assumed.volatility),
        correlation=_micro(assumed.correlation),
        turnover=_micro(assumed.turnover),
        impact=_micro(assumed.impact.scale),
        cross=_micro(assumed.impact.cross),
        fund=_micro(told.fund),
        cover_1=_micro(one),
        cover_2=_micro(two),
    )
    return [report, *(_result(of.mark, of.position, number, one) for number, one in enumerate(told.verdicts))]


def _result(mark: int, position: int, number: int, told: Verdict) -> StressResult:
    owed, short = _micro(told.borne.deficits), _micro(told.borne.shortfall)
    return StressResult(
        settled=int(told.cascade.settled),
        shock=number,
        only=ALL if told.shock.only is None else told.shock.only,
        failed=int((told.cascade.entered > 0).sum()),
        rounds=len(told.cascade.rounds),
        mark=mark,
        position=position,
        size=_micro(told.shock.size),
        volatility=_micro(told.shock.volatility),
        first_loss=_micro(told.cascade.first_loss),
        loss=_micro(told.cascade.loss),
        factor=_micro(told.cascade.multiplier),
        owed=owed,
        fund_left=_micro(told.borne.fund_left),
        short=min(short, owed),
        cover_1=_micro(told.members.one),
        cover_2=_micro(told.members.two),
        name=told.shock.name[:24],
    )


def _micro(value: float) -> int:
    return max(-_MOST, min(_MOST, round(value * MICRO)))


def record(directory: Path, told: Stress) -> int:
    """Append the answer to a directory at rest as the council's, and fold it; returns its entry's number.

    Raises what opening a `services.embedded.Engine` raises: JournalLocked where the directory's system runs.
    """
    engine = Engine(directory, Settings.read(directory))
    try:
        council = source(Role.COUNCIL)
        engine.append([[encode_entry(council, engine.expected(council), runs_of(EVENTS, reported(told)))]])
        engine.fold()
    except BaseException:
        engine.abandon()
        raise
    engine.close()
    return engine.clearing.sequence.n


def send(client: Client, told: Stress) -> int:
    """Send the answer to a running system as the council's; returns its entry's offset, -1 where it is not told again.
    Raises GatewayRefused, GatewayUnreachable."""
    offset = client.send(source(Role.COUNCIL), reported(told)).offset
    return -1 if offset is None else offset


def recorded(directory: Path) -> list[list[Any]]:
    """Every report that a directory's fold has recorded, with its results: each a list that begins with a
    StressRecorded. Raises OutcomesBroken, FileNotFoundError."""
    found: list[list[Any]] = []
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        for _, data in log.scan(HOUSE_SHARD, 1):
            for run in decode(data, OutcomeHeader, OUTCOMES).runs:
                if run.message.cls is StressRecorded:
                    found.extend([one] for one in messages_of([run]))
                elif run.message.cls is StressResultRecorded and found:
                    found[-1].extend(messages_of([run]))
    return found


def recorded_json(told: list[list[Any]]) -> list[dict[str, Any]]:
    """`recorded` for programs: numbers as they are in the outcomes."""
    return [asdict(one[0]) | {"shocks": [asdict(result) for result in one[1:]]} for one in told]

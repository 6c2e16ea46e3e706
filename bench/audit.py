"""The audit against the fold: a directory of trades is audited from its files, and folded again from memory."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np

from bench.fold import GROUPS, PER_ENTRY
from ledger.journal.sqlite import SqliteReader
from schemas.chart import FIRST_ACCOUNT
from schemas.events import EVENTS, AccountOpened, Deposited, Mark, Trade
from schemas.kinds import Kind, Segregation
from schemas.limits import MICRO
from schemas.sources import Role, source
from schemas.wire import Run, runs_of
from services import exchange, markets
from services.auditor import audit
from services.lockstep import JOURNAL, Clearing, Lockstep, Settings
from services.pricer import market
from services.run import Conductor, establish
from services.tables import Bar

ACCOUNTS: Final = 20_000
ENTRIES: Final = 120
ROUNDS: Final = 5
START: Final = 1_583_884_800 * MICRO


def directory_of_trades(directory: Path) -> tuple[int, float]:
    """Fill a directory with the listing, accounts, deposits, a mark and many trades; returns the number of trades and
    the seconds it took to append, fold and store them."""
    draw = np.random.default_rng(3)
    bars = [
        Bar.model_validate({"ts": ts, "symbol": symbol} | dict.fromkeys(("open", "high", "low", "close"), price))
        for ts in ("2020-03-11T00:00:00Z", "2020-03-11T01:00:00Z")
        for symbol, price in (("BTC", "8000"), ("ETH", "200"))
    ]
    venue = exchange.exchange(markets.openings(bars), START)
    track = markets.path(bars, venue)
    ledger = Lockstep(directory, Settings(1, FIRST_ACCOUNT + ACCOUNTS, 0))
    conductor = Conductor(ledger, 1)
    establish(conductor, venue, START, ACCOUNTS)
    conductor.send(Role.ORACLE, markets.oracle_events(track, venue, (), 0))
    ledger.send(source(Role.PRICER), market(ledger.state, 1, START))
    ledger.send(source(Role.PRICER), runs_of(EVENTS, [Mark(mark=1, market=1, time=START)]))
    numbers = range(FIRST_ACCOUNT, FIRST_ACCOUNT + ACCOUNTS)
    conductor.send(
        Role.REGISTRAR,
        [
            AccountOpened(
                segregation=Segregation.INDIVIDUAL,
                liquidator=0,
                profile=3,
                account=a,
                member=1,
                owner=a,
                time=START,
                name="",
            )
            for a in numbers
        ],
    )
    conductor.send(
        Role.CUSTODIAN, [Deposited(asset=0, account=a, deposit=a, time=START, amount=10**6 * MICRO) for a in numbers]
    )
    perps = [
        one.instrument
        for one in venue.instruments
        if one.kind in (Kind.PERP, Kind.FUTURE) and one.settlement_asset == 0
    ]
    kind = EVENTS.by_class[Trade]
    seconds = 0.0
    for _ in range(ENTRIES):
        rows = np.zeros(PER_ENTRY, kind.dtype)
        buyer = draw.integers(0, ACCOUNTS, PER_ENTRY)
        rows["buyer"] = FIRST_ACCOUNT + buyer
        rows["seller"] = FIRST_ACCOUNT + (buyer + draw.integers(1, ACCOUNTS, PER_ENTRY)) % ACCOUNTS
        rows["instrument"] = np.array(perps)[draw.integers(0, len(perps), PER_ENTRY)]
        rows["price"] = ledger.state.market.mark[rows["instrument"]]
        rows["quantity"] = draw.integers(1, GROUPS, PER_ENTRY)
        rows["buyer_fee"], rows["seller_fee"] = 100, -20
        begun = perf_counter()
        ledger.send(source(Role.EXCHANGE), [Run(kind, rows)])
        seconds += perf_counter() - begun
    ledger.close()
    return ENTRIES * PER_ENTRY, seconds


def run() -> list[dict[str, Any]]:
    """Events a second of both, over the same directory, in turn."""
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        events, live = directory_of_trades(directory)
        reader = SqliteReader(directory / JOURNAL)
        entries = list(reader.read(0, reader.end()))
        reader.close()
        audits, folds = [], []
        for _ in range(ROUNDS):
            begun = perf_counter()
            verdict = audit(directory)
            audits.append(perf_counter() - begun)
            if not verdict.agrees:
                raise RuntimeError(f"bench/audit: {verdict.line()}")
            clearing = Clearing(Settings.read(directory))
            begun = perf_counter()
            for offset, data in entries:
                clearing.take(offset, data)
            folds.append(perf_counter() - begun)
    return [
        {
            "name": "audit from files over fold from memory",
            "value": median(folds) / median(audits),
            "unit": "rate, ratio",
            "goal": ">= 1",
            "peers": {
                "audit trades/s": events / median(audits),
                "fold trades/s": events / median(folds),
                "live, appended and stored, trades/s": events / live,
            },
        }
    ]

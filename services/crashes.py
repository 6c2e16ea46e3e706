"""`novate run` on five real crashes: their bars, the policies and stress they are cleared with, and what came of each.

The histories lie outside the project (docs/crashes.md); LUNA itself is not among them.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from insurance.policy import published, shipped
from ledger.state import State
from schemas.chart import FIRST_ACCOUNT
from schemas.events import BackstopCommitted, ParameterChanged
from schemas.kinds import Parameter
from schemas.limits import MICRO
from schemas.sources import Role
from schemas.units import parse_time
from schemas.wire import Run
from services import markets
from services.auditor import audit
from services.baselines import AtOnce
from services.exchange import HOUR, Exchange
from services.lockstep import Lockstep
from services.losses import Losses, Tally
from services.policies import contributions
from services.population import Strategy
from services.pressure import Pressure
from services.run import FUND_PER_ACCOUNT, Inputs, Pledges, Policy, Ran, Variant, run, venue_of
from services.tables import RATE_DECIMALS, Bar, FundingRow

ACCOUNTS: Final = 150
SEED: Final = 1
BUYER_DOLLARS: Final = 10_000_000_000


class NoCrashData(ValueError):  # noqa: N818 - named for what is missing
    """A history that is not where it was looked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not there: the crashes' histories are looked for in {path.parent.resolve()}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Crash:
    """A window of history. `files` are by symbol in order of preference: an hour is the first's that has it whole."""

    name: str
    title: str
    first: str
    last: str
    """the hour before which it ends"""
    files: Mapping[str, Sequence[str]]
    stable: str = ""
    """of USDC in dollars; none: a dollar throughout"""


def _fine(window: str, symbols: Sequence[str], width: str) -> dict[str, list[str]]:
    return {one: [f"crash_{window}_{one}USDT_spot_{width}.csv.gz", f"hourly_{one}USDT_spot.csv.gz"] for one in symbols}


CRASHES: Final[Mapping[str, Crash]] = {
    one.name: one
    for one in (
        Crash(
            "march_2020",
            "March 2020",
            "2020-03-12T00:00:00Z",
            "2020-03-14T00:00:00Z",
            {
                **_fine("202003", ("BTC",), "5m"),
                **{one: [f"hourly_{one}USDT_spot.csv.gz"] for one in ("ETH", "LINK")},
            },
        ),
        Crash(
            "may_2021",
            "May 2021",
            "2021-05-18T12:00:00Z",
            "2021-05-20T12:00:00Z",
            _fine("202105", ("BTC", "ETH", "LINK"), "1m"),
        ),
        Crash(
            "luna_2022",
            "LUNA, May 2022",
            "2022-05-11T00:00:00Z",
            "2022-05-13T00:00:00Z",
            _fine("2022H1", ("BTC", "ETH", "LINK", "SOL"), "5m"),
        ),
        Crash(
            "ftx_2022",
            "FTX, November 2022",
            "2022-11-08T06:00:00Z",
            "2022-11-10T06:00:00Z",
            _fine("202211", ("BTC", "ETH", "LINK", "SOL"), "5m"),
        ),
        Crash(
            "svb_2023",
            "SVB and the USDC depeg, March 2023",
            "2023-03-10T06:00:00Z",
            "2023-03-12T06:00:00Z",
            _fine("202303", ("BTC", "ETH"), "5m"),
            "crash_202303_USDCUSD_dex_15m.csv.gz",
        ),
    )
}
WICK: Final = 2
"""how many times below its opening and close a bar's low, or above them its high, may lie: further is one print of one
venue.
On 12 March 2020 LINK traded at 0.0001 dollars for a moment on one exchange; no index of several would have said so."""
FUNDING: Final = "funding_binance_8h.csv.gz"


@dataclass(frozen=True, slots=True)
class Condition:
    """How hard a population presses: leverage over what the shipped profiles allow, dollars of fund and of capital an
    account; None: the demonstration's."""

    name: str
    leverage: float = 1.0
    fund: int | None = None
    capital: int | None = None


CONDITIONS: Final[Mapping[str, Condition]] = {
    one.name: one for one in (Condition("default"), Condition("stressed", 3.0, 100, 20))
}


@dataclass(frozen=True, slots=True)
class Way:
    """A way of managing defaults: what is said before the first mark, and the baseline's fee where it is one."""

    name: str
    said: str
    events: Sequence[Policy] = ()
    pledges: Callable[[int], Pledges] | None = None
    """dollars of the fund -> what accounts and members undertake"""
    fee: int | None = None
    """basis points; None: no baseline"""


class Scope(Enum):
    """What a parameter is set for."""

    ALL = "all"
    UNDERLYINGS = "each underlying"
    USDC = "USDC"


def setting(values: Mapping[Parameter, int], scope: Scope = Scope.ALL) -> Policy:
    """A policy that sets parameters."""

    def said(venue: Exchange, opened: int) -> Sequence[tuple[Role, Sequence[ParameterChanged]]]:
        scopes = {
            Scope.ALL: [0],
            Scope.UNDERLYINGS: [one.underlying for one in venue.underlyings],
            Scope.USDC: [venue.asset["USDC"].asset],
        }[scope]
        changes = [
            ParameterChanged(parameter=parameter, scope=number, time=opened, effective=opened, value=value)
            for parameter, value in values.items()
            for number in scopes
        ]
        return [(Role.COUNCIL, changes)]

    return said


def waterfall(name: str) -> Policy:
    """A shipped waterfall, published."""
    return lambda _venue, opened: [(Role.COUNCIL, published(shipped(name), 1, opened, opened))]


def backstops(_fund: int) -> Pledges:
    """Every liquidator commits half of what it brought as initial margin of what it would take over."""
    return lambda customers, opened: [
        (
            Role.REGISTRAR,
            [
                BackstopCommitted(account=one.account, time=opened, capacity=one.equity // 2)
                for one in customers
                if one.strategy == Strategy.LIQUIDATOR
            ],
        )
    ]


_P = Parameter
_FEES: Final = setting({_P.LIQUIDATION_FEE: 50, _P.WHOLE_LIQUIDATION_FEE: 25})
_PLANS: Final = setting({_P.PLAN_METHOD: 1})
_PACING: Final = setting({_P.PACING: 250_000 * MICRO}, Scope.UNDERLYINGS)
_PORTFOLIOS: Final = setting({_P.PORTFOLIO_AUCTION_MARKS: 1, _P.PORTFOLIO_RESERVE: 1_000})
_BREAKERS: Final = (
    setting({_P.BREAKER_STRESS: 50, _P.PRICE_BREAKER: 500}, Scope.UNDERLYINGS),
    setting({_P.OWNER_SHARE: 2_000}),
)
_PEG: Final = setting({_P.PEG_BOUND: 100, _P.DEPEG_HAIRCUT: 2_000}, Scope.USDC)
_PROMPT: Final = setting({_P.AUCTION_START: 300, _P.AUCTION_STEP: 300, _P.AUCTION_FLOOR: 2_500})
_IMPACT: Final = (
    setting({_P.AUCTION_FLOOR: 2_500, _P.AUCTION_IMPACT: 1, _P.PLAN_IMPACT: 100}),
    setting({_P.PLAN_DEPTH: 60_000}, Scope.UNDERLYINGS),
)
"""the auctions' usual start and step; 60,000 dollars of an underlying are expected to move it by 1 %"""
_CALLS: Final = (
    *_IMPACT,
    setting({_P.AUCTION_START: 200, _P.AUCTION_STEP: 500, _P.AUCTION_FLOOR: 5_000}),
    setting({_P.AUCTION_CLEARING: 2_500, _P.PLAN_TARGET: 30_000}),
)
_QUICK: Final = setting({_P.AUCTION_START: 100, _P.AUCTION_STEP: 200, _P.AUCTION_FLOOR: 1_500})

WAYS: Final[Mapping[str, Way]] = {
    one.name: one
    for one in (
        Way("exchange", "no switch set: Dutch auctions of partial plans, the fund, deleveraging"),
        Way("capital", "the published exchange waterfall: own capital ahead of the fund", (waterfall("exchange"),)),
        Way(
            "ccp", "the published ccp waterfall: members' fund, assessments, gains", (waterfall("ccp"),), contributions
        ),
        Way("fees", "0.5 % of what is sold goes to the fund, 0.25 % of a whole portfolio", (_FEES,)),
        Way("plans", "plans by linear program where that is better, hedges kept", (_PLANS,)),
        Way("pacing", "at most 250,000 dollars an underlying on offer at a mark", (_PACING,)),
        Way("portfolios", "whole portfolios to sealed bids first", (_PORTFOLIOS,)),
        Way("backstops", "the same, then committed backstops at 5 %", (_PORTFOLIOS,), backstops),
        Way("breakers", "open interest, owners and fast prices: no new risk past a limit", _BREAKERS),
        Way("peg", "USDC below 0.99 dollars counts with a haircut of 20 %", (_PEG,)),
        Way("quick", "auctions start at 1 % and fall by 2 % a mark to 15 %: a mark is a quarter of an hour", (_QUICK,)),
        Way("prompt", "auctions start at 3 % and fall by 3 % a mark to 25 %", (_PROMPT,)),
        Way(
            "impact",
            "auctions open at 0.5 % and what their own sale is expected to move, and fall by 0.5 % a mark to 25 %",
            _IMPACT,
        ),
        Way(
            "calls",
            "call auctions: bids at once at one price, as low as equity bears; plans leave three times initial margin",
            _CALLS,
        ),
        Way(
            "together",
            "call auctions, sealed bids for whole portfolios, backstops, plans by program, fees, breakers, peg",
            (*_CALLS, _PORTFOLIOS, _PLANS, _FEES, *_BREAKERS, _PEG),
            backstops,
        ),
        Way("baseline-1%", "whole accounts at the breach, at the mark less 1 % and impact", fee=100),
        Way("baseline-5%", "the same at 5 %", fee=500),
    )
}
"""every policy and baseline by name; a new switch is a line"""


class _Row(NamedTuple):
    time: int
    open: int
    high: int
    low: int
    close: int


def read_rows(path: Path, first: str, last: str) -> list[_Row]:
    """The bars of a file from one time to before another, micro-dollars. Raises NoCrashData."""
    if not path.exists():
        raise NoCrashData(path)
    with gzip.open(path, "rt", encoding="ascii") as file:
        return [
            _Row(parse_time(row["ts"]), *(round(Decimal(row[c]) * MICRO) for c in ("open", "high", "low", "close")))
            for row in csv.DictReader(file)
            if first <= row["ts"] < last
        ]


def resampled(rows: Sequence[_Row], width: int = HOUR) -> dict[int, tuple[_Row, int]]:
    """Bars of a width, microseconds, by their opening, and of how many rows each is made."""
    buckets: dict[int, list[_Row]] = {}
    for row in rows:
        buckets.setdefault(row.time - row.time % width, []).append(row)
    return {
        time: (
            _Row(time, many[0].open, max(r.high for r in many), min(r.low for r in many), many[-1].close),
            len(many),
        )
        for time, many in buckets.items()
    }


def unwicked(row: _Row) -> _Row:
    """A bar without prints that lie too far from its opening and close."""
    low, high = min(row.open, row.close), max(row.open, row.close)
    return row._replace(
        low=row.low if row.low * WICK >= low else low, high=row.high if row.high <= high * WICK else high
    )


def _bar(symbol: str, row: _Row) -> Bar:
    return Bar.model_construct(ts=row.time, symbol=symbol, open=row.open, high=row.high, low=row.low, close=row.close)


def cut(row: _Row, width: int, into: int) -> list[_Row]:
    """A bar of `width` microseconds as so many shorter ones: PROXY, straight lines through its four points."""
    stops = markets.points(_bar("", row))
    at = [round(float(value)) for value in np.interp(np.linspace(0.0, 3.0, into + 1), np.arange(4.0), stops)]
    return [
        _Row(row.time + part * (width // into), begin, max(begin, end), min(begin, end), end)
        for part, (begin, end) in enumerate(pairwise(at))
    ]


def _series(folder: Path, names: Sequence[str], crash: Crash, width: int = HOUR) -> dict[int, _Row]:
    """Bars of a symbol: each from the first file that has it whole, else the last that has any of it. A file of longer
    bars is cut."""
    found: dict[int, _Row] = {}
    for name in reversed(names):
        rows = read_rows(folder / name, crash.first, crash.last)
        own = min((after.time - before.time for before, after in pairwise(rows)), default=width)
        if own > width:
            rows = [part for row in rows for part in cut(unwicked(row), own, own // width)]
        bars = resampled(rows, width)
        whole = max((count for _, count in bars.values()), default=0)
        found |= {time: bar for time, (bar, count) in bars.items() if count == whole or time not in found}
    return found


def _bars(symbol: str, found: Mapping[int, _Row], crash: Crash, width: int) -> list[Bar]:
    """A bar at every step of the window: where there is none, the last close stood still."""
    bars: list[Bar] = []
    first, last = parse_time(crash.first), parse_time(crash.last)
    before = found[min(found)].open
    for time in range(first, last, width):
        row = unwicked(found.get(time, _Row(time, before, before, before, before)))
        before = row.close
        bars.append(_bar(symbol, row))
    return bars


def inputs_of(crash: Crash, folder: Path, width: int = HOUR) -> Inputs:
    """What a run of this crash clears: bars of each symbol, of USDC where its price matters, and funding rates.

    `width` of a bar, microseconds, a part of an hour; a bar becomes four marks. Raises NoCrashData.
    """
    by_symbol = {
        one: _bars(one, _series(folder, names, crash, width), crash, width) for one, names in crash.files.items()
    }
    bars = sorted((bar for one in by_symbol.values() for bar in one), key=lambda bar: (bar.ts, bar.symbol))
    stable = _bars("USDC", _series(folder, [crash.stable], crash, width), crash, width) if crash.stable else []
    return Inputs(bars, _funding(folder / FUNDING, crash), own_figures=False, stable=stable)


def _funding(path: Path, crash: Crash) -> list[FundingRow]:
    if not path.exists():
        raise NoCrashData(path)
    known = {f"{symbol}USDT": symbol for symbol in crash.files}
    with gzip.open(path, "rt", encoding="ascii") as file:
        return [
            FundingRow.model_construct(
                ts=parse_time(row["ts"]),
                symbol=known[row["symbol"]],
                rate=round(Decimal(row["rate"]) * 10**RATE_DECIMALS),
            )
            for row in csv.DictReader(file)
            if crash.first <= row["ts"] < crash.last and row["symbol"] in known
        ]


@dataclass(frozen=True, slots=True)
class Cleared:
    """A crash cleared in one way under one condition."""

    crash: str
    way: str
    condition: str
    losses: Losses
    times: Sequence[int] = field(repr=False)
    prices: Mapping[str, Sequence[int]] = field(repr=False)
    liquidated: Sequence[int] = field(repr=False)
    """[marks] notional closed by force, micro-dollars"""
    fund: Sequence[int] = field(repr=False)
    """[marks] micro-dollars"""
    entries: int = 0
    verdict: str = ""
    """the audit's; empty: not audited"""
    cover: Sequence[int] = field(default=(), repr=False)
    """[marks] insurance fund, default fund and the clearinghouse's own capital, micro-dollars"""
    stable: Sequence[int] = field(default=(), repr=False)
    """[marks] USDC in micro-dollars; empty: a dollar throughout"""


class AuditDiffers(ValueError):  # noqa: N818 - named for what is found
    """A crash's directory does not replay to the same bytes."""

    def __init__(self, crash: str, way: str, verdict: str) -> None:
        super().__init__(f"{crash} by {way}: {verdict}")


def clear(
    crash: Crash,
    inputs: Inputs,
    way: Way,
    condition: Condition,
    directory: Path,
    *,
    accounts: int = ACCOUNTS,
    seed: int = SEED,
    steps: int | None = None,
    audited: bool = True,
    tell: Callable[[int, int], None] | None = None,
) -> Cleared:
    """Clear a crash into a directory and say what it cost.

    Every way has the same customers, first trades, prices, and the same law for what forced sales cost. Raises
    AuditDiffers, and what `run` raises.
    """
    track = markets.path(inputs.bars, venue_of(inputs), inputs.stable)
    pressure = Pressure(track)
    tally = Tally()

    def watch(runs: Sequence[Run], state: State) -> None:
        pressure.hear(runs, state)
        tally.hear(runs, state)

    buyer = FIRST_ACCOUNT + accounts
    fund = FUND_PER_ACCOUNT if condition.fund is None else condition.fund
    variant = Variant(
        leverage=condition.leverage,
        fund=condition.fund,
        capital=condition.capital,
        policy=lambda venue, opened: [told for one in way.events for told in one(venue, opened)],
        pledges=way.pledges(accounts * fund) if way.pledges is not None else None,
        buyer=BUYER_DOLLARS if way.fee is not None else 0,
        desk=AtOnce(buyer, way.fee, pressure) if way.fee is not None else None,
        watch=watch,
        resale=pressure.resale,
        whole=pressure.whole,
    )
    ledger, ran = run(directory, inputs, accounts=accounts, seed=seed, steps=steps, tell=tell, variant=variant)
    ledger.close()
    told = _told(crash, way, condition, ledger, ran, tally, directory if audited else None)
    stable = [] if track.stable is None else track.stable[: len(told.times)].tolist()
    return replace(told, cover=tally.cover, stable=stable)


def _told(
    crash: Crash, way: Way, condition: Condition, ledger: Lockstep, ran: Ran, tally: Tally, directory: Path | None
) -> Cleared:
    verdict = ""
    if directory is not None:
        told = audit(directory)
        verdict = told.line()
        if not told.agrees:
            raise AuditDiffers(crash.name, way.name, verdict)
    liquidators = {one.account for one in ran.customers if one.strategy == Strategy.LIQUIDATOR}
    return Cleared(
        crash.name,
        way.name,
        condition.name,
        tally.losses(ledger.clearing.states, {one.account for one in ran.customers}, liquidators),
        ran.gathered.times,
        dict(ran.gathered.prices),
        ran.gathered.notional,
        ran.gathered.fund,
        ledger.clearing.sequence.n,
        verdict,
    )

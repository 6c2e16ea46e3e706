"""A mark that breaches one account in a hundred: from its entry until every liquidation plan is in the journal.

100,000 accounts hold perps, futures and options under the SPAN-shaped profile, a thousand of them just enough to stay;
prices fall by six parts in a hundred. Timed is what a running system does then: the mark's entry is appended to the
SQLite journal and folded, its outcomes are stored, the desk hears them and plans, and the plans are appended.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.margining import margin_all
from schemas.chart import FIRST_ACCOUNT
from schemas.events import EVENTS, AccountOpened, Deposited, LiquidationPlanned, Mark, ParameterChanged, Trade
from schemas.kinds import Kind, Parameter, Right
from schemas.limits import MICRO
from schemas.outcomes import LiquidationDue
from schemas.sources import Role, source
from schemas.wire import Run, encode_entry, runs_of
from services import markets
from services.answers import Answers
from services.exchange import Exchange
from services.lockstep import Lockstep, Settings, bounded
from services.population import SPAN
from services.pricer import market
from services.run import Conductor, Inputs, establish, venue_of
from services.tables import Bar

ACCOUNTS: Final = 100_000
EVERY: Final = 100
"""one account in so many fails"""
FALL: Final = 0.06
ROUNDS: Final = 3
_PRICES: Final = {"BTC": 8_000 * MICRO, "ETH": 200 * MICRO}
_START: Final = 1_583_884_800 * MICRO
_QUARTER: Final = 900 * MICRO


def _inputs() -> Inputs:
    """Two bars: nothing happens for a step, then prices fall."""

    def bar(time: int, symbol: str, price: int, after: int) -> Bar:
        return Bar.model_construct(ts=time, symbol=symbol, open=price, high=price, low=after, close=after)

    bars = [bar(_START, symbol, price, int(price * (1.0 - FALL))) for symbol, price in _PRICES.items()]
    later = [bar(_START + 4 * _QUARTER, one.symbol, one.close, one.close) for one in bars]
    return Inputs([*bars, *later])


def _trades(venue: Exchange, marks: npt.NDArray[np.int64], accounts: int) -> list[Run]:
    """Every account's three to ten positions, at the marks: those that will fail long for the most part, each against
    somebody who will not."""
    draw = np.random.default_rng(7)
    open_ = [one for one in venue.instruments if marks[one.instrument]]
    straight = np.array([one.instrument for one in open_ if one.kind in (Kind.PERP, Kind.FUTURE) and not one.payoff])
    calls = np.array([one.instrument for one in open_ if one.right == Right.CALL])
    puts = np.array([one.instrument for one in open_ if one.right == Right.PUT])
    numbers = np.arange(accounts)
    fails = numbers % EVERY == 0
    safe = numbers[~fails]
    whose = np.repeat(numbers, np.where(fails, draw.integers(3, 11, accounts), draw.integers(1, 6, accounts)))
    nth = np.arange(len(whose)) - np.searchsorted(whose, whose)
    kind = np.where(nth == 0, 0, draw.integers(0, 3, len(whose)))
    instrument = np.where(
        kind == 0,
        draw.choice(straight, len(whose)),
        np.where(kind == 1, draw.choice(calls, len(whose)), draw.choice(puts, len(whose))),
    )
    lots = np.where(kind == 0, draw.integers(100, 400, len(whose)), draw.integers(5, 60, len(whose)))
    # a failing account is long straight, and of options either way
    buys = np.where(fails[whose] & (kind == 0), True, draw.random(len(whose)) < 0.5)
    other = draw.choice(safe, len(whose))
    other = np.where(other == whose, np.where(other == safe[0], safe[1], safe[0]), other)
    rows = np.zeros(len(whose), EVENTS.by_class[Trade].dtype)
    rows["buyer"] = FIRST_ACCOUNT + np.where(buys, whose, other)
    rows["seller"] = FIRST_ACCOUNT + np.where(buys, other, whose)
    rows["instrument"], rows["quantity"], rows["price"] = instrument, lots, marks[instrument]
    rows["trade"], rows["time"], rows["venue"] = np.arange(len(whose)) + 1, _START, 1
    return [Run(EVENTS.by_class[Trade], rows)]


def _opened(accounts: int) -> list[Run]:
    rows = np.zeros(accounts, EVENTS.by_class[AccountOpened].dtype)
    rows["account"] = rows["owner"] = FIRST_ACCOUNT + np.arange(accounts)
    rows["profile"], rows["member"], rows["time"], rows["name"] = SPAN, 1, _START, b"bench"
    return [Run(EVENTS.by_class[AccountOpened], rows)]


def _deposits(ledger: Lockstep, accounts: int) -> list[Run]:
    """What those that fail just need, and three times that for all others."""
    numbers = FIRST_ACCOUNT + np.arange(accounts)
    margin_all(ledger.state)
    initial, equity = ledger.state.margins.initial[numbers], ledger.state.margins.equity[numbers]
    fails = np.arange(accounts) % EVERY == 0
    rows = np.zeros(accounts, EVENTS.by_class[Deposited].dtype)
    rows["account"], rows["deposit"], rows["time"] = numbers, np.arange(accounts) + 1, _START
    rows["amount"] = np.maximum(np.where(fails, initial, 3 * initial + 1_000 * MICRO) - equity, 1)
    return [Run(EVENTS.by_class[Deposited], rows)]


def _before(directory: Path, accounts: int, method: int) -> Lockstep:
    """The book with the fallen prices told and priced, up to the mark that puts them in force."""
    inputs = _inputs()
    venue = venue_of(inputs)
    track = markets.path(inputs.bars, venue)
    ledger = Lockstep(directory, Settings(1, FIRST_ACCOUNT + accounts, 0))
    conductor = Conductor(ledger, 1)
    establish(conductor, venue, _START, 1_000)
    change = ParameterChanged(parameter=Parameter.PLAN_METHOD, scope=0, time=_START, effective=_START, value=method)
    conductor.send(Role.COUNCIL, [change])
    conductor.send(Role.ORACLE, markets.oracle_events(track, venue, (), 0))
    conductor.mark(_START)
    for role, runs in (
        (Role.REGISTRAR, _opened(accounts)),
        (Role.EXCHANGE, _trades(venue, ledger.state.market.mark, accounts)),
    ):
        for part in bounded(runs):
            ledger.send(source(role), part)
    for part in bounded(_deposits(ledger, accounts)):
        ledger.send(source(Role.CUSTODIAN), part)
    conductor.send(Role.ORACLE, markets.oracle_events(track, venue, (), 2))
    for part in bounded(market(ledger.state, 2, int(track.times[2]))):
        ledger.send(source(Role.PRICER), part)
    return ledger


def planned(accounts: int, method: int) -> dict[str, float]:
    """Seconds of the parts of answering the mark, and what was planned. Raises RuntimeError where the book is not what
    is meant to be measured."""
    with TemporaryDirectory() as folder:
        ledger = _before(Path(folder), accounts, method)
        answers = Answers(1)
        time = ledger.state.time + 2 * _QUARTER
        begun = perf_counter()
        outcomes = ledger.send(source(Role.PRICER), runs_of(EVENTS, [Mark(mark=2, market=2, time=time)]))
        marked = perf_counter()
        answers.hear(source(Role.PRICER), outcomes, ledger.state)
        decided = perf_counter()
        told = answers.following()
        if told is None:
            raise RuntimeError("bench/plans: the desk has nothing to say")
        ledger.journal.append(encode_entry(told[0], 1, told[1]))
        appended = perf_counter()
        ledger.abandon()
    rows = [run.rows["account"] for run in told[1] if run.message.cls is LiquidationPlanned]
    sold = np.concatenate(rows or [np.zeros(0, np.int64)])
    due = sum(len(run.rows) for run in outcomes if run.message.cls is LiquidationDue)
    if not 0.9 * accounts <= EVERY * due <= 1.1 * accounts or len(np.unique(sold)) < 0.9 * due:
        raise RuntimeError(f"bench/plans: {due} of {accounts} accounts fail: not what is meant to be measured")
    return {
        "seconds": appended - begun,
        "mark": marked - begun,
        "plans": decided - marked,
        "append": appended - decided,
        "accounts": due,
        "sales": len(sold),
    }


def run() -> list[dict[str, Any]]:
    """Medians of the whole and of its parts, by method."""
    figures = []
    for method, name in ((0, "greedy"), (1, "the better of greedy and linear program")):
        planned(2_000, method)
        rounds = [planned(ACCOUNTS, method) for _ in range(ROUNDS)]
        told = {part: median(one[part] for one in rounds) for part in rounds[0]}
        figures.append(
            {
                "name": f"a mark that breaches 1% of {ACCOUNTS:,} accounts until every plan is in the journal, {name}",
                "value": told["seconds"],
                "unit": "s",
                "goal": "< 1",
                "peers": {part: value for part, value in told.items() if part != "seconds"},
            }
        )
    return figures


if __name__ == "__main__":
    for line in run():
        print(f"{line['name']}: {line['value']:.3g} {line['unit']}", line["peers"])

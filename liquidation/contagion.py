"""Contagion: a shock, the accounts it breaches, what their sales do to prices, whom that breaches, to a fixed point.

A what-if in floats over a whole book: nothing here decides about money. Margins are those of the fold's own kernel over
the marks and risk arrays revalued for each round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.impact import Impact, Liquidity, average_moves, lasting, moves
from liquidation.pacing import ALL_AT_ONCE, Pace, allowed
from risk.requirement import margin_accounts, scratch
from risk.tables import HOLDER, POSITION, Holdings, I64Array, Market, Profiles, holdings_in, margins, rows
from risk.valuation import INVERSE
from schemas.kinds import Style
from schemas.limits import ARRAY_EXPONENT, MICRO

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Reprice = Callable[[FloatArray, float], tuple[Market, Profiles]]
"""Relative price moves [underlyings] and of all volatilities -> the market so moved, with its risk arrays. The tables
may be the same at every call, written anew."""

LOWEST: Final = -0.95
"""no price falls further: below it marks and arrays cannot be told"""
HIGHEST: Final = 19.0
"""and none rises further"""


class Book(NamedTuple):
    """Accounts by row, with their positions sorted by account and instrument. No orders: they are cancelled first."""

    numbers: I64Array
    """[accounts] account numbers"""
    holdings: Holdings
    """by row, not by number"""
    whose: I64Array
    """[positions] row of the account"""


class Rules(NamedTuple):
    """How a cascade runs."""

    impact: Impact
    liquidity: Liquidity
    pace: Pace = ALL_AT_ONCE
    rounds: int = 100
    """at most; a cascade that is cut there says so"""
    pieces: int = 4
    """an account in liquidation sells at least this part (one over) of what it held at first, where pace allows"""
    rounds_a_day: float = 96.0
    """by which a round's volume follows from a day's"""


class Round(NamedTuple):
    """A round. Money in dollars."""

    number: int
    failed: int
    """accounts that entered liquidation"""
    liquidating: int
    """accounts that sold"""
    sold: float
    """notional of what was sold or bought back"""
    waiting: float
    """notional that pacing held back"""
    cost: float
    """what the sales brought less than at the marks"""
    moves: FloatArray
    """[underlyings] relative to before the shock, as the round's marks had them"""


class Cascade(NamedTuple):
    """What came of it. Money in dollars, by row of the book where by account."""

    rounds: tuple[Round, ...]
    settled: bool
    """a fixed point: nobody in breach holds anything; False: cut at the last round"""
    moves: FloatArray
    """[underlyings] at the end, relative to before the shock"""
    entered: I64Array
    """[accounts] round in which it entered liquidation, 0: never"""
    before: FloatArray
    """[accounts] worth before the shock, no haircut"""
    shocked: FloatArray
    """[accounts] worth after the shock alone"""
    after: FloatArray
    """[accounts] worth at the end"""
    buyers: float
    """what those gained, outside the book, who took what was sold (the cost of impact included)"""
    revalued: float
    """by how much the book's coins, and what is open against nobody in it, changed in value; what was sold included"""
    notional: FloatArray
    """[accounts] sold"""
    left: Book
    """what is held at the end"""

    @property
    def first_loss(self) -> float:
        """What accounts lost by the shock alone."""
        return float(np.maximum(self.before - self.shocked, 0.0).sum())

    @property
    def loss(self) -> float:
        """What accounts lost in all."""
        return float(np.maximum(self.before - self.after, 0.0).sum())

    @property
    def gain(self) -> float:
        """What accounts gained in all."""
        return float(np.maximum(self.after - self.before, 0.0).sum())

    @property
    def multiplier(self) -> float:
        """The whole loss over the shock's own; 1 where nothing is lost."""
        return self.loss / self.first_loss if self.first_loss > 0.0 else 1.0

    @property
    def cost(self) -> float:
        """What sales brought less than at the marks."""
        return sum(one.cost for one in self.rounds)

    @property
    def sold(self) -> float:
        """Notional of all that was sold or bought back."""
        return sum(one.sold for one in self.rounds)

    @property
    def deficits(self) -> FloatArray:
        """[accounts] what each owes when all it has is gone."""
        return np.maximum(-self.after, 0.0)

    def failures(self) -> list[tuple[int, int]]:
        """(round, row) of every account that entered liquidation, in the order in which they did."""
        found = np.flatnonzero(self.entered)
        order = np.lexsort((found, self.entered[found]))
        return [(int(self.entered[row]), int(row)) for row in found[order]]


class Entry(NamedTuple):
    """Columns of positions: row of the account, instrument, lots, cost and funding index."""

    whose: I64Array
    instrument: I64Array
    quantity: I64Array
    cost: I64Array
    funding: I64Array


def book(numbers: I64Array, profile: I64Array, fees_due: I64Array, balance: I64Array, held: Entry) -> Book:
    """A book of accounts [n] with their profiles, fees due, balances [n, assets] and positions in any order."""
    key = held.whose << 32 | held.instrument
    order = np.arange(len(key)) if bool((key[1:] > key[:-1]).all()) else np.argsort(key, kind="stable")
    holders, positions = rows(HOLDER, len(numbers)), rows(POSITION, len(order))
    count = np.bincount(held.whose, minlength=len(numbers))
    holders["count"][: len(numbers)] = count
    holders["start"][: len(numbers)] = np.cumsum(count) - count
    holders["profile"][: len(numbers)], holders["fees_due"][: len(numbers)] = profile, fees_due
    for name in ("instrument", "quantity", "cost", "funding"):
        positions[name][: len(order)] = getattr(held, name)[order]
    room = np.zeros((len(holders), balance.shape[1]), np.int64)
    room[: len(numbers)] = balance
    return Book(numbers, holdings_in(holders, positions, room), held.whose[order])


def worth(of: Book, market: Market) -> FloatArray:
    """[accounts] what each is worth at the marks, dollars: no haircut, gains whole. Funding must be settled."""
    h, size = of.holdings, len(of.numbers)
    unit, price = _units(market)
    i = h.instrument[: len(of.whose)]
    each = (h.quantity[: len(of.whose)] * unit[i] - h.cost[: len(of.whose)] * _margined(market)[i]) * price[i]
    return _coins(h.balance[:size], market) - h.fees_due[:size] / MICRO + np.bincount(of.whose, each, size)


def gained(of: Book, before: Market, after: Market) -> FloatArray:
    """[accounts] what margined positions gained from one market to the next, as if held all the time: gains and losses
    in one asset set against each other, dollars at the prices after."""
    h, i = of.holdings, of.holdings.instrument[: len(of.whose)]
    (was, _), (now, _) = _units(before), _units(after)
    told = (before.mark[i] > 0) & (after.mark[i] > 0)
    each = h.quantity[: len(i)] * (now[i] - was[i]) * _margined(after)[i] * told
    gains = np.zeros((len(of.numbers), h.balance.shape[1]))
    np.add.at(gains, (of.whose, after.settlement[i]), each)
    return _coins(np.maximum(gains, 0.0), after)


def along_marks(market: Market, profiles: Profiles) -> Reprice:
    """A Reprice in proportion: every mark, delta, notional and array moves with its underlying's price, volatility does
    nothing. Exact for what is linear and paid in dollars; coins keep their price."""
    rows_of = [(int(o), int(w)) for o, w in zip(profiles.offset, profiles.width, strict=True) if w > 0]

    def reprice(by: FloatArray, _volatility: float) -> tuple[Market, Profiles]:
        factor = 1.0 + by[market.underlying]
        losses = profiles.losses.copy()
        for offset, width in dict.fromkeys(rows_of):
            part = losses[offset : offset + len(factor) * width].reshape(-1, width)
            part[:] = np.rint(part * factor[: len(part), None])
        return (
            market._replace(
                mark=np.maximum(np.rint(market.mark * factor), market.mark > 0).astype(np.int64),
                delta=np.rint(market.delta * factor).astype(np.int64),
                notional=np.rint(market.notional * factor).astype(np.int64),
            ),
            profiles._replace(losses=losses, largest=np.ceil(profiles.largest * factor).astype(np.int64)),
        )

    return reprice


def cascade(start: Book, reprice: Reprice, shock: FloatArray, volatility: float, rules: Rules) -> Cascade:
    """Shock prices (relative moves [underlyings], and of all volatilities), and follow the liquidations to their end.

    Each round prices the market, margins every account, and sells of every account in liquidation (equity below
    maintenance + buffer, and on until it covers the initial margin, like the ladder) the same part of each position:
    1 - equity / initial, at least one over `pieces` of what it held at first; all where equity is not above zero. Pace
    may cut that to no less than a lot of each position. What is sold finds buyers outside the book; prices move by the
    net flow of dollar deltas, and the mean of that move is what sellers pay.

    It ends: a round in which nobody sells is the last, every other sells at least one lot of the finite number there
    are and none is ever bought; without pacing an account sells in at most `pieces` rounds, so there are no more than
    pieces x accounts + 1. Past `rules.rounds` it is cut, and says so.
    """
    market, profiles = reprice(np.zeros_like(shock), 0.0)
    before, whole = worth(start, market), _Whole.of(start)
    outset = whole.worth(market)
    now = _copied(start)
    taken = _Whole.nothing(start, market)
    h, size = now.holdings, len(now.numbers)
    at_first = np.abs(h.quantity[: len(now.whose)])
    out, memory = margins(size), scratch(len(market.kind), 0)
    entered, falling, notional = np.zeros(size, np.int64), np.zeros(size, np.bool_), np.zeros(size)
    flows, told, settled = np.zeros((0, len(shock))), list[Round](), False
    shocked, by = before, shock
    for number in range(1, rules.rounds + 1):
        by = _moved(shock, rules, flows)
        market, profiles = reprice(by, volatility)
        if number == 1:
            shocked = worth(now, market)
        live = np.flatnonzero(np.bincount(now.whose, h.quantity[: len(now.whose)] != 0, size)).astype(np.int64)
        margin_accounts(live, h, market, profiles, memory, out)
        falls = _falling(out.equity[live], out.maintenance[live] + out.buffer[live], out.initial[live], falling[live])
        falling[:] = False
        falling[live[falls]] = True
        failed = falling & (entered == 0)
        entered[failed] = number
        if not falling.any():
            told.append(Round(number, 0, 0, 0.0, 0.0, 0.0, by))
            settled = True
            break
        chosen = np.flatnonzero(falling[now.whose] & (h.quantity[: len(now.whose)] != 0))
        wanted = _wanted(now, chosen, out.equity, out.initial, at_first, rules.pieces)
        sold = _paced(wanted, h.instrument[chosen], market, rules)
        flow = _flow(sold, h.instrument[chosen], market, len(shock))
        slip = _slip(rules, flows, flow)
        cost, value = _sell(now, taken, chosen, sold, slip, market)
        np.add.at(notional, now.whose[chosen], value)
        flows = np.vstack([flows, flow])
        held_back = float((np.abs(wanted - sold) * market.notional[h.instrument[chosen]]).sum()) / MICRO
        told.append(Round(number, int(failed.sum()), int(falling.sum()), float(value.sum()), held_back, cost, by))
    if not settled:
        by = _moved(shock, rules, flows)
        market, profiles = reprice(by, volatility)
    return Cascade(
        rounds=tuple(told),
        settled=settled,
        moves=by,
        entered=entered,
        before=before,
        shocked=shocked,
        after=worth(now, market),
        buyers=taken.worth(market),
        revalued=whole.worth(market) - outset,
        notional=notional,
        left=now,
    )


def _falling(equity: I64Array, called: I64Array, initial: I64Array, before: BoolArray) -> BoolArray:
    """Who is in liquidation: the ladder without grace."""
    falls: BoolArray = (equity < called) | (before & (equity < initial))
    return falls


def _moved(shock: FloatArray, rules: Rules, flows: FloatArray) -> FloatArray:
    pushed = moves(rules.impact, rules.liquidity, lasting(rules.impact, flows))
    moved: FloatArray = np.clip((1.0 + shock) * np.exp(pushed) - 1.0, LOWEST, HIGHEST)
    return moved


def _slip(rules: Rules, flows: FloatArray, flow: FloatArray) -> FloatArray:
    """[underlyings] the mean price of this round's trades relative to the round's marks."""
    marked = moves(rules.impact, rules.liquidity, lasting(rules.impact, flows))
    faded = lasting(rules.impact, flows, 1)
    mean = average_moves(rules.impact, rules.liquidity, faded, faded + flow)
    slip: FloatArray = np.expm1(mean - marked)
    return slip


def _wanted(
    now: Book, chosen: I64Array, equity: I64Array, initial: I64Array, at_first: I64Array, pieces: int
) -> I64Array:
    """Lots, signed like the positions, that accounts in liquidation must sell."""
    whose, quantity = now.whose[chosen], now.holdings.quantity[chosen]
    part = np.clip(1.0 - equity[whose] / np.maximum(initial[whose], 1), 0.0, 1.0)
    lots = np.ceil(np.abs(quantity) * part).astype(np.int64)
    lots = np.minimum(np.maximum(lots, -(-at_first[chosen] // pieces)), np.abs(quantity))
    wanted: I64Array = np.sign(quantity) * lots
    return wanted


def _paced(wanted: I64Array, instrument: npt.NDArray[np.int32], market: Market, rules: Rules) -> I64Array:
    flow = _flow(wanted, instrument, market, len(rules.liquidity.volume))
    part = allowed(rules.pace, flow, rules.liquidity.volume / rules.rounds_a_day)[market.underlying[instrument]]
    paced: I64Array = np.sign(wanted) * np.ceil(np.abs(wanted) * part).astype(np.int64)
    return paced


def _flow(sold: I64Array, instrument: npt.NDArray[np.int32], market: Market, underlyings: int) -> FloatArray:
    """[underlyings] dollars of delta bought by the liquidations, sales negative."""
    dollars = -sold * (market.delta[instrument] / (MICRO << ARRAY_EXPONENT))
    flow: FloatArray = np.bincount(market.underlying[instrument], dollars, underlyings).astype(np.float64)
    return flow


def _sell(
    now: Book, taken: _Whole, chosen: I64Array, sold: I64Array, slip: FloatArray, market: Market
) -> tuple[float, FloatArray]:
    """Close these lots at the marks and charge the slip in dollars: its sum, and the notional of each."""
    h = now.holdings
    i, whose, quantity, cost = h.instrument[chosen], now.whose[chosen], h.quantity[chosen], h.cost[chosen]
    part = np.rint(cost * (sold / quantity)).astype(np.int64)
    unit, _ = _units(market)
    margined = _margined(market)[i]
    paid = np.rint(sold * unit[i] - part * margined).astype(np.int64)
    slipped = np.rint(-sold * (market.delta[i] >> ARRAY_EXPONENT) * slip[market.underlying[i]]).astype(np.int64)
    np.add.at(h.balance, (whose, market.settlement[i]), paid)
    np.subtract.at(h.balance[:, 0], whose, slipped)
    h.quantity[chosen] = quantity - sold
    h.cost[chosen] = cost - part
    np.add.at(taken.balance, market.settlement[i], -paid)
    taken.balance[0] += slipped.sum()
    np.add.at(taken.quantity, i, sold)
    np.add.at(taken.cost, i, part)
    return float(slipped.sum()) / MICRO, np.abs(sold) * market.notional[i] / MICRO


class _Whole(NamedTuple):
    """A whole book's holdings by asset and by instrument."""

    balance: FloatArray
    quantity: FloatArray
    cost: FloatArray

    @classmethod
    def of(cls, one: Book) -> _Whole:
        h, held = one.holdings, len(one.whose)
        i = h.instrument[:held]
        return cls(
            h.balance.sum(axis=0).astype(np.float64),
            np.bincount(i, h.quantity[:held]).astype(np.float64),
            np.bincount(i, h.cost[:held]).astype(np.float64),
        )

    @classmethod
    def nothing(cls, one: Book, market: Market) -> _Whole:
        size = len(market.kind)
        return cls(np.zeros(one.holdings.balance.shape[1]), np.zeros(size), np.zeros(size))

    def worth(self, market: Market) -> float:
        unit, price = _units(market)
        size = len(self.quantity)
        each = (self.quantity * unit[:size] - self.cost * _margined(market)[:size]) * price[:size]
        return float(each.sum() + _coins(self.balance[None, :], market)[0])


def _copied(one: Book) -> Book:
    h, size, held = one.holdings, len(one.numbers), len(one.whose)
    columns = (h.instrument, h.quantity, h.cost, h.funding)
    entry = Entry(one.whose, *(column[:held].astype(np.int64) for column in columns))
    return book(one.numbers, h.profile[:size], h.fees_due[:size], h.balance[:size], entry)


def _units(market: Market) -> tuple[FloatArray, FloatArray]:
    """[instruments] settlement units a lot is worth at its mark, and dollars in such a unit."""
    mark = np.maximum(market.mark, 1).astype(np.float64)
    unit = np.where(market.payoff == INVERSE, -market.contract_value / mark, market.mark * market.tick_value)
    price = market.asset_price / np.maximum(market.asset_scale, 1) / MICRO
    return unit, price[market.settlement]


def _margined(market: Market) -> FloatArray:
    margined: FloatArray = (market.style != Style.PREMIUM).astype(np.float64)
    return margined


def _coins(balance: npt.NDArray[Any], market: Market) -> FloatArray:
    price = market.asset_price / np.maximum(market.asset_scale, 1) / MICRO
    coins: FloatArray = balance @ price[: balance.shape[1]]
    return coins

"""The demonstration's customers: a seeded mix of strategies, their first deposits and trades.

Everything is a pure function of the exchange, the prices and the seed. Every trade has a market maker as its other
side, so positions net to zero by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from schemas.chart import FIRST_ACCOUNT
from schemas.events import AccountOpened, Deposited, InstrumentListed, Trade
from schemas.kinds import Kind, Payoff, Right, Segregation
from schemas.limits import BASIS_POINTS, MAX_QUANTITY, MICRO
from services.exchange import DOLLAR, VENUE, Exchange, coin_of
from services.tables import PROFILE_NUMBERS

ISOLATED: Final = PROFILE_NUMBERS["isolated"]
DELTA_NETTING: Final = PROFILE_NUMBERS["delta-netting"]
SPAN: Final = PROFILE_NUMBERS["span"]

SCANS: Final[Mapping[str, float]] = {"BTC": 0.15, "ETH": 0.20}
"""price scan range by underlying, as the shipped profiles have it: what keeps first positions within their margin"""
OTHER_SCAN: Final = 0.30
INITIAL_RATIOS: Final[Mapping[int, float]] = {ISOLATED: 1.5, DELTA_NETTING: 1.4, SPAN: 1.2}
"""initial over maintenance margin by profile, as the shipped profiles have it"""
TAKER_FEE: Final = 5
"""basis points of a trade's value"""
MAKER_FEE: Final = -1
SMALLEST: Final = 24
"""accounts that the mix needs at least"""

_LIQUIDATOR_DOLLARS: Final = 3_000_000
_MAKER_DOLLARS: Final = 1_200_000
_OPENING, _FLOW = 1, 2
MEMBERS: Final = 12
"""behind customers' accounts"""


class TooFewAccountsError(ValueError):
    """Fewer accounts than the mix of strategies needs."""


class Strategy(StrEnum):
    """What an account is for."""

    LIQUIDATOR = "liquidator"
    MARKET_MAKER = "market maker"
    COVERED_CALL = "covered call"
    SHORT_STRADDLE = "short straddle"
    BASIS_TRADE = "basis trade"
    NAKED_PUT = "naked short put"
    PROTECTIVE_PUT = "protective put"
    LEVERAGED_LONG = "leveraged long"
    LEVERAGED_SHORT = "leveraged short"


SHARES: Final[Mapping[Strategy, int]] = {
    Strategy.COVERED_CALL: 18,
    Strategy.SHORT_STRADDLE: 8,
    Strategy.BASIS_TRADE: 18,
    Strategy.NAKED_PUT: 8,
    Strategy.PROTECTIVE_PUT: 10,
    Strategy.LEVERAGED_LONG: 26,
    Strategy.LEVERAGED_SHORT: 12,
}
"""parts of a hundred customers, market makers and liquidators not counted"""
_HOUSES: Final = (Strategy.LIQUIDATOR, Strategy.MARKET_MAKER)


@dataclass(frozen=True, slots=True)
class Customer:
    """An account of the demonstration: `equity` is what it began with in micro-dollars."""

    account: int
    strategy: Strategy
    profile: int
    underlying: int
    equity: int


@dataclass(frozen=True, slots=True)
class Population:
    """The customers in order of account, and the events that bring them in, each in journal order."""

    customers: tuple[Customer, ...]
    accounts: tuple[AccountOpened, ...]
    deposits: tuple[Deposited, ...]
    trades: tuple[Trade, ...]

    def of(self, strategy: Strategy) -> tuple[Customer, ...]:
        """The customers of one strategy."""
        return tuple(one for one in self.customers if one.strategy == strategy)


def generator(seed: int, stream: int, step: int) -> np.random.Generator:
    """The random numbers of one purpose at one step, the same whoever asked before."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, step])))


def flow_generator(seed: int, step: int) -> np.random.Generator:
    """The random numbers of a step's trading."""
    return generator(seed, _FLOW, step)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an account begins with: deposits (asset, dollars) and positions (instrument, lots, signed)."""

    deposits: list[tuple[int, float]]
    positions: list[tuple[InstrumentListed, int]]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a strategy may look at while it decides."""

    venue: Exchange
    marks: Mapping[int, int]
    prices: Mapping[int, int]
    draw: np.random.Generator
    stretch: float = 1.0
    """how much further than the shipped profiles allow accounts are leveraged"""

    def named(self, underlying: int, kind: Kind, expiry: int = 0, payoff: Payoff = Payoff.LINEAR) -> InstrumentListed:
        wanted = (underlying, kind, expiry, payoff)
        return next(o for o in self.venue.instruments if (o.underlying, o.kind, o.expiry, o.payoff) == wanted)

    def option(self, underlying: int, expiry: int, right: Right, moneyness: float) -> InstrumentListed:
        """The option whose strike lies nearest to `moneyness` times the underlying's price."""
        wanted = self.spot(underlying) * moneyness
        chain = [o for o in self.venue.instruments if (o.underlying, o.expiry, o.right) == (underlying, expiry, right)]
        return min(chain, key=lambda o: abs(o.strike / o.price_scale - wanted))

    def spot(self, underlying: int) -> float:
        """Dollars."""
        return self.prices[coin_of(underlying)] / MICRO

    def between(self, low: float, high: float) -> float:
        """A number between two, evenly by ratio."""
        return low * math.pow(high / low, self.draw.random())

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random() < probability)

    def leverage(self, one: Customer, low: float, high: float) -> float:
        """A leverage that the first margin allows; nearly half of the accounts are careful."""
        if self.chance(0.45):
            return self.between(low / 4, low / 1.6)
        scan = SCANS.get(self.venue.underlyings[one.underlying].symbol, OTHER_SCAN)
        most = self.stretch / (scan * INITIAL_RATIOS[one.profile])
        return min(self.between(low, high), most * self.between(0.7, 0.97))


def lots(one: InstrumentListed, dollars: float, prices: Mapping[int, int]) -> int:
    """How many lots so many dollars of the underlying are, at least one; inverse contracts are dollars themselves."""
    if one.payoff == Payoff.INVERSE:
        value = one.contract_value / (one.price_scale * 10**8)
    else:
        value = one.lot_size * prices[coin_of(one.underlying)] / (MICRO * 10**8)
    return min(MAX_QUANTITY, max(1, int(dollars / value)))


def _cash(desk: _Desk, dollars: float) -> list[tuple[int, float]]:
    """Collateral for a directional account: mostly dollars, else mostly USDC, ether or the governance token."""
    kind = desk.draw.random()
    if kind < 0.60:
        return [(DOLLAR, dollars)]
    other = "USDC" if kind < 0.80 else "GOV" if kind > 0.93 else desk.venue.underlyings[-1].symbol
    return [(DOLLAR, dollars * 0.15), (desk.venue.asset[other].asset, dollars * 0.85)]


def _worth(desk: _Desk, deposits: Sequence[tuple[int, float]]) -> float:
    """Dollars that count: after haircut."""
    return sum(d * (BASIS_POINTS - desk.venue.assets[asset].haircut) / BASIS_POINTS for asset, d in deposits)


def _covered_call(desk: _Desk, one: Customer) -> _Plan:
    dollars = one.equity / MICRO
    call = desk.option(one.underlying, desk.venue.expiries[1], Right.CALL, desk.between(1.05, 1.3))
    # one in five bought part of the coins on margin
    part = desk.between(1.3, 2.5) if desk.chance(0.2) else 0.9
    positions = [(call, -lots(call, dollars * 0.9, desk.prices))]
    if part > 1.0:
        perp = desk.named(one.underlying, Kind.PERP)
        positions.append((perp, lots(perp, dollars * (part - 1.0), desk.prices)))
    return _Plan([(coin_of(one.underlying), dollars * 0.95), (DOLLAR, dollars * 0.05)], positions)


def _short_straddle(desk: _Desk, one: Customer) -> _Plan:
    deposits = _cash(desk, one.equity / MICRO)
    expiry = desk.venue.expiries[int(desk.chance(0.6))]
    size = _worth(desk, deposits) * desk.leverage(one, 0.8, 4.0)
    legs = [desk.option(one.underlying, expiry, right, 1.0) for right in (Right.CALL, Right.PUT)]
    return _Plan(deposits, [(leg, -lots(leg, size, desk.prices)) for leg in legs])


def _basis_trade(desk: _Desk, one: Customer) -> _Plan:
    dollars = one.equity / MICRO
    perp = desk.named(one.underlying, Kind.PERP)
    future = desk.named(one.underlying, Kind.FUTURE, desk.venue.expiries[1 + int(desk.chance(0.6))])
    if desk.chance(0.5):
        sold = perp if desk.chance(0.5) else future
        deposits = [(coin_of(one.underlying), dollars * 0.9), (DOLLAR, dollars * 0.1)]
        return _Plan(deposits, [(sold, -lots(sold, dollars * 0.85, desk.prices))])
    size = dollars * desk.between(2.0, 5.0)
    return _Plan(
        [(DOLLAR, dollars)], [(future, lots(future, size, desk.prices)), (perp, -lots(perp, size, desk.prices))]
    )


def _naked_put(desk: _Desk, one: Customer) -> _Plan:
    deposits = _cash(desk, one.equity / MICRO)
    expiry = desk.venue.expiries[int(desk.chance(0.6))]
    put = desk.option(one.underlying, expiry, Right.PUT, desk.between(0.75, 0.97))
    size = _worth(desk, deposits) * desk.leverage(one, 1.0, 6.0)
    return _Plan(deposits, [(put, -lots(put, size, desk.prices))])


def _protective_put(desk: _Desk, one: Customer) -> _Plan:
    dollars = one.equity / MICRO
    put = desk.option(one.underlying, desk.venue.expiries[1], Right.PUT, desk.between(0.8, 0.95))
    deposits = [(coin_of(one.underlying), dollars * 0.9), (DOLLAR, dollars * 0.1)]
    return _Plan(deposits, [(put, lots(put, dollars * 0.8, desk.prices))])


def _leveraged(desk: _Desk, one: Customer) -> _Plan:
    side = 1 if one.strategy == Strategy.LEVERAGED_LONG else -1
    high = 25.0 if side > 0 else 12.0
    kind = desk.draw.random()
    if kind < 0.12 and one.underlying == 0:
        perp = desk.named(0, Kind.PERP, payoff=Payoff.INVERSE)
        deposits = [(perp.settlement_asset, one.equity / MICRO)]
        # coins lose with the position: a long in inverse contracts is one more long
        size = _worth(desk, deposits) * max(0.5, desk.leverage(one, 2.0, high) - max(side, 0))
        return _Plan(deposits, [(perp, side * lots(perp, size, desk.prices))])
    deposits = _cash(desk, one.equity / MICRO)
    size = _worth(desk, deposits) * desk.leverage(one, 2.0, high)
    # ether or governance tokens given as collateral fall with the market; their own scan takes margin too
    if any(asset >= 2 for asset, _ in deposits):
        size *= 0.6
    future = desk.named(one.underlying, Kind.FUTURE, desk.venue.expiries[int(3 * desk.draw.random())])
    held = future if kind > 0.8 else desk.named(one.underlying, Kind.PERP)
    return _Plan(deposits, [(held, side * lots(held, size, desk.prices))])


def _maker(desk: _Desk, one: Customer) -> _Plan:
    dollars = one.equity / MICRO
    coins = [(coin_of(listed.underlying), dollars * 0.05) for listed in desk.venue.underlyings]
    return _Plan([(DOLLAR, dollars * (1.0 - 0.05 * len(coins))), *coins], [])


def _liquidator(_: _Desk, one: Customer) -> _Plan:
    return _Plan([(DOLLAR, one.equity / MICRO)], [])


_PLANS: Final[Mapping[Strategy, Callable[[_Desk, Customer], _Plan]]] = {
    Strategy.LIQUIDATOR: _liquidator,
    Strategy.MARKET_MAKER: _maker,
    Strategy.COVERED_CALL: _covered_call,
    Strategy.SHORT_STRADDLE: _short_straddle,
    Strategy.BASIS_TRADE: _basis_trade,
    Strategy.NAKED_PUT: _naked_put,
    Strategy.PROTECTIVE_PUT: _protective_put,
    Strategy.LEVERAGED_LONG: _leveraged,
    Strategy.LEVERAGED_SHORT: _leveraged,
}


def _roles(count: int, draw: np.random.Generator) -> list[Strategy]:
    liquidators, makers = max(3, count // 250), max(3, count // 50)
    customers = count - liquidators - makers
    exact = {strategy: customers * share / 100 for strategy, share in SHARES.items()}
    counts = {strategy: int(number) for strategy, number in exact.items()}
    by_rest = sorted(SHARES, key=lambda strategy: counts[strategy] - exact[strategy])
    for strategy in by_rest[: customers - sum(counts.values())]:
        counts[strategy] += 1
    mixed = [strategy for strategy, number in counts.items() for _ in range(number)]
    shuffled = [mixed[int(k)] for k in draw.permutation(customers)]
    return [Strategy.LIQUIDATOR] * liquidators + [Strategy.MARKET_MAKER] * makers + shuffled


def _customer(desk: _Desk, number: int, strategy: Strategy) -> Customer:
    draw = desk.draw
    kind = draw.random()
    profile = SPAN if kind < 0.70 else DELTA_NETTING if kind < 0.85 else ISOLATED
    # two legs that offset each other are hopeless where nothing offsets
    if strategy in (Strategy.BASIS_TRADE, Strategy.COVERED_CALL) and profile == ISOLATED:
        profile = DELTA_NETTING
    underlying = int(draw.random() * len(desk.venue.underlyings))
    dollars = desk.between(2_000, 200_000)
    if strategy in (Strategy.LIQUIDATOR, Strategy.MARKET_MAKER):
        profile = SPAN
        dollars = (_LIQUIDATOR_DOLLARS if strategy == Strategy.LIQUIDATOR else _MAKER_DOLLARS) * desk.between(0.7, 1.4)
    return Customer(number, strategy, profile, underlying, int(dollars) * MICRO)


def population(
    venue: Exchange,
    marks: Mapping[int, int],
    prices: Mapping[int, int],
    count: int,
    seed: int,
    time: int,
    stretch: float = 1.0,
) -> Population:
    """`count` accounts from FIRST_ACCOUNT on, with their first deposits and trades, all at `time` (microseconds).

    `stretch` times the leverage that the shipped profiles' margin allows is the most that an account takes.
    `marks` are ticks by instrument number, `prices` micro-dollars for a whole unit by asset number.
    Raises TooFewAccountsError below SMALLEST.
    """
    if count < SMALLEST:
        raise TooFewAccountsError(f"{count} accounts, the mix needs at least {SMALLEST}")
    desk = _Desk(venue, marks, prices, generator(seed, _OPENING, 0), stretch)
    customers = tuple(
        _customer(desk, FIRST_ACCOUNT + place, strategy) for place, strategy in enumerate(_roles(count, desk.draw))
    )
    makers = [one.account for one in customers if one.strategy == Strategy.MARKET_MAKER]
    deposits: list[Deposited] = []
    trades: list[Trade] = []
    for one in customers:
        plan = _PLANS[one.strategy](desk, one)
        for asset, dollars in plan.deposits:
            amount = int(dollars * 10 ** venue.assets[asset].decimals / prices[asset] * MICRO)
            number = len(deposits) + 1
            deposits.append(Deposited(asset=asset, account=one.account, deposit=number, time=time, amount=amount))
        for listed, quantity in plan.positions:
            if marks.get(listed.instrument, 0) > 0:
                maker = makers[int(desk.draw.random() * len(makers))]
                trades.append(trade(listed, marks, one.account, maker, quantity, len(trades) + 1, time))
    trades += _books(desk, makers, len(trades) + 1, time)
    return Population(customers, tuple(_opened(one, time) for one in customers), tuple(deposits), tuple(trades))


def member_of(one: Customer) -> int:
    """The member behind an account: customers share one's number with others, a professional is its own."""
    return one.account if one.strategy in _HOUSES else 1 + one.account % MEMBERS


def _opened(one: Customer, time: int) -> AccountOpened:
    house = one.strategy in _HOUSES
    segregation = Segregation.HOUSE if house else Segregation.INDIVIDUAL if one.account % 4 else Segregation.OMNIBUS
    return AccountOpened(
        segregation=segregation,
        liquidator=int(one.strategy == Strategy.LIQUIDATOR),
        profile=one.profile,
        account=one.account,
        member=member_of(one),
        owner=one.account,
        time=time,
        name=f"{one.strategy} {one.account}",
    )


def trade(
    listed: InstrumentListed,
    marks: Mapping[int, int],
    taker: int,
    maker: int,
    quantity: int,
    number: int,
    time: int,
) -> Trade:
    """A taker's trade of `quantity` lots (buy > 0) with a maker, two basis points and at least a tick off the mark."""
    mark = marks[listed.instrument]
    side = 1 if quantity > 0 else -1
    price = max(1, mark + side * max(1, mark * 2 // BASIS_POINTS))
    if listed.payoff == Payoff.INVERSE:
        value = abs(quantity) * listed.contract_value // price
    else:
        value = abs(quantity) * price * listed.tick_value
    taken, made = value * TAKER_FEE // BASIS_POINTS, -(value * -MAKER_FEE // BASIS_POINTS)
    return Trade(
        venue=VENUE,
        instrument=listed.instrument,
        buyer=taker if side > 0 else maker,
        seller=maker if side > 0 else taker,
        time=time,
        trade=number,
        quantity=abs(quantity),
        price=price,
        buyer_fee=taken if side > 0 else made,
        seller_fee=made if side > 0 else taken,
    )


def _books(desk: _Desk, makers: Sequence[int], first: int, time: int) -> list[Trade]:
    """Market makers trade every instrument among themselves, so that their books have both sides of it."""
    trades: list[Trade] = []
    for listed in desk.venue.instruments:
        if desk.marks.get(listed.instrument, 0) <= 0 or listed.kind == Kind.SPOT:
            continue
        for _ in range(max(1, len(makers) // 4)):
            buyer = int(desk.draw.random() * len(makers))
            seller = (buyer + 1 + int(desk.draw.random() * (len(makers) - 1))) % len(makers)
            quantity = lots(listed, desk.between(2_000, 50_000), desk.prices)
            number = first + len(trades)
            trades.append(trade(listed, desk.marks, makers[buyer], makers[seller], quantity, number, time))
    return trades

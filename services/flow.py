"""What customers do at each step after the opening (trades, orders, deposits, withdrawals), and what their bank does.

Pure functions of (seed, step) and what they are given: an order's change and end are found by drawing it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from schemas.events import (
    LINKED,
    Deposited,
    InstrumentListed,
    OrderCancelled,
    OrderChanged,
    OrderOpened,
    Trade,
    TradeReversed,
    WithdrawalDecided,
    WithdrawalRequested,
)
from schemas.kinds import Kind, Payoff, Reason, WithdrawalDecision
from schemas.limits import BASIS_POINTS, MICRO
from schemas.outcomes import WithdrawalAnswered
from services.exchange import DOLLAR, HOUR, VENUE, Exchange
from services.population import Customer, Population, Strategy, flow_generator, generator, lots, trade

CHANGED_AFTER: Final = 3
"""steps after which a part of an order is filled or taken back"""
CANCELLED_AFTER: Final = 6
BUST_EVERY: Final = 48
"""steps between two trades that the exchange reverses"""
RETURNED: Final = 0.04
"""part of approved withdrawals that come back from the bank"""

_NUMBERS: Final = 1_000_000
"""room for one step's numbers of trades, deposits, orders and withdrawals"""
_BANK: Final = 3
_ORDERS: Final = 4
_CALM: Final = frozenset({Strategy.MARKET_MAKER, Strategy.COVERED_CALL, Strategy.BASIS_TRADE, Strategy.PROTECTIVE_PUT})
"""strategies whose orders seldom outlive their account's health"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What customers see at a step.

    Its number and time (microseconds), marks (ticks by instrument), prices (micro-dollars a whole unit by asset), the
    accounts that may not open risk now, and by account the equity above initial margin (micro-dollars). Who has less of
    that than a tenth of what it began with may not trade; accounts that are not in `room` are not asked.
    """

    step: int
    time: int
    marks: Mapping[int, int]
    prices: Mapping[int, int]
    barred: Collection[int] = ()
    room: Mapping[int, int] = field(default_factory=dict)

    def may_trade(self, one: Customer) -> bool:
        """Whether the exchange lets this customer open risk."""
        return one.account not in self.barred and self.room.get(one.account, one.equity) * 10 >= one.equity


def flow(people: Population, venue: Exchange, seed: int, now: Moment) -> tuple[Any, ...]:
    """A step's events of the exchange, in journal order: trades, busts and orders, then requests for withdrawals.

    The first step is 1: at 0 the exchange opens. About one account in a hundred trades and one in a hundred has an
    order opened. Deposits are the custodian's: `deposits`.
    """
    draw = flow_generator(seed, now.step)
    trades = _trades(people, venue, draw, now)
    return (*trades, *_bust(trades, now), *_orders(people, venue, seed, now), *_withdrawals(people, draw, now))


def _trades(people: Population, venue: Exchange, draw: np.random.Generator, now: Moment) -> list[Trade]:
    makers = people.of(Strategy.MARKET_MAKER)
    alive = _alive(venue, now, HOUR)
    trades: list[Trade] = []
    for _ in range(max(4, len(people.customers) // 100)):
        one = people.customers[int(draw.random() * len(people.customers))]
        maker = makers[int(draw.random() * len(makers))].account
        kind, size, side = draw.random(), draw.random(), draw.random()
        if not now.may_trade(one) or one.strategy == Strategy.LIQUIDATOR or one.account == maker:
            continue
        chosen = [o for o in alive if o.underlying == one.underlying and o.kind == _kind(kind)]
        if not chosen:
            continue
        listed = chosen[int(draw.random() * len(chosen))]
        quantity = lots(listed, one.equity / MICRO * (0.01 + 0.04 * size), now.prices)
        # customers buy options and coins and do not sell what they may not have
        bought = listed.kind in (Kind.OPTION, Kind.SPOT) or side < _buying(one.strategy)
        number = (now.step + 1) * _NUMBERS + len(trades)
        trades.append(trade(listed, now.marks, one.account, maker, quantity if bought else -quantity, number, now.time))
    if now.step % 4 == 2:
        trades += _spread(makers, alive, draw, now, (now.step + 1) * _NUMBERS + len(trades))
    return trades


def _kind(drawn: float) -> Kind:
    return Kind.PERP if drawn < 0.60 else Kind.FUTURE if drawn < 0.78 else Kind.OPTION if drawn < 0.92 else Kind.SPOT


def _buying(strategy: Strategy) -> float:
    return {Strategy.LEVERAGED_LONG: 0.65, Strategy.LEVERAGED_SHORT: 0.35}.get(strategy, 0.5)


def _alive(venue: Exchange, now: Moment, beyond: int) -> list[InstrumentListed]:
    return [
        one
        for one in venue.instruments
        if now.marks.get(one.instrument, 0) > 0 and (one.expiry == 0 or one.expiry > now.time + beyond)
    ]


def _spread(
    makers: Sequence[Customer], alive: Sequence[InstrumentListed], draw: np.random.Generator, now: Moment, first: int
) -> list[Trade]:
    """A calendar spread between two market makers: two linked trades that pass or fail together."""
    perps = [one for one in alive if one.kind == Kind.PERP and one.payoff == Payoff.LINEAR]
    if not perps:
        return []
    near = perps[int(draw.random() * len(perps))]
    far = [one for one in alive if one.kind == Kind.FUTURE and one.underlying == near.underlying]
    buyer = int(draw.random() * len(makers))
    seller = (buyer + 1) % len(makers)
    if not far:
        return []
    quantity = lots(near, 5_000 + 40_000 * draw.random(), now.prices)
    pair = (makers[buyer].account, makers[seller].account)
    legs = [
        trade(near, now.marks, *pair, -quantity, first, now.time),
        trade(far[-1], now.marks, *pair, quantity, first + 1, now.time),
    ]
    return [replace(legs[0], flags=LINKED), legs[1]]


def _bust(trades: Sequence[Trade], now: Moment) -> list[TradeReversed]:
    """The step's first trade alone, reversed every BUST_EVERY steps."""
    if now.step % BUST_EVERY != BUST_EVERY - 1 or not trades or trades[0].flags:
        return []
    done = trades[0]
    return [
        TradeReversed(
            venue=done.venue,
            instrument=done.instrument,
            buyer=done.buyer,
            seller=done.seller,
            time=done.time,
            trade=done.trade,
            quantity=done.quantity,
            price=done.price,
            buyer_fee=done.buyer_fee,
            seller_fee=done.seller_fee,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Intent:
    """An order as it was drawn: `discount` is how far from the mark it rests, basis points."""

    account: int
    instrument: int
    order: int
    quantity: int
    discount: int


def _intents(people: Population, venue: Exchange, seed: int, step: int, prices: Mapping[int, int]) -> list[_Intent]:
    """The orders of a step. Quantities follow from what accounts began with, not from a later price."""
    draw = generator(seed, _ORDERS, step)
    furthest = venue.expiries[-1]
    undated = [one for one in venue.instruments if one.kind == Kind.PERP or one.expiry == furthest]
    calm = [one for one in people.customers if one.strategy in _CALM]
    intents: list[_Intent] = []
    for k in range(max(2, len(people.customers) // 100)):
        one = calm[int(draw.random() * len(calm))]
        listed = undated[int(draw.random() * len(undated))]
        quantity = lots(listed, one.equity / MICRO * (0.01 + 0.03 * draw.random()), prices)
        side = 1 if draw.random() < 0.5 else -1
        discount = int(50 + 450 * draw.random())
        intents.append(_Intent(one.account, listed.instrument, step * _NUMBERS + k + 1, side * quantity, discount))
    return intents


def _orders(people: Population, venue: Exchange, seed: int, now: Moment) -> list[Any]:
    events: list[Any] = []
    opening = _nominal(venue)

    def priced(one: _Intent) -> int:
        mark = now.marks.get(one.instrument, 0)
        return mark - mark * one.discount // BASIS_POINTS * (1 if one.quantity > 0 else -1)

    if now.step > CANCELLED_AFTER:
        events += [
            OrderCancelled(account=one.account, time=now.time, order=one.order)
            for one in _intents(people, venue, seed, now.step - CANCELLED_AFTER, opening)
        ]
    if now.step > CHANGED_AFTER:
        events += [
            OrderChanged(
                account=one.account, time=now.time, order=one.order, quantity=int(one.quantity / 2), price=priced(one)
            )
            for one in _intents(people, venue, seed, now.step - CHANGED_AFTER, opening)
            if abs(one.quantity) > 3 and priced(one) > 0
        ]
    events += [
        OrderOpened(
            venue=VENUE,
            instrument=one.instrument,
            account=one.account,
            time=now.time,
            order=one.order,
            quantity=one.quantity,
            price=priced(one),
        )
        for one in _intents(people, venue, seed, now.step, opening)
        if priced(one) > 0
    ]
    return events


def _nominal(venue: Exchange) -> dict[int, int]:
    """Prices by asset that orders are sized with at every step: the middle of each underlying's bounds by ratio."""
    return {one.underlying + 2: int((one.lowest * one.highest) ** 0.5) for one in venue.underlyings}


def _withdrawals(people: Population, draw: np.random.Generator, now: Moment) -> list[WithdrawalRequested]:
    requests: list[WithdrawalRequested] = []
    for _ in range(int(len(people.customers) / 1000 + draw.random())):
        one = people.customers[int(draw.random() * len(people.customers))]
        part = 0.005 + 0.045 * draw.random()
        if one.strategy != Strategy.LIQUIDATOR:
            requests.append(
                WithdrawalRequested(
                    asset=DOLLAR,
                    account=one.account,
                    withdrawal=(now.step + 1) * _NUMBERS + len(requests),
                    time=now.time,
                    amount=max(1, int(one.equity * part)),
                )
            )
    return requests


def deposits(people: Population, seed: int, now: Moment) -> tuple[Deposited, ...]:
    """A step's deposits of dollars, the custodian's events: one in a thousand brings 1 to 10 % of its first equity."""
    draw = generator(seed, _BANK, now.step)
    brought: list[Deposited] = []
    for _ in range(int(len(people.customers) / 1000 + draw.random())):
        one = people.customers[int(draw.random() * len(people.customers))]
        amount = max(1, int(one.equity * (0.01 + 0.09 * draw.random())))
        number = (now.step + 1) * _NUMBERS + len(brought)
        brought.append(Deposited(asset=DOLLAR, account=one.account, deposit=number, time=now.time, amount=amount))
    return tuple(brought)


def custodian(answers: Sequence[WithdrawalAnswered], seed: int, now: Moment) -> tuple[WithdrawalDecided, ...]:
    """What the custodian does with the withdrawals that were approved: nearly all are paid, a few come back."""
    draw = generator(seed, _BANK, _NUMBERS + now.step)
    approved = sorted((a.account, a.withdrawal) for a in answers if a.reason == Reason.NONE)
    return tuple(
        WithdrawalDecided(
            decision=WithdrawalDecision.RETURNED if draw.random() < RETURNED else WithdrawalDecision.PAID,
            account=account,
            withdrawal=withdrawal,
            time=now.time,
        )
        for account, withdrawal in approved
    )

"""Open orders, and what bids reserve: they count in the initial margin until they are gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.barred import opening_refusal
from ledger.outbox import Outbox
from ledger.state import Life, Order, Reservation, State
from schemas import events as e
from schemas.kinds import AccountStatus, ClosingReason, Reason, Rung
from schemas.limits import MAX_PRICE, MAX_QUANTITY
from schemas.outcomes import OrderClosed


def position_of(state: State, account: int, instrument: int) -> int:
    """Lots an account holds of an instrument."""
    pool = state.pool
    start, count = int(pool.start[account]), int(pool.count[account])
    for p in range(start, start + count):
        if pool.instrument[p] == instrument:
            return int(pool.quantity[p])
    return 0


def raises_risk(state: State, account: int, instrument: int, quantity: int) -> bool:
    """Whether an order could leave its account with more than it holds now, or on the other side."""
    held = position_of(state, account, instrument)
    return held == 0 or (held > 0) == (quantity > 0) or abs(quantity) > abs(held)


def _bad_order(quantity: int, price: int) -> Reason:
    if not 0 < abs(quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    if not 0 < price <= MAX_PRICE:
        return Reason.PRICE_OUT_OF_RANGE
    return Reason.NONE


_ENDED: Final[dict[int, Reason]] = {
    Life.HALTED: Reason.INSTRUMENT_HALTED,
    Life.DELISTED: Reason.INSTRUMENT_DELISTED,
    Life.EXPIRED: Reason.INSTRUMENT_EXPIRED,
    Life.SETTLED: Reason.INSTRUMENT_EXPIRED,
}


def _may_add(state: State, account: int, instrument: int, quantity: int) -> Reason:
    """Why an order of this size may not rest where a smaller one, or none, did."""
    if state.accounts.status[account] == AccountStatus.CLOSED:
        return Reason.ACCOUNT_CLOSED
    if state.accounts.status[account] == AccountStatus.FROZEN:
        return Reason.ACCOUNT_FROZEN
    life = int(state.life[instrument])
    if life in _ENDED:
        return _ENDED[life]
    if raises_risk(state, account, instrument, quantity):
        if life == Life.REDUCE_ONLY:
            return Reason.INSTRUMENT_REDUCE_ONLY
        if state.in_default(account):
            return Reason.MEMBER_DEFAULTED
        if reason := opening_refusal(state, account, instrument):
            return reason
        if state.accounts.rung[account] != Rung.HEALTHY:
            return Reason.ORDER_RAISES_RISK
    return Reason.NONE


def order_refusal(
    state: State, account: int, instrument: int, quantity: int, price: int, order: int | None = None
) -> Reason:
    """Why an order, of this number where it has one yet, may not rest; NONE where it may. Whether there is margin for
    it is not looked at."""
    if not state.exists(account):
        return Reason.UNKNOWN_ACCOUNT
    if instrument not in state.facts.instruments or state.life[instrument] == Life.UNLISTED:
        return Reason.UNKNOWN_INSTRUMENT
    if reason := _bad_order(quantity, price):
        return reason
    if order in state.orders.get(account, {}):
        return Reason.ORDER_EXISTS
    return _may_add(state, account, instrument, quantity)


def order_opened(state: State, event: e.OrderOpened, out: Outbox) -> Reason:
    """An order rests at a venue. An account under its initial margin may only reduce."""
    if reason := order_refusal(state, event.account, event.instrument, event.quantity, event.price, event.order):
        return reason
    state.orders.setdefault(event.account, {})[event.order] = Order(event.instrument, event.quantity, event.price)
    state.order_tables = None
    out.touched.append(event.account)
    return Reason.NONE


def order_changed(state: State, event: e.OrderChanged, out: Outbox) -> Reason:
    """What rests of an order now; nothing left ends it."""
    order = state.orders.get(event.account, {}).get(event.order)
    if order is None:
        return Reason.UNKNOWN_ORDER
    if event.quantity == 0:
        _drop(state, event.account, event.order)
        out.touched.append(event.account)
        return Reason.NONE
    if reason := _bad_order(event.quantity, event.price):
        return reason
    if (event.quantity > 0) != (order.quantity > 0):
        return Reason.QUANTITY_OUT_OF_RANGE
    if abs(event.quantity) > abs(order.quantity) and (
        reason := _may_add(state, event.account, order.instrument, event.quantity)
    ):
        return reason
    order.quantity, order.price = event.quantity, event.price
    state.order_tables = None
    out.touched.append(event.account)
    return Reason.NONE


def order_cancelled(state: State, event: e.OrderCancelled, out: Outbox) -> Reason:
    """An order is gone."""
    if event.order not in state.orders.get(event.account, {}):
        return Reason.UNKNOWN_ORDER
    _drop(state, event.account, event.order)
    out.touched.append(event.account)
    return Reason.NONE


def _drop(state: State, account: int, order: int) -> None:
    book = state.orders[account]
    del book[order]
    if not book:
        del state.orders[account]
    state.order_tables = None


def release(state: State, out: Outbox, bidder: int, reserved: Iterable[Reservation]) -> None:
    """End these reservations of a bidder, where this shard holds them."""
    own = state.reservations.get(bidder, {})
    if not [key for key in reserved if own.pop(key, None) is not None]:
        return
    if not own:
        del state.reservations[bidder]
    state.order_tables = None
    out.touched.append(bidder)


def close_raising_orders(state: State, out: Outbox, account: int) -> None:
    """End the orders of a failing account that could raise its risk."""
    for number, order in sorted(state.orders.get(account, {}).items()):
        if raises_risk(state, account, order.instrument, order.quantity):
            _drop(state, account, number)
            out.emit(OrderClosed(index=out.index, reason=ClosingReason.RISK_RAISING, account=account, order=number))


def close_barred_orders(state: State, out: Outbox) -> None:
    """End the orders that could raise risk where a breaker or their owner's limit lets none in."""
    for account in sorted(state.orders):
        for number, order in sorted(state.orders[account].items()):
            if opening_refusal(state, account, order.instrument) and raises_risk(
                state, account, order.instrument, order.quantity
            ):
                _drop(state, account, number)
                out.touched.append(account)
                out.emit(OrderClosed(index=out.index, reason=ClosingReason.RISK_RAISING, account=account, order=number))


def close_ended_orders(state: State, out: Outbox) -> None:
    """End the orders on instruments that expired or were delisted."""
    for account in sorted(state.orders):
        for number, order in sorted(state.orders[account].items()):
            if state.life[order.instrument] in (Life.DELISTED, Life.EXPIRED, Life.SETTLED):
                _drop(state, account, number)
                out.emit(
                    OrderClosed(index=out.index, reason=ClosingReason.INSTRUMENT_ENDED, account=account, order=number)
                )

"""The oracle's guard: which of an underlying's prices are believed. Integers only: the fold runs it over facts."""

from __future__ import annotations

from typing import NamedTuple

from schemas.kinds import Reason
from schemas.limits import BASIS_POINTS


class Tick(NamedTuple):
    """One source's price: micro-dollars, and microseconds since 1970."""

    price: int
    bid: int
    ask: int
    time: int


class Good(NamedTuple):
    """The last price that was accepted."""

    price: int
    time: int


class Bounds(NamedTuple):
    """What a price of this underlying must satisfy."""

    lowest: int
    """micro-dollars"""
    highest: int
    """micro-dollars"""
    max_deviation: int
    """basis points of the last good price"""
    max_age: int
    """microseconds"""


def guard(last: Good | None, tick: Tick, bounds: Bounds, now: int) -> Reason:
    """NONE where the tick may become the last good price, else the first that applies, in this order:

    - ORACLE_LATE: its time is not after the last accepted one's;
    - ORACLE_STALE: it is older than `max_age` at `now` (the fold's time, microseconds);
    - ORACLE_CROSSED: the bid is above the ask, or the price is not between them;
    - ORACLE_OUT_OF_BOUNDS: the price is outside [lowest, highest];
    - ORACLE_OUTLYING: it is further than `max_deviation` from the last good price, as long as that price was not past
      `max_age` itself when the tick was made.

    The last exception is what lets a market that really jumped be priced again: without it every later tick would be
    measured against a price nobody believes any more. Until then the stale price keeps anyone from opening risk.
    Bounds come before deviation since they need no history. Prices below 2^46 keep every product below 2^60.
    """
    if last is not None and tick.time <= last.time:
        return Reason.ORACLE_LATE
    if now - tick.time > bounds.max_age:
        return Reason.ORACLE_STALE
    if not tick.bid <= tick.price <= tick.ask:
        return Reason.ORACLE_CROSSED
    if not bounds.lowest <= tick.price <= bounds.highest:
        return Reason.ORACLE_OUT_OF_BOUNDS
    if last is None or tick.time - last.time > bounds.max_age:
        return Reason.NONE
    if abs(tick.price - last.price) * BASIS_POINTS > bounds.max_deviation * last.price:
        return Reason.ORACLE_OUTLYING
    return Reason.NONE

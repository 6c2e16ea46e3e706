"""Several feeds of one price: which of them count, the price they agree on, and what its doubt and age cost. Integers
only: the fold runs it over facts.

No average: every figure here is a weighted median, which a feed of less than half the weight cannot move beyond what
the others say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.kinds import Reason
from schemas.limits import BASIS_POINTS, MICRO


class Feed(NamedTuple):
    """A feed's last word: micro-dollars, and microseconds since 1970."""

    price: int
    bid: int
    ask: int
    time: int
    weight: int
    """the council's; a feed that could state its own would outvote the others by boasting"""


class Rules(NamedTuple):
    """What it takes to agree."""

    feeds: int
    """fewer that count agree on nothing; from three on none of them may have half of their weight"""
    deviation: int
    """basis points from the median of the others"""
    max_age: int
    """microseconds"""


class Agreed(NamedTuple):
    """What the feeds say together."""

    price: int
    """micro-dollars"""
    time: int
    """microseconds"""
    uncertainty: int
    """micro-dollars: how far from the price the feeds' own quotes reach"""


class Verdict(NamedTuple):
    """The price, or why there is none; and why which feed does not count."""

    agreed: Agreed | None
    reason: Reason
    """ORACLE_FEW_FEEDS where nothing is agreed"""
    left_out: dict[int, Reason]
    """source -> ORACLE_STALE or ORACLE_OUTLYING"""


def lower_median(told: Iterable[tuple[int, int]]) -> int:
    """The smallest value that at least half of the weight does not exceed; of (value, weight > 0), at least one."""
    ordered = sorted(told)
    half, below = sum(weight for _, weight in ordered), 0
    for value, weight in ordered:
        below += 2 * weight
        if below >= half:
            return value
    raise ValueError("a median of nothing")


def upper_median(told: Iterable[tuple[int, int]]) -> int:
    """The largest value that at least half of the weight is not below."""
    return -lower_median((-value, weight) for value, weight in told)


def agree(feeds: Mapping[int, Feed], rules: Rules, now: int) -> Verdict:
    """The price that feeds (by source, weights above 0) agree on at `now`, microseconds.

    - The clock is `now` or the median of the feeds' own times, whichever is later: one feed cannot make the others old.
    - A feed further than `max_age` from the clock is left out, ORACLE_STALE.
    - A feed further than `deviation` from the median of the other live feeds is left out, ORACLE_OUTLYING. Where the
      others are split in halves their median is the whole gap between them, and what lies in it stays: so no feed can
      have an honest one left out by standing opposite to it.
    - Of what is left: the price is the weighted median, of two middle ones the lower; its time the same of the times;
      its uncertainty the median, of two the larger, of how far each feed's own bid or ask is from the price.
    """
    if not feeds:
        return Verdict(None, Reason.ORACLE_FEW_FEEDS, {})
    clock = max(now, lower_median((one.time, one.weight) for one in feeds.values()))
    live = {source: one for source, one in feeds.items() if abs(clock - one.time) <= rules.max_age}
    left_out = {source: Reason.ORACLE_STALE for source in feeds if source not in live}
    counted: list[Feed] = []
    for source, one in sorted(live.items()):
        others = [(other.price, other.weight) for number, other in live.items() if number != source]
        if others and _outlying(one.price, lower_median(others), upper_median(others), rules.deviation):
            left_out[source] = Reason.ORACLE_OUTLYING
        else:
            counted.append(one)
    weight = sum(one.weight for one in counted)
    ruled = rules.feeds >= 3 and 2 * max((one.weight for one in counted), default=0) >= weight
    if not counted or len(counted) < rules.feeds or ruled:
        return Verdict(None, Reason.ORACLE_FEW_FEEDS, left_out)
    price = lower_median((one.price, one.weight) for one in counted)
    time = lower_median((one.time, one.weight) for one in counted)
    doubt = upper_median((max(one.ask - price, price - one.bid), one.weight) for one in counted)
    return Verdict(Agreed(price, time, doubt), Reason.NONE, left_out)


def _outlying(price: int, lowest: int, highest: int, deviation: int) -> bool:
    return (
        price * BASIS_POINTS < lowest * (BASIS_POINTS - deviation)
        or price * BASIS_POINTS > highest * (BASIS_POINTS + deviation)
    )  # fmt: skip


def strays(value: int, reference: int, deviation: int) -> bool:
    """Whether a value is further than `deviation` basis points from a reference above 0."""
    return abs(value - reference) * BASIS_POINTS > deviation * reference


def aged(age: int, limit: int) -> int:
    """How far a value of this age is on its way to being too old, basis points: 0 until half the limit (microseconds),
    then in proportion, 10,000 at the limit and past it. Rounds up. A limit of 0 is none."""
    if limit <= 0 or 2 * age <= limit:
        return 0
    return min(BASIS_POINTS, -(-(2 * age - limit) * BASIS_POINTS // limit))


def widened(amount: int, widening: int, part: int) -> int:
    """An amount (a range, a haircut) grown by `part` of `widening`, both in basis points. Rounds up."""
    return -(-amount * (BASIS_POINTS**2 + widening * part) // BASIS_POINTS**2)


def depegged(price: int, bound: int) -> bool:
    """Whether an asset that should be worth a dollar is worth less by more than `bound` basis points; 0: has no peg."""
    return bound > 0 and price * BASIS_POINTS < MICRO * (BASIS_POINTS - bound)


def haircut(base: int, *, widening: int, part: int, floor: int) -> int:
    """What of an asset does not count, basis points: its own haircut, widened by age, not below what a lost peg costs
    (`floor`), and never more than all of it."""
    return min(BASIS_POINTS, max(widened(base, widening, part), floor))

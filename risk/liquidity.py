"""What closing a book costs: impact by size and depth, days to unwind, illiquid strikes, many legs, and the gap between
the mark at which a liquidation began and the price at which it ended.

Parts are of the value closed, 0 or more. Impact grows with the root of size (Toth et al., "Anomalous price impact",
2011; Almgren, Thum, Hauptmann, Li, "Direct estimation of equity market impact", 2005, measured the power 3/5). Selling
in equal slices over D days bears the variance of D / 3 whole days (Almgren and Chriss, "Optimal execution", 2000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.limits import BASIS_POINTS

_NOISE: Final = 6
"""decimals of a basis point past which a float's digits say nothing"""


class Unusable(ValueError):  # noqa: N818 - named for what is found
    """A figure that nothing can be reckoned from: which, and its value."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__(f"{name} {value} cannot be used")


class Loss(NamedTuple):
    """Loss given default, parts of the value closed."""

    impact: float
    """what selling itself moves the price by"""
    market: float
    """what the market may move by while it is sold, past the period that margin covers already"""

    @property
    def whole(self) -> float:
        """Both."""
        return self.impact + self.market


def points(part: float, most: int | None = BASIS_POINTS) -> int:
    """The one rounding of a float that decides: a part that counts against an account, in whole basis points, upwards,
    not above `most` where one is given. Raises Unusable."""
    if not math.isfinite(part) or part < 0.0:
        raise Unusable("part", part)
    told = math.ceil(round(part * BASIS_POINTS, _NOISE))
    return told if most is None else min(told, most)


def impact(size: float, depth: float, at_depth: float, power: float = 0.5) -> float:
    """How far a sale of `size` dollars moves the price where `depth` dollars move it by `at_depth`: at_depth x
    (size / depth)^power. The whole is charged the last price. Raises Unusable."""
    _not_negative(size=size, at_depth=at_depth)
    _positive(depth=depth, power=power)
    return float(at_depth * (size / depth) ** power)


def unwinding(size: float, a_day: float) -> float:
    """Days to sell `size` dollars at `a_day` dollars a day at most. Raises Unusable."""
    _not_negative(size=size)
    _positive(a_day=a_day)
    return size / a_day


def longer(days: float, unwound: float, covered: float) -> float:
    """By what part of itself a loss over `covered` days grows where the margin period is `days` and unwinding takes
    `unwound` days after it: root((days + unwound / 3) / covered) - 1, not below zero. Raises Unusable."""
    _not_negative(days=days, unwound=unwound)
    _positive(covered=covered)
    return max(math.sqrt((days + unwound / 3.0) / covered) - 1.0, 0.0)


def loss_given_default(
    size: float,
    depth: float,
    at_depth: float,
    a_day: float,
    move: float,
    days: float,
    covered: float,
    inside: float = 0.0,
    power: float = 0.5,
) -> Loss:
    """What closing `size` dollars loses past a margin that covers a move of `move` (a part) over `covered` days, when
    the margin period is `days`; of unwinding, `inside` days lie in the period already. Raises Unusable."""
    _not_negative(move=move, inside=inside)
    late = max(unwinding(size, a_day) - inside, 0.0)
    return Loss(impact(size, depth, at_depth, power), move * longer(days, late, covered))


def strike_multiplier(
    away: float,
    deviation: float,
    near: float,
    far: float,
    most: float,
    interest_share: float = 0.0,
    share: float = 0.0,
    spread: float = 0.0,
    tight: float = math.inf,
) -> float:
    """How much dearer than at the money an option is to close, 1 to `most`.

    `away` is |ln(strike / forward)| and `deviation` what one deviation of it is to expiry: `far` for each past
    `near` of them. `share` x the part of the strike's open interest that is held. And where the bid-ask spread (part of
    the option's price) is wider than `tight`, so many times that. The parts add.
    """
    _not_negative(away=away, deviation=deviation, far=far, interest_share=interest_share, spread=spread)
    most_more = most - 1.0
    past = max(away - near * deviation, 0.0)
    # written so that a deviation of zero, which is any distance away, needs no division
    distance = most_more if far * past >= most_more * deviation and past > 0.0 else 0.0
    if past > 0.0 and not distance:
        distance = far * past / deviation
    wide = max(spread / tight - 1.0, 0.0) if tight > 0.0 else most_more
    return 1.0 + min(distance + share * interest_share + wide, most_more)


def legs_multiplier(legs: int, free: float, leg: float, most: float) -> float:
    """How much dearer many legs are to close than one: `leg` for each past the `free` ones, 1 to `most`."""
    return min(1.0 + leg * max(legs - free, 0.0), most)


def measured_gap(gaps: Sequence[float], decay: float = 0.94, quantile: float = 0.95) -> float:
    """The liquidation gap to reckon with, from those observed, oldest first: the larger of their exponentially weighted
    mean and of their quantile (the next one above, so never below the stated share of them). A gap is the part of the
    mark at the breach that was lost by the time the position was closed; a gain is a gap of zero. Of nothing: zero.
    Raises Unusable."""
    if not 0.0 < decay < 1.0:
        raise Unusable("decay", decay)
    if not 0.0 < quantile <= 1.0:
        raise Unusable("quantile", quantile)
    if not gaps:
        return 0.0
    mean = 0.0
    for number, gap in enumerate(gaps):
        if not math.isfinite(gap):
            raise Unusable(f"gap {number}", gap)
        mean = max(gap, 0.0) if not number else decay * mean + (1.0 - decay) * max(gap, 0.0)
    ranked = sorted(max(gap, 0.0) for gap in gaps)
    return max(mean, ranked[math.ceil(quantile * len(ranked)) - 1])


def buffer(base: int, loss: Loss, gap: float) -> int:
    """The liquidation buffer, basis points of the value closed: what a default loses, with the measured gap, and `base`
    points at least. Settlement delay is in `loss.market`."""
    _not_negative(gap=gap)
    return max(base, points(loss.whole + gap, None))


def _not_negative(**figures: float) -> None:
    for name, value in figures.items():
        if not math.isfinite(value) or value < 0.0:
            raise Unusable(name, value)


def _positive(**figures: float) -> None:
    for name, value in figures.items():
        if not math.isfinite(value) or value <= 0.0:
            raise Unusable(name, value)

"""Pacing: how much of what must be sold is sold in a round, so that sales stay a part of what the market trades. In
floats for the what-if; in integers for the desk, which lets only so much of an underlying be on offer at a mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.impact import Impact, Liquidity
from liquidation.plan import Sale
from liquidation.view import MarketView
from schemas.limits import MICRO
from schemas.outcomes import LiquidationDue

FloatArray = npt.NDArray[np.float64]


class Pace(NamedTuple):
    """A limit on forced sales."""

    name: str
    participation: float
    """largest part of a round's volume in an underlying that forced sales may be"""


ALL_AT_ONCE: Final = Pace("all at once", float("inf"))
PACES: Final = (ALL_AT_ONCE, Pace("half of volume", 0.5), Pace("fifth of volume", 0.2), Pace("tenth of volume", 0.1))
"""those that are compared"""


class BadPace(ValueError):  # noqa: N818 - named for what is wrong
    """A participation that is not above zero: nothing would ever be sold."""

    def __init__(self, participation: float) -> None:
        super().__init__(f"participation {participation}: must be above zero")


def allowed(pace: Pace, flow: FloatArray, volume: FloatArray) -> FloatArray:
    """The part [underlyings] of a wanted flow (dollars, either sign) that may be traded in a round.

    `volume` is the round's, dollars, above zero. Raises BadPace.
    """
    if not pace.participation > 0.0:
        raise BadPace(pace.participation)
    if pace.participation == float("inf"):
        return np.ones_like(flow)
    limit = pace.participation * volume
    part: FloatArray = limit / np.maximum(np.abs(flow), limit)
    return part


# --- the desk's -------------------------------------------------------------------------------------------------------


def ordered(due: Mapping[int, LiquidationDue]) -> list[LiquidationDue]:
    """Accounts in liquidation as they take room: the least equity for its initial margin first, then the lower number.

    The order is total, so those whose equity is gone come before all others. An account without margin, left there by
    a debt alone, counts as one of a micro-dollar.
    """
    return sorted(due.values(), key=lambda one: (Fraction(one.equity, max(one.initial, 1)), one.account))


def room(
    offered: Iterable[tuple[int, int]], view: MarketView, limits: Mapping[int, int] | None = None
) -> dict[int, int]:
    """Micro-dollars that may still be offered at this mark, by underlying; one without a limit is left out.

    `offered`: instrument and lots of all that is still on offer, by auction or whole. It may be more than the limit
    (that of accounts whose equity is gone, or a limit that was lowered): room is then below zero. `limits`: the room
    without it, where that is less than the limits in force.
    """
    free = dict(view.pacing() if limits is None else limits)
    for instrument, lots in offered:
        number = view.underlying(instrument)
        if number in free:
            free[number] -= view.value(instrument, lots)
    return free


def paced(sales: Sequence[Sale], equity: int, free: dict[int, int], view: MarketView) -> list[Sale]:
    """What of an account's plan is offered at this mark; `free` (of `room`) is lowered by it.

    Every sale of the plan is cut to the same part, that of the underlying with the least room for it, so that no hedge
    is broken; lots are rounded up, and where an underlying has no room nothing is offered: it is planned anew at the
    next mark. An account whose equity is gone (`equity` micro-dollars, not above zero) is never delayed.
    """
    wanted: dict[int, int] = {}
    for sale in sales:
        number = view.underlying(sale.instrument)
        wanted[number] = wanted.get(number, 0) + view.value(sale.instrument, sale.quantity)
    parts = [Fraction(max(free[number], 0), value) for number, value in wanted.items() if number in free and value]
    part = min([Fraction(1), *parts]) if equity > 0 else Fraction(1)
    offered = [sale._replace(quantity=_part_up(sale.quantity, part)) for sale in sales] if part else []
    for sale in offered:
        number = view.underlying(sale.instrument)
        if number in free:
            free[number] -= view.value(sale.instrument, sale.quantity)
    return offered


def paced_whole(lots: Mapping[int, int], equity: int, free: dict[int, int], view: MarketView) -> bool:
    """Whether a whole portfolio (lots by instrument) is offered at this mark; `free` (of `room`) is lowered by it.

    It is not cut. It goes where each underlying it has a leg in has room for all of it, or else has nothing on offer:
    one that is larger than the whole limit would never go otherwise. Where it waits it keeps the room there is from
    those behind it, or smaller ones could pass it for ever. An account whose equity is gone is never delayed.
    """
    wanted: dict[int, int] = {}
    for instrument, quantity in lots.items():
        number = view.underlying(instrument)
        if number in free:
            wanted[number] = wanted.get(number, 0) + view.value(instrument, quantity)
    limits = view.pacing()
    goes = equity <= 0 or all(
        value <= free[number] or free[number] == limits[number] for number, value in wanted.items()
    )
    for number, value in wanted.items():
        free[number] = free[number] - value if goes else min(free[number], 0)
    return goes


def _part_up(quantity: int, part: Fraction) -> int:
    lots = -(-abs(quantity) * part.numerator // part.denominator)
    return lots if quantity > 0 else -lots


def proposed(impact: Impact, liquidity: Liquidity, move: float) -> list[int]:
    """[underlyings] micro-dollars that, sold at once, move each price by no more than `move` under the square-root law
    (own impact alone): what the council may set as PACING. Rounded down, at least one dollar."""
    sold = liquidity.volume * (move / (impact.scale * liquidity.volatility)) ** 2
    return [max(MICRO, int(dollars) * MICRO) for dollars in sold.tolist()]

"""Where provoking one's own liquidation could pay: discounts wider than the margin that stands behind what is sold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.kinds import Kind, Parameter
from schemas.limits import BASIS_POINTS


class Naked(NamedTuple):
    """A lot of an instrument held alone, on the side that needs less. Micro-dollars."""

    profile: int
    underlying: int
    kind: Kind
    worth: int
    """what a discount is a part of: its value at the mark"""
    maintenance: int


class Wider(NamedTuple):
    """A discount at which a liquidator may get more than the failing account's maintenance. Basis points."""

    which: Parameter
    profile: int
    underlying: int
    kind: Kind
    discount: int
    maintenance: int
    """the smallest among the instruments of this kind, rounded down"""


def wider(discounts: Mapping[Parameter, int], lots: Iterable[Naked]) -> list[Wider]:
    """The discounts wider than the smallest maintenance of a profile, underlying and kind, in that order.

    A hedge needs less than its legs alone, so an empty answer says nothing of hedged books.
    """
    least: dict[tuple[int, int, Kind], int] = {}
    for lot in lots:
        if lot.worth > 0:
            key, points = (lot.profile, lot.underlying, lot.kind), lot.maintenance * BASIS_POINTS // lot.worth
            least[key] = min(points, least.get(key, points))
    return [
        Wider(which, *key, discount, points)
        for which, discount in sorted(discounts.items())
        for key, points in sorted(least.items())
        if discount > points
    ]

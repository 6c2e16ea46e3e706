"""SPAN's spreads: deltas of contract months paired off in priority order, months of one commodity or of several.

A spread needs so many deltas on side A and so many on side B; the whole of one side is long, the whole of the other
short. It is formed month by month, the nearest with the nearest, and what it used no later spread can use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from risk.margin.exact import Number, total

Deltas = dict[str, dict[int, Number]]
"""commodity -> contract month -> net composite delta"""


class Side(StrEnum):
    """Of the market, within one spread: A against B is long against short, or short against long."""

    A = "A"
    B = "B"


class Method(StrEnum):
    """How a spread is charged or credited."""

    WEIGHTED = "WPR"
    """each leg: deltas x weighted price risk x rate"""
    FLAT = "FLAT"
    """money per spread"""
    PER_MONTH = "PMPS"
    """money per spread, and more for each month between its nearest and its farthest contract"""


@dataclass(frozen=True, slots=True)
class SpreadLeg:
    """So many deltas (`ratio`) of a commodity's months; None: of any month."""

    commodity: str
    side: Side
    ratio: Number
    months: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """One line of a spread table. Raises SpreadError where it can't be formed."""

    legs: tuple[SpreadLeg, ...]
    rate: Number
    """a part of the weighted price risk (WPR), or money per spread"""
    method: Method = Method.FLAT
    per_month: Number = 0
    """PMPS alone: money per spread and month"""

    def __post_init__(self) -> None:
        if {leg.side for leg in self.legs} != {Side.A, Side.B}:
            raise SpreadError("a spread needs legs on side A and on side B")
        if any(leg.ratio <= 0 for leg in self.legs):
            raise SpreadError("a ratio must be positive")
        for number, one in enumerate(self.legs):
            for other in self.legs[:number]:
                shared = one.months is None or other.months is None or one.months & other.months
                if one.side == other.side and one.commodity == other.commodity and shared:
                    raise SpreadError(f"{one.commodity}: two legs of side {one.side} share a month")


class SpreadError(ValueError):
    """A spread that has no meaning: says why."""


class Piece(NamedTuple):
    """Spreads formed of one choice of months."""

    times: Number
    months: tuple[int, ...]
    """one of each leg"""


_BOTH: Final = ({Side.A: 1, Side.B: -1}, {Side.A: -1, Side.B: 1})


def form(left: Deltas, spread: Spread) -> list[Piece]:
    """Forms the spread as often as the deltas allow, first with side A long, then short; takes them from `left`."""
    pieces: list[Piece] = []
    for signs in _BOTH:
        while True:
            months = [_nearest(left, leg, signs[leg.side]) for leg in spread.legs]
            chosen = tuple(month for month in months if month is not None)
            if len(chosen) < len(months):
                break
            counts = [
                size(left[leg.commodity][month]) / leg.ratio for leg, month in zip(spread.legs, chosen, strict=True)
            ]
            times = min(counts)
            for leg, month, most in zip(spread.legs, chosen, counts, strict=True):
                here = left[leg.commodity]
                # what is used up is nothing, not what a float subtraction leaves of it
                here[month] = 0 if most == times else here[month] - signs[leg.side] * times * leg.ratio
            pieces.append(Piece(times, chosen))
    return pieces


def size(value: Number) -> Number:
    """Without its sign."""
    return max(value, -value)


def _nearest(left: Deltas, leg: SpreadLeg, sign: int) -> int | None:
    here = left.get(leg.commodity, {})
    open_months = (month for month, delta in here.items() if sign * delta > 0)
    return min((month for month in open_months if leg.months is None or month in leg.months), default=None)


def money(spread: Spread, pieces: Sequence[Piece], month: int) -> Number:
    """What FLAT and PMPS come to; `month` is the length of a month in the units that contract months are counted in."""
    whole: Number = 0
    for piece in pieces:
        between = round((max(piece.months) - min(piece.months)) / month)
        whole = whole + piece.times * (spread.rate + spread.per_month * between)
    return whole


class CalendarCharge(NamedTuple):
    """A commodity's spreads between its own months."""

    charge: Number
    formed: tuple[Number, ...]
    """how many of each, in priority order"""
    left: dict[int, Number]
    """deltas that no spread used, by month"""


def calendar_charge(
    commodity: str, deltas: Mapping[int, Number], spreads: Sequence[Spread], month: int
) -> CalendarCharge:
    """Charges for leaning one month on another, in the table's order. Spreads are FLAT or PMPS."""
    left: Deltas = {commodity: dict(deltas)}
    charge: Number = 0
    formed: list[Number] = []
    for spread in spreads:
        pieces = form(left, spread)
        charge = charge + money(spread, pieces, month)
        formed.append(total(piece.times for piece in pieces))
    return CalendarCharge(charge, tuple(formed), left[commodity])


def netted(left: Mapping[int, Number]) -> dict[int, Number]:
    """What several commodities' spreads can use of a commodity: its net delta, in the nearest months of that sign."""
    net: Number = total(left.values())
    sign = 1 if net > 0 else -1
    rest = size(net)
    kept: dict[int, Number] = {}
    for month in sorted(left):
        taken = min(rest, max(sign * left[month], 0))
        if taken > 0:
            kept[month] = sign * taken
            rest = rest - taken
    return kept


class Credit(NamedTuple):
    """One spread between commodities, as it was formed."""

    spread: int
    """its place in the table"""
    times: Number
    by_commodity: Mapping[str, Number]


def credits_of(
    left: Deltas, spreads: Sequence[Spread], weighted: Mapping[str, Number], month: int
) -> tuple[Credit, ...]:
    """Credits for opposite deltas of several commodities, in the table's order; takes the deltas from `left`.

    `weighted` is the weighted price risk of one delta. WPR credits each leg with its own; FLAT and PMPS are credited
    to the commodities in equal parts.
    """
    formed: list[Credit] = []
    for number, spread in enumerate(spreads):
        pieces = form(left, spread)
        times: Number = total(piece.times for piece in pieces)
        if times == 0:
            continue
        parts: dict[str, Number] = {leg.commodity: 0 for leg in spread.legs}
        if spread.method == Method.WEIGHTED:
            for leg in spread.legs:
                risk = times * leg.ratio * weighted[leg.commodity]
                parts[leg.commodity] = parts[leg.commodity] + risk * spread.rate
        else:
            share = money(spread, pieces, month) / len(parts)
            parts = dict.fromkeys(parts, share)
        formed.append(Credit(number, times, parts))
    return tuple(formed)

"""SPAN's arithmetic: from risk arrays and composite deltas, whoever published them, to the requirement.

Losses are positive, of one long contract. What the published method leaves open is settled so: a tie of scenarios is
the lowest's; the extreme scenarios 15 and 16 are their own pairs; delivery charges follow what the calendar spreads
used, and spreads between commodities use a commodity's net delta after them; a commodity of long options alone needs
no more than they are worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from risk.margin.exact import Number, total
from risk.margin.span_spreads import CalendarCharge, Credit, Spread, calendar_charge, credits_of, netted, size

SCENARIOS: Final = 16
_PAIRED: Final = 14
"""the first so many scenarios are pairs of volatility up and down"""


class Weighting(StrEnum):
    """The weighted price risk of one delta."""

    NORMAL = "NORMAL"
    """price risk / |net delta|"""
    SCANRANGE = "SCANRANGE"
    """the price scan range"""
    SCANRANGE_CAP = "SCANRANGE_CAP"
    """the lesser of the two"""


class Right(StrEnum):
    """What a contract is."""

    NONE = ""
    CALL = "C"
    PUT = "P"


class ArrayShape(ValueError):  # noqa: N818 - named for what is wrong
    """A risk array that has not sixteen elements."""


@dataclass(frozen=True, slots=True)
class Line:
    """So many contracts, with what the clearing house publishes of one long contract."""

    commodity: str
    month: int
    quantity: Number
    array: tuple[Number, ...]
    """sixteen losses"""
    delta: Number
    """composite, in units of the commodity's spreads"""
    right: Right = Right.NONE
    value: Number = 0
    """of one option"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Charges per delta of a month near its delivery."""

    spread: Number
    """used by a calendar spread"""
    outright: Number


@dataclass(frozen=True, slots=True)
class Commodity:
    """A combined commodity's parameters."""

    scan_range: Number
    """price scan range of one delta"""
    calendars: tuple[Spread, ...] = ()
    delivery: Mapping[int, Delivery] = field(default_factory=dict)
    """by month"""
    short_option: Number = 0
    """minimum per short option"""
    larger_side: bool = False
    """short options are counted as the more of calls and puts; otherwise all of them"""
    weighting: Weighting = Weighting.SCANRANGE_CAP
    initial_ratio: Number = 1
    long_part: Number = 1
    """maintenance of long options alone is at most this part of their value"""


@dataclass(frozen=True, slots=True)
class CommodityRisk:
    """A combined commodity's requirement and what it is made of."""

    losses: tuple[Number, ...]
    """of all lines, by scenario"""
    active: int
    """index of the scenario of the largest loss"""
    scan: Number
    net_delta: Number
    calendars: CalendarCharge
    delivery: Number
    volatility_risk: Number
    time_risk: Number
    price_risk: Number
    weighted: Number
    """weighted price risk of one delta"""
    credit: Number
    short_minimum: Number
    option_value: Number
    """net: long less short"""
    maintenance: Number
    """risk maintenance requirement: option value is not taken off"""
    initial: Number


@dataclass(frozen=True, slots=True)
class SpanRequirement:
    """The account's requirement."""

    commodities: Mapping[str, CommodityRisk]
    credits: tuple[Credit, ...]
    option_value: Number
    """what was taken off for net option value; zero where equity holds it"""
    maintenance: Number
    initial: Number


def span_requirement(
    lines: Sequence[Line],
    commodities: Mapping[str, Commodity],
    between: Sequence[Spread] = (),
    *,
    options_in_equity: bool = False,
    month: int = 1,
) -> SpanRequirement:
    """The requirement of one account's lines, in their currency.

    `between` are the spreads between commodities in priority order; `month` is a month's length in the units of
    `Line.month`. Net option value is taken off, down to zero, only where equity leaves the options out. Raises
    ArrayShape, KeyError for a commodity that has no parameters.
    """
    held: dict[str, list[Line]] = {}
    for line in lines:
        if len(line.array) != SCENARIOS:
            raise ArrayShape(f"{line.commodity} {line.month}: {len(line.array)} elements, {SCENARIOS} are needed")
        held.setdefault(line.commodity, []).append(line)
    before = {name: _outright(name, its, commodities[name], month) for name, its in held.items()}
    open_deltas = {name: netted(one.calendars.left) for name, one in before.items()}
    formed = credits_of(open_deltas, between, {name: one.weighted for name, one in before.items()}, month)
    risks = {
        name: _credited(one, total(each.by_commodity.get(name, 0) for each in formed), held[name], commodities[name])
        for name, one in before.items()
    }
    value: Number = 0 if options_in_equity else total(one.option_value for one in risks.values())
    return SpanRequirement(
        risks,
        formed,
        value,
        maintenance=max(total(one.maintenance for one in risks.values()) - value, 0),
        initial=max(total(one.initial for one in risks.values()) - value, 0),
    )


def _outright(name: str, lines: Sequence[Line], rules: Commodity, month: int) -> CommodityRisk:
    """All but the credit and what follows from it."""
    losses = [total(line.quantity * line.array[i] for line in lines) for i in range(SCENARIOS)]
    active = max(range(SCENARIOS), key=lambda i: losses[i])  # the first of equals
    scan = max(losses[active], 0)
    deltas: dict[int, Number] = {}
    for line in lines:
        deltas[line.month] = deltas.get(line.month, 0) + line.quantity * line.delta
    net: Number = total(deltas.values())
    calendars = calendar_charge(name, deltas, rules.calendars, month)
    pair = active ^ 1 if active < _PAIRED else active
    volatility_risk = (losses[active] - losses[pair]) / 2
    time_risk = (losses[0] + losses[1]) / 2
    price_risk = max(scan - volatility_risk - time_risk, 0)
    return CommodityRisk(
        losses=tuple(losses),
        active=active,
        scan=scan,
        net_delta=net,
        calendars=calendars,
        delivery=_delivery(deltas, calendars, rules),
        volatility_risk=volatility_risk,
        time_risk=time_risk,
        price_risk=price_risk,
        weighted=_weighted(price_risk, net, rules),
        credit=0,
        short_minimum=_short_minimum(lines, rules),
        option_value=total(line.quantity * line.value for line in lines if line.right),
        maintenance=0,
        initial=0,
    )


def _delivery(deltas: Mapping[int, Number], calendars: CalendarCharge, rules: Commodity) -> Number:
    charge: Number = 0
    for month, rates in rules.delivery.items():
        if month in deltas:
            outright = size(calendars.left[month])
            charge = charge + (size(deltas[month]) - outright) * rates.spread + outright * rates.outright
    return charge


def _weighted(price_risk: Number, net: Number, rules: Commodity) -> Number:
    if rules.weighting == Weighting.SCANRANGE:
        return rules.scan_range
    if net == 0:
        return 0
    each = price_risk / size(net)
    return each if rules.weighting == Weighting.NORMAL else min(each, rules.scan_range)


def _short_minimum(lines: Sequence[Line], rules: Commodity) -> Number:
    calls: Number = total(max(-line.quantity, 0) for line in lines if line.right == Right.CALL)
    puts: Number = total(max(-line.quantity, 0) for line in lines if line.right == Right.PUT)
    return (max(calls, puts) if rules.larger_side else calls + puts) * rules.short_option


def _credited(one: CommodityRisk, credit: Number, lines: Sequence[Line], rules: Commodity) -> CommodityRisk:
    risk = max(one.short_minimum, one.scan + one.calendars.charge + one.delivery - credit)
    initial = risk * rules.initial_ratio
    if all(line.right and line.quantity >= 0 for line in lines):
        risk, initial = min(risk, one.option_value * rules.long_part), min(initial, one.option_value)
    return replace(one, credit=credit, maintenance=risk, initial=initial)

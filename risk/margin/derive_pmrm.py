"""Derive's portfolio margin (PMRM): the worst of spot, volatility, skew and basis scenarios, and contingencies.

From the formulas the venue publishes; its two versions are one function under other parameters. An underlying is
margined by itself and requirements add up: the venue keeps one underlying to an account. A dollar counts as one of the
settlement asset, but for collateral. What the publication leaves open, and is chosen here:

- "portfolio confidence" is the spot's;
- dated futures, which the venue has none of, move as their forward does, undiscounted, and bear the perp's charges;
- the haircut of a debt in collateral is of its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from risk.margin.answer import AddOn, Assessment, CollateralAnswer, GroupPnl, LegAnswer, ScenarioPnl
from risk.margin.book import FloatArray, Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, finely, total
from risk.margin.model import Assess, Header
from risk.margin.pmrm_rules import Direction, Rules, Shock, rules_of
from risk.margin.scan import facts, worth
from risk.margin.valuing import NotInMarket, Quoted, quoted
from risk.margin.worth import Held, held, unrealised
from schemas.strict import Table

_DAYS: Final = 365.0
_DAY: Final = 86_400.0
_ZERO: Final = Fraction(0)
_TILTS: Final = (Direction.LINEAR, Direction.ABSOLUTE)
BASIS: Final = "basis"
"""the scenario that is no row of the profile"""


@dataclass(frozen=True, slots=True)
class _Group:
    """One underlying's positions of one expiry (perps: expiry None). The columns of `forwards`, `volatilities` and
    `values` are the market as it stands, the profile's scenarios, the basis up, the basis down."""

    expiry: int | None
    positions: tuple[int, ...]
    quantities: tuple[Fraction, ...]
    quotes: tuple[Quoted, ...]
    forwards: FloatArray
    volatilities: FloatArray
    values: list[list[Number]]
    """dollars of one contract: facts"""


@dataclass(frozen=True, slots=True)
class _Move:
    """What a group's positions gain in a scenario, and in which column it was found."""

    gains: list[Number]
    column: int
    weight: Number
    """part of the gains that counts, and is in them"""


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is found of one underlying."""

    scenarios: tuple[ScenarioPnl, ...]
    worst: ScenarioPnl
    legs: tuple[LegAnswer, ...]


@dataclass(frozen=True, slots=True)
class _Charge:
    """A contingency: what it takes of both margins, and of initial margin besides."""

    name: str
    maintenance: Number
    extra: Number
    scaled: bool = False
    """within the worst loss, so that the factors scale it"""


def derive_pmrm(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """PMRM as a model. Raises TomlError; the function it gives raises NotInMarket, Expired."""
    rules = rules_of(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assess(rules, portfolio, market, fact)

    return assess


def in_dollars(market: Market) -> None:
    """Raises NotInMarket where the settlement asset is a coin: a dollar is not one of it."""
    if market.settlement in market.underlyings:
        raise NotInMarket(f"settlement: {market.settlement} is a coin, the model settles in a stable asset")


def doubt(confidence: float, threshold: float, charge: float, fact: Fact) -> Number:
    """The part of notional that a feed's want of confidence costs: nothing from the threshold on."""
    return _ZERO if confidence >= threshold else fact((1.0 - confidence) * charge)


def _assess(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    in_dollars(market)
    quotes = [_floored(quoted(position.instrument, market)) for position in portfolio.positions]
    assets = held(portfolio, market, rules.haircuts, fact)
    names = {quote.instrument.underlying for quote in quotes} | {one.offsets for one in assets if one.offsets}
    units: list[_Unit] = []
    charges: list[_Charge] = []
    for name in sorted(names):
        groups = _groups(name, rules, portfolio, quotes, fact)
        units.append(_unit(name, rules, groups, [one for one in assets if one.offsets == name], fact))
        charges += _charges(name, rules, market, groups, fact)
    charges += _collateral_charges(rules, assets, fact)
    legs = sorted((leg for unit in units for leg in unit.legs), key=lambda leg: leg.position)
    value = total(
        position.quantity * leg.mark if position.instrument.kind == Kind.OPTION else unrealised(position, leg.mark)
        for position, leg in zip(portfolio.positions, legs, strict=True)
    )
    return _answer(rules, portfolio, market, units, charges, assets, legs, value, fact)


def _answer(
    rules: Rules,
    portfolio: Portfolio,
    market: Market,
    units: Sequence[_Unit],
    charges: Sequence[_Charge],
    assets: Sequence[Held],
    legs: Sequence[LegAnswer],
    value: Number,
    fact: Fact,
) -> Assessment:
    lower, higher = fact(rules.maintenance), fact(rules.initial)
    depeg = fact(max(rules.peg_threshold - market.settlement_price, 0.0) * rules.peg_factor)
    loss = -total(unit.worst.pnl for unit in units)
    inside = loss + total(one.maintenance + one.extra for one in charges if one.scaled)
    add_ons = [
        AddOn(one.name, (one.maintenance + one.extra) * higher, (one.maintenance + one.extra) * lower)
        if one.scaled
        else AddOn(one.name, one.maintenance + one.extra, one.maintenance)
        for one in charges
        if one.maintenance or one.extra
    ]
    if depeg:
        add_ons.append(AddOn("stable depeg", inside * depeg, _ZERO))
    scenarios = [scenario for unit in units for scenario in unit.scenarios]
    worst = ", ".join(unit.worst.id for unit in units)
    if len(units) > 1:
        scenarios.append(ScenarioPnl(worst, -loss, tuple(group for unit in units for group in unit.worst.groups)))
    return Assessment(
        initial=loss * higher + total(one.initial for one in add_ons),
        maintenance=loss * lower + total(one.maintenance for one in add_ons),
        equity=portfolio.cash + value + total(one.value for one in assets),
        mark_to_market=value,
        worst_initial=worst,
        worst_maintenance=worst,
        scenarios=tuple(scenarios),
        legs=tuple(legs),
        add_ons=tuple(add_ons),
        collateral=tuple(_told(one, rules, lower, higher) for one in assets),
    )


def _told(one: Held, rules: Rules, lower: Number, higher: Number) -> CollateralAnswer:
    cut, more = one.size * one.haircut_maintenance, one.size * one.haircut_extra
    if rules.scaled:
        return CollateralAnswer(one.asset, one.value, (cut + more) * higher, (cut + more) * lower)
    return CollateralAnswer(one.asset, one.value, cut + more, cut)


# -- values in the scenarios --------------------------------------------------------------------------------------


def _floored(quote: Quoted) -> Quoted:
    return replace(quote, rate=max(quote.rate, 0.0))


def _groups(name: str, rules: Rules, portfolio: Portfolio, quotes: Sequence[Quoted], fact: Fact) -> list[_Group]:
    rows: dict[int | None, list[int]] = {}
    for number, quote in enumerate(quotes):
        if quote.instrument.underlying == name:
            expiry = None if quote.instrument.kind == Kind.PERP else quote.instrument.expiry
            rows.setdefault(expiry, []).append(number)
    return [
        _group(expiry, rows[expiry], rules, portfolio, quotes, fact)
        for expiry in sorted(rows, key=lambda expiry: -1 if expiry is None else expiry)
    ]


def _group(
    expiry: int | None,
    numbers: Sequence[int],
    rules: Rules,
    portfolio: Portfolio,
    quotes: Sequence[Quoted],
    fact: Fact,
) -> _Group:
    here = tuple(quotes[number] for number in numbers)
    forwards = np.array([_forwards(quote, rules) for quote in here])
    volatilities = np.array([_volatilities(quote, rules) for quote in here])
    years = np.repeat([[quote.years] for quote in here], forwards.shape[1], axis=1)
    return _Group(
        expiry=expiry,
        positions=tuple(numbers),
        quantities=tuple(portfolio.positions[number].quantity for number in numbers),
        quotes=here,
        forwards=forwards,
        volatilities=volatilities,
        values=facts(worth(here, forwards, volatilities, years, discounted=rules.discounted), fact),
    )


def _forwards(quote: Quoted, rules: Rules) -> FloatArray:
    """The forward by column. In the settlement window, the part of the average that is known does not move."""
    moves = np.array([1.0, *(shock.spot for shock in rules.shocks), rules.basis_up, rules.basis_down])
    if quote.instrument.kind == Kind.PERP:
        # what comes between an expiry and the spot does not move a perp
        moves[-2:] = 1.0
        return quote.forward * moves
    unknown = min(quote.years * _DAYS * _DAY / rules.settlement_window, 1.0)
    return quote.forward * (unknown * moves + 1.0 - unknown)


def _volatilities(quote: Quoted, rules: Rules) -> FloatArray:
    plain = quote.volatility
    if quote.instrument.kind != Kind.OPTION:
        return np.full(len(rules.shocks) + 3, plain)
    return np.array([plain, *(_volatility(quote, rules, shock.direction) for shock in rules.shocks), plain, plain])


def _volatility(quote: Quoted, rules: Rules, direction: Direction) -> float:
    """The volatility that a scenario leaves."""
    if direction in _TILTS:
        return quote.volatility * _tilt(quote, rules, direction)
    days = quote.years * _DAYS
    power = rules.short_power if days <= 30.0 else rules.long_power
    size = float((30.0 / max(days, rules.floor_days)) ** power)
    if direction == Direction.UP:
        return max(rules.least_up, quote.volatility * (1.0 + rules.volatility_up * size))
    if direction == Direction.DOWN:
        return quote.volatility * max(0.0, 1.0 - rules.volatility_down * size)
    return quote.volatility


def _tilt(quote: Quoted, rules: Rules, direction: Direction) -> float:
    """What a skew scenario multiplies the volatility of a strike by."""
    root = math.sqrt(quote.years)
    k = math.log(quote.instrument.strike / quote.forward)
    base = rules.linear_cap
    if direction == Direction.ABSOLUTE:
        k, base = abs(k), rules.absolute_cap
    cap = rules.cap_slope * root + base
    width = max(rules.least_width, root * rules.width * (rules.width_static + root * rules.width_slope))
    bend = k * cap / width
    return max(1.0 + (min(cap, bend) if k >= 0.0 else max(-cap, bend)), 0.0)


# -- scenarios ----------------------------------------------------------------------------------------------------


def _unit(name: str, rules: Rules, groups: Sequence[_Group], assets: Sequence[Held], fact: Fact) -> _Unit:
    """The scenarios in their order, the basis last; of equal ones the first is the worst."""
    found: list[tuple[ScenarioPnl, list[_Move]]] = []
    discounts = [_discounts(group.quotes[0], rules, fact) for group in groups]
    backing = total(one.value for one in assets)
    for number, shock in enumerate(rules.shocks, 1):
        moves = [_moved(group, number, shock, pair, fact) for group, pair in zip(groups, discounts, strict=True)]
        parts = _parts(name, groups, moves)
        if assets:
            parts.append(GroupPnl(name, None, backing * fact(shock.spot - 1.0) * fact(shock.dampening)))
        found.append((_scenario(name, shock.name, parts), moves))
    moves = [_basis(group, rules, fact) for group in groups]
    found.append((_scenario(name, BASIS, _parts(name, groups, moves)), moves))
    worst, moves = min(found, key=lambda one: one[0].pnl)
    legs = [
        LegAnswer(
            number,
            group.values[row][0],
            pnl_in_worst=move.gains[row],
            forward_in_worst=float(group.forwards[row, move.column]),
            volatility_in_worst=float(group.volatilities[row, move.column]),
            weight_in_worst=move.weight,
        )
        for group, move in zip(groups, moves, strict=True)
        for row, number in enumerate(group.positions)
    ]
    return _Unit(tuple(one for one, _ in found), worst, tuple(legs))


def _scenario(name: str, title: str, parts: Sequence[GroupPnl]) -> ScenarioPnl:
    return ScenarioPnl(f"{name} {title}", total(part.pnl for part in parts), tuple(parts))


def _parts(name: str, groups: Sequence[_Group], moves: Sequence[_Move]) -> list[GroupPnl]:
    return [GroupPnl(name, group.expiry, total(move.gains)) for group, move in zip(groups, moves, strict=True)]


def _discounts(quote: Quoted, rules: Rules, fact: Fact) -> tuple[Number, Number]:
    """What of a shocked value counts: where it is an asset, and where it is a debt."""
    asset, debt = rules.long_discount, rules.short_discount
    long = asset.base * math.exp(-quote.years * (quote.rate * asset.rate_multiple + asset.add))
    short = debt.base * math.exp(quote.years * (quote.rate * debt.rate_multiple + debt.add))
    undone = math.exp(quote.years * quote.rate) if rules.discounted else 1.0
    return finely(fact, long), finely(fact, min(undone, short))


def _moved(group: _Group, column: int, shock: Shock, discounts: tuple[Number, Number], fact: Fact) -> _Move:
    """A scenario's gains. Options are discounted by the sign of their expiry's shocked value."""
    weight = fact(shock.dampening)
    options = [quote.instrument.kind == Kind.OPTION for quote in group.quotes]
    legs = list(zip(group.quantities, group.values, options, strict=True))
    shocked = total(quantity * values[column] for quantity, values, option in legs if option)
    discount = discounts[0] if shocked >= 0 else discounts[1]
    gains = [
        quantity * ((values[column] * discount if option else values[column]) - values[0]) * weight
        for quantity, values, option in legs
    ]
    if shock.direction in _TILTS and total(gains) > 0:
        gains = [-gain for gain in gains]
    return _Move(gains, column, weight)


def _basis(group: _Group, rules: Rules, fact: Fact) -> _Move:
    """The gains where an expiry's forward leaves the spot on the side that hurts; nothing where neither does."""
    share = finely(fact, rules.basis_add + rules.basis_multiple * group.quotes[0].years)
    worse = _Move([_ZERO for _ in group.positions], 0, share)
    last = group.forwards.shape[1] - 1
    for column in (last - 1, last):
        gains = [
            quantity * (values[column] - values[0]) * share
            for quantity, values in zip(group.quantities, group.values, strict=True)
        ]
        if total(gains) < total(worse.gains):
            worse = _Move(gains, column, share)
    return worse


# -- contingencies ------------------------------------------------------------------------------------------------


def _charges(name: str, rules: Rules, market: Market, groups: Sequence[_Group], fact: Fact) -> list[_Charge]:
    one = market.underlyings[name]
    spot = fact(one.spot)
    linear, short = _ZERO, _ZERO
    oracle: Number = _ZERO
    for group in groups:
        legs = list(zip(group.quantities, group.quotes, strict=True))
        linear += sum((abs(size) for size, quote in legs if quote.instrument.kind != Kind.OPTION), _ZERO)
        short += naked([(size, quote) for size, quote in legs if quote.instrument.kind == Kind.OPTION])
        confidence = min(one.confidence, one.perp_confidence)
        if group.expiry is not None:
            at = one.expiries[group.expiry]
            confidence = min(one.confidence, at.confidence, at.rate_confidence, at.volatility_confidence)
        contracts = sum((abs(size) for size, _ in legs), _ZERO)
        oracle = oracle + contracts * spot * doubt(confidence, rules.oracle_threshold, rules.oracle_charge, fact)
    charges = [
        _Charge(title, size * spot * fact(rate.maintenance), size * spot * fact(rate.initial_extra), rules.scaled)
        for title, size, rate in (
            (f"{name} perp", linear, rules.perp),
            (f"{name} naked short options", short, rules.option),
        )
    ]
    return [*charges, _Charge(f"{name} oracle confidence", _ZERO, oracle)]


def naked(legs: Sequence[tuple[Fraction, Quoted]]) -> Fraction:
    """Options sold of one expiry that the other right at the same strike does not cover, contracts."""
    amounts: dict[float, list[Fraction]] = {}
    for quantity, quote in legs:
        pair = amounts.setdefault(quote.instrument.strike, [_ZERO, _ZERO])
        pair[quote.instrument.call] += quantity
    contracts = _ZERO
    for puts, calls in amounts.values():
        contracts += max(-puts - calls, _ZERO) if puts * calls < 0 else -min(puts, _ZERO) - min(calls, _ZERO)
    return contracts


def _collateral_charges(rules: Rules, assets: Sequence[Held], fact: Fact) -> list[_Charge]:
    charges = []
    for one in assets:
        size = one.size
        unsure = doubt(one.confidence, rules.oracle_threshold, rules.oracle_charge, fact)
        charges += [
            _Charge(f"{one.asset} haircut", size * one.haircut_maintenance, size * one.haircut_extra, rules.scaled),
            _Charge(f"{one.asset} oracle confidence", _ZERO, size * unsure),
        ]
    return charges

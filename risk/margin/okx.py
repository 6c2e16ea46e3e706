"""OKX's portfolio margin: nine risks (MR1 to MR9) and the rule that puts them together.

A *risk unit* is an underlying with the collateral that moves with it. Maintenance = max(max(MR1, MR2, MR6) + MR3 + MR4
+ MR5, MR7) of each unit, added up, + MR8 + MR9 of the account, + haircuts. The publication gives MR1's and MR6's moves,
MR1's volatility shocks, MR4's and MR5's rates, MR7's and MR9's tiers and the rule. What it leaves open, and is chosen:

- MR1: every price move with volatility as it is, up and down; the shock is the larger of the points and the relative
  one, each linear over the days to expiry and flat past the last.
- MR2: what 24 hours take with prices and volatilities as they are.
- MR3: what MR1's shock of volatility alone gains in some expiries and loses in others does not net wholly: a share of
  the smaller side is charged.
- MR4: all forwards of an underlying leave the spot together by rate x years, up or down; the perp stays.
- MR5: rates move by each principal component, up or down, and the worst of the four is charged; forwards stay, so that
  this is the discounting alone. The curves are read as percentage points at the profile's tenors, linear between.
- MR6: volatility stays.
- MR7: a part of the notional of futures, perps and options sold is the base (what is bought can be left to expire);
  each tier of the base, in dollars, counts by its own factor, as MR9's tiers do.
- MR8: a part of each debt, negative cash among them.
- MR9: by tiers of what is held or owed of each stablecoin that is not the settlement asset, in dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from risk.margin import scan
from risk.margin.answer import AddOn, Assessment, CollateralAnswer, LegAnswer, ScenarioPnl
from risk.margin.book import FloatArray, Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, total
from risk.margin.model import Assess, Header
from risk.margin.okx_rules import Class, Rules, Tier, rules_of
from risk.margin.valuing import Quoted, quoted
from risk.margin.worth import Held, held
from schemas.strict import Table

_DAYS: Final = 365.0
_ZERO: Final = Fraction(0)
_LEAST_BASIS: Final = 0.05
"""part of a forward that MR4 leaves of it, however many years away it is"""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One revaluation: what moves."""

    id: str
    move: float = 0.0
    volatility: int = 0
    """1 up, -1 down"""
    hours: float = 0.0
    take: float = 1.0
    """part of the gain or loss that counts"""
    basis: float = 0.0
    """a year"""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A risk unit's positions, revalued. Money is in the settlement asset."""

    name: str
    numbers: tuple[int, ...]
    quantities: tuple[Fraction, ...]
    quotes: tuple[Quoted, ...]
    marks: list[Number]
    backing: Number
    """of the collateral that moves with it"""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a risk unit is charged."""

    scenarios: tuple[ScenarioPnl, ...]
    worst: ScenarioPnl
    legs: tuple[LegAnswer, ...]
    charges: tuple[tuple[str, Number], ...]


def okx(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """OKX's portfolio margin as a model. Raises TomlError; the function it gives raises NotInMarket, Expired."""
    rules = rules_of(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assess(rules, portfolio, market, fact)

    return assess


def tiered(amount: Number, tiers: Sequence[Tier], fact: Fact) -> Number:
    """What tiers take of an amount: of each slice its own rate."""
    taken: Number = _ZERO
    start: Number = _ZERO
    for tier in tiers:
        end = amount if tier.to is None else min(amount, fact(tier.to))
        if end <= start:
            break
        taken, start = taken + (end - start) * fact(tier.rate), end
    return taken


def _assess(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    price = market.settlement_price
    quotes = [quoted(position.instrument, market) for position in portfolio.positions]
    marks = [fact(one / price) for one in scan.now(quotes).tolist()]
    assets = held(portfolio, market, rules.haircuts, fact)
    names = {quote.instrument.underlying for quote in quotes} | {one.offsets for one in assets if one.offsets}
    found = [_found(rules, _unit(name, portfolio, quotes, marks, assets), market, fact) for name in sorted(names)]
    value = total(
        scan.carried(position, mark, quote, price, fact)
        for position, mark, quote in zip(portfolio.positions, marks, quotes, strict=True)
    )
    charges = [charge for unit in found for charge in unit.charges]
    charges.append(("MR8 borrowing", _borrowed(portfolio, assets) * fact(rules.borrow)))
    charges.append(("MR9 stablecoin depeg", _depeg(rules, market, assets, fact)))
    initial = fact(rules.initial)
    loss = -total(unit.worst.pnl for unit in found)
    collateral = tuple(_collateral(one) for one in assets)
    add_ons = [AddOn(name, charge * initial, charge) for name, charge in charges if charge]
    add_ons += [AddOn(f"{one.asset} haircut", one.haircut, one.haircut_maintenance) for one in collateral]
    scenarios = [scenario for unit in found for scenario in unit.scenarios]
    worst = ", ".join(unit.worst.id for unit in found)
    if len(found) > 1:
        scenarios.append(ScenarioPnl(worst, -loss, tuple(group for unit in found for group in unit.worst.groups)))
    return Assessment(
        initial=loss * initial + total(one.initial for one in add_ons),
        maintenance=loss + total(one.maintenance for one in add_ons),
        equity=portfolio.cash + value + total(one.value for one in assets),
        mark_to_market=value,
        worst_initial=worst,
        worst_maintenance=worst,
        scenarios=tuple(scenarios),
        legs=tuple(sorted((leg for unit in found for leg in unit.legs), key=lambda leg: leg.position)),
        add_ons=tuple(add_ons),
        collateral=collateral,
    )


def _unit(
    name: str, portfolio: Portfolio, quotes: Sequence[Quoted], marks: Sequence[Number], assets: Sequence[Held]
) -> _Unit:
    numbers = tuple(number for number, quote in enumerate(quotes) if quote.instrument.underlying == name)
    return _Unit(
        name=name,
        numbers=numbers,
        quantities=tuple(portfolio.positions[number].quantity for number in numbers),
        quotes=tuple(quotes[number] for number in numbers),
        marks=[marks[number] for number in numbers],
        backing=total(one.value for one in assets if one.offsets == name),
    )


def _found(rules: Rules, unit: _Unit, market: Market, fact: Fact) -> _Found:
    own = rules.classes.get(unit.name, rules.others)
    cells = _cells(rules, own)
    gains, forwards, volatilities = _gains(rules, unit, cells, market, fact)
    weights = [fact(cell.take) for cell in cells]
    scanned = [number for number, cell in enumerate(cells) if not cell.basis]
    scenarios = [_scenario(unit, cells[one], gains, one, weights[one], fact) for one in scanned]
    at = min(scanned, key=lambda one: scenarios[one].pnl)
    worst = scenarios[at]
    basis = [
        total(quantity * row[number] for quantity, row in zip(unit.quantities, gains, strict=True))
        for number, cell in enumerate(cells)
        if cell.basis
    ]
    alone = next(number for number, cell in enumerate(cells) if cell.volatility == 1 and not cell.move)
    parts: list[tuple[str, Number]] = [
        ("MR3 vega term structure", _term(unit, [row[alone] for row in gains]) * fact(rules.term)),
        ("MR4 basis", max(-min(basis), _ZERO)),
        ("MR5 rates", _rates(rules, unit, market, fact)),
    ]
    so_far = total(part for _, part in parts) - worst.pnl
    parts.append(("MR7 minimum charge", max(_least(rules, unit, market, fact) - so_far, _ZERO)))
    legs = tuple(
        LegAnswer(
            number,
            unit.marks[row],
            pnl_in_worst=unit.quantities[row] * gains[row][at] * weights[at],
            forward_in_worst=float(forwards[row, at]),
            volatility_in_worst=float(volatilities[row, at]),
            weight_in_worst=weights[at],
        )
        for row, number in enumerate(unit.numbers)
    )
    return _Found(tuple(scenarios), worst, legs, tuple((f"{unit.name} {name}", part) for name, part in parts))


def _cells(rules: Rules, own: Class) -> list[_Cell]:
    """The scenarios of MR1, MR2 and MR6, then the two of MR4."""
    moves = [0.0, *(sign * move for move in own.moves for sign in (1, -1))]
    words = {0: "", 1: " vol up", -1: " vol down"}
    return [
        *(_Cell(f"MR1 {move:+.4g}{words[turn]}", move, turn) for move in moves for turn in (0, 1, -1)),
        _Cell(f"MR2 {rules.hours:g} h", hours=rules.hours),
        *(_Cell(f"MR6 {sign * own.extreme:+.4g}", sign * own.extreme, take=rules.take) for sign in (1, -1)),
        *(_Cell("MR4", basis=sign * own.basis) for sign in (1, -1)),
    ]


def _gains(
    rules: Rules, unit: _Unit, cells: Sequence[_Cell], market: Market, fact: Fact
) -> tuple[list[list[Number]], FloatArray, FloatArray]:
    """What one contract of each position gains in each cell, and at which forwards and volatilities."""
    shape = (len(unit.quotes), len(cells))
    forwards = np.array([[_forward(quote, cell) for cell in cells] for quote in unit.quotes]).reshape(shape)
    volatilities = np.array(
        [[_volatility(rules, quote, cell.volatility) for cell in cells] for quote in unit.quotes]
    ).reshape(shape)
    years = np.array(
        [[max(quote.years - cell.hours / 24.0 / _DAYS, 0.0) for cell in cells] for quote in unit.quotes]
    ).reshape(shape)
    moved = scan.worth(unit.quotes, forwards, volatilities, years)
    change = (moved - scan.now(unit.quotes)[:, None]) / market.settlement_price
    return scan.facts(change, fact), forwards, volatilities


def _forward(quote: Quoted, cell: _Cell) -> float:
    # a perp has no years, so that its basis stays
    return quote.forward * (1.0 + cell.move) * max(1.0 + cell.basis * quote.years, _LEAST_BASIS)


def _volatility(rules: Rules, quote: Quoted, turn: int) -> float:
    days = quote.years * _DAYS
    points = float(np.interp(days, rules.days, rules.points))
    relative = float(np.interp(days, rules.days, rules.relative))
    return max(quote.volatility + turn * max(points, relative * quote.volatility), 0.0)


def _scenario(
    unit: _Unit, cell: _Cell, gains: Sequence[Sequence[Number]], column: int, weight: Number, fact: Fact
) -> ScenarioPnl:
    groups: dict[scan.Group, Number] = {}
    if unit.backing:
        groups[(unit.name, None)] = unit.backing * fact(cell.move)
    for quantity, quote, row in zip(unit.quantities, unit.quotes, gains, strict=True):
        expiry = None if quote.instrument.kind == Kind.PERP else quote.instrument.expiry
        groups[(unit.name, expiry)] = groups.get((unit.name, expiry), _ZERO) + quantity * row[column]
    told = scan.told({group: [gain] for group, gain in groups.items()}, 0, weight)
    return ScenarioPnl(f"{unit.name} {cell.id}", total(one.pnl for one in told), told)


def _term(unit: _Unit, gains: Sequence[Number]) -> Number:
    """What a shock of volatility alone nets between expiries: the smaller of what it gains and what it loses."""
    sides: dict[int, Number] = {}
    for quantity, quote, gain in zip(unit.quantities, unit.quotes, gains, strict=True):
        if quote.instrument.kind == Kind.OPTION:
            expiry = quote.instrument.expiry
            sides[expiry] = sides.get(expiry, _ZERO) + quantity * gain
    return min(total(max(side, _ZERO) for side in sides.values()), total(max(-side, _ZERO) for side in sides.values()))


def _rates(rules: Rules, unit: _Unit, market: Market, fact: Fact) -> Number:
    """The most that a move of rates along a principal component loses."""
    here = scan.now(unit.quotes)
    worst: Number = _ZERO
    for curve in rules.components:
        for sign in (1.0, -1.0):
            moved = scan.now(
                [
                    replace(one, rate=one.rate + sign * float(np.interp(one.years * _DAYS, rules.tenors, curve)) / 100)
                    for one in unit.quotes
                ]
            )
            change = [fact(gain) for gain in ((moved - here) / market.settlement_price).tolist()]
            pnl = total(quantity * gain for quantity, gain in zip(unit.quantities, change, strict=True))
            worst = max(worst, -pnl)
    return worst


def _least(rules: Rules, unit: _Unit, market: Market, fact: Fact) -> Number:
    """MR7: what closing the unit is held to cost at least."""
    base: Number = _ZERO
    for quantity, quote in zip(unit.quantities, unit.quotes, strict=True):
        option = quote.instrument.kind == Kind.OPTION
        size = max(-quantity, _ZERO) if option else abs(quantity)
        base = base + size * fact(quote.spot) * fact(rules.least_option if option else rules.least_future)
    return tiered(base, rules.least_tiers, fact) / fact(market.settlement_price)


def _borrowed(portfolio: Portfolio, assets: Sequence[Held]) -> Number:
    return max(-portfolio.cash, _ZERO) + total(max(-one.value, _ZERO) for one in assets)


def _depeg(rules: Rules, market: Market, assets: Sequence[Held], fact: Fact) -> Number:
    """MR9, each coin by itself. A holding of the settlement asset is cash and does not come here."""
    coins: dict[str, Number] = {}
    for one in assets:
        if one.asset in rules.stablecoins:
            coins[one.asset] = coins.get(one.asset, _ZERO) + one.amount * one.price
    charge = total(tiered(max(size, -size), rules.depeg_tiers, fact) for size in coins.values())
    return charge / fact(market.settlement_price)


def _collateral(one: Held) -> CollateralAnswer:
    cut = one.size * one.haircut_maintenance
    return CollateralAnswer(one.asset, one.value, cut + one.size * one.haircut_extra, cut)

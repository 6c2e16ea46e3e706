"""Derive's standard margin (SRM): position by position, options of an expiry together where their most loss is less.

From the formulas the venue publishes, where margins are negative and hold the mark; here a requirement is what the
marks are worth less that margin. A dollar counts as one of the settlement asset, but for the value of collateral.
What the publication leaves open, and is chosen here:

- dated futures, which the venue has none of, are margined as perps at their forward;
- collateral that the profile names no factor for does not count; the market's own haircuts are not used;
- the oracle charge on collateral is of its value in dollars, at the lesser of its own and its underlying's confidence;
- settlement prices of the greatest loss reach from zero to the highest strike, beyond which sold calls are charged as
  unpaired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from risk.margin.answer import AddOn, Assessment, CollateralAnswer, LegAnswer
from risk.margin.book import Instrument, Kind, Market, Portfolio
from risk.margin.derive_pmrm import doubt, in_dollars
from risk.margin.exact import Fact, Number, total
from risk.margin.model import Assess, Header
from risk.margin.scan import now
from risk.margin.valuing import quoted
from risk.margin.worth import Held, held, unrealised
from schemas.strict import Table, at, only, real_of, table_of

_ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True)
class Base:
    """What of a coin's value backs positions: for maintenance, and of that for initial margin."""

    factor: float
    initial_scale: float


@dataclass(frozen=True, slots=True)
class Options:
    """Parts of the spot for one contract sold; multiples."""

    initial: float
    initial_least: float
    maintenance: float
    put_offset: float
    """a put's initial margin is at least this many maintenance margins"""
    unpaired_initial: float
    """parts of the forward for each call sold that no call bought covers"""
    unpaired_maintenance: float


@dataclass(frozen=True, slots=True)
class Rules:
    """An SRM profile."""

    perp_initial: float
    perp_maintenance: float
    options: Options
    bases: Mapping[str, Base]
    oracle_threshold: float
    oracle_charge: float
    peg_threshold: float
    """dollars"""
    peg_factor: float


@dataclass(frozen=True, slots=True)
class _Sold:
    """One option position and its mark."""

    instrument: Instrument
    quantity: Fraction
    mark: Number


def derive_srm(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """SRM as a model. Raises TomlError; the function it gives raises NotInMarket, Expired."""
    rules = _rules(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assess(rules, portfolio, market, fact)

    return assess


def _rules(table: Table) -> Rules:
    only(table, "", ("perp", "option", "base", "oracle", "peg"))
    keys = {
        "perp": ("initial", "maintenance"),
        "option": (
            "initial",
            "initial_least",
            "maintenance",
            "put_offset",
            "unpaired_initial",
            "unpaired_maintenance",
        ),
        "oracle": ("threshold", "charge"),
        "peg": ("threshold", "factor"),
    }
    tables = {key: table_of(table, "", key) for key in keys}
    for key, inner in tables.items():
        only(inner, key, keys[key])

    def real(key: str, name: str, high: float = 1.0) -> float:
        return real_of(tables[key], key, name, 0, high)

    return Rules(
        perp_initial=real("perp", "initial"),
        perp_maintenance=real("perp", "maintenance"),
        options=Options(
            initial=real("option", "initial"),
            initial_least=real("option", "initial_least"),
            maintenance=real("option", "maintenance"),
            put_offset=real("option", "put_offset", 10),
            unpaired_initial=real("option", "unpaired_initial", 10),
            unpaired_maintenance=real("option", "unpaired_maintenance", 10),
        ),
        bases=_bases(table_of(table, "", "base")),
        oracle_threshold=real("oracle", "threshold"),
        oracle_charge=real("oracle", "charge", 10),
        peg_threshold=real("peg", "threshold", 2),
        peg_factor=real("peg", "factor", 100),
    )


def _bases(table: Table) -> Mapping[str, Base]:
    bases = {}
    for asset in table:
        one, path = table_of(table, "base", asset), at("base", asset)
        only(one, path, ("factor", "initial_scale"))
        bases[asset] = Base(real_of(one, path, "factor", 0, 1), real_of(one, path, "initial_scale", 0, 1))
    return bases


def _assess(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    in_dollars(market)
    quotes = [quoted(position.instrument, market) for position in portfolio.positions]
    marks = [fact(float(value)) for value in now(quotes, discounted=False)]
    assets = held(portfolio, market, {}, fact)
    value = total(
        position.quantity * mark if position.instrument.kind == Kind.OPTION else unrealised(position, mark)
        for position, mark in zip(portfolio.positions, marks, strict=True)
    )
    add_ons: list[AddOn] = []
    for name in sorted({quote.instrument.underlying for quote in quotes}):
        add_ons += _linear(rules, name, portfolio, market, marks, fact)
        add_ons += _options(rules, name, portfolio, market, marks, fact)
        add_ons += _depeg(rules, name, portfolio, market, fact)
    collateral = tuple(_backing(rules, one, fact) for one in assets)
    add_ons += [
        AddOn(f"{one.asset} haircut", one.haircut, one.haircut_maintenance) for one in collateral if one.haircut
    ]
    return Assessment(
        initial=total(one.initial for one in add_ons),
        maintenance=total(one.maintenance for one in add_ons),
        equity=portfolio.cash + value + total(one.value for one in assets),
        mark_to_market=value,
        legs=tuple(LegAnswer(number, mark) for number, mark in enumerate(marks)),
        add_ons=tuple(one for one in add_ons if one.initial or one.maintenance),
        collateral=collateral,
    )


def _linear(
    rules: Rules, name: str, portfolio: Portfolio, market: Market, marks: Sequence[Number], fact: Fact
) -> list[AddOn]:
    """Perps and futures: a part of each one's value, long or short."""
    one = market.underlyings[name]
    value: Number = _ZERO
    unsure: Number = _ZERO
    for position, mark in zip(portfolio.positions, marks, strict=True):
        instrument, size = position.instrument, abs(position.quantity)
        if instrument.underlying != name or instrument.kind == Kind.OPTION:
            continue
        own = one.perp_confidence if instrument.kind == Kind.PERP else one.expiries[instrument.expiry].confidence
        value = value + size * mark
        unsure = unsure + size * fact(one.spot) * _doubt(rules, min(own, one.confidence), fact)
    return [
        AddOn(f"{name} perp", value * fact(rules.perp_initial), value * fact(rules.perp_maintenance)),
        AddOn(f"{name} perp oracle confidence", unsure, _ZERO),
    ]


def _options(
    rules: Rules, name: str, portfolio: Portfolio, market: Market, marks: Sequence[Number], fact: Fact
) -> list[AddOn]:
    """Of each expiry what its marks are worth less the better of two margins: of each position by itself, and of the
    greatest loss that a settlement price brings."""
    one = market.underlyings[name]
    expiries: dict[int, list[_Sold]] = {}
    for position, mark in zip(portfolio.positions, marks, strict=True):
        instrument = position.instrument
        if instrument.underlying == name and instrument.kind == Kind.OPTION:
            expiries.setdefault(instrument.expiry, []).append(_Sold(instrument, position.quantity, mark))
    add_ons = []
    initial: Number = _ZERO
    maintenance: Number = _ZERO
    unsure: Number = _ZERO
    spot = fact(one.spot)
    for expiry, legs in sorted(expiries.items()):
        point = one.expiries[expiry]
        worth = total(leg.quantity * leg.mark for leg in legs)
        lower, higher = _isolated(rules.options, legs, spot, fact)
        forward, loss = fact(point.forward), _most_lost(legs, fact)
        naked = min(sum((leg.quantity for leg in legs if leg.instrument.call), _ZERO), _ZERO)
        maintenance = maintenance + worth
        maintenance -= max(lower, loss + fact(rules.options.unpaired_maintenance) * forward * naked)
        initial = initial + worth
        initial -= max(higher, loss + fact(rules.options.unpaired_initial) * forward * naked)
        sold = -sum((leg.quantity for leg in legs if leg.quantity < 0), _ZERO)
        confidence = min(one.confidence, point.confidence, point.volatility_confidence)
        unsure = unsure + sold * spot * _doubt(rules, confidence, fact)
    add_ons.append(AddOn(f"{name} options", initial, maintenance))
    add_ons.append(AddOn(f"{name} options oracle confidence", unsure, _ZERO))
    return add_ons


def _isolated(rules: Options, legs: Sequence[_Sold], spot: Number, fact: Fact) -> tuple[Number, Number]:
    """Maintenance and initial margin of each position by itself, added up; what is bought is nothing."""
    lower: Number = _ZERO
    higher: Number = _ZERO
    for leg in legs:
        if leg.quantity >= 0:
            continue
        worth = leg.quantity * leg.mark
        strike = fact(leg.instrument.strike)
        # how far out of the money, in spots
        out = max(strike - spot if leg.instrument.call else spot - strike, _ZERO)
        charge = max(fact(rules.initial) * spot - out, fact(rules.initial_least) * spot) * leg.quantity
        held_back = fact(rules.maintenance) * spot * leg.quantity
        if leg.instrument.call:
            least = held_back + worth
            most = charge + worth
        else:
            least = min(held_back, fact(rules.maintenance) * worth) + worth
            most = min(charge + worth, least * fact(rules.put_offset))
        lower, higher = lower + least, higher + most
    return lower, higher


def _most_lost(legs: Sequence[_Sold], fact: Fact) -> Number:
    """The least that the options of an expiry pay at settlement at zero or a strike; not above zero."""
    prices: list[Number] = [_ZERO, *(fact(strike) for strike in sorted({leg.instrument.strike for leg in legs}))]
    least: Number = _ZERO
    for price in prices:
        paid = total(leg.quantity * _payoff(leg.instrument, price, fact) for leg in legs)
        least = min(least, paid)
    return least


def _payoff(instrument: Instrument, price: Number, fact: Fact) -> Number:
    strike = fact(instrument.strike)
    return max(price - strike if instrument.call else strike - price, _ZERO)


def _depeg(rules: Rules, name: str, portfolio: Portfolio, market: Market, fact: Fact) -> list[AddOn]:
    """What initial margin takes for a settlement asset below its peg: of perps, and of options sold."""
    below = max(rules.peg_threshold - market.settlement_price, 0.0)
    contracts = sum(
        (
            abs(one.quantity) if one.instrument.kind != Kind.OPTION else max(-one.quantity, _ZERO)
            for one in portfolio.positions
            if one.instrument.underlying == name
        ),
        _ZERO,
    )
    spot = fact(market.underlyings[name].spot)
    return [AddOn(f"{name} stable depeg", contracts * spot * fact(below * rules.peg_factor), _ZERO)]


def _backing(rules: Rules, one: Held, fact: Fact) -> CollateralAnswer:
    """A coin: what of its value does not count. Its value is in the settlement asset, what it backs is in dollars. Of a
    debt all counts, and nothing is backed."""
    own, base = max(one.value, _ZERO), rules.bases.get(one.asset)
    if base is None:
        return CollateralAnswer(one.asset, one.value, own, own)
    dollars = max(one.amount, _ZERO) * one.price
    lower = dollars * fact(base.factor)
    higher = lower * fact(base.initial_scale) - dollars * _doubt(rules, one.confidence, fact)
    return CollateralAnswer(one.asset, one.value, own - higher, own - lower)


def _doubt(rules: Rules, confidence: float, fact: Fact) -> Number:
    return doubt(confidence, rules.oracle_threshold, rules.oracle_charge, fact)

"""CME SPAN as a margin model: risk arrays and composite deltas made from the market, and the requirement they give.

Choices where the published method leaves one. Every leg moves by its own price's scan range. All sixteen scenarios
stand `look_ahead` days ahead with the spot where it is, so a forward runs towards it. A contract month is an expiry;
perps are a month that is now. A rate of a calendar spread or delivery charge is a part of the price of the farthest
month that the account holds in the spread's tiers; in dollar deltas, of the dollars spread. A perp is not delivered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.margin import scan
from risk.margin.answer import AddOn, Assessment, ScenarioPnl
from risk.margin.book import Instrument, Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, finely, total
from risk.margin.model import Assess, Header
from risk.margin.span_requirement import Commodity, Delivery, Line, Right, SpanRequirement, span_requirement
from risk.margin.span_rules import Ranges, SpanRules, SpreadRow, read_rules
from risk.margin.span_spreads import Spread, SpreadLeg
from risk.margin.standing import Standing, standing
from risk.margin.valuing import Quoted
from risk.volatility import YEAR
from schemas.strict import Table

FloatArray = npt.NDArray[np.float64]

MONTH: Final = YEAR // 12
_DAY: Final = 86_400_000_000
_LEAST: Final = 0.01
"""a price keeps at least this part of itself, however wide the extreme move"""
_SEVEN: Final = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)
"""prices of the composite delta, in scan ranges"""


class Arrays(NamedTuple):
    """What SPAN publishes of each leg, (legs, ...), in the settlement asset, and what it was revalued at."""

    gains: list[list[Number]]
    """of one long contract, weighted: losses with the other sign"""
    deltas: list[Number]
    """composite, of one contract"""
    forwards: FloatArray
    volatilities: FloatArray


def span(table: Table, header: Header) -> Assess:
    """The model. A buffer that the profile states is within what long options alone may need. Raises TomlError."""
    rules = read_rules(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assessed(rules, header.buffer, portfolio, market, fact)

    return assess


def composite_weights(deviations: float) -> FloatArray:
    """Weights of the seven prices, by the normal density, where a scan range is so many standard deviations.

    At two deviations they are .271, .217 (twice), .111 (twice) and .037 (twice).
    """
    weights = np.exp(-0.5 * (deviations * np.array(_SEVEN)) ** 2)
    normed: FloatArray = weights / weights.sum()
    return normed


def arrays(rules: SpanRules, quotes: Sequence[Quoted], ranges: Sequence[Ranges], market: Market, fact: Fact) -> Arrays:
    """Risk arrays and composite deltas of one contract of each leg. Raises risk.black76.OutOfDomainError."""
    ahead = rules.look_ahead / 365.0
    column = (len(quotes), 1)
    years = np.array([one.years for one in quotes]).reshape(column)
    later = np.maximum(years - ahead, 0.0)
    carry = [_carried(one, ahead) for one in quotes]
    forward = np.array(carry).reshape(column)
    volatility = np.array([one.volatility for one in quotes]).reshape(column)
    price_scan = np.array([one.price for one in ranges]).reshape(column)
    shift = np.maximum(
        np.array([one.volatility for one in ranges]).reshape(column) * volatility,
        np.array([one.volatility_least for one in ranges]).reshape(column),
    )
    moves = np.array([one.scans for one in rules.scenarios])
    turns = np.array([one.volatility for one in rules.scenarios])
    weights = np.array([one.weight for one in rules.scenarios])
    forwards = forward * np.maximum(1.0 + moves * price_scan, _LEAST)
    volatilities = np.maximum(volatility + turns * shift, 0.0)
    worth = scan.worth(quotes, forwards, volatilities, np.repeat(later, len(moves), axis=1))
    gains = (worth - scan.now(quotes)[:, None]) * weights / market.settlement_price
    seven = forward * np.maximum(1.0 + np.array(_SEVEN) * price_scan, _LEAST)
    deltas = _deltas(quotes, seven, volatility, later) @ composite_weights(rules.deviations)
    return Arrays(scan.facts(gains, fact), [fact(one) for one in deltas.tolist()], forwards, volatilities)


def _carried(quote: Quoted, ahead: float) -> float:
    """The forward after that time, where the spot stands still."""
    if quote.years == 0.0:
        return quote.forward
    return quote.forward * math.exp(math.log(quote.spot / quote.forward) * min(ahead, quote.years) / quote.years)


def _deltas(quotes: Sequence[Quoted], forwards: FloatArray, volatility: FloatArray, years: FloatArray) -> FloatArray:
    deltas = np.ones_like(forwards)
    options = [row for row, one in enumerate(quotes) if one.instrument.kind == Kind.OPTION]
    if options:
        held = [quotes[row] for row in options]
        column = (len(options), 1)
        deltas[options] = black76.greeks(
            np.array([one.instrument.call for one in held]).reshape(column),
            forwards[options],
            np.array([one.instrument.strike for one in held]).reshape(column),
            volatility[options],
            years[options],
            np.array([one.rate for one in held]).reshape(column),
        ).delta
    return deltas


def _assessed(rules: SpanRules, buffer: float, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    stands = standing(portfolio, market, rules.haircuts, fact)
    positions = portfolio.positions
    names = sorted({one.instrument.underlying for one in positions})
    told = {name: rules.ranges(name, market.history) for name in names}
    made = arrays(rules, stands.quotes, [told[one.instrument.underlying][0] for one in positions], market, fact)
    prices = [fact(quote.forward / market.settlement_price) for quote in stands.quotes]
    lines = [
        Line(
            commodity=position.instrument.underlying,
            month=_month(position.instrument, market),
            quantity=position.quantity,
            array=tuple(-gain for gain in made.gains[row]),
            delta=made.deltas[row] * (prices[row] if rules.dollars else 1),
            right=_right(position.instrument),
            value=stands.marks[row],
        )
        for row, position in enumerate(positions)
    ]
    months: dict[str, dict[int, Number]] = {name: {} for name in names}
    for line, price in zip(lines, prices, strict=True):
        months[line.commodity][line.month] = price
    commodities = {name: _commodity(rules, name, buffer, told[name][0], months[name], market, fact) for name in names}
    between = [_credit(row, market, fact) for row in rules.credits]
    required = span_requirement(lines, commodities, between, options_in_equity=rules.options_in_equity, month=MONTH)
    return _told(rules, portfolio, stands, made, required, fact, tuple(note for _, note in told.values() if note))


def _month(instrument: Instrument, market: Market) -> int:
    return market.time if instrument.kind == Kind.PERP else instrument.expiry


def _right(instrument: Instrument) -> Right:
    if instrument.kind != Kind.OPTION:
        return Right.NONE
    return Right.CALL if instrument.call else Right.PUT


def _commodity(
    rules: SpanRules, name: str, buffer: float, ranges: Ranges, months: Mapping[int, Number], market: Market, fact: Fact
) -> Commodity:
    """An underlying's parameters as money; `months` are the prices of those that are held."""
    spot = fact(market.underlyings[name].spot / market.settlement_price)
    tiers: dict[str, frozenset[int]] = {
        tier: frozenset(month for month in months if rules.tier((month - market.time) / _DAY) == tier)
        for tier, _ in rules.tiers
    }
    calendars = []
    for row in rules.calendars_of(name):
        held = [month for tier, _, _ in row.legs for month in tiers[tier]]
        price: Number = months[max(held)] if held and not rules.dollars else 1
        legs = tuple(SpreadLeg(name, side, fact(ratio), tiers[tier]) for tier, side, ratio in row.legs)
        calendars.append(Spread(legs, fact(row.rate) * price, row.method, fact(row.per_month) * price))
    delivery: dict[int, Delivery] = {}
    if rules.delivery is not None:
        for month, forward in months.items():
            if market.time < month <= market.time + rules.delivery.days * _DAY:
                price = 1 if rules.dollars else forward
                delivery[month] = Delivery(fact(rules.delivery.spread) * price, fact(rules.delivery.outright) * price)
    return Commodity(
        scan_range=finely(fact, ranges.price) * (1 if rules.dollars else spot),
        calendars=tuple(calendars),
        delivery=delivery,
        short_option=fact(ranges.short_option) * spot,
        larger_side=rules.larger_side,
        weighting=rules.weighting,
        initial_ratio=fact(rules.initial_ratio),
        long_part=1 / (1 + fact(buffer)),
    )


def _credit(row: SpreadRow, market: Market, fact: Fact) -> Spread:
    """A flat rate is in dollars."""
    unit = 1.0 if row.method == row.method.WEIGHTED else market.settlement_price
    legs = tuple(SpreadLeg(name, side, fact(ratio)) for name, side, ratio in row.legs)
    return Spread(legs, finely(fact, row.rate / unit), row.method, finely(fact, row.per_month / unit))


def _told(
    rules: SpanRules,
    portfolio: Portfolio,
    stands: Standing,
    made: Arrays,
    required: SpanRequirement,
    fact: Fact,
    notes: tuple[str, ...],
) -> Assessment:
    risks = required.commodities
    count = len(rules.scenarios)
    groups = scan.by_group(portfolio.positions, made.gains, count)
    sums = scan.summed([1] * len(groups), groups.values(), count)
    scenarios = [ScenarioPnl(one.id, sums[i], scan.told(groups, i)) for i, one in enumerate(rules.scenarios)]
    ids = {name: rules.scenarios[one.active].id for name, one in risks.items()}
    worst = next(iter(ids.values()), "")
    if len(set(ids.values())) > 1:
        # each commodity has a worst scenario of its own: what decides is all of them together
        worst = ", ".join(f"{name} {scenario}" for name, scenario in ids.items())
        chosen = tuple(
            part for group, gains in groups.items() for part in scan.told({group: gains}, risks[group[0]].active)
        )
        scenarios.append(ScenarioPnl(worst, total(one.pnl for one in chosen), chosen))
    add_ons = (*_add_ons(required, fact(rules.initial_ratio)), stands.haircut)
    return Assessment(
        initial=required.initial + stands.haircut.initial,
        maintenance=required.maintenance + stands.haircut.maintenance,
        equity=stands.equity if rules.options_in_equity else stands.equity - stands.option_value,
        mark_to_market=stands.mark_to_market,
        worst_initial=worst,
        worst_maintenance=worst,
        step=rules.look_ahead / 365.0,
        scenarios=tuple(scenarios),
        legs=scan.leg_answers(
            portfolio,
            stands.marks,
            made.gains,
            made.forwards,
            made.volatilities,
            [risks[one.instrument.underlying].active for one in portfolio.positions],
        ),
        add_ons=add_ons,
        collateral=stands.collateral,
        notes=notes,
    )


def _add_ons(required: SpanRequirement, ratio: Number) -> list[AddOn]:
    """All that leads from the scan risk to the requirement: their sum with it is the requirement."""
    whole = list(required.commodities.values())
    scanned = total(one.scan for one in whole)
    charged = {
        "calendar spreads": total(one.calendars.charge for one in whole),
        "delivery": total(one.delivery for one in whole),
        "inter-commodity credit": -total(one.credit for one in whole),
        "short option minimum": total(
            max(one.short_minimum - one.scan - one.calendars.charge - one.delivery + one.credit, 0) for one in whole
        ),
    }
    add_ons = [AddOn(name, value * ratio, value) for name, value in charged.items()]
    risk = scanned + total(charged.values())
    maintenance, initial = total(one.maintenance for one in whole), total(one.initial for one in whole)
    add_ons.append(AddOn("initial ratio", scanned * (ratio - 1), 0))
    add_ons.append(AddOn("long options at most their value", initial - risk * ratio, maintenance - risk))
    add_ons.append(AddOn("net option value", required.initial - initial, required.maintenance - maintenance))
    return add_ons

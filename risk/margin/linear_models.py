"""Four simple models: positions margined alone, a part of net notional, net dollar delta, and static VaR.

The first is what portfolio margin is measured against; the others are what early venues did. Options count at their
marks in equity, so a requirement here is what an account needs beyond that value: formulas that are published with
the mark inside ("+ mark") are met by requirement + the mark of what is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from risk.margin import scan
from risk.margin.answer import AddOn, Assessment, CollateralAnswer, LegAnswer
from risk.margin.book import Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, total
from risk.margin.model import Assess, Header
from risk.margin.standing import Standing, standing
from risk.margin.valuing import Quoted
from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import DEFAULT, Table, at, only, real_of, table_of

CASH_NOT_ACCEPTED: Final = "cash not accepted"


@dataclass(frozen=True, slots=True)
class Sides:
    """A rate for initial margin and one for maintenance, parts of a price."""

    initial: float
    maintenance: float


# --- isolated --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IsolatedRules:
    """The published formulas' parameters, parts of the underlying's price."""

    option: float
    """initial: less what the option is out of the money"""
    option_least: float
    maintenance: float
    linear: Mapping[str, Sides]
    """futures and perps, by underlying"""
    haircuts: Mapping[str, Haircut]


def isolated(table: Table, header: Header) -> Assess:
    """Every position alone, options by the standard-margin formulas of Deribit. Raises TomlError.

    Of one option on an underlying at price U, mark m = value / U, out of the money by o = distance to the index / U:
    short call: initial max(option - o, option_least) + m, maintenance maintenance + m;
    short put: initial max(max(option - o, option_least) + m, its maintenance), maintenance max(maintenance,
    maintenance x m) + m. All times U; the mark of what is short is in equity already, so it is left out here. A long
    option needs its value: alone, it pays for nothing else; its maintenance leaves room for the buffer below that.
    """
    only(table, "", ("short_option", "linear", "haircuts"))
    short, path = table_of(table, "", "short_option"), "short_option"
    only(short, path, ("initial", "initial_least", "maintenance"))
    rules = IsolatedRules(
        option=real_of(short, path, "initial", 0, 1),
        option_least=real_of(short, path, "initial_least", 0, 1),
        maintenance=real_of(short, path, "maintenance", 0, 1),
        linear=_by_underlying(table, "linear"),
        haircuts=haircuts_of(table, ""),
    )

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        stands = standing(portfolio, market, rules.haircuts, fact)
        rows = [
            isolated_requirement(rules, quote, mark, one.quantity, market.settlement_price, fact)
            if one.quantity < 0 or one.instrument.kind != Kind.OPTION
            else (one.quantity * mark, one.quantity * mark / (1 + fact(header.buffer)))
            for one, quote, mark in zip(portfolio.positions, stands.quotes, stands.marks, strict=True)
        ]
        return _told(stands, total(one[0] for one in rows), total(one[1] for one in rows), portfolio)

    return assess


def isolated_requirement(
    rules: IsolatedRules, quote: Quoted, mark: Number, quantity: Number, settlement_price: float, fact: Fact
) -> tuple[Number, Number]:
    """Initial and maintenance margin of a position that is no long option, beyond the mark that equity holds."""
    one = quote.instrument
    price = fact(quote.forward / settlement_price)
    count = max(quantity, -quantity)
    if one.kind != Kind.OPTION:
        rates = rules.linear.get(one.underlying, rules.linear[DEFAULT])
        return count * price * fact(rates.initial), count * price * fact(rates.maintenance)
    distance = one.strike - quote.spot if one.call else quote.spot - one.strike
    out = fact(max(distance, 0.0) / settlement_price)
    initial = max(fact(rules.option) * price - out, fact(rules.option_least) * price)
    maintenance = fact(rules.maintenance) * price
    if not one.call:
        maintenance = max(maintenance, fact(rules.maintenance) * mark)
        initial = max(initial, maintenance)
    return count * initial, count * maintenance


# --- netted by underlying --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NettedRules:
    """Rates on a net exposure by underlying."""

    rates: Mapping[str, Sides]
    deltas: bool
    """options count with their delta; otherwise whole, a put as short of its underlying"""
    netting: bool
    """false: no position takes anything off another"""
    cash: bool
    """false: the settlement asset is no collateral, what there is of it counts nothing"""
    buffer: float
    """a long option's maintenance leaves room for it below the option's value"""
    haircuts: Mapping[str, Haircut]


def fixed_notional(table: Table, header: Header) -> Assess:
    """A fixed part of the net notional of each underlying; an option's is its underlying's price, with the sign of its
    delta. Raises TomlError."""
    return _netted(table, header, deltas=False)


def delta_netting(table: Table, header: Header) -> Assess:
    """The net dollar delta of each underlying times its scan. Raises TomlError."""
    return _netted(table, header, deltas=True)


def static_var(table: Table, header: Header) -> Assess:
    """A static VaR percentage of each position's dollar delta, without netting; the settlement asset is collateral only
    if the profile accepts it by name. Raises TomlError."""
    return _netted(table, header, deltas=True, netting=False, accepted=header.collateral)


def _netted(
    table: Table, header: Header, *, deltas: bool, netting: bool = True, accepted: Sequence[str] = ()
) -> Assess:
    only(table, "", ("rates", "haircuts"))
    rates, haircuts = _by_underlying(table, "rates"), haircuts_of(table, "")

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        cash = not accepted or market.settlement in accepted
        return _assessed(NettedRules(rates, deltas, netting, cash, header.buffer, haircuts), portfolio, market, fact)

    return assess


def _assessed(rules: NettedRules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    stands = standing(portfolio, market, rules.haircuts, fact)
    deltas = scan.deltas(stands.quotes)
    groups: dict[tuple[str, int], list[tuple[Number, Number]]] = {}
    for row, (position, quote) in enumerate(zip(portfolio.positions, stands.quotes, strict=True)):
        part = deltas[row] if rules.deltas else _sign(quote)
        exposure = position.quantity * fact(part * quote.forward / market.settlement_price)
        long_option = position.instrument.kind == Kind.OPTION and position.quantity > 0
        group = (position.instrument.underlying, 0 if rules.netting else row)
        groups.setdefault(group, []).append((exposure, position.quantity * stands.marks[row] if long_option else -1))
    initial: Number = 0
    maintenance: Number = 0
    for (name, _), its in groups.items():
        rates = rules.rates.get(name, rules.rates[DEFAULT])
        initial = initial + _least(its, fact(rates.initial), 1)
        maintenance = maintenance + _least(its, fact(rates.maintenance), 1 / (1 + fact(rules.buffer)))
    uncounted = fact(0.0) if rules.cash else max(portfolio.cash, fact(0.0))
    charges = () if rules.cash else (AddOn(CASH_NOT_ACCEPTED, uncounted, uncounted),)
    if uncounted:
        refused = CollateralAnswer(market.settlement, uncounted, uncounted, uncounted)
        stands = replace(stands, collateral=(*stands.collateral, refused))
    return _told(stands, initial, maintenance, portfolio, charges)


def _least(exposures: Sequence[tuple[Number, Number]], rate: Number, part: Number) -> Number:
    """The rate on the net exposure; or, where that is less, on the exposure without the long options, whose whole value
    may be lost instead: letting them go is always open to their owner. Pairs of exposure and a long option's value
    (otherwise -1); `part` of that value is needed.
    """
    net = total(one for one, _ in exposures)
    without = total(one for one, value in exposures if value < 0)
    values = total(value for _, value in exposures if value >= 0)
    return min(rate * max(net, -net), rate * max(without, -without) + values * part)


def _sign(quote: Quoted) -> float:
    return -1.0 if quote.instrument.kind == Kind.OPTION and not quote.instrument.call else 1.0


# --- all of them -----------------------------------------------------------------------------------------------------


def _told(
    stands: Standing, initial: Number, maintenance: Number, portfolio: Portfolio, charges: tuple[AddOn, ...] = ()
) -> Assessment:
    add_ons = (AddOn("positions", initial, maintenance), *charges, stands.haircut)
    return Assessment(
        initial=total(one.initial for one in add_ons),
        maintenance=total(one.maintenance for one in add_ons),
        equity=stands.equity,
        mark_to_market=stands.mark_to_market,
        legs=tuple(LegAnswer(row, stands.marks[row]) for row in range(len(portfolio.positions))),
        add_ons=add_ons,
        collateral=stands.collateral,
    )


def _by_underlying(table: Table, key: str) -> Mapping[str, Sides]:
    whole = table_of(table, "", key)
    names = (DEFAULT, *(one for one in whole if one != DEFAULT))
    return {name: _sides(table_of(whole, key, name), at(key, name)) for name in names}


def _sides(table: Table, path: str) -> Sides:
    only(table, path, ("initial", "maintenance"))
    return Sides(real_of(table, path, "initial", 0, 1), real_of(table, path, "maintenance", 0, 1))

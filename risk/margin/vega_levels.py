"""Vega's margin levels for futures and perps: search, initial and release over a maintenance margin in integers.

Each instrument is a market with a margin account of its own, so levels are of each instrument and add up. The
released surplus of one is another's only after it went back to the general account; that is settlement's business, not
margin's. The formulas are published in integers, so they are reckoned exactly in the float model too: only marks are
floats, rounded to units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from scipy.special import ndtr, ndtri

from risk.margin.answer import AddOn, Assessment, LegAnswer
from risk.margin.book import Instrument, Kind, Market, Order, Portfolio
from risk.margin.exact import Fact, Number, exactly, total
from risk.margin.model import Assess, Header
from risk.margin.standing import standing
from risk.margin.valuing import quoted
from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import DEFAULT, Fault, Table, TomlError, at, only, real_of, table_of, whole_of

_DIGITS: Final = 100_000
"""scaling factors count in steps of 1 / _DIGITS"""


class NotLinear(ValueError):  # noqa: N818 - named for what is found
    """An option: these levels are published for futures and perps alone."""


class RiskFactors(NamedTuple):
    """Parts of the mark, of one contract held long or short."""

    long: float
    short: float


class Levels(NamedTuple):
    """Margin levels, whole numbers of the asset's smallest unit."""

    maintenance: int
    search: int
    initial: int
    release: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """What search, initial and release are of maintenance."""

    search: Fraction
    initial: Fraction
    release: Fraction


@dataclass(frozen=True, slots=True)
class VegaRules:
    """A profile's keys."""

    factors: Mapping[str, tuple[Fraction, Fraction]]
    """long and short"""
    slippage: Mapping[str, Fraction]
    """part of the mark that closing costs"""
    funding: Fraction
    """part of the funding payment, perps"""
    scaling: Scaling
    decimals: int
    """of the settlement asset's smallest unit"""
    haircuts: Mapping[str, Haircut]


def risk_factors(breach: float, tau: float, sigma: float, mu: float = 0.0) -> RiskFactors:
    """Expected shortfall of a lognormal price at probability `breach`, over `tau` years.

    With s = sigma sqrt(tau), z = Phi^-1(breach): long 1 - e^(mu tau) Phi(z - s) / breach, short e^(mu tau) Phi(z + s) /
    breach - 1.
    """
    deviation, quantile, growth = sigma * math.sqrt(tau), float(ndtri(breach)), math.exp(mu * tau)
    return RiskFactors(
        1.0 - growth * float(ndtr(quantile - deviation)) / breach,
        growth * float(ndtr(quantile + deviation)) / breach - 1.0,
    )


def maintenance_of(
    position: Number,
    buys: Number,
    sells: Number,
    mark: Number,
    factors: tuple[Number, Number],
    slippage: Number,
    funding: Number = 0,
) -> int:
    """The maintenance margin of a position with its orders, rounded up.

    `position` is signed, `buys` and `sells` are not; `mark` is of one contract in the smallest unit; `factors` are long
    and short; `funding` is the part of the payment that counts, in the smallest unit.
    """
    long = max(position, 0) * mark * (slippage + factors[0]) + buys * mark * factors[0]
    short = max(-position, 0) * mark * (slippage + factors[1]) + sells * mark * factors[1]
    return math.ceil(max(long, short) + max(funding, 0))


def levels(maintenance: int, scaling: Scaling) -> Levels:
    """The levels over a maintenance margin, each rounded down; its factor first, to five decimals."""
    search, initial, release = (
        maintenance * math.floor(one * _DIGITS) // _DIGITS for one in (scaling.search, scaling.initial, scaling.release)
    )
    return Levels(maintenance, search, initial, release)


def vega_levels(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """The model: the initial level is initial margin (its orders included), maintenance that of the position alone, as
    a closeout cancels orders first. Raises TomlError."""
    rules = _read(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assessed(rules, portfolio, market, fact)

    return assess


def _assessed(rules: VegaRules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    named = [one.instrument for one in portfolio.positions] + [one.instrument for one in portfolio.orders]
    for instrument in named:
        if instrument.kind == Kind.OPTION:
            raise NotLinear(f"{instrument.underlying} option: these levels are of futures and perps")
    stands = standing(portfolio, market, rules.haircuts, fact)
    unit = 10**rules.decimals
    alone: list[int] = []
    ordered: list[Levels] = []
    for instrument in dict.fromkeys(named):
        net = total(one.quantity for one in portfolio.positions if one.instrument == instrument)
        owed = total(-one.funding for one in portfolio.positions if one.instrument == instrument)
        mark = Fraction(round(quoted(instrument, market).forward / market.settlement_price * unit))
        factors = rules.factors.get(instrument.underlying, rules.factors[DEFAULT])
        slippage = rules.slippage.get(instrument.underlying, rules.slippage[DEFAULT])
        funding = owed * unit * rules.funding if instrument.kind == Kind.PERP else 0
        alone.append(maintenance_of(net, 0, 0, mark, factors, slippage, funding))
        buys, sells = _orders(portfolio.orders, instrument)
        ordered.append(levels(maintenance_of(net, buys, sells, mark, factors, slippage, funding), rules.scaling))
    maintenance = Fraction(sum(alone), unit)
    whole = Levels(*(sum(one[level] for one in ordered) for level in range(len(Levels._fields))))
    initial = Fraction(whole.initial, unit)
    add_ons = (AddOn("positions and orders", initial, maintenance), stands.haircut)
    told = ", ".join(f"{name} {value / unit:.{rules.decimals}f}" for name, value in whole._asdict().items())
    return Assessment(
        initial=initial + stands.haircut.initial,
        maintenance=maintenance + stands.haircut.maintenance,
        equity=stands.equity,
        mark_to_market=stands.mark_to_market,
        legs=tuple(LegAnswer(row, mark) for row, mark in enumerate(stands.marks)),
        add_ons=add_ons,
        collateral=stands.collateral,
        notes=(f"levels with orders: {told}",) if named else (),
    )


def _orders(orders: Sequence[Order], instrument: Instrument) -> tuple[Number, Number]:
    """Bought and sold by pending orders, both positive."""
    here = [one.quantity for one in orders if one.instrument == instrument]
    return total(one for one in here if one > 0), total(-one for one in here if one < 0)


def _read(table: Table) -> VegaRules:
    only(table, "", ("underlyings", "scaling", "funding_factor", "decimals", "haircuts"))
    whole = table_of(table, "", "underlyings")
    factors: dict[str, tuple[Fraction, Fraction]] = {}
    slippage: dict[str, Fraction] = {}
    for name in (DEFAULT, *(one for one in whole if one != DEFAULT)):
        one, path = table_of(whole, "underlyings", name), at("underlyings", name)
        only(one, path, ("breach", "tau", "sigma", "mu", "slippage"))
        breach = real_of(one, path, "breach", 0, 0.5)
        if breach == 0:
            raise TomlError(Fault.OUT_OF_RANGE, at(path, "breach"), "0 is never breached")
        tau, sigma = real_of(one, path, "tau", 0, 10), real_of(one, path, "sigma", 0, 10)
        read = risk_factors(breach, tau, sigma, real_of(one, path, "mu", -10, 10, 0.0, signed=True))
        factors[name] = (exactly(read.long), exactly(read.short))
        slippage[name] = exactly(real_of(one, path, "slippage", 0, 1))
    table_scaling = table_of(table, "", "scaling")
    only(table_scaling, "scaling", ("search", "initial", "release"))
    steps = [exactly(real_of(table_scaling, "scaling", key, 1, 100)) for key in ("search", "initial", "release")]
    if not 1 < steps[0] < steps[1] < steps[2]:
        raise TomlError(Fault.OUT_OF_RANGE, "scaling", "1 < search < initial < release is needed")
    return VegaRules(
        factors=factors,
        slippage=slippage,
        funding=exactly(real_of(table, "", "funding_factor", 0, 10)),
        scaling=Scaling(*steps),
        decimals=whole_of(table, "", "decimals", 0, 18),
        haircuts=haircuts_of(table, ""),
    )

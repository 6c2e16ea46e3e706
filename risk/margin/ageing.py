"""What old surfaces, curves and correlations do to an answer, where a profile states limits of age.

They lose confidence, which widens moves in the models that weigh it, and past their limit no new risk is taken on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from risk.margin.answer import Assessment
from risk.margin.book import Instrument, Kind, Market, Portfolio, Underlying
from risk.margin.exact import Fact
from risk.margin.model import Assess
from risk.surface.ages import BadLimits, Limits, State, Widening, both_ways, checked, widened, widest
from schemas.strict import Fault, Table, TomlError, at, only, real_of, table_of
from schemas.units import format_time

MOST_HOURS = 87_600.0


@dataclass(frozen=True, slots=True)
class Ages:
    """A profile's limits."""

    surfaces: Limits
    """what is lost is of an expiry's volatility confidence"""
    curves: Limits
    """of the confidences of its forward and its rate"""
    correlations: Limits


def read_ages(whole: Table) -> Ages | None:
    """The profile's table `ages`; None where it has none: ages do nothing then. Raises TomlError."""
    if "ages" not in whole:
        return None
    table = table_of(whole, "", "ages")
    only(table, "ages", ("surfaces", "curves", "correlations"))
    return Ages(*(_limits(table, key) for key in ("surfaces", "curves", "correlations")))


def _limits(table: Table, key: str) -> Limits:
    one, where = table_of(table, "ages", key), at("ages", key)
    only(one, where, ("fresh", "stopped", "most"))
    limits = Limits(
        real_of(one, where, "fresh", 0, MOST_HOURS),
        real_of(one, where, "stopped", 0, MOST_HOURS),
        real_of(one, where, "most", 0, 1),
    )
    try:
        return checked(limits)
    except BadLimits as error:
        raise TomlError(Fault.OUT_OF_RANGE, where, str(error)) from None


def with_ages(assess: Assess, ages: Ages | None) -> Assess:
    """The model in a market that has aged. Old correlations are moved both ways, and the larger initial margin stands.

    `new_risk` is False, and a note says why, where something that the book or its orders rest on is past its limit.
    """
    if ages is None:
        return assess

    def aged(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        older = replace(market, underlyings={symbol: _older(one, ages) for symbol, one in market.underlyings.items()})
        answers = [assess(portfolio, older, fact)]
        apart = _correlations(portfolio, market, ages)
        if apart.part > 0.0:
            moved = (replace(older, correlations=one) for one in both_ways(market.correlations, apart.part))
            # as they are they count too: what leans on a negative one is dearest there
            answers += [assess(portfolio, one, fact) for one in moved]
        told = [*_told(portfolio, market, ages), ("correlations", market.correlations_age, apart)]
        worse = max(answers, key=lambda one: (one.initial, one.maintenance))
        notes = tuple(_note(*one) for one in told if one[2].state != State.FRESH)
        return replace(worse, notes=(*worse.notes, *notes), new_risk=widest(one for _, _, one in told).new_risk)

    return aged


def _older(one: Underlying, ages: Ages) -> Underlying:
    expiries = {}
    for time, expiry in one.expiries.items():
        curve = 1.0 - widened(expiry.curve_age, ages.curves).part
        surface = 1.0 - widened(expiry.surface_age, ages.surfaces).part
        expiries[time] = replace(
            expiry,
            confidence=expiry.confidence * curve,
            rate_confidence=expiry.rate_confidence * curve,
            volatility_confidence=expiry.volatility_confidence * surface,
        )
    return replace(one, expiries=expiries)


def _told(portfolio: Portfolio, market: Market, ages: Ages) -> Iterator[tuple[str, float, Widening]]:
    """What each expiry of the book and of its orders rests on: name, age, what that does."""
    traded = _traded(portfolio)
    for symbol, time in sorted({(one.underlying, one.expiry) for one in traded if one.kind != Kind.PERP}):
        expiry = market.underlyings[symbol].expiries[time]
        name = f"{symbol} {format_time(time)[:10]}"
        yield f"{name}: curve", expiry.curve_age, widened(expiry.curve_age, ages.curves)
        if any(one.kind == Kind.OPTION and (one.underlying, one.expiry) == (symbol, time) for one in traded):
            yield f"{name}: surface", expiry.surface_age, widened(expiry.surface_age, ages.surfaces)


def _correlations(portfolio: Portfolio, market: Market, ages: Ages) -> Widening:
    symbols = sorted({one.underlying for one in _traded(portfolio)} | _moved_by(portfolio, market))
    if any(pair in market.correlations for pair in combinations(symbols, 2)):
        return widened(market.correlations_age, ages.correlations)
    return Widening(State.FRESH, 0.0)


def _traded(portfolio: Portfolio) -> Sequence[Instrument]:
    return [*(one.instrument for one in portfolio.positions), *(one.instrument for one in portfolio.orders)]


def _moved_by(portfolio: Portfolio, market: Market) -> set[str]:
    quotes = (market.assets.get(one.asset) for one in portfolio.collateral)
    return {one.offsets for one in quotes if one is not None and one.offsets is not None}


def _note(name: str, age: float, widening: Widening) -> str:
    stop = "" if widening.new_risk else "; no new risk"
    return f"{name} {age / 3_600:.1f} h old, {widening.part:.1%} widened{stop}"

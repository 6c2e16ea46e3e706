"""Monte Carlo margin: value at risk or expected shortfall of Student t moves, at the end or at paths' worst points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from risk.margin.answer import Assessment
from risk.margin.book import Expiry, Market, Portfolio
from risk.margin.exact import Fact
from risk.margin.model import Assess, Header
from risk.margin.sampled import Measure, Sample, assessed, years_of
from risk.margin.valuing import smile_volatility
from risk.margin.worth import haircuts_of
from risk.simulation.copula import factor
from risk.simulation.draws import Plan, draws
from risk.simulation.filtering import ewma_variance
from risk.simulation.paths import Returns, Smile, states
from schemas.strict import (
    DEFAULT,
    Fault,
    Table,
    TomlError,
    at,
    only,
    real_of,
    table_of,
    text_of,
    value_of,
    whole_of,
)

MEASURES: Final = ("breach", "shortfall")
MARKET: Final = "market"
"""the regime that is the market's own correlations"""
SOURCES: Final = ("history", "implied", "stated")
_DAYS: Final = 365.0
_KEYS: Final = ("simulation", "volatility", "smile", "correlation", "underlyings", "haircuts")
_SIMULATION: Final = (
    "measure",
    "maintenance_confidence",
    "paths",
    "steps",
    "seed",
    "draws",
    "tilt",
    "degrees",
    "returns",
    "largest_move",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a Monte Carlo profile says."""

    measure: Measure
    plan: Plan
    steps: int
    """1: the end alone; more: the worst of so many points on the way"""
    smile: Smile
    returns: Returns
    sources: tuple[str, ...]
    """of an underlying's volatility, the first that there is"""
    decay: float
    """a day's, of the volatility that history gives"""
    stated: Mapping[str, float]
    """volatility a year"""
    regime: str
    regimes: Mapping[str, Mapping[tuple[str, str], float]]
    missing: Mapping[str, float]
    """by regime: the correlation of pairs that it does not name"""


def monte_carlo(table: Table, header: Header) -> Assess:
    """The model of simulated moves over the margin period. Raises TomlError."""
    only(table, "", _KEYS)
    rules = _rules(table, header)
    haircuts = haircuts_of(table, "")
    years = years_of(header.period.days)
    if not years > 0.0:
        raise TomlError(Fault.OUT_OF_RANGE, "margin_period", "nothing moves in no time")

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return assessed(portfolio, market, fact, sample(rules, market, years), rules.measure, haircuts)

    return assess


def sample(rules: Rules, market: Market, years: float) -> Sample:
    """The states that rules draw for a market; they depend on no portfolio. Raises BadDraws, BadCorrelation."""
    names = tuple(sorted(market.underlyings))
    found = [_volatility(rules, market, name, years) for name in names]
    own = market.correlations if rules.regime == MARKET else rules.regimes[rules.regime]
    loadings = factor(names, own, rules.missing[rules.regime])
    drawn = draws(rules.plan, 2 * len(names), rules.steps)
    simulated = states(drawn, loadings, np.array([value for value, _ in found]), years, rules.smile, rules.returns)
    law = f"Student t of {rules.plan.degrees:g} degrees" if rules.plan.degrees else "normal law"
    points = f"worst of {rules.steps} points on each path" if rules.steps > 1 else "end of the margin period"
    notes = [
        f"{rules.plan.paths} paths, seed {rules.plan.seed}, {law}, {points}",
        "volatility a year: " + ", ".join(f"{n} {v:.4g} ({s})" for n, (v, s) in zip(names, found, strict=True)),
        f"correlations: {rules.regime}; a perp and every future move as their underlying does",
    ]
    if loadings.moved:
        notes.append(f"the correlations contradict each other: changed by up to {loadings.moved:.2g}")
    if market.history is not None and market.history.proxy and any(source == "history" for _, source in found):
        notes.append(f"implied volatility in history: {market.history.proxy}")
    return Sample(names, simulated, lambda path: f"path-{path}", tuple(notes))


def _volatility(rules: Rules, market: Market, name: str, years: float) -> tuple[float, str]:
    """Of an underlying a year, and where it comes from."""
    for source in rules.sources:
        history = market.history
        if source == "history" and history is not None and name in history.underlyings and len(history.returns):
            moves = history.returns[:, history.underlyings.index(name)]
            return math.sqrt(_DAYS * float(ewma_variance(moves, rules.decay)[-1])), source
        if source == "implied":
            expiry = _nearest(market, name, years)
            if expiry is not None:
                return smile_volatility(expiry, expiry.forward), source
        if source == "stated":
            break
    return rules.stated.get(name, rules.stated[DEFAULT]), "stated"


def _nearest(market: Market, name: str, years: float) -> Expiry | None:
    """The first expiry with a smile that outlives the margin period."""
    for time, expiry in sorted(market.underlyings[name].expiries.items()):
        if expiry.smile and time > market.time and years_of((time - market.time) / 86_400_000_000) >= years:
            return expiry
    return None


def _rules(table: Table, header: Header) -> Rules:
    own, where = table_of(table, "", "simulation"), "simulation"
    only(own, where, _SIMULATION)
    smile = table_of(table, "", "smile")
    only(smile, "smile", ("leverage", "volatility", "widest", "term_power"))
    volatility = table_of(table, "", "volatility")
    only(volatility, "volatility", ("sources", "decay"))
    widest = real_of(smile, "smile", "widest", 1.0, 20.0)
    regime, regimes, missing = _regimes(table)
    degrees = real_of(own, where, "degrees", 0, 1_000)
    if 0 < degrees <= 2:
        raise TomlError(Fault.OUT_OF_RANGE, at(where, "degrees"), f"{degrees:g}: above 2, or 0 for the normal law")
    paths = whole_of(own, where, "paths", 100, 200_000)
    if paths % 2:
        raise TomlError(Fault.OUT_OF_RANGE, at(where, "paths"), f"{paths} is odd: every path has its mirror image")
    return Rules(
        measure=Measure(
            shortfall=_one_of(own, where, "measure", MEASURES) == "shortfall",
            initial=share_of(header.confidence),
            maintenance=share_of(real_of(own, where, "maintenance_confidence", 0.5, 0.999999)),
            term_power=real_of(smile, "smile", "term_power", 0, 1),
            widest=widest,
        ),
        plan=Plan(
            paths=paths,
            seed=whole_of(own, where, "seed", 0, 2**63 - 1),
            degrees=degrees,
            quasi=_one_of(own, where, "draws", ("quasi", "random")) == "quasi",
            tilt=real_of(own, where, "tilt", 1, 10),
        ),
        steps=whole_of(own, where, "steps", 1, 256),
        smile=Smile(
            leverage=real_of(smile, "smile", "leverage", -1, 1, signed=True),
            volatility=real_of(smile, "smile", "volatility", 0, 20),
            widest=widest,
        ),
        returns=Returns(
            _one_of(own, where, "returns", ("simple", "log")) == "log",
            real_of(own, where, "largest_move", 0.1, 100),
        ),
        sources=_sources(volatility),
        decay=real_of(volatility, "volatility", "decay", 0.5, 0.9999),
        stated=_stated(table),
        regime=regime,
        regimes=regimes,
        missing=missing,
    )


def share_of(confidence: float) -> Fraction:
    """The tail beyond a confidence, as it is written in decimals: 1/100 beyond 0.99."""
    return 1 - Fraction(repr(confidence))


def _one_of(table: Table, path: str, key: str, known: tuple[str, ...]) -> str:
    value = text_of(table, path, key)
    if value not in known:
        raise TomlError(Fault.UNKNOWN_KIND, at(path, key), f"{value!r}; known are {', '.join(known)}")
    return value


def _sources(table: Table) -> tuple[str, ...]:
    values = value_of(table, "volatility", "sources")
    if not isinstance(values, list):
        raise TomlError(Fault.WRONG_TYPE, "volatility.sources", "not an array")
    return tuple(_one_of({str(n): one}, "volatility.sources", str(n), SOURCES) for n, one in enumerate(values))


def _stated(table: Table) -> dict[str, float]:
    whole, read = table_of(table, "", "underlyings"), {}
    for name in (DEFAULT, *(name for name in whole if name != DEFAULT)):
        one, where = table_of(whole, "underlyings", name), at("underlyings", name)
        only(one, where, ("volatility",))
        read[name] = real_of(one, where, "volatility", 0, 20)
    return read


def _regimes(table: Table) -> tuple[str, dict[str, dict[tuple[str, str], float]], dict[str, float]]:
    own, where = table_of(table, "", "correlation"), "correlation"
    only(own, where, ("regime", "missing", "regimes"))
    regimes: dict[str, dict[tuple[str, str], float]] = {}
    missing = {MARKET: real_of(own, where, "missing", -1, 1, signed=True)}
    for name, pairs in table_of(own, where, "regimes").items():
        path = f"{where}.regimes.{name}"
        if not isinstance(pairs, dict) or name == MARKET:
            raise TomlError(Fault.WRONG_TYPE, path, f"a table of pairs, not called {MARKET}")
        missing[name] = real_of(pairs, path, DEFAULT, -1, 1, signed=True)
        regimes[name] = {}
        for pair in pairs:
            one, slash, other = pair.partition("/")
            if pair == DEFAULT:
                continue
            if not (one and slash and other) or one == other:
                raise TomlError(Fault.UNKNOWN_KEY, at(path, pair), "a pair is written BTC/ETH")
            if (other, one) in regimes[name]:
                raise TomlError(Fault.SAME_PAIR, at(path, pair), "in the other order")
            regimes[name][one, other] = real_of(pairs, path, pair, -1, 1, signed=True)
    return _one_of(own, where, "regime", tuple(missing)), regimes, missing

"""Historical margin: what past days' moves would do to the portfolio, as they were or rescaled to volatility now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from risk.margin.answer import Assessment
from risk.margin.book import FloatArray, History, Market, Portfolio
from risk.margin.exact import Fact
from risk.margin.model import Assess, Header
from risk.margin.sampled import Measure, Sample, assessed
from risk.margin.simulated import MEASURES, share_of
from risk.margin.worth import haircuts_of
from risk.simulation.filtering import ewma_variance, garch_variance
from risk.simulation.paths import LOWEST, States
from schemas.strict import Fault, Table, TomlError, at, only, real_of, table_of, text_of, whole_of
from schemas.units import format_time

_KEYS: Final = ("history", "filter", "haircuts")
_LEAST_MOVE: Final = -0.95
"""no implied volatility falls by more of itself in a state"""


class NoHistory(ValueError):  # noqa: N818 - named for what is missing
    """A market without history, or without an underlying's: says which."""


class HistoryTooShort(ValueError):  # noqa: N818
    """Fewer days than the confidence needs to be told from the worst day of all."""


@dataclass(frozen=True, slots=True)
class Filter:
    """How moves are rescaled to the volatility of now."""

    kind: str
    """none, ewma or garch"""
    decay: float
    """ewma: a day's"""
    alpha: float
    beta: float
    """garch: of the last move and of the last variance"""
    settling: int
    """first days of the history that only teach the filter"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a historical profile says."""

    measure: Measure
    overlapping: bool
    """moves over the margin period in whole days, overlapping; otherwise one day's times the root of the period"""
    days: float
    lookback: int
    filter: Filter


def historical(table: Table, header: Header) -> Assess:
    """The model of past moves over the margin period. Raises TomlError."""
    only(table, "", _KEYS)
    rules = _rules(table, header)
    haircuts = haircuts_of(table, "")

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return assessed(portfolio, market, fact, sample(rules, market), rules.measure, haircuts)

    return assess


def sample(rules: Rules, market: Market) -> Sample:
    """The states that a market's own history makes; they depend on no portfolio. Raises NoHistory, HistoryTooShort."""
    history = market.history
    names = tuple(sorted(market.underlyings))
    if history is None:
        raise NoHistory("the market has no history: this profile draws its states from one")
    missing = [name for name in names if name not in history.underlyings]
    if missing:
        raise NoHistory(f"history has no underlyings.{missing[0]}")
    columns = [history.underlyings.index(name) for name in names]
    moves, settled = history.returns[:, columns], rules.filter.settling if rules.filter.kind != "none" else 0
    volatilities = np.log1p(np.maximum(history.volatility_moves[:, columns], _LEAST_MOVE))
    first = max(len(moves) - rules.lookback, 0)
    moves, volatilities, times = moves[first:], volatilities[first:], history.times[first:]
    span = max(1, math.ceil(rules.days)) if rules.overlapping else 1
    needed = math.ceil(1 / min(rules.measure.initial, rules.measure.maintenance)) + settled + span - 1
    if len(moves) < needed:
        raise HistoryTooShort(f"history of {len(moves)} days: {needed} are needed")
    prices, scaled = (
        np.log(np.maximum(_filtered(moves, rules.filter), LOWEST) + 1.0),
        _filtered(volatilities, rules.filter),
    )
    return Sample(
        names,
        States(
            np.exp(_over(prices[settled:], span, rules)).T[:, None, :],
            np.ascontiguousarray(_over(scaled[settled:], span, rules).T[:, None, :]),
            np.array([rules.days / 365.0]),
            np.ones(len(moves) - settled - span + 1, np.int64),
        ),
        lambda path: f"day-{format_time(int(times[settled + span - 1 + path]))[:10]}",
        _notes(rules, history, len(moves) - settled - span + 1, span),
    )


def _filtered(moves: FloatArray, by: Filter) -> FloatArray:
    """Moves times the volatility expected of tomorrow over that expected of their own day by the days before it."""
    if by.kind == "none":
        return moves
    scaled = np.empty_like(moves)
    for column in range(moves.shape[1]):
        own = moves[:, column]
        variance = ewma_variance(own, by.decay) if by.kind == "ewma" else garch_variance(own, by.alpha, by.beta)
        # a column that never moved (no implied volatility is known) has nothing to rescale
        ratio = np.divide(variance[-1], variance[:-1], out=np.ones(len(own)), where=variance[:-1] > 0.0)
        scaled[:, column] = own * np.sqrt(ratio)
    return scaled


def _over(logarithms: FloatArray, span: int, rules: Rules) -> FloatArray:
    """Moves over the margin period, as logarithms."""
    if rules.overlapping:
        sums = np.cumsum(np.vstack([np.zeros((1, logarithms.shape[1])), logarithms]), axis=0)
        windows: FloatArray = sums[span:] - sums[:-span]
        return windows
    return logarithms * math.sqrt(rules.days)


def _notes(rules: Rules, history: History, states: int, span: int) -> tuple[str, ...]:
    own = rules.filter.kind
    period = f"{span} whole days" if rules.overlapping else f"{rules.days:g} days by the root of time"
    rescaled = "as they were" if own == "none" else f"rescaled to today's volatility by {own}"
    notes = [f"{states} moves of the past over {period}, {rescaled}"]
    if history.proxy:
        notes.append(f"implied volatility in history: {history.proxy}")
    elif not np.any(history.volatility_moves):
        notes.append("the history knows no move of implied volatility: options keep theirs")
    notes.append("no basis risk: a perp and every future move as their underlying does")
    return tuple(notes)


def _rules(table: Table, header: Header) -> Rules:
    own, where = table_of(table, "", "history"), "history"
    only(own, where, ("measure", "maintenance_confidence", "horizon", "term_power", "widest"))
    measure, horizon = text_of(own, where, "measure"), text_of(own, where, "horizon")
    for key, value, known in (("measure", measure, MEASURES), ("horizon", horizon, ("overlapping", "root"))):
        if value not in known:
            raise TomlError(Fault.UNKNOWN_KIND, at(where, key), f"{value!r}; known are {', '.join(known)}")
    if header.lookback < 1:
        raise TomlError(Fault.OUT_OF_RANGE, "lookback", "a model of the past looks back at least a day")
    return Rules(
        measure=Measure(
            shortfall=measure == "shortfall",
            initial=share_of(header.confidence),
            maintenance=share_of(real_of(own, where, "maintenance_confidence", 0.5, 0.999999)),
            term_power=real_of(own, where, "term_power", 0, 1),
            widest=real_of(own, where, "widest", 1, 20),
        ),
        overlapping=horizon == "overlapping",
        days=header.period.days,
        lookback=header.lookback,
        filter=_filter(table),
    )


def _filter(table: Table) -> Filter:
    own = table_of(table, "", "filter")
    kind = text_of(own, "filter", "kind")
    known = {"none": (), "ewma": ("decay", "settling"), "garch": ("alpha", "beta", "settling")}
    if kind not in known:
        raise TomlError(Fault.UNKNOWN_KIND, "filter.kind", f"{kind!r}; known are {', '.join(known)}")
    only(own, "filter", ("kind", *known[kind]))
    alpha = real_of(own, "filter", "alpha", 0, 1) if kind == "garch" else 0.0
    beta = real_of(own, "filter", "beta", 0, 1) if kind == "garch" else 0.0
    if alpha + beta >= 1.0:
        raise TomlError(Fault.OUT_OF_RANGE, "filter.alpha", "alpha and beta together stay below 1")
    return Filter(
        kind=kind,
        decay=real_of(own, "filter", "decay", 0.5, 0.9999) if kind == "ewma" else 0.0,
        alpha=alpha,
        beta=beta,
        settling=0 if kind == "none" else whole_of(own, "filter", "settling", 0, 1_000),
    )

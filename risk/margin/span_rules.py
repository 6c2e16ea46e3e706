"""A SPAN profile's own keys: scan ranges, tiers, spread tables, delivery charges, and how they are counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from risk.margin.book import History
from risk.margin.span_requirement import Weighting
from risk.margin.span_spreads import Method, Side
from risk.margin.worth import Haircut, haircuts_of
from risk.scenarios import Scenario, span16
from schemas.strict import (
    DEFAULT,
    Fault,
    Table,
    TomlError,
    at,
    flag_of,
    only,
    real_of,
    table_of,
    text_of,
    value_of,
)

_MOST_DAYS = 100_000.0


@dataclass(frozen=True, slots=True)
class Ranges:
    """One underlying's scan ranges and short-option minimum."""

    price: float
    """part of the price; with FromHistory the least"""
    volatility: float
    """part of the volatility"""
    volatility_least: float
    """volatility moves by no less: 0.04 is 4 points"""
    short_option: float
    """part of the spot, of each short option"""


@dataclass(frozen=True, slots=True)
class FromHistory:
    """Scan ranges that follow an exponentially weighted volatility of daily returns."""

    decay: float
    deviations: float
    days: float
    """price scan range: deviations x volatility of a day x sqrt(days)"""


@dataclass(frozen=True, slots=True)
class SpreadRow:
    """A line of a spread table. A leg stands in a tier (calendar) or an underlying (credit)."""

    underlying: str
    """a calendar spread's; DEFAULT: of those that have none of their own"""
    legs: tuple[tuple[str, Side, float], ...]
    rate: float
    method: Method
    per_month: float


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """Parts of the price, of each delta of a month that ends within `days`."""

    days: float
    spread: float
    outright: float


@dataclass(frozen=True, slots=True)
class SpanRules:
    """The whole of it."""

    scenarios: tuple[Scenario, ...]
    look_ahead: float
    """days that pass before everything is revalued"""
    deviations: float
    """standard deviations in a price scan range: the weights of the composite delta's seven prices"""
    dollars: bool
    """spreads count dollar deltas; otherwise contracts"""
    options_in_equity: bool
    initial_ratio: float
    weighting: Weighting
    larger_side: bool
    underlyings: Mapping[str, Ranges]
    tiers: tuple[tuple[str, float], ...]
    """name and last day, nearest first"""
    calendars: tuple[SpreadRow, ...]
    credits: tuple[SpreadRow, ...]
    delivery: DeliveryRow | None
    from_history: FromHistory | None
    haircuts: Mapping[str, Haircut] = field(default_factory=dict)

    def ranges(self, underlying: str, history: History | None) -> tuple[Ranges, str]:
        """The scan ranges in force, and a note where history was asked for and is not there."""
        stated = self.underlyings.get(underlying, self.underlyings[DEFAULT])
        rule = self.from_history
        if rule is None:
            return stated, ""
        if history is None or underlying not in history.underlyings or not len(history.returns):
            return stated, f"{underlying}: no history, the least scan range stands"
        returns = history.returns[:, history.underlyings.index(underlying)]
        weights = rule.decay ** np.arange(len(returns) - 1, -1, -1)
        daily = math.sqrt(float(np.average(returns * returns, weights=weights)))
        return (
            Ranges(
                price=max(rule.deviations * daily * math.sqrt(rule.days), stated.price),
                volatility=0.0,
                volatility_least=max(stated.volatility * daily * math.sqrt(365.0), stated.volatility_least),
                short_option=stated.short_option,
            ),
            "",
        )

    def calendars_of(self, underlying: str) -> tuple[SpreadRow, ...]:
        """The calendar spreads of an underlying, in priority order."""
        own = tuple(one for one in self.calendars if one.underlying == underlying)
        return own or tuple(one for one in self.calendars if one.underlying == DEFAULT)

    def tier(self, days: float) -> str:
        """The tier of a contract month so many days ahead; past the last one, none."""
        return next((name for name, last in self.tiers if days <= last), "")


def read_rules(table: Table) -> SpanRules:
    """The profile's keys. Raises TomlError."""
    keys = ("grid", "look_ahead", "deviations", "deltas", "options_in_equity", "initial_ratio", "weighting")
    more = ("short_options", "underlyings", "tiers", "calendars", "credits", "delivery", "from_history", "haircuts")
    only(table, "", keys + more)
    grid = table_of(table, "", "grid")
    only(grid, "grid", ("extreme_multiple", "extreme_weight"))
    weight = real_of(grid, "grid", "extreme_weight", 0, 1)
    if weight == 0:
        raise TomlError(Fault.OUT_OF_RANGE, "grid.extreme_weight", "0: some of an extreme loss counts")
    tiers = _tiers(table)
    names = tuple(name for name, _ in tiers)
    return SpanRules(
        scenarios=span16(real_of(grid, "grid", "extreme_multiple", 1, 10), weight),
        look_ahead=real_of(table, "", "look_ahead", 0, 30),
        deviations=real_of(table, "", "deviations", 0.1, 10),
        dollars=_one_of(table, "", "deltas", ("dollars", "contracts")) == "dollars",
        options_in_equity=flag_of(table, "", "options_in_equity"),
        initial_ratio=real_of(table, "", "initial_ratio", 1, 10),
        weighting=Weighting(_one_of(table, "", "weighting", tuple(Weighting))),
        larger_side=_one_of(table, "", "short_options", ("gross", "larger")) == "larger",
        underlyings=_underlyings(table),
        tiers=tiers,
        calendars=tuple(
            _row(one, path, "tier", names, (Method.FLAT, Method.PER_MONTH))
            for path, one in _rows(table, "calendars", needed=True)
        ),
        credits=tuple(_row(one, path, "underlying", None, tuple(Method)) for path, one in _rows(table, "credits")),
        delivery=_delivery(table),
        from_history=_from_history(table),
        haircuts=haircuts_of(table, ""),
    )


def _underlyings(table: Table) -> Mapping[str, Ranges]:
    whole = table_of(table, "", "underlyings")
    read: dict[str, Ranges] = {}
    for name in (DEFAULT, *(one for one in whole if one != DEFAULT)):
        path = at("underlyings", name)
        one = table_of(whole, "underlyings", name)
        only(one, path, ("price_scan", "volatility_scan", "volatility_least", "short_option_minimum"))
        price = real_of(one, path, "price_scan", 0, 1)
        if price == 0:
            raise TomlError(Fault.OUT_OF_RANGE, at(path, "price_scan"), "0 scans nothing")
        read[name] = Ranges(
            price=price,
            volatility=real_of(one, path, "volatility_scan", 0, 10),
            volatility_least=real_of(one, path, "volatility_least", 0, 10, 0.0),
            short_option=real_of(one, path, "short_option_minimum", 0, 1, 0.0),
        )
    return read


def _tiers(table: Table) -> tuple[tuple[str, float], ...]:
    read: list[tuple[str, float]] = []
    for path, one in _rows(table, "tiers", needed=True):
        only(one, path, ("name", "to_days"))
        last = real_of(one, path, "to_days", 0, _MOST_DAYS)
        if read and last <= read[-1][1]:
            raise TomlError(Fault.OUT_OF_RANGE, at(path, "to_days"), "tiers stand nearest first")
        name = text_of(one, path, "name")
        if name in (each for each, _ in read):
            raise TomlError(Fault.SAME_PAIR, at(path, "name"), f"{name!r} is another tier's")
        read.append((name, last))
    return tuple(read)


def _row(one: Table, path: str, where: str, known: tuple[str, ...] | None, methods: tuple[Method, ...]) -> SpreadRow:
    only(
        one,
        path,
        ("underlying", "legs", "rate", "method", "per_month")
        if where == "tier"
        else ("legs", "rate", "method", "per_month"),
    )
    legs: list[tuple[str, Side, float]] = []
    for inner, leg in _rows(one, "legs", needed=True, path=path):
        only(leg, inner, (where, "side", "ratio"))
        name = text_of(leg, inner, where)
        if known is not None and name not in known:
            raise TomlError(Fault.UNKNOWN_KIND, at(inner, where), f"{name!r}; known are {', '.join(known)}")
        side = Side(_one_of(leg, inner, "side", tuple(Side)))
        if (name, side) in [(other, its) for other, its, _ in legs]:
            raise TomlError(Fault.SAME_PAIR, inner, f"{name} stands twice on side {side}")
        ratio = real_of(leg, inner, "ratio", 0, 10**6, 1.0)
        if ratio == 0:
            raise TomlError(Fault.OUT_OF_RANGE, at(inner, "ratio"), "0 deltas form no spread")
        legs.append((name, side, ratio))
    if {side for _, side, _ in legs} != set(Side):
        raise TomlError(Fault.MISSING, at(path, "legs"), "a spread has legs on side A and on side B")
    method = Method(_one_of(one, path, "method", methods)) if "method" in one else methods[0]
    most = 1.0 if method == Method.WEIGHTED else 10.0**9
    return SpreadRow(
        underlying=text_of(one, path, "underlying") if "underlying" in one else DEFAULT,
        legs=tuple(legs),
        rate=real_of(one, path, "rate", 0, most),
        method=method,
        per_month=real_of(one, path, "per_month", 0, most, 0.0),
    )


def _delivery(table: Table) -> DeliveryRow | None:
    if "delivery" not in table:
        return None
    one = table_of(table, "", "delivery")
    only(one, "delivery", ("days", "spread", "outright"))
    return DeliveryRow(
        real_of(one, "delivery", "days", 0, _MOST_DAYS),
        real_of(one, "delivery", "spread", 0, 1),
        real_of(one, "delivery", "outright", 0, 1),
    )


def _from_history(table: Table) -> FromHistory | None:
    if "from_history" not in table:
        return None
    one, path = table_of(table, "", "from_history"), "from_history"
    only(one, path, ("decay", "deviations", "days"))
    return FromHistory(
        real_of(one, path, "decay", 0.5, 1),
        real_of(one, path, "deviations", 0, 100),
        real_of(one, path, "days", 0, 365),
    )


def _one_of(table: Table, path: str, key: str, known: tuple[str, ...]) -> str:
    value = text_of(table, path, key)
    if value not in known:
        raise TomlError(Fault.UNKNOWN_KIND, at(path, key), f"{value!r}; known are {', '.join(known)}")
    return value


def _rows(table: Table, key: str, *, needed: bool = False, path: str = "") -> list[tuple[str, Table]]:
    """An array of tables, each with its path."""
    values = value_of(table, path, key) if needed else table.get(key, [])
    if not isinstance(values, list):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), "not an array")
    rows: list[tuple[str, Table]] = []
    for number, one in enumerate(values):
        here = f"{at(path, key)}[{number}]"
        if not isinstance(one, dict):
            raise TomlError(Fault.WRONG_TYPE, here, "not a table")
        rows.append((here, one))
    return rows

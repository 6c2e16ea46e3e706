"""The parameters of OKX's portfolio margin, read strictly from a profile's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import (
    DEFAULT,
    Fault,
    Table,
    TomlError,
    at,
    numbers_of,
    only,
    real_of,
    symbols_of,
    table_of,
    value_of,
)


@dataclass(frozen=True, slots=True)
class Class:
    """What underlyings of one class are moved by."""

    moves: tuple[float, ...]
    """MR1: relative, either way"""
    extreme: float
    """MR6"""
    basis: float
    """MR4: a year"""


@dataclass(frozen=True, slots=True)
class Tier:
    """A slice of an amount, up to `to` dollars (None: the rest), and what is taken of it."""

    to: float | None
    rate: float


@dataclass(frozen=True, slots=True)
class Rules:
    """An OKX profile. Rates are parts of one."""

    initial: float
    """initial margin in maintenance margins"""
    classes: Mapping[str, Class]
    """by underlying"""
    others: Class
    days: tuple[float, ...]
    """to expiry, at which MR1's shocks of volatility are given"""
    points: tuple[float, ...]
    relative: tuple[float, ...]
    hours: float
    """MR2"""
    term: float
    """MR3: share of what nets between expiries"""
    tenors: tuple[float, ...]
    """days, at which MR5's curves are given"""
    components: tuple[tuple[float, ...], ...]
    """percentage points"""
    take: float
    """MR6: part that counts"""
    least_future: float
    least_option: float
    least_tiers: tuple[Tier, ...]
    borrow: float
    stablecoins: tuple[str, ...]
    depeg_tiers: tuple[Tier, ...]
    haircuts: Mapping[str, Haircut]


_KEYS = (
    "factors",
    "classes",
    "volatility",
    "theta",
    "term",
    "rates",
    "extreme",
    "minimum",
    "borrow",
    "depeg",
    "haircuts",
)


def rules_of(table: Table) -> Rules:
    """The rules of a profile's tables. Raises TomlError."""
    only(table, "", _KEYS)
    keys = {
        "factors": ("initial",),
        "volatility": ("days", "points", "relative"),
        "theta": ("hours",),
        "term": ("share",),
        "rates": ("tenors", "components"),
        "extreme": ("take",),
        "minimum": ("future", "option", "tiers"),
        "borrow": ("rate",),
        "depeg": ("stablecoins", "tiers"),
    }
    tables = {key: table_of(table, "", key) for key in keys}
    for key, inner in tables.items():
        only(inner, key, keys[key])
    volatility, rates, minimum, depeg = (tables[key] for key in ("volatility", "rates", "minimum", "depeg"))
    days, tenors = _ascending(volatility, "volatility", "days"), _ascending(rates, "rates", "tenors")
    classes, others = _classes(table_of(table, "", "classes"))
    return Rules(
        initial=real_of(tables["factors"], "factors", "initial", 1, 10),
        classes=classes,
        others=others,
        days=days,
        points=_curve(volatility, "volatility", "points", days),
        relative=_curve(volatility, "volatility", "relative", days),
        hours=real_of(tables["theta"], "theta", "hours", 0, 720),
        term=real_of(tables["term"], "term", "share", 0, 1),
        tenors=tenors,
        components=_components(rates, tenors),
        take=real_of(tables["extreme"], "extreme", "take", 0, 1),
        least_future=real_of(minimum, "minimum", "future", 0, 1),
        least_option=real_of(minimum, "minimum", "option", 0, 1),
        least_tiers=_tiers(minimum, "minimum", 1000),
        borrow=real_of(tables["borrow"], "borrow", "rate", 0, 1),
        stablecoins=symbols_of(depeg, "depeg", "stablecoins"),
        depeg_tiers=_tiers(depeg, "depeg", 1),
        haircuts=haircuts_of(table, ""),
    )


def _classes(table: Table) -> tuple[Mapping[str, Class], Class]:
    """Classes by underlying, and that of all others."""
    classes: dict[str, Class] = {}
    for name in (DEFAULT, *(one for one in table if one != DEFAULT)):
        one, path = table_of(table, "classes", name), at("classes", name)
        only(one, path, ("moves", "extreme", "basis", *(() if name == DEFAULT else ("underlyings",))))
        moves = _ascending(one, path, "moves")
        if moves[0] <= 0.0 or moves[-1] >= 1.0:
            raise TomlError(Fault.OUT_OF_RANGE, at(path, "moves"), "not all between 0 and 1")
        own = Class(moves, real_of(one, path, "extreme", 0, 0.99), real_of(one, path, "basis", 0, 1))
        for symbol in (DEFAULT,) if name == DEFAULT else symbols_of(one, path, "underlyings"):
            if symbol in classes:
                raise TomlError(Fault.SAME_PAIR, at(path, "underlyings"), f"{symbol} has a class already")
            classes[symbol] = own
    return classes, classes.pop(DEFAULT)


def _ascending(table: Table, path: str, key: str) -> tuple[float, ...]:
    values = numbers_of(table, path, key)
    if not values or values[0] < 0.0 or any(low >= high for low, high in pairwise(values)):
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), "not ascending from zero or above")
    return values


def _curve(table: Table, path: str, key: str, nodes: Sequence[float]) -> tuple[float, ...]:
    values = numbers_of(table, path, key)
    if len(values) != len(nodes) or any(not 0.0 <= value <= 10.0 for value in values):
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"not {len(nodes)} numbers in 0 ... 10")
    return values


def _components(table: Table, tenors: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    rows = value_of(table, "rates", "components")
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, "rates.components", "not an array of arrays")
    curves = []
    for number, row in enumerate(rows):
        curve = numbers_of({str(number): row}, "rates.components", str(number))
        if len(curve) != len(tenors) or any(abs(value) > 100.0 for value in curve):
            raise TomlError(
                Fault.OUT_OF_RANGE, f"rates.components[{number}]", f"not {len(tenors)} numbers in -100 ... 100"
            )
        curves.append(curve)
    return tuple(curves)


def _tiers(table: Table, path: str, most: float) -> tuple[Tier, ...]:
    """Tiers in order; the last has no end."""
    rows, inner = value_of(table, path, "tiers"), at(path, "tiers")
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, inner, "not an array of tiers")
    tiers: list[Tier] = []
    for number, row in enumerate(rows):
        where = f"{inner}[{number}]"
        if not isinstance(row, dict):
            raise TomlError(Fault.WRONG_TYPE, where, "not a table")
        only(row, where, ("to", "rate"))
        if number == len(rows) - 1:
            if "to" in row:
                raise TomlError(Fault.OUT_OF_RANGE, at(where, "to"), "the last tier is of the rest and names no end")
            end = None
        else:
            end = real_of(row, where, "to", 0, 1e15)
            if tiers and tiers[-1].to is not None and end <= tiers[-1].to:
                raise TomlError(Fault.OUT_OF_RANGE, at(where, "to"), "does not ascend")
        tiers.append(Tier(end, real_of(row, where, "rate", 0, most)))
    return tuple(tiers)

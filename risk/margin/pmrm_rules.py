"""The parameters of Derive's portfolio margin, read strictly from a profile's tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import Fault, Table, TomlError, at, flag_of, only, real_of, table_of, text_of, value_of


class Direction(StrEnum):
    """What a scenario does to volatility: a move of all of it, or a tilt of the smile."""

    UP = "up"
    NONE = "none"
    DOWN = "down"
    LINEAR = "linear"
    ABSOLUTE = "abs"


@dataclass(frozen=True, slots=True)
class Shock:
    """One scenario."""

    name: str
    spot: float
    """what the spot is multiplied by"""
    direction: Direction
    dampening: float
    """part of the gain or loss that counts"""


@dataclass(frozen=True, slots=True)
class Discount:
    """base x exp(-+ years x (rate x rate_multiple + add)) of a shocked value."""

    base: float
    rate_multiple: float
    add: float


@dataclass(frozen=True, slots=True)
class Rules:
    """A PMRM profile. Rates are parts of one; days and seconds where a name says so."""

    shocks: tuple[Shock, ...]
    maintenance: float
    initial: float
    discounted: bool
    """options are discounted at the expiry's rate"""
    scaled: bool
    """perp, short option and haircut charges lie within the worst loss, so that the factors scale them (version 1)"""
    settlement_window: float
    """seconds before expiry over which the settlement price is averaged"""
    volatility_up: float
    volatility_down: float
    short_power: float
    """to 30 days"""
    long_power: float
    floor_days: float
    least_up: float
    linear_cap: float
    absolute_cap: float
    cap_slope: float
    """by the root of years"""
    least_width: float
    width: float
    width_static: float
    width_slope: float
    long_discount: Discount
    short_discount: Discount
    basis_up: float
    basis_down: float
    basis_add: float
    basis_multiple: float
    """a year"""
    perp: Haircut
    option: Haircut
    oracle_threshold: float
    oracle_charge: float
    peg_threshold: float
    """dollars"""
    peg_factor: float
    haircuts: Mapping[str, Haircut]


_KEYS = (
    "scenarios",
    "factors",
    "marks",
    "volatility",
    "skew",
    "discount",
    "basis",
    "perp",
    "option",
    "oracle",
    "peg",
    "haircuts",
)


def rules_of(table: Table) -> Rules:
    """The rules of a profile's tables. Raises TomlError."""
    only(table, "", _KEYS)
    factors = _closed(table, "factors", ("maintenance", "initial", "scale_contingencies"))
    marks = _closed(table, "marks", ("discounted", "settlement_window"))
    volatility = _closed(table, "volatility", ("up", "down", "short_power", "long_power", "floor_days", "least_up"))
    skew = _closed(
        table,
        "skew",
        ("linear_cap", "abs_cap", "cap_slope", "least_width", "width", "width_static", "width_slope"),
    )
    discount = _closed(table, "discount", ("long", "short"))
    basis = _closed(table, "basis", ("up", "down", "add", "multiple"))
    oracle = _closed(table, "oracle", ("threshold", "charge"))
    peg = _closed(table, "peg", ("threshold", "factor"))
    lower, higher = real_of(factors, "factors", "maintenance", 0, 10), real_of(factors, "factors", "initial", 0, 10)
    if higher < lower:
        raise TomlError(Fault.OUT_OF_RANGE, "factors.initial", f"{higher:g} is below maintenance, {lower:g}")
    return Rules(
        shocks=_shocks(table),
        maintenance=lower,
        initial=higher,
        discounted=flag_of(marks, "marks", "discounted"),
        scaled=flag_of(factors, "factors", "scale_contingencies"),
        settlement_window=real_of(marks, "marks", "settlement_window", 1, 86_400),
        volatility_up=real_of(volatility, "volatility", "up", 0, 10),
        volatility_down=real_of(volatility, "volatility", "down", 0, 1),
        short_power=real_of(volatility, "volatility", "short_power", 0, 2),
        long_power=real_of(volatility, "volatility", "long_power", 0, 2),
        floor_days=real_of(volatility, "volatility", "floor_days", 0.001, 365),
        least_up=real_of(volatility, "volatility", "least_up", 0, 10),
        linear_cap=real_of(skew, "skew", "linear_cap", 0, 10),
        absolute_cap=real_of(skew, "skew", "abs_cap", 0, 10),
        cap_slope=real_of(skew, "skew", "cap_slope", -10, 10, signed=True),
        least_width=real_of(skew, "skew", "least_width", 0.000001, 10),
        width=real_of(skew, "skew", "width", 0, 100),
        width_static=real_of(skew, "skew", "width_static", 0, 100),
        width_slope=real_of(skew, "skew", "width_slope", -100, 100, signed=True),
        long_discount=_discount(discount, "long"),
        short_discount=_discount(discount, "short"),
        basis_up=real_of(basis, "basis", "up", 0.001, 10),
        basis_down=real_of(basis, "basis", "down", 0.001, 10),
        basis_add=real_of(basis, "basis", "add", 0, 10),
        basis_multiple=real_of(basis, "basis", "multiple", 0, 100),
        perp=_charge(table, "perp"),
        option=_charge(table, "option"),
        oracle_threshold=real_of(oracle, "oracle", "threshold", 0, 1),
        oracle_charge=real_of(oracle, "oracle", "charge", 0, 10),
        peg_threshold=real_of(peg, "peg", "threshold", 0, 2),
        peg_factor=real_of(peg, "peg", "factor", 0, 100),
        haircuts=haircuts_of(table, ""),
    )


def _closed(table: Table, key: str, keys: tuple[str, ...]) -> Table:
    inner = table_of(table, "", key)
    only(inner, key, keys)
    return inner


def _discount(table: Table, side: str) -> Discount:
    inner, path = table_of(table, "discount", side), at("discount", side)
    only(inner, path, ("base", "rate_multiple", "add"))
    return Discount(
        real_of(inner, path, "base", 0, 2),
        real_of(inner, path, "rate_multiple", 0, 10),
        real_of(inner, path, "add", 0, 10),
    )


def _charge(table: Table, key: str) -> Haircut:
    inner = _closed(table, key, ("maintenance", "initial_extra"))
    return Haircut(real_of(inner, key, "maintenance", 0, 1), real_of(inner, key, "initial_extra", 0, 1))


def _shocks(table: Table) -> tuple[Shock, ...]:
    rows = value_of(table, "", "scenarios")
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, "scenarios", "not an array of scenarios")
    shocks: list[Shock] = []
    for number, row in enumerate(rows):
        path = f"scenarios[{number}]"
        if not isinstance(row, dict):
            raise TomlError(Fault.WRONG_TYPE, path, "not a table")
        only(row, path, ("spot", "volatility", "dampening"))
        word = text_of(row, path, "volatility")
        if word not in list(Direction):
            raise TomlError(Fault.UNKNOWN_KIND, at(path, "volatility"), f"{word!r}, not up, none, down, linear, abs")
        direction = Direction(word)
        spot = real_of(row, path, "spot", 0.001, 100)
        tilt = direction in (Direction.LINEAR, Direction.ABSOLUTE)
        if tilt and spot != 1.0:
            raise TomlError(Fault.BAD_SCENARIOS, at(path, "spot"), f"{spot:g}, a skew scenario does not move it")
        name = f"skew {word}" if tilt else f"{spot * 100.0 - 100.0:+.4g}% vol {word}"
        if any(one.name == name for one in shocks):
            raise TomlError(Fault.BAD_SCENARIOS, path, f"{name} stands twice")
        shocks.append(Shock(name, spot, direction, real_of(row, path, "dampening", 0, 1, 1.0)))
    return tuple(shocks)

"""Strict reading of published TOML (margin profiles, waterfall policies): every key known, every value of its type and
in its range, or named with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from schemas.limits import BASIS_POINTS

DEFAULT: Final = "default"
"""the underlying whose numbers hold for those that are not named"""
SYMBOL: Final = re.compile(r"[!-~]{1,8}")
_MISSING: Final = object()
_MANY: Final = 10**12
_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")

Table = Mapping[str, Any]


class Fault(Enum):
    """What can be wrong with a text."""

    NOT_ASCII = "not ASCII"
    TOO_LONG = "too long"
    NOT_TOML = "not TOML"
    UNKNOWN_KEY = "unknown key"
    MISSING = "missing"
    WRONG_TYPE = "wrong type"
    OUT_OF_RANGE = "out of range"
    NOT_BASIS_POINTS = "not a whole number of basis points"
    UNKNOWN_KIND = "unknown kind"
    BAD_SCENARIOS = "scenarios refused"
    SAME_PAIR = "pair stands twice"
    NOT_NETTED = "only where underlyings are netted"
    UNKNOWN_LAYER = "no layer"
    BAD_ORDER = "layers refused"


class TomlError(ValueError):
    """A text that cannot be read: what is wrong, where in it, and what stands there. Where no key is to blame, `whole`
    says what the text was to tell."""

    def __init__(self, fault: Fault, path: str, what: str, whole: str = "profile") -> None:
        super().__init__(f"{path or whole}: {fault.value}: {what}")
        self.fault = fault
        self.path = path


def at(path: str, key: str) -> str:
    """The path of a key in a table."""
    return f"{path}.{key}" if path else key


def only(table: Table, path: str, keys: tuple[str, ...]) -> None:
    """Raises UNKNOWN_KEY at the first key that is not one of `keys`."""
    for key in table:
        if key not in keys:
            raise TomlError(Fault.UNKNOWN_KEY, at(path, key), f"known are {', '.join(keys)}")


def value_of(table: Table, path: str, key: str, default: object = _MISSING) -> Any:
    """What stands there. Raises MISSING where there is no default."""
    value = table.get(key, default)
    if value is _MISSING:
        raise TomlError(Fault.MISSING, at(path, key), "it has no default")
    return value


def text_of(table: Table, path: str, key: str, most: int = 64) -> str:
    """A string of 1 to `most` characters."""
    value = value_of(table, path, key)
    if not isinstance(value, str):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), f"{type(value).__name__} is not a string")
    if not 0 < len(value) <= most:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{len(value)} characters, 1 to {most} are allowed")
    return value


def day_of(table: Table, path: str, key: str) -> str:
    """A day, YYYY-MM-DD."""
    value = text_of(table, path, key)
    if not _DATE.fullmatch(value) or not 1 <= int(value[5:7]) <= 12 or not 1 <= int(value[8:]) <= 31:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value!r} is no day YYYY-MM-DD")
    return value


def symbol_of(table: Table, path: str, key: str) -> str:
    """A symbol of 1 to 8 visible characters."""
    value = text_of(table, path, key)
    if not SYMBOL.fullmatch(value) or value == DEFAULT:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value!r} is no symbol")
    return value


def symbols_of(table: Table, path: str, key: str) -> tuple[str, ...]:
    """An array of symbols."""
    values = value_of(table, path, key)
    if not isinstance(values, list):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), "not an array")
    return tuple(symbol_of({str(i): value}, at(path, key), str(i)) for i, value in enumerate(values))


def table_of(table: Table, path: str, key: str) -> Table:
    """A table."""
    value = value_of(table, path, key)
    if not isinstance(value, dict):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), "not a table")
    return value


def flag_of(table: Table, path: str, key: str) -> bool:
    """true or false; false where it is not there."""
    value = value_of(table, path, key, False)
    if not isinstance(value, bool):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), f"{type(value).__name__} is not true or false")
    return value


def whole_of(table: Table, path: str, key: str, low: int, high: int) -> int:
    """A whole number, low ... high."""
    value = value_of(table, path, key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), f"{type(value).__name__} is not a whole number")
    if not low <= value <= high:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"not in {low} ... {high}")
    return value


def decimal_of(value: object, path: str) -> Decimal:
    """A number or a string of digits, exactly; at most 28 digits, so that arithmetic with it stays exact."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TomlError(Fault.WRONG_TYPE, path, f"{type(value).__name__} is not a decimal number")
    if isinstance(value, int):
        if abs(value) >= _MANY:
            raise TomlError(Fault.OUT_OF_RANGE, path, "not a number of a usual size")
        return Decimal(value)
    # abs() rounds to the context's precision and may overflow; copy_abs() and comparisons do not
    if not value.is_finite() or value.copy_abs() >= _MANY:
        raise TomlError(Fault.OUT_OF_RANGE, path, "not a number of a usual size")
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -12:
        raise TomlError(Fault.NOT_BASIS_POINTS, path, "more than 12 decimals")
    return value


def points_of(table: Table, path: str, key: str, low: int, high: int, default: int | None = None) -> int:
    """A rate as basis points, low ... high."""
    if default is not None and key not in table:
        return default
    value = decimal_of(value_of(table, path, key), at(path, key))
    points = value * BASIS_POINTS
    if points != points.to_integral_value():
        raise TomlError(Fault.NOT_BASIS_POINTS, at(path, key), str(value))
    if not low <= points <= high:
        lowest, highest = Decimal(low) / BASIS_POINTS, Decimal(high) / BASIS_POINTS
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value} is not in {lowest} ... {highest}")
    return int(points)


def numbers_of(table: Table, path: str, key: str) -> tuple[float, ...]:
    """An array of decimals as floats."""
    values = value_of(table, path, key)
    if not isinstance(values, list):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), "not an array")
    return tuple(float(decimal_of(value, f"{at(path, key)}[{number}]")) for number, value in enumerate(values))


def real_of(
    table: Table, path: str, key: str, low: float, high: float, default: float | None = None, *, signed: bool = False
) -> float:
    """A decimal as a float, low ... high; a minus sign only where `signed`."""
    if default is not None and key not in table:
        return default
    value = float(decimal_of(value_of(table, path, key), at(path, key)))
    if (value < 0 and not signed) or not low <= value <= high:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value:g} is not in {low:g} ... {high:g}")
    return value

"""Margin profiles: the TOML text that says how an account is margined, read strictly into plain numbers.

Rates are decimals in the text ("0.15" or 0.15) and basis points here; what is not a whole number of them is refused.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Final

from risk.scenarios import Scenario, ScenarioError, grid, linear, span16
from schemas.limits import BASIS_POINTS

MAX_TEXT: Final = 1 << 15
"""characters of a profile"""
DEFAULT: Final = "default"
"""the underlying whose numbers hold for those that are not named"""
_MISSING: Final = object()
_MANY: Final = 10**12
_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_SYMBOL: Final = re.compile(r"[!-~]{1,8}")

Table = Mapping[str, Any]


class Netting(IntEnum):
    """Whose gains may pay for whose losses in a scenario."""

    POSITION = 0
    """nobody's: every position is margined alone"""
    UNDERLYING = 1
    """positions of one underlying, collateral included"""


class Fault(Enum):
    """What can be wrong with a profile's text."""

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


class ProfileError(ValueError):
    """A profile that cannot be read: what is wrong, where in the text, and what stands there."""

    def __init__(self, fault: Fault, path: str, what: str) -> None:
        super().__init__(f"{path or 'profile'}: {fault.value}: {what}")
        self.fault = fault
        self.path = path


@dataclass(frozen=True, slots=True)
class UnderlyingRisk:
    """One underlying's numbers, basis points."""

    price_scan: int
    """price scan range, of the price"""
    vol_scan: int
    """volatility scan range, of the volatility"""
    basis: int
    """charge on dollar delta hedged between expiries"""
    short_option_minimum: int
    """of the notional of each short option"""


@dataclass(frozen=True, slots=True)
class Credit:
    """What opposite deltas of two underlyings give back: `rate` basis points of the hedged price risk."""

    a: str
    b: str
    rate: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A margin profile. Rates in basis points."""

    name: str
    published: str
    """the day, YYYY-MM-DD"""
    description: str
    confidence: int
    margin_period_of_risk: int
    """days"""
    lookback: int
    """days of history that the scan ranges rest on"""
    collateral: tuple[str, ...]
    """what members are told is accepted; what counts is the assets' haircuts"""
    netting: Netting
    gain: int
    """part of an unrealised gain that counts in equity"""
    initial_ratio: int
    """initial over maintenance requirement"""
    buffer: int
    """liquidation buffer, as a part of maintenance"""
    look_ahead: int
    """hours of time decay in every scenario"""
    linear: bool
    """True: losses follow today's dollar delta; False: every instrument is revalued"""
    moves: tuple[Scenario, ...]
    underlyings: Mapping[str, UnderlyingRisk]
    credits: tuple[Credit, ...]
    """in priority order"""

    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios in order: scenario k is column k of the risk arrays."""
        return self.moves

    def underlying(self, symbol: str) -> UnderlyingRisk:
        """The numbers of an underlying, the default's where it is not named."""
        return self.underlyings.get(symbol, self.underlyings[DEFAULT])


def profile_digest(text: str) -> bytes:
    """The SHA-256 of a profile's text. Raises ProfileError(NOT_ASCII)."""
    try:
        return hashlib.sha256(text.encode("ascii")).digest()
    except UnicodeEncodeError as error:
        raise ProfileError(Fault.NOT_ASCII, "", f"character {error.start}") from None


def parse_profile(text: str) -> Profile:
    """A profile from its TOML text. Raises ProfileError at the first thing that is wrong."""
    if not text.isascii():
        raise ProfileError(Fault.NOT_ASCII, "", repr(next(c for c in text if not c.isascii())))
    if len(text) > MAX_TEXT:
        raise ProfileError(Fault.TOO_LONG, "", f"{len(text)} characters, at most {MAX_TEXT}")
    try:
        whole = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ProfileError(Fault.NOT_TOML, "", str(error)) from None
    _only(whole, "", _PROFILE_KEYS)
    netting = _text(whole, "", "netting")
    if netting not in ("position", "underlying"):
        raise ProfileError(Fault.UNKNOWN_KIND, "netting", repr(netting))
    profile = Profile(
        name=_text(whole, "", "name"),
        published=_date(whole, "", "published"),
        description=_text(whole, "", "description", most=1_000),
        confidence=_points(whole, "", "confidence", 5_000, BASIS_POINTS - 1),
        margin_period_of_risk=_whole(whole, "", "margin_period_of_risk", 1, 60),
        lookback=_whole(whole, "", "lookback", 0, 10_000),
        collateral=_symbols(whole, "", "collateral"),
        netting=Netting[netting.upper()],
        gain=_points(whole, "", "gain", 0, BASIS_POINTS),
        initial_ratio=_points(whole, "", "initial_ratio", BASIS_POINTS, 10 * BASIS_POINTS),
        buffer=_points(whole, "", "buffer", 0, BASIS_POINTS, 1_000),
        look_ahead=_whole({"look_ahead": 0} | whole, "", "look_ahead", 0, 240),
        linear=_table(whole, "", "scenarios").get("kind") == "linear",
        moves=_scenarios(_table(whole, "", "scenarios")),
        underlyings=_underlyings(_table(whole, "", "underlyings")),
        credits=_credits(whole.get("credits", [])),
    )
    _check(profile)
    return profile


_PROFILE_KEYS: Final = (
    "name",
    "published",
    "description",
    "confidence",
    "margin_period_of_risk",
    "lookback",
    "collateral",
    "netting",
    "gain",
    "initial_ratio",
    "buffer",
    "look_ahead",
    "scenarios",
    "underlyings",
    "credits",
)


def _check(profile: Profile) -> None:
    """What single values cannot show."""
    for symbol, risk in profile.underlyings.items():
        path = f"underlyings.{symbol}"
        for scenario in profile.moves:
            move = scenario.scans * risk.price_scan / BASIS_POINTS + scenario.move
            if move <= -1.0:
                raise ProfileError(
                    Fault.OUT_OF_RANGE, f"{path}.price_scan", f"scenario {scenario.id} moves the price by {move:+g}"
                )
        if risk.basis and profile.netting == Netting.POSITION:
            raise ProfileError(Fault.NOT_NETTED, f"{path}.basis", f"{risk.basis} basis points")
    if profile.credits and profile.netting == Netting.POSITION:
        raise ProfileError(Fault.NOT_NETTED, "credits", f"{len(profile.credits)} pairs")


def _scenarios(table: Table) -> tuple[Scenario, ...]:
    kind = _text(table, "scenarios", "kind")
    try:
        if kind == "span16":
            _only(table, "scenarios", ("kind", "extreme_multiple", "extreme_weight"))
            multiple = _points(table, "scenarios", "extreme_multiple", BASIS_POINTS, 10 * BASIS_POINTS, 20_000)
            weight = _points(table, "scenarios", "extreme_weight", 1, BASIS_POINTS, 3_500)
            return span16(multiple / BASIS_POINTS, weight / BASIS_POINTS)
        if kind == "grid":
            _only(table, "scenarios", ("kind", "prices", "volatilities", "scans"))
            prices, volatilities = _numbers(table, "scenarios", "prices"), _numbers(table, "scenarios", "volatilities")
            return grid(prices, volatilities, scans=_flag(table, "scenarios", "scans"))
        if kind == "linear":
            _only(table, "scenarios", ("kind", "moves", "scans"))
            return linear(_numbers(table, "scenarios", "moves"), scans=_flag(table, "scenarios", "scans"))
    except ScenarioError as error:
        raise ProfileError(Fault.BAD_SCENARIOS, "scenarios", str(error)) from None
    raise ProfileError(Fault.UNKNOWN_KIND, "scenarios.kind", repr(kind))


def _underlyings(table: Table) -> dict[str, UnderlyingRisk]:
    if DEFAULT not in table:
        raise ProfileError(Fault.MISSING, f"underlyings.{DEFAULT}", "numbers of the underlyings that are not named")
    risks = {}
    for symbol in table:
        one, path = _table(table, "underlyings", symbol), f"underlyings.{symbol}"
        if not _SYMBOL.fullmatch(symbol):
            raise ProfileError(Fault.OUT_OF_RANGE, path, "a symbol has 1 to 8 visible characters")
        _only(one, path, ("price_scan", "vol_scan", "basis", "short_option_minimum"))
        risks[symbol] = UnderlyingRisk(
            price_scan=_points(one, path, "price_scan", 1, BASIS_POINTS),
            vol_scan=_points(one, path, "vol_scan", 0, BASIS_POINTS, 0),
            basis=_points(one, path, "basis", 0, BASIS_POINTS, 0),
            short_option_minimum=_points(one, path, "short_option_minimum", 0, BASIS_POINTS, 0),
        )
    return risks


def _credits(entries: object) -> tuple[Credit, ...]:
    if not isinstance(entries, list):
        raise ProfileError(Fault.WRONG_TYPE, "credits", "not an array of tables")
    pairs: list[Credit] = []
    for number, entry in enumerate(entries):
        path = f"credits[{number}]"
        if not isinstance(entry, dict):
            raise ProfileError(Fault.WRONG_TYPE, path, "not a table")
        _only(entry, path, ("a", "b", "rate"))
        a, b = _symbol(entry, path, "a"), _symbol(entry, path, "b")
        if a == b or any({a, b} == {pair.a, pair.b} for pair in pairs):
            raise ProfileError(Fault.SAME_PAIR, path, f"{a} and {b}")
        pairs.append(Credit(a, b, _points(entry, path, "rate", 1, BASIS_POINTS)))
    return tuple(pairs)


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _only(table: Table, path: str, keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            raise ProfileError(Fault.UNKNOWN_KEY, _at(path, key), f"known are {', '.join(keys)}")


def _value(table: Table, path: str, key: str, default: object = _MISSING) -> Any:
    value = table.get(key, default)
    if value is _MISSING:
        raise ProfileError(Fault.MISSING, _at(path, key), "it has no default")
    return value


def _text(table: Table, path: str, key: str, most: int = 64) -> str:
    value = _value(table, path, key)
    if not isinstance(value, str):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), f"{type(value).__name__} is not a string")
    if not 0 < len(value) <= most:
        raise ProfileError(Fault.OUT_OF_RANGE, _at(path, key), f"{len(value)} characters, 1 to {most} are allowed")
    return value


def _date(table: Table, path: str, key: str) -> str:
    value = _text(table, path, key)
    if not _DATE.fullmatch(value) or not 1 <= int(value[5:7]) <= 12 or not 1 <= int(value[8:]) <= 31:
        raise ProfileError(Fault.OUT_OF_RANGE, _at(path, key), f"{value!r} is no day YYYY-MM-DD")
    return value


def _symbol(table: Table, path: str, key: str) -> str:
    value = _text(table, path, key)
    if not _SYMBOL.fullmatch(value) or value == DEFAULT:
        raise ProfileError(Fault.OUT_OF_RANGE, _at(path, key), f"{value!r} is no symbol")
    return value


def _symbols(table: Table, path: str, key: str) -> tuple[str, ...]:
    values = _value(table, path, key)
    if not isinstance(values, list):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), "not an array")
    return tuple(_symbol({str(i): value}, _at(path, key), str(i)) for i, value in enumerate(values))


def _table(table: Table, path: str, key: str) -> Table:
    value = _value(table, path, key)
    if not isinstance(value, dict):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), "not a table")
    return value


def _flag(table: Table, path: str, key: str) -> bool:
    value = _value(table, path, key, False)
    if not isinstance(value, bool):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), f"{type(value).__name__} is not true or false")
    return value


def _whole(table: Table, path: str, key: str, low: int, high: int) -> int:
    value = _value(table, path, key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), f"{type(value).__name__} is not a whole number")
    if not low <= value <= high:
        raise ProfileError(Fault.OUT_OF_RANGE, _at(path, key), f"not in {low} ... {high}")
    return value


def _decimal(value: object, path: str) -> Decimal:
    """A number or a string of digits, exactly; at most 28 digits, so that arithmetic with it stays exact."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ProfileError(Fault.WRONG_TYPE, path, f"{type(value).__name__} is not a decimal number")
    if isinstance(value, int):
        if abs(value) >= _MANY:
            raise ProfileError(Fault.OUT_OF_RANGE, path, "not a number of a usual size")
        return Decimal(value)
    # abs() rounds to the context's precision and may overflow; copy_abs() and comparisons do not
    if not value.is_finite() or value.copy_abs() >= _MANY:
        raise ProfileError(Fault.OUT_OF_RANGE, path, "not a number of a usual size")
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -12:
        raise ProfileError(Fault.NOT_BASIS_POINTS, path, "more than 12 decimals")
    return value


def _points(table: Table, path: str, key: str, low: int, high: int, default: int | None = None) -> int:
    """A rate as basis points, low ... high."""
    if default is not None and key not in table:
        return default
    value = _decimal(_value(table, path, key), _at(path, key))
    points = value * BASIS_POINTS
    if points != points.to_integral_value():
        raise ProfileError(Fault.NOT_BASIS_POINTS, _at(path, key), str(value))
    if not low <= points <= high:
        lowest, highest = Decimal(low) / BASIS_POINTS, Decimal(high) / BASIS_POINTS
        raise ProfileError(Fault.OUT_OF_RANGE, _at(path, key), f"{value} is not in {lowest} ... {highest}")
    return int(points)


def _numbers(table: Table, path: str, key: str) -> tuple[float, ...]:
    values = _value(table, path, key)
    if not isinstance(values, list):
        raise ProfileError(Fault.WRONG_TYPE, _at(path, key), "not an array")
    return tuple(float(_decimal(value, f"{_at(path, key)}[{number}]")) for number, value in enumerate(values))

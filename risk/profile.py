"""Margin profiles: the TOML text that says how an account is margined, read strictly into plain numbers.

Rates are decimals in the text ("0.15" or 0.15) and basis points here; what is not a whole number of them is refused.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final

from risk.scenarios import Scenario, ScenarioError, grid, linear, span16
from schemas.limits import BASIS_POINTS
from schemas.strict import (
    DEFAULT,
    SYMBOL,
    Fault,
    Table,
    TomlError,
    day_of,
    flag_of,
    numbers_of,
    only,
    points_of,
    symbol_of,
    symbols_of,
    table_of,
    text_of,
    whole_of,
)

MAX_TEXT: Final = 1 << 15
"""characters of a profile"""


class Netting(IntEnum):
    """Whose gains may pay for whose losses in a scenario."""

    POSITION = 0
    """nobody's: every position is margined alone"""
    UNDERLYING = 1
    """positions of one underlying, collateral included"""


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
    """The SHA-256 of a profile's text. Raises TomlError(NOT_ASCII)."""
    try:
        return hashlib.sha256(text.encode("ascii")).digest()
    except UnicodeEncodeError as error:
        raise TomlError(Fault.NOT_ASCII, "", f"character {error.start}") from None


def parse_profile(text: str) -> Profile:
    """A profile from its TOML text. Raises TomlError at the first thing that is wrong."""
    if not text.isascii():
        raise TomlError(Fault.NOT_ASCII, "", repr(next(c for c in text if not c.isascii())))
    if len(text) > MAX_TEXT:
        raise TomlError(Fault.TOO_LONG, "", f"{len(text)} characters, at most {MAX_TEXT}")
    try:
        whole = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise TomlError(Fault.NOT_TOML, "", str(error)) from None
    only(whole, "", _PROFILE_KEYS)
    netting = text_of(whole, "", "netting")
    if netting not in ("position", "underlying"):
        raise TomlError(Fault.UNKNOWN_KIND, "netting", repr(netting))
    profile = Profile(
        name=text_of(whole, "", "name"),
        published=day_of(whole, "", "published"),
        description=text_of(whole, "", "description", most=1_000),
        confidence=points_of(whole, "", "confidence", 5_000, BASIS_POINTS - 1),
        margin_period_of_risk=whole_of(whole, "", "margin_period_of_risk", 1, 60),
        lookback=whole_of(whole, "", "lookback", 0, 10_000),
        collateral=symbols_of(whole, "", "collateral"),
        netting=Netting[netting.upper()],
        gain=points_of(whole, "", "gain", 0, BASIS_POINTS),
        initial_ratio=points_of(whole, "", "initial_ratio", BASIS_POINTS, 10 * BASIS_POINTS),
        buffer=points_of(whole, "", "buffer", 0, BASIS_POINTS, 1_000),
        look_ahead=whole_of({"look_ahead": 0} | whole, "", "look_ahead", 0, 240),
        linear=table_of(whole, "", "scenarios").get("kind") == "linear",
        moves=_scenarios(table_of(whole, "", "scenarios")),
        underlyings=_underlyings(table_of(whole, "", "underlyings")),
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
                raise TomlError(
                    Fault.OUT_OF_RANGE, f"{path}.price_scan", f"scenario {scenario.id} moves the price by {move:+g}"
                )
        if risk.basis and profile.netting == Netting.POSITION:
            raise TomlError(Fault.NOT_NETTED, f"{path}.basis", f"{risk.basis} basis points")
    if profile.credits and profile.netting == Netting.POSITION:
        raise TomlError(Fault.NOT_NETTED, "credits", f"{len(profile.credits)} pairs")


def _scenarios(table: Table) -> tuple[Scenario, ...]:
    kind = text_of(table, "scenarios", "kind")
    try:
        if kind == "span16":
            only(table, "scenarios", ("kind", "extreme_multiple", "extreme_weight"))
            multiple = points_of(table, "scenarios", "extreme_multiple", BASIS_POINTS, 10 * BASIS_POINTS, 20_000)
            weight = points_of(table, "scenarios", "extreme_weight", 1, BASIS_POINTS, 3_500)
            return span16(multiple / BASIS_POINTS, weight / BASIS_POINTS)
        if kind == "grid":
            only(table, "scenarios", ("kind", "prices", "volatilities", "scans"))
            prices, volatilities = (
                numbers_of(table, "scenarios", "prices"),
                numbers_of(table, "scenarios", "volatilities"),
            )
            return grid(prices, volatilities, scans=flag_of(table, "scenarios", "scans"))
        if kind == "linear":
            only(table, "scenarios", ("kind", "moves", "scans"))
            return linear(numbers_of(table, "scenarios", "moves"), scans=flag_of(table, "scenarios", "scans"))
    except ScenarioError as error:
        raise TomlError(Fault.BAD_SCENARIOS, "scenarios", str(error)) from None
    raise TomlError(Fault.UNKNOWN_KIND, "scenarios.kind", repr(kind))


def _underlyings(table: Table) -> dict[str, UnderlyingRisk]:
    if DEFAULT not in table:
        raise TomlError(Fault.MISSING, f"underlyings.{DEFAULT}", "numbers of the underlyings that are not named")
    risks = {}
    for symbol in table:
        one, path = table_of(table, "underlyings", symbol), f"underlyings.{symbol}"
        if not SYMBOL.fullmatch(symbol):
            raise TomlError(Fault.OUT_OF_RANGE, path, "a symbol has 1 to 8 visible characters")
        only(one, path, ("price_scan", "vol_scan", "basis", "short_option_minimum"))
        risks[symbol] = UnderlyingRisk(
            price_scan=points_of(one, path, "price_scan", 1, BASIS_POINTS),
            vol_scan=points_of(one, path, "vol_scan", 0, BASIS_POINTS, 0),
            basis=points_of(one, path, "basis", 0, BASIS_POINTS, 0),
            short_option_minimum=points_of(one, path, "short_option_minimum", 0, BASIS_POINTS, 0),
        )
    return risks


def _credits(entries: object) -> tuple[Credit, ...]:
    if not isinstance(entries, list):
        raise TomlError(Fault.WRONG_TYPE, "credits", "not an array of tables")
    pairs: list[Credit] = []
    for number, entry in enumerate(entries):
        path = f"credits[{number}]"
        if not isinstance(entry, dict):
            raise TomlError(Fault.WRONG_TYPE, path, "not a table")
        only(entry, path, ("a", "b", "rate"))
        a, b = symbol_of(entry, path, "a"), symbol_of(entry, path, "b")
        if a == b or any({a, b} == {pair.a, pair.b} for pair in pairs):
            raise TomlError(Fault.SAME_PAIR, path, f"{a} and {b}")
        pairs.append(Credit(a, b, points_of(entry, path, "rate", 1, BASIS_POINTS)))
    return tuple(pairs)

"""`margin`: the stand-alone calculator as a function, over published profiles or the user's own; and a batch of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from risk.margin.book import Market, Portfolio
from risk.margin.calculator import Answer, Side, answer, in_float
from risk.margin.exact import up
from risk.margin.model import Calculator
from risk.margin.policy import calculator
from schemas.strict import Table, TomlError
from schemas.units import format_time
from services.margin_reading import BadInput, parsed, read_market, read_portfolio

DEFAULT_PROFILE: Final = "crypto_span"
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_PLACES: Final = {
    **dict.fromkeys(("NoHistory", "HistoryTooShort"), "$.market.history"),
    **dict.fromkeys(("NotInMarket", "NotFinite"), "$.market"),
    **dict.fromkeys(("NotLinear", "UnitLossTooLarge", "LossTooLargeError"), "$.portfolio"),
}
"""where in a request what a model raises has its cause"""
_KEYS: Final = ("profile", "overrides", "portfolio", "market")


def margin(
    profile: str,
    portfolio: Mapping[str, Any],
    market: Mapping[str, Any],
    overrides: str | Table = "",
    *,
    floats: bool = False,
) -> dict[str, Any]:
    """The answer (answer.json) as plain data.

    `profile` is the name of a published profile or the path of a TOML file; `portfolio` and `market` are the JSON
    files as dictionaries (numbers, Decimals or decimal strings); `overrides` is TOML text or a table, laid over the
    profile; `floats` adds the float model's figures. Raises BadInput with a code and the place of what is wrong.
    """
    priced = read_market(market)
    return margin_of(ready(profile, overrides), read_portfolio(portfolio, priced), priced, floats=floats)


def ready(profile: str, overrides: str | Table = "") -> Calculator:
    """The calculator of a profile. Raises BadInput; a path begins with $.overrides where the override is at fault."""
    text = profile_text(profile)
    try:
        return calculator(text, overrides)
    except TomlError as error:
        code = "".join(word.capitalize() for word in error.fault.name.split("_"))
        raise BadInput(code, str(error), _profile_path(text, overrides, error)) from None


def margin_of(calculator: Calculator, portfolio: Portfolio, market: Market, *, floats: bool = False) -> dict[str, Any]:
    """The answer of a calculator as plain data. Raises BadInput where the model cannot answer."""
    try:
        told = as_json(answer(calculator, portfolio, market))
        if floats:
            told["float"] = asdict(in_float(calculator, portfolio, market))
    except (ValueError, ArithmeticError) as error:
        # what models, prices and exact numbers raise: all name what was wrong
        name = type(error).__name__
        raise BadInput(name, str(error), _PLACES.get(name, "$")) from error
    return told


def batch(lines: Iterable[str | bytes], *, floats: bool = False) -> Iterator[dict[str, Any]]:
    """One answer a request, in order: a line is `{"profile", "overrides", "portfolio", "market"}`. What cannot be
    answered is `{"error": {"code", "message", "path"}}`."""
    calculators: dict[tuple[str, str], Calculator] = {}
    for line in lines:
        try:
            yield _answered(line, calculators, floats=floats)
        except BadInput as error:
            yield {"error": {"code": error.code, "message": error.message, "path": error.path}}
        except Exception as error:
            # one request's fault, a fault of ours among them, does not take the others' answers
            yield {"error": {"code": "Internal", "message": f"{type(error).__name__}: {error}", "path": "$"}}


def published_profiles() -> tuple[str, ...]:
    """The names of the profiles that come with the project, sorted."""
    folder = files("risk.margin") / "profiles"
    return tuple(sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if one.name.endswith(".toml")))


@cache
def published_text(name: str) -> str:
    """The TOML of a published profile. Raises FileNotFoundError."""
    return (files("risk.margin") / "profiles" / f"{name}.toml").read_text("utf-8")


def profile_text(profile: str) -> str:
    """The TOML of a published profile by its name (- and _ are one), or of a file by its path. Raises BadInput."""
    if _NAME.fullmatch(profile):
        name = profile.replace("-", "_")
        if name in published_profiles():
            return published_text(name)
        raise BadInput("UnknownProfile", f"{profile!r}; known are {', '.join(published_profiles())}", "$.profile")
    try:
        return Path(profile).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(
            "UnknownProfile", f"{profile!r} is neither a profile nor a readable file: {error}", "$.profile"
        ) from None


def as_json(told: Answer) -> dict[str, Any]:
    """An answer in the form of answer.json."""

    def figure(value: Any) -> str:
        return _decimal(up(value, told.quantum), told.quantum)

    components, parts = told.components, told.components.expansion
    return {
        "profile": {"name": told.header.name, "published": told.header.published, "hash": told.digest},
        "equity": figure(told.equity),
        "mark_to_market": figure(told.mark_to_market),
        "initial": _side(told.initial, figure),
        "maintenance": _side(told.maintenance, figure),
        "buffer": figure(told.buffer),
        "scan": {"initial": figure(told.initial.scan), "maintenance": figure(told.maintenance.scan)},
        "isolated_requirement": figure(told.isolated_requirement),
        "capital_saved": figure(told.capital_saved),
        "components": {
            "delta_risk": figure(components.delta_risk),
            "vega_risk": figure(components.vega_risk),
            "stress_loss": figure(components.stress_loss),
        },
        "expansion": {**parts._asdict(), "expanded": parts.expanded, "unexplained": parts.unexplained},
        "worst_scenario": {"initial": told.worst_initial or None, "maintenance": told.worst_maintenance or None},
        "scenarios": [
            {
                "id": one.id,
                "pnl": figure(one.pnl),
                "groups": [
                    {
                        "underlying": group.underlying,
                        "expiry": None if group.expiry is None else _time(group.expiry),
                        "pnl": figure(group.pnl),
                    }
                    for group in one.groups
                ],
            }
            for one in told.scenarios
        ],
        "legs": [
            {
                "position": one.position,
                "mark": figure(one.mark),
                "greeks": dict(one.greeks),
                "pnl_in_worst": figure(one.pnl_in_worst),
            }
            for one in told.legs
        ],
        "add_ons": [
            {"name": one.name, "initial": figure(one.initial), "maintenance": figure(one.maintenance)}
            for one in told.add_ons
        ],
        "collateral": [
            {
                "asset": one.asset,
                "value": figure(one.value),
                "haircut": figure(one.haircut),
                "haircut_maintenance": figure(one.haircut_maintenance),
            }
            for one in told.collateral
        ],
        "notes": list(told.notes),
        "new_risk": told.new_risk,
    }


def _answered(line: str | bytes, calculators: dict[tuple[str, str], Calculator], *, floats: bool) -> dict[str, Any]:
    request = parsed(line, "$")
    if not isinstance(request, dict):
        raise BadInput("WrongType", "a request is an object", "$")
    for key in request:
        if key not in _KEYS:
            raise BadInput("UnknownKey", f"known are {', '.join(_KEYS)}", f"$.{key[:64]}")
    for key in ("profile", "portfolio", "market"):
        if key not in request:
            raise BadInput("Missing", f"a request has a {key}", f"$.{key}")
    profile, overrides = request["profile"], request.get("overrides", {})
    if not isinstance(profile, str):
        raise BadInput("WrongType", "a profile is named by a string", "$.profile")
    if not isinstance(overrides, dict):
        raise BadInput("WrongType", "overrides are an object", "$.overrides")
    asked = (profile, repr(overrides))
    if asked not in calculators:
        calculators[asked] = ready(profile, overrides)
    market = read_market(request["market"])
    return margin_of(calculators[asked], read_portfolio(request["portfolio"], market), market, floats=floats)


def _profile_path(text: str, overrides: str | Table, error: TomlError) -> str:
    """Where the fault stands: in the overrides if the profile alone has it not."""
    where = "profile"
    if overrides:
        try:
            calculator(text)
            where = "overrides"
        except TomlError as alone:
            where = "profile" if (alone.fault, alone.path) == (error.fault, error.path) else "overrides"
    return f"$.{where}.{error.path}" if error.path else f"$.{where}"


def _side(side: Side, figure: Callable[[Any], str]) -> dict[str, Any]:
    ratio = None if side.ratio is None else figure(side.ratio)
    return {"requirement": figure(side.requirement), "excess": figure(side.excess), "ratio": ratio}


def _decimal(value: Fraction, quantum: int) -> str:
    """A whole multiple of 1 / quantum, a power of ten, in digits."""
    whole, rest = divmod(abs(value.numerator) * (quantum // value.denominator), quantum)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{rest:0{len(str(quantum)) - 1}d}"


def _time(micros: int) -> str:
    return format_time(micros).replace(".000000Z", "Z")

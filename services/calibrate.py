"""Scan ranges retuned from history: what a profile's underlyings ask for, its new text, and the delayed events."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.calibration import DAY, HOUR, Moves, Range, TooFew, Tool, implied_proxy, moves, scan_range
from risk.correlation import by_regime, pairs
from risk.forecast.days import Days, days_of
from risk.margin.crypto_rules import read_rules
from risk.margin.model import Header
from risk.margin.policy import HEADER, calculator
from risk.profile import parse_profile
from risk.regimes import NAMES, Regimes, features, filtered, fitted, labels, smoothed
from schemas.events import EVENTS
from schemas.jsonform import to_json
from schemas.limits import BASIS_POINTS
from schemas.sources import Role, source
from schemas.strict import DEFAULT
from schemas.units import format_time
from services.history import Bars, read_bars, read_dvol
from services.run import profile_events

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRICE, VOLATILITY = "price", "volatility"
_SCANS: Final = {"price_scan": PRICE, "vol_scan": VOLATILITY, "volatility_scan": VOLATILITY}
_SCALES: Final = {"scale": PRICE}
"""of the model `crypto_span`: multiples of its listed price moves"""
_HUNDREDTH: Final = BASIS_POINTS // 100
_BARS: Final = re.compile(r"hourly_([A-Z0-9]{1,8})USDT_spot\.csv(\.gz)?")
_DVOL: Final = re.compile(r"dvol_([A-Z0-9]{1,8})_1h\.csv(\.gz)?")
_SECTION: Final = re.compile(r"\s*\[\s*underlyings\s*\.\s*\"?([!-~]+?)\"?\s*\]")
_KEY: Final = re.compile(r"(\s*(price_scan|vol_scan|volatility_scan|scale)\s*=\s*)(\"[^\"]*\"|[^\s#]+)(.*)", re.DOTALL)
_LOOKBACK: Final = re.compile(r"(\s*lookback\s*=\s*)[0-9]+(.*)", re.DOTALL)
_PUBLISHED: Final = re.compile(r"(\s*published\s*=\s*)\"[^\"]*\"(.*)", re.DOTALL)
_REFERENCE: Final = "BTC"
"""whose implied volatility stands for those that have none recorded"""
_LATE_START: Final = 31 * DAY
"""regimes are found from the assets whose history begins no later than this after the first"""
_FIRST_FEATURES: Final = 30
"""days that are left out of the regimes: their features rest on too few days"""


class Unfit(ValueError):  # noqa: N818 - named for what the profile or the history is
    """A profile that cannot be calibrated or a history that does not cover what is asked: says why."""


class Rules(NamedTuple):
    """What a profile states that its ranges must hold to."""

    confidence: float
    hours: int
    """margin period of risk"""
    lookback: int
    """days"""
    ledger: bool
    """True: a profile that the journal takes; False: one of the stand-alone calculator"""
    scans: Mapping[str, Mapping[str, int]]
    """by underlying (`default` for the others), then by key: basis points today"""
    unit: float = 1.0
    """the move that a range of 1 stands for: of a `scale`, the widest listed move, the lesser of its two sides"""


class Retuned(NamedTuple):
    """One scan range, before and after."""

    underlying: str
    key: str
    before: int
    range: Range
    rests_on: str
    """whose moves they are, and the proxy where there is one"""


@dataclass(frozen=True, slots=True)
class Store:
    """The histories of a folder, by symbol."""

    bars: Mapping[str, Bars]
    implied: Mapping[str, Bars]


@dataclass(frozen=True, slots=True)
class Study:
    """Regimes found from the assets with the longest history, up to a time."""

    symbols: tuple[str, ...]
    times: IntArray
    returns: FloatArray
    """[days, symbols], log"""
    model: Regimes
    known: IntArray
    """each day's regime by what was known at its end, under the model of the whole"""
    looking_back: IntArray
    """each day's regime by the whole history up to that time"""

    def correlations(self) -> dict[str, FloatArray]:
        """The regimes' matrices, stressed towards one."""
        return by_regime(self.returns, self.looking_back, NAMES)

    @property
    def regime(self) -> str:
        """The last day's, as it was known at its end."""
        return NAMES[int(self.known[-1])]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A calibration: the ranges, the profile's new text and what to know about them."""

    rules: Rules
    tool: Tool
    ranges: tuple[Retuned, ...]
    text: str
    notes: tuple[str, ...]


def read_store(directory: Path) -> Store:
    """Hourly spot bars (hourly_BTCUSDT_spot.csv[.gz]) and volatility indices (dvol_BTC_1h.csv[.gz]) of a folder.

    Raises Unfit where there are no bars, TableError for a file that cannot be used.
    """
    found: dict[str, dict[str, Path]] = {PRICE: {}, VOLATILITY: {}}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        for pattern, kind in ((_BARS, PRICE), (_DVOL, VOLATILITY)):
            matched = pattern.fullmatch(path.name)
            if matched and found[kind].setdefault(matched[1], path) != path:
                raise Unfit(f"{path} and {found[kind][matched[1]].name} both tell of {matched[1]}")
    if not found[PRICE]:
        raise Unfit(f"{directory} has no bars such as hourly_BTCUSDT_spot.csv.gz")
    return Store(
        {symbol: read_bars(path) for symbol, path in found[PRICE].items()},
        {symbol: read_dvol(path) for symbol, path in found[VOLATILITY].items()},
    )


def rules_of(text: str, lookback: int = 0) -> Rules:
    """What the profile states, with `lookback` (days; 0: its own). Raises TomlError, Unfit where it has no scan
    ranges."""
    whole = tomllib.loads(text, parse_float=Decimal)
    known = _SCALES if whole.get("model") == "crypto_span" else _SCANS
    scans = {
        symbol: {key: int(Decimal(str(table[key])) * BASIS_POINTS) for key in known if key in table}
        for symbol, table in whole.get("underlyings", {}).items()
        if isinstance(table, dict)
    }
    scans = {symbol: keys for symbol, keys in scans.items() if keys}
    if "model" in whole:
        header = calculator(text).header
        hours, days = max(1, round(header.period.days * 24)), lookback or header.lookback
        rules = Rules(header.confidence, hours, days, False, scans, _widest(whole, header))
    else:
        profile = parse_profile(text)
        confidence = profile.confidence / BASIS_POINTS
        rules = Rules(confidence, 24 * profile.margin_period_of_risk, lookback or profile.lookback, True, scans)
    if not scans or not rules.lookback:
        raise Unfit("the profile has no scan ranges" if not scans else "the profile states no lookback: give one")
    return rules


def _widest(whole: Mapping[str, Any], header: Header) -> float:
    if header.model != "crypto_span":
        return 1.0
    listed = read_rules({key: value for key, value in whole.items() if key not in HEADER}, header).prices
    widest = min(-listed[0], listed[-1])
    if not widest > 0.0:
        raise Unfit("scan.prices has no move up, or none down: there is nothing that a scale is of")
    return widest


def study(store: Store, to: int) -> Study:
    """Regimes by the days that ended by `to`. Raises NoRegimes, NoCorrelation, TooFewDays."""
    began = min(int(bars.times[0]) for bars in store.bars.values())
    assets: dict[str, Days] = {}
    for symbol, bars in store.bars.items():
        if bars.times[0] <= began + _LATE_START:
            known = bars.between(0, to // DAY * DAY)
            assets[symbol] = days_of(known.times, known.close)
    common = np.array(sorted(set.intersection(*(set(days.times.tolist()) for days in assets.values()))), np.int64)
    at = {symbol: np.searchsorted(days.times, common) for symbol, days in assets.items()}
    returns = np.stack([days.returns[at[symbol]] for symbol, days in assets.items()], axis=1)
    realised = np.stack([days.realised[at[symbol]] for symbol, days in assets.items()], axis=1)
    shown = features(realised, returns)[_FIRST_FEATURES:]
    model = fitted(shown)
    return Study(
        tuple(assets),
        common[_FIRST_FEATURES:],
        returns[_FIRST_FEATURES:],
        model,
        labels(filtered(model, shown)),
        labels(smoothed(model, shown)),
    )


def proposed(text: str, store: Store, to: int, tool: Tool, found: Study, lookback: int = 0) -> Proposal:
    """The profile with its scan ranges retuned at `to` (microseconds), the end of the history that counts, over
    `lookback` days (0: those the profile states, which the new text then states).

    An underlying without a history of its own cannot be calibrated; `default` takes the largest of those that the
    profile does not name, or of all. Raises Unfit, TooFew, TomlError where the scenarios cannot bear the new ranges.
    """
    rules = rules_of(text, lookback)
    scales = rules.unit != 1.0
    stressed = found.times[found.looking_back == len(NAMES) - 1]
    notes: list[str] = []
    measured: dict[tuple[str, str], tuple[Range, str]] = {}

    def measure(symbol: str, kind: str) -> tuple[Range, str]:
        if (symbol, kind) not in measured:
            told, rests_on = _moves_of(store, symbol, kind, rules, to)
            try:
                made = scan_range(told, stressed, to, rules.lookback, rules.confidence, tool)
            except TooFew as error:
                raise Unfit(f"{symbol} {kind}: {error}") from None
            if made.observations < 0.9 * rules.lookback * 24:
                notes.append(
                    f"{symbol} {kind}: {made.observations:,} moves, a lookback of {rules.lookback} days has more"
                )
            if scales:
                # a range of so many basis points, in hundredths of the listed moves, rounded up
                least = math.ceil(made.basis_points / rules.unit / _HUNDREDTH - 1e-9) * _HUNDREDTH
                made = made._replace(basis_points=least)
            measured[symbol, kind] = made, rests_on
        return measured[symbol, kind]

    named = [symbol for symbol in rules.scans if symbol != DEFAULT]
    others = [symbol for symbol in store.bars if symbol not in named] or list(store.bars)
    ranges: list[Retuned] = []
    for symbol, keys in rules.scans.items():
        for key, before in keys.items():
            candidates = [measure(one, (_SCANS | _SCALES)[key]) for one in (others if symbol == DEFAULT else [symbol])]
            made, rests_on = max(candidates, key=lambda pair: pair[0].basis_points)
            ranges.append(Retuned(symbol, key, before, made, rests_on))
    years = min(one.range.years for one in ranges)
    if tool is Tool.FLOOR and years < 9.9:
        notes.append(f"the floor's ten years are {years:.1f}: the history has no more")
    new = _edited(text, ranges, format_time(to - 1)[:10], lookback)
    if scales:
        day = format_time(to - 1)[:10]
        new = f"# A proposal from history to {day}, not in force: `scale` alone is of history.\n{new}"
        notes.append(
            f"scale 1 is a widest move of {rules.unit:.2%}; ranges are scales x 10,000, rounded up to hundredths"
        )
        notes.append("a scale of history covers the closes of its lookback, and no crash that is not in it")
    rules_of(new)
    return Proposal(rules, tool, tuple(ranges), new, tuple(notes))


def entry(number: int, text: str, time: int, effective: int, council: int, sequence: int) -> dict[str, Any]:
    """The publication as the entry that the council sends, `{source, sequence, events}`; times in microseconds."""
    *pieces, last = profile_events(number, text, time)
    events = [*pieces, replace(last, effective=effective)]
    return {
        "source": source(Role.COUNCIL, council),
        "sequence": sequence,
        "events": [to_json(EVENTS, event) for event in events],
    }


def in_market_form(symbols: Sequence[str], matrix: FloatArray) -> dict[str, float]:
    """Correlations as market.json has them: {"BTC/ETH": 0.8}, to six decimals."""
    return {"/".join(pair): round(value, 6) for pair, value in pairs(symbols, matrix).items()}


def as_overrides(symbols: Sequence[str], matrices: Mapping[str, FloatArray], regime: str) -> str:
    """The regimes' correlations as overrides (TOML) of a simulated profile, one of them in force. A pair that no
    history knows has the regime's largest correlation: together is how losses add up."""
    lines = ["[correlation]", f'regime = "{regime}"']
    for name, matrix in matrices.items():
        known = in_market_form(symbols, matrix)
        lines += ["", f"[correlation.regimes.{name}]", f"default = {max(known.values(), default=1.0)!r}"]
        lines += [f'"{pair}" = {value!r}' for pair, value in known.items()]
    return "\n".join(lines) + "\n"


def _moves_of(store: Store, symbol: str, kind: str, rules: Rules, to: int) -> tuple[Moves, str]:
    """An underlying's moves over the margin period, and what they rest on. Bars count at their close."""
    bars = store.bars.get(symbol)
    if bars is None:
        raise Unfit(f"no bars of {symbol}: hourly_{symbol}USDT_spot.csv.gz is looked for")
    if bars.times[-1] + HOUR < to:
        end = format_time(int(bars.times[-1]) + HOUR)
        raise Unfit(f"the bars of {symbol} end at {end}, before {format_time(to)}")
    period = rules.hours * HOUR
    if kind == PRICE:
        return moves(bars.times + HOUR, bars.close, period), symbol
    known = bars.between(0, to)
    wanted = len(known.between(to - rules.lookback * DAY, to).times)
    for name in (symbol, _REFERENCE):
        implied = store.implied.get(name)
        if implied is not None and 2 * len(implied.between(to - rules.lookback * DAY, to).times) >= wanted:
            proxy = "" if name == symbol else f" as a proxy for {symbol}'s"
            return moves(implied.times + HOUR, implied.close, period), f"{name}'s index of implied volatility{proxy}"
    times, values = implied_proxy(known.times + HOUR, known.close)
    return moves(times, values, period), f"{symbol}'s EWMA volatility (half-life 10 days) as a proxy for implied"


def _edited(text: str, ranges: Sequence[Retuned], day: str, lookback: int) -> str:
    """The text with new numbers (a lookback of 0 stays as it is), all else as it was.

    Raises Unfit where a number has no line of its own.
    """
    wanted = {(one.underlying, one.key): one.range.basis_points for one in ranges}
    lines: list[str] = []
    section: str | None = ""
    for line in text.splitlines(keepends=True):
        heading, key, published = _SECTION.match(line), _KEY.fullmatch(line), _PUBLISHED.fullmatch(line)
        if heading:
            section = heading[1]
        elif line.lstrip().startswith("["):
            section = None
        elif key and section and (section, key[2]) in wanted:
            line = f'{key[1]}"{_decimal(wanted.pop((section, key[2])))}"{key[4]}'
        elif lookback and section == "" and (days := _LOOKBACK.fullmatch(line)):
            line = f"{days[1]}{lookback}{days[2]}"
        elif published and section == "":
            line = f'{published[1]}"{day}"{published[2]}'
        lines.append(line)
    if wanted:
        symbol, name = next(iter(wanted))
        raise Unfit(f"underlyings.{symbol}.{name} has no line of its own in the profile's text")
    return "".join(lines)


def _decimal(points: int) -> str:
    return format((Decimal(points) / BASIS_POINTS).normalize(), "f")

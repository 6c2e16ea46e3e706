"""Market history read from CSV files (plain or gzip): bars, implied volatility, funding, option chains; and daily sums.

The columns are those of public exchange files; further columns are passed over. Bars are stamped at their opening.
Times are microseconds since 1970, days are UTC. What cannot be used is named by file, line and column (TableError).
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.surface.curves import TREASURY, BadCurve, Discounts, discounts
from schemas.units import UnitError, parse_time
from services.tables import Fault, TableError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAY: Final = 86_400_000_000
"""microseconds"""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars by time, ascending and without repeats; `volume` is zero where the file has none."""

    times: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def between(self, start: int, end: int) -> Bars:
        """The bars that open at or after `start` and before `end`."""
        first, last = np.searchsorted(self.times, [start, end])
        part = slice(int(first), int(last))
        return Bars(
            self.times[part], self.open[part], self.high[part], self.low[part], self.close[part], self.volume[part]
        )


class Funding(NamedTuple):
    """Realised funding: at each time the part of the notional that longs paid to shorts."""

    times: IntArray
    rates: FloatArray


class Quote(NamedTuple):
    """One option of a chain. Mark, bid and ask are in COIN (inverse options); volatilities are fractions a year."""

    time: int
    instrument: str
    currency: str
    expiry: int
    strike: float
    call: bool
    index_price: float
    forward: float
    forward_source: str
    """beginning with SYN. where the forward is interpolated"""
    mark: float
    mark_volatility: float
    bid: float | None
    ask: float | None
    delta: float
    """of Black-76 on the forward, undiscounted"""
    vega: float
    """dollars for one volatility point"""
    open_interest: float
    """coins"""


def read_bars(path: Path) -> Bars:
    """Bars of ts,open,high,low,close[,volume]. Raises TableError."""
    return _bars(path, ("open", "high", "low", "close"))


def read_dvol(path: Path) -> Bars:
    """An implied volatility index (ts,dvol_open,dvol_high,dvol_low,dvol_close, in points) as fractions: 80 is 0.8."""
    bars = _bars(path, ("dvol_open", "dvol_high", "dvol_low", "dvol_close"))
    return Bars(bars.times, bars.open / 100, bars.high / 100, bars.low / 100, bars.close / 100, bars.volume)


def read_funding(path: Path) -> dict[tuple[str, str], Funding]:
    """Funding by (venue, symbol), of ts,venue,symbol,rate; times ascend for each. Raises TableError."""
    read = _columns(path, {"ts": _instant, "venue": _text, "symbol": _text, "rate": _number})
    by_market: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for line, (time, venue, symbol, rate) in enumerate(zip(*read.values(), strict=True), 2):
        rows = by_market.setdefault((venue, symbol), [])
        if rows and rows[-1][0] >= time:
            raise TableError(Fault.REPEATED, str(path), line, "ts", f"not after the {venue} {symbol} row before it")
        rows.append((time, rate))
    return {
        market: Funding(np.array([time for time, _ in rows], np.int64), np.array([rate for _, rate in rows]))
        for market, rows in by_market.items()
    }


def read_chain(path: Path) -> tuple[Quote, ...]:
    """The options of a chain's snapshot in the file's order. Raises TableError."""
    read = _columns(
        path,
        {
            "ts": _instant,
            "instrument": _text,
            "ccy": _text,
            "expiry": _instant,
            "strike": _positive,
            "cp": _right,
            "index_price": _positive,
            "fwd_price": _positive,
            "fwd_source": _text,
            "mark_price": _number,
            "mark_iv": _number,
            "bid_price": _maybe,
            "ask_price": _maybe,
            "delta": _number,
            "vega": _number,
            "open_interest": _number,
        },
    )
    return tuple(Quote(*row) for row in zip(*read.values(), strict=True))


def read_yields(path: Path, time: int) -> Discounts:
    """The discounts of the last day of a file of treasury par yields (date,m1,m3,..., percent) that began by `time`;
    they are as old as that day. Raises TableError, BadCurve (a file that begins later, too)."""
    read = _columns(path, {"date": _instant_of_day, **dict.fromkeys(TREASURY, _maybe)})
    days = [day for day in read["date"] if day <= time]
    if not days:
        raise BadCurve(f"{path}: no yields by then")
    last = read["date"].index(max(days))
    par = {years: read[name][last] / 100.0 for name, years in TREASURY.items() if read[name][last] is not None}
    return discounts(par, max(days))


def daily(bars: Bars) -> Bars:
    """Bars of whole UTC days, stamped at the day's start. A first or last day that is cut off is left out.

    A day with holes is made of the bars it has; a day without bars is not there.
    """
    if not len(bars.times):
        return bars
    step = int(np.min(np.diff(bars.times))) if len(bars.times) > 1 else DAY
    whole = bars.between(-(-int(bars.times[0]) // DAY) * DAY, (int(bars.times[-1]) + step) // DAY * DAY)
    if not len(whole.times):
        return whole
    days, first = np.unique(whole.times // DAY, return_index=True)
    last = np.append(first[1:], len(whole.times)) - 1
    return Bars(
        (days * DAY).astype(np.int64),
        whole.open[first],
        np.maximum.reduceat(whole.high, first),
        np.minimum.reduceat(whole.low, first),
        whole.close[last],
        np.add.reduceat(whole.volume, first),
    )


def returns(bars: Bars) -> FloatArray:
    """Relative moves from close to close: one fewer than there are bars."""
    moves: FloatArray = bars.close[1:] / bars.close[:-1] - 1.0
    return moves


def aligned(histories: Mapping[str, Bars]) -> tuple[IntArray, FloatArray]:
    """The times that all histories have, and the closes there [times, histories]."""
    common: IntArray | None = None
    for bars in histories.values():
        common = bars.times if common is None else np.intersect1d(common, bars.times)
    if common is None:
        return np.zeros(0, np.int64), np.zeros((0, 0))
    closes = [bars.close[np.searchsorted(bars.times, common)] for bars in histories.values()]
    return common, np.stack(closes, axis=1)


def _bars(path: Path, names: tuple[str, str, str, str]) -> Bars:
    read = _columns(path, {"ts": _instant, **dict.fromkeys(names, _positive)}, {"volume": _amount})
    times = np.array(read["ts"], np.int64)
    open_, high, low, close = (np.array(read[name], np.float64) for name in names)
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        raise TableError(Fault.REPEATED, str(path), int(falls[0]) + 3, "ts", "not after the bar before it")
    crossed = np.flatnonzero((low > np.minimum(open_, close)) | (high < np.maximum(open_, close)))
    if len(crossed):
        raise TableError(
            Fault.BAR_CROSSED, str(path), int(crossed[0]) + 2, "", "low or high does not enclose open and close"
        )
    volume = np.array(read["volume"], np.float64) if "volume" in read else np.zeros(len(times))
    return Bars(times, open_, high, low, close, volume)


Cell = Callable[[str], Any]


def _columns(
    path: Path, needed: Mapping[str, Cell], optional: Mapping[str, Cell] | None = None
) -> dict[str, list[Any]]:
    """The wanted columns, each read by its function; in the order of `needed`, then of `optional`."""
    name = str(path)
    rows = csv.reader(io.StringIO(_unpacked(path), newline=""))
    heading = next(rows, None)
    if heading is None:
        raise TableError(Fault.TABLE_EMPTY, name, 1, "", "no heading")
    wanted = dict(needed) | {column: cell for column, cell in (optional or {}).items() if column in heading}
    for column in wanted:
        if heading.count(column) != 1:
            raise TableError(Fault.COLUMN_MISSING, name, 1, column, f"stands {heading.count(column)} times")
    places = [(column, heading.index(column), cell) for column, cell in wanted.items()]
    read: dict[str, list[Any]] = {column: [] for column in wanted}
    for line, row in enumerate(rows, 2):
        if len(row) != len(heading):
            raise TableError(Fault.FIELD_COUNT, name, line, "", f"{len(row)} fields, the heading has {len(heading)}")
        for column, place, cell in places:
            try:
                read[column].append(cell(row[place]))
            except UnitError as error:
                raise TableError(Fault.NOT_A_TIME, name, line, column, error.what) from None
            except _BadCell as error:
                raise TableError(error.fault, name, line, column, f"{row[place]!r} {error}") from None
    if not next(iter(read.values())):
        raise TableError(Fault.TABLE_EMPTY, name, 2, "", "no rows")
    return read


def _unpacked(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TableError(
            Fault.FILE_UNREADABLE, str(path), 0, "", getattr(error, "strerror", None) or str(error)
        ) from None


class _BadCell(ValueError):  # noqa: N818 - becomes a TableError with its place
    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(what)
        self.fault = fault


def _instant(text: str) -> int:
    # chains give expiries to the minute
    return parse_time(f"{text[:16]}:00Z" if len(text) == 17 and text[16] == "Z" else text)


def _instant_of_day(text: str) -> int:
    return parse_time(f"{text}T00:00:00Z")


def _text(text: str) -> str:
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _BadCell(Fault.NOT_A_DECIMAL, "is no number") from None
    if not math.isfinite(value):
        raise _BadCell(Fault.OUT_OF_RANGE, "is not finite")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0.0:
        raise _BadCell(Fault.OUT_OF_RANGE, "is not positive")
    return value


def _amount(text: str) -> float:
    value = _number(text)
    if value < 0.0:
        raise _BadCell(Fault.OUT_OF_RANGE, "is negative")
    return value


def _maybe(text: str) -> float | None:
    return None if text == "" else _amount(text)


def _right(text: str) -> bool:
    if text not in ("C", "P"):
        raise _BadCell(Fault.NOT_IN_CHOICES, "is neither C nor P")
    return text == "C"

"""Backtests of margin profiles: history read from a folder, profiles walked over books side by side."""

from __future__ import annotations

import multiprocessing
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.backtest.laying import Laid, Losses, lay, losses, usable
from risk.backtest.past import HOUR, Past, Records, past
from risk.backtest.portfolios import BOOKS, NOTIONAL, Book
from risk.backtest.verdicts import Verdict, grid_starts, judged, period_hours, references
from risk.backtest.walk import CASH, walk
from risk.margin.model import Calculator, Header
from risk.margin.policy import calculator
from schemas.units import format_time, parse_time
from services.history import Bars, read_bars, read_dvol, read_funding

SYMBOLS: Final = {"BTC": "BTCUSDT", "ETH": "ETHUSDT", "LINK": "LINKUSDT", "SOL": "SOLUSDT"}
VENUE: Final = "binance"
WINDOWS: Final = {
    "covid": ("2020-03-01", "2020-04-01"),
    "may-2021": ("2021-05-08", "2021-06-01"),
    "luna": ("2022-05-02", "2022-06-25"),
    "ftx": ("2022-11-01", "2022-12-01"),
    "svb": ("2023-03-05", "2023-03-25"),
}
"""the crashes by name; luna goes on to the failures of June 2022"""
DAILY, HOURLY = 24, 1
MIXED: Final = "(mixed)"
"""no one coin: an inverse profile is not asked about such a book"""

IntArray = npt.NDArray[np.int64]
Told = Callable[[int, int], None]


class NoHistory(ValueError):  # noqa: N818 - named for what is found
    """A folder without the files that a backtest needs, or a period outside of them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile to judge: its name for the tables, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """What was asked, and every verdict."""

    first: int
    last: int
    step: int
    """hours from start to start"""
    notional: float
    """dollars that a leg of weight 1 is on"""
    profiles: Mapping[str, Header]
    """by the names that verdicts have"""
    digests: Mapping[str, str]
    """SHA-256 of each profile's text, by its name"""
    verdicts: tuple[Verdict, ...]
    reference: tuple[Verdict, ...]
    """what no model is: no margin, and foresight"""
    proxied: Mapping[str, float]
    """share of the period's hours in which an underlying's implied volatility is the proxy"""
    notes: tuple[str, ...] = field(default=())


def read_past(folder: Path) -> Past:
    """The history of a folder: hourly_{SYM}_spot, and where they are mark or perp, funding and dvol (.csv, .csv.gz).

    Raises NoHistory, services.tables.TableError.
    """
    spots = {name: one for name, symbol in SYMBOLS.items() if (one := _file(folder, f"hourly_{symbol}_spot"))}
    if not spots:
        raise NoHistory(f"{folder} has no hourly_<SYMBOL>_spot.csv or .csv.gz of {', '.join(SYMBOLS.values())}")
    paid = _file(folder, "funding_binance_8h")
    funding = read_funding(paid) if paid else {}
    records = {}
    for name, path in spots.items():
        symbol = SYMBOLS[name]
        perp = _file(folder, f"hourly_{symbol}_mark") or _file(folder, f"hourly_{symbol}_perp")
        index = _file(folder, f"dvol_{name}_1h")
        rates = funding.get((VENUE, symbol))
        records[name] = Records(
            _closes(read_bars(path)),
            _closes(read_bars(perp)) if perp else None,
            (rates.times, rates.rates) if rates else None,
            _closes(read_dvol(index)) if index else None,
        )
    first = min(int(one.spot[0][0]) for one in records.values())
    last = max(int(one.spot[0][-1]) for one in records.values())
    return past(np.arange(-(-first // HOUR) * HOUR, last + 1, HOUR), records)


def backtest(
    history: Past,
    profiles: Sequence[Profile],
    first: int,
    last: int,
    *,
    step: int = DAILY,
    books: Sequence[Book] = BOOKS,
    notional: float = NOTIONAL,
    jobs: int = 1,
    told: Told | None = None,
) -> Backtest:
    """Walk every profile over every book, a start each `step` hours from `first` to `last` (microseconds, excluded).

    `told` hears how many walks of all are done. With `jobs` above 1 so many processes share the walks.
    Raises NoHistory, schemas.strict.TomlError.
    """
    if not 1 <= step <= 24 * 30:
        raise NoHistory(f"a start every {step} hours: 1 to {24 * 30} are possible")
    calculators = {one.name: calculator(one.text) for one in profiles}
    if len(calculators) < len(profiles):
        raise NoHistory("a profile stands twice: their names must differ")
    starts = grid_starts(history, first, last, step)
    if not len(starts):
        inside = f"{_day(int(history.times[0]))} to {_day(int(history.times[-1]))}"
        raise NoHistory(f"no history from {_day(first)} to {_day(last)}; there is {inside}")
    texts = {one.name: one.text for one in profiles}
    job = _Job(history, texts, {one.name: one for one in books}, starts, step, notional)
    pairs = [(one.name, book.name) for book in books for one in profiles]
    found: dict[tuple[str, str], Verdict | None] = {}
    for done, (pair, verdict) in enumerate(_walked(job, calculators, pairs, jobs), 1):
        found[pair] = verdict
        if told is not None:
            told(done, len(pairs))
    ordered = {pair: found[pair] for pair in pairs}
    verdicts = tuple(one for one in ordered.values() if one is not None)
    reference, notes = _references(job, {one.hours for one in verdicts})
    headers = {name: one.header for name, one in calculators.items()}
    return Backtest(
        first=int(history.times[starts[0]]),
        last=int(history.times[starts[-1]]),
        step=step,
        notional=notional,
        profiles=headers,
        digests={name: one.digest for name, one in calculators.items()},
        verdicts=verdicts,
        reference=reference,
        proxied={name: float(one.proxied[starts].mean()) for name, one in history.paths.items()},
        notes=(*notes, *_left_out(headers, history, job.books, ordered)),
    )


def coin_of(text: str, book: Book) -> str:
    """What a book settles in where that is a coin: inverse contracts, by the profile, settle in their underlying."""
    if tomllib.loads(text).get("inverse") is not True:
        return ""
    return book.underlyings[0] if len(book.underlyings) == 1 else MIXED


def funded(book: Book, header: Header, history: Past) -> Book:
    """The book with collateral the profile takes: where that is not cash, the first accepted coin with a history."""
    taken = header.collateral
    if book.collateral or not taken or CASH in taken:
        return book
    return replace(book, collateral=next((one for one in taken if one in history.paths), ""))


def as_json(told: Backtest) -> dict[str, Any]:
    """Plain data of a backtest, for programs. Money is dollars, shares are parts of one."""
    return {
        "from": format_time(told.first),
        "to": format_time(told.last),
        "step_hours": told.step,
        "notional": told.notional,
        "profiles": [
            {
                "name": name,
                "published": one.published,
                "hash": told.digests[name],
                "confidence": one.confidence,
                "margin_period_hours": one.period.days * 24,
            }
            for name, one in told.profiles.items()
        ],
        "volatility_proxied": dict(told.proxied),
        "notes": list(told.notes),
        "verdicts": [_verdict(one) for one in (*told.verdicts, *told.reference)],
    }


def _verdict(one: Verdict) -> dict[str, Any]:
    def tested(name: str) -> dict[str, float]:
        ratio = getattr(one, name)
        return {"statistic": ratio.statistic, "p_value": ratio.p_value}

    return {
        "profile": one.profile,
        "portfolio": one.book,
        "period_hours": one.hours,
        "starts": len(one.times),
        "expected_breaches": one.expected,
        "covered": one.covered,
        "breaches": [
            {"time": format_time(each.time), "loss": each.loss, "requirement": each.required} for each in one.breaches
        ],
        "breaches_at_worst_hour": one.worst_hour,
        "breaches_of_maintenance": one.of_maintenance,
        "tested_starts": one.tested,
        "kupiec": tested("proportion"),
        "christoffersen_independence": tested("independence"),
        "christoffersen_conditional": tested("conditional"),
        "average_requirement": one.average,
        "largest_shortfall": one.shortfall,
        "capital_saved": one.saved,
        "peak_to_trough": one.peak_to_trough,
        "largest_rise": {f"{days}d": rise for days, rise in one.rises.items()},
        "refused": dict(one.refused),
        "notes": list(one.notes),
    }


class _Job(NamedTuple):
    """What every walk shares."""

    history: Past
    texts: Mapping[str, str]
    books: Mapping[str, Book]
    starts: IntArray
    step: int
    notional: float


_Pair = tuple[str, str]


def _walked(
    job: _Job, calculators: Mapping[str, Calculator], pairs: Sequence[_Pair], jobs: int
) -> Iterator[tuple[_Pair, Verdict | None]]:
    if jobs == 1:
        for pair in pairs:
            yield pair, _walk(job, calculators[pair[0]], pair)
        return
    # spawned, not forked: the parent may hold threads of numerical libraries
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(_apart, _narrowed(job, pair), pair): pair for pair in pairs}
        for done in as_completed(running):
            yield running[done], done.result()


def _narrowed(job: _Job, pair: _Pair) -> _Job:
    """What one walk needs of it, for another process."""
    book = job.books[pair[1]]
    needed = {*book.underlyings, *calculator(job.texts[pair[0]]).header.collateral}
    paths = {name: path for name, path in job.history.paths.items() if name in needed}
    return _Job(
        Past(job.history.times, paths),
        {pair[0]: job.texts[pair[0]]},
        {book.name: book},
        job.starts,
        job.step,
        job.notional,
    )


def _apart(job: _Job, pair: _Pair) -> Verdict | None:
    return _walk(job, calculator(job.texts[pair[0]]), pair)


def _walk(job: _Job, asked: Calculator, pair: _Pair) -> Verdict | None:
    """None where the book settles in no single coin, or history has nothing of it."""
    book = funded(job.books[pair[1]], asked.header, job.history)
    coin = coin_of(job.texts[pair[0]], book)
    if coin == MIXED:
        return None
    hours = period_hours(asked.header.period.days)
    told = _laid(job, book, hours, coin)
    if told is None:
        return None
    laid, lost = told
    answers = walk(job.history, laid, asked, coin)
    return judged(pair[0], job.history, laid, lost, answers, hours, job.step, 1.0 - asked.header.confidence)


def _laid(job: _Job, book: Book, hours: int, coin: str = "") -> tuple[Laid, Losses] | None:
    starts = usable(job.history, book, job.starts, hours)
    if not len(starts):
        return None
    laid = lay(job.history, book, starts, job.notional)
    return laid, losses(job.history, laid, hours, coin)


def _references(job: _Job, periods: set[int]) -> tuple[tuple[Verdict, ...], tuple[str, ...]]:
    """No margin and foresight on every book, for the longest of the margin periods."""
    answer, notes = [], []
    hours = max(periods, default=24)
    for book in job.books.values():
        told = _laid(job, book, hours)
        found = 0 if told is None else len(told[0].starts)
        if missing := len(job.starts) - found:
            notes.append(f"{book.name}: {missing} of {len(job.starts)} starts have no prices for it or its period")
        if told is not None:
            for name, asked in references(*told).items():
                answer.append(judged(name, job.history, *told, asked, hours, job.step, 0.5))
    return tuple(answer), tuple(notes)


def _left_out(
    headers: Mapping[str, Header], history: Past, books: Mapping[str, Book], found: Mapping[_Pair, Verdict | None]
) -> list[str]:
    """What was not asked, what was asked otherwise, and what was refused, in words."""
    answer = []
    for name, header in headers.items():
        without = [book for profile, book in found if profile == name and found[profile, book] is None]
        if without:
            answer.append(f"{name}: not asked about {', '.join(without)} (no history, or no one coin to settle in)")
        coins = {funded(book, header, history).collateral for book in books.values() if not book.collateral} - {""}
        answer += [f"{name}: cash is not accepted, books are funded with {coin}" for coin in sorted(coins)]
        for verdict in (found[pair] for pair in found if pair[0] == name):
            if verdict is not None:
                answer += [f"{name}, {verdict.book}: refused {n} starts: {what}" for what, n in verdict.refused.items()]
    return answer


def _closes(bars: Bars) -> tuple[IntArray, Any]:
    """A bar is stamped at its opening and known when it has closed, an hour later."""
    return bars.times + HOUR, bars.close


def _file(folder: Path, stem: str) -> Path | None:
    return next((one for end in (".csv.gz", ".csv") if (one := folder / (stem + end)).is_file()), None)


def _day(time: int) -> str:
    return format_time(time)[:10]


def day(text: str) -> int:
    """A day, YYYY-MM-DD, or a UTC time, as microseconds. Raises schemas.units.NotATime."""
    return parse_time(text if "T" in text else f"{text}T00:00:00Z")

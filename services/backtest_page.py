"""A backtest as one self-contained HTML page, and as the tables printed in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from rich.table import Table

from risk.backtest.laying import CURVE, SKEW
from risk.backtest.past import CARRY_HOURS, PROXY
from risk.backtest.portfolios import BOOKS
from risk.backtest.verdicts import FORESIGHT, NOTHING, RISES, Breach, Verdict, pooled
from risk.margin.model import Header
from schemas.units import format_time
from services import charts, page
from services.backtest import Backtest

FloatArray = npt.NDArray[np.float64]

LEVEL: Final = 0.05
"""a test whose p-value is below it refuses the profile's claim"""
DRAWN: Final = 240
"""stretches a plot over time has at most"""
SHOWN: Final = 200
"""breaches in the page's table"""
PRINTED: Final = 10
"""breaches in the terminal"""
_DASHES: Final = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (2, 3)))


@dataclass(frozen=True, slots=True)
class Summary:
    """A profile over all its books."""

    header: Header
    breaches: int
    starts: int
    expected: float
    average: float
    books: int
    refused: int
    """books on which Kupiec's test refuses its confidence because too much is breached"""
    clustered: int
    """books on which breaches come in clusters"""
    saved: float | None
    shortfall: float
    rise: float | None
    """the largest within RISES[0] days on any book"""

    @property
    def covered(self) -> float:
        """The share of starts whose loss was covered."""
        return 1.0 - self.breaches / self.starts if self.starts else 1.0


def summaries(told: Backtest) -> list[tuple[str, Summary]]:
    """Every profile over all its books, in the order asked."""
    answer = []
    for name, header in told.profiles.items():
        own = [one for one in told.verdicts if one.profile == name]
        breaches, starts, average = pooled(own)
        saved = [one.saved for one in own if one.saved is not None]
        rises = [one.rises[RISES[0]] for one in own if RISES[0] in one.rises]
        answer.append(
            (
                name,
                Summary(
                    header=header,
                    breaches=breaches,
                    starts=starts,
                    expected=sum(one.expected * len(one.times) for one in own),
                    average=average,
                    books=len(own),
                    refused=sum(too_many(one) for one in own),
                    clustered=sum(one.independence.p_value < LEVEL for one in own),
                    saved=sum(saved) / len(saved) if saved else None,
                    shortfall=max((one.shortfall for one in own), default=0.0),
                    rise=max(rises, default=None),
                ),
            )
        )
    return answer


def too_many(one: Verdict) -> bool:
    """Whether Kupiec's test refuses the profile's confidence, and for too many breaches, not too few."""
    return one.proportion.p_value < LEVEL and len(one.breaches) > one.expected * len(one.times)


def tables(told: Backtest) -> list[Table]:
    """What is printed: profiles, then every profile on every book, then the largest breaches."""
    return [
        _rich(title, heading, rows, texts)
        for title, heading, rows, texts in (
            ("Profiles", *_profiles(told), 1),
            ("Every book", *_books(told), 2),
            (f"Largest breaches ({PRINTED} at most)", *_breaches(told, PRINTED), 2),
        )
        if rows
    ]


def html(told: Backtest) -> str:
    """The page. The same backtest gives the same bytes; it asks for nothing from anywhere."""
    title = "Margin against history"
    count = sum(len(one.breaches) for one in told.verdicts)
    body = [
        f"<header><p class=eyebrow>Novate · backtest</p><h1>{title}</h1><p class=period>{_minute(told.first)} to "
        f"{_minute(told.last)} UTC · a start every {told.step} h · legs of ${told.notional:,.0f} · "
        f"{len(told.profiles)} profiles · {len({one.book for one in told.verdicts})} books</p></header>",
        page.section(
            "frontier",
            "Coverage against average requirement",
            "Each profile over all its books: further left is cheaper, higher covers more. The upright line is "
            "foresight: the mean of the losses to come, the least that would have covered all of them.",
            _frontier(told),
        ),
        page.table("profiles", "Profiles", *_profiles(told), 1),
        page.table("references", "What no margin and perfect foresight would have done", *_references(told), 1),
        *(_book(told, name) for name in dict.fromkeys(one.book for one in told.verdicts)),
        page.table("books", "Every book", *_books(told), 2),
        page.table("breaches", f"Breaches ({min(SHOWN, count)} largest of {count})", *_breaches(told, SHOWN), 2),
        page.table("notes", "What was left out, and what the answers say of themselves", ("note",), _notes(told), 1),
        _method(told),
    ]
    return page.document(title, "\n".join(body))


def _profiles(told: Backtest) -> tuple[Sequence[str], list[list[str]]]:
    heading = (
        "profile",
        "published",
        "stated",
        "period",
        "starts",
        "breaches",
        "expected",
        "covered",
        "mean margin",
        "saved",
        f"{RISES[0]}-day rise",
        "worst shortfall",
        "refused by Kupiec",
        "clustered",
    )
    rows = [
        [
            name,
            one.header.published,
            f"{one.header.confidence:.2%}",
            f"{one.header.period.days * 24:.3g} h",
            f"{one.starts:,}",
            f"{one.breaches:,}",
            f"{one.expected:,.1f}",
            f"{one.covered:.2%}",
            f"{one.average:.1%}",
            _share(one.saved),
            _share(one.rise),
            f"{one.shortfall:.1%}",
            f"{one.refused} of {one.books}",
            f"{one.clustered} of {one.books}",
        ]
        for name, one in summaries(told)
    ]
    return heading, rows


def _references(told: Backtest) -> tuple[Sequence[str], list[list[str]]]:
    """The two ends every profile lies between: nothing asked, and the loss to come known."""
    rows = []
    for name, words in ((NOTHING, "no margin at all"), (FORESIGHT, "the loss to come, known")):
        own = [one for one in told.reference if one.profile == name]
        breaches, starts, average = pooled(own)
        shortfall = max((one.shortfall for one in own), default=0.0)
        rows.append([words, f"{starts:,}", f"{breaches:,}", f"{average:.1%}", f"{shortfall:.1%}"])
    return ("margin", "starts", "breaches", "mean margin", "worst shortfall"), rows


def _books(told: Backtest) -> tuple[Sequence[str], list[list[str]]]:
    heading = (
        "book",
        "profile",
        "starts",
        "breaches",
        "at worst hour",
        "of maintenance",
        "expected",
        "Kupiec p",
        "indep. p",
        "both p",
        "mean margin",
        "saved",
        "peak/trough",
        *(f"{days}-day rise" for days in RISES),
        "worst shortfall",
    )
    return heading, [_row(one) for one in told.verdicts]


def _row(one: Verdict) -> list[str]:
    if not len(one.times):
        return [one.book, one.profile, "0", *["–"] * (11 + len(RISES))]
    return [
        one.book,
        one.profile,
        f"{len(one.times):,}",
        f"{len(one.breaches):,}",
        f"{one.worst_hour:,}",
        f"{one.of_maintenance:,}",
        f"{one.expected * len(one.times):.1f}",
        f"{one.proportion.p_value:.3f}",
        f"{one.independence.p_value:.3f}",
        f"{one.conditional.p_value:.3f}",
        f"{one.average:.1%}",
        _share(one.saved),
        "–" if one.peak_to_trough is None else f"{one.peak_to_trough:.3g}",
        *(_share(one.rises.get(days)) for days in RISES),
        f"{one.shortfall:.1%}",
    ]


def _breaches(told: Backtest, most: int) -> tuple[Sequence[str], list[list[str]]]:
    heading = ("book", "profile", "start (UTC)", "loss", "requirement", "uncovered")
    every: list[tuple[Verdict, Breach]] = [(one, each) for one in told.verdicts for each in one.breaches]
    every.sort(key=lambda pair: (pair[1].required - pair[1].loss, pair[1].time, pair[0].book, pair[0].profile))
    rows = [
        [
            one.book,
            one.profile,
            _minute(each.time),
            f"${each.loss:,.0f}",
            f"${each.required:,.0f}",
            f"${each.loss - each.required:,.0f}",
        ]
        for one, each in every[:most]
    ]
    return heading, rows


def _notes(told: Backtest) -> list[list[str]]:
    said = dict.fromkeys(f"{one.profile}: {note}" for one in told.verdicts for note in one.notes)
    return [[note] for note in (*told.notes, *said)]


def _frontier(told: Backtest) -> charts.Drawing:
    points = [(name, one) for name, one in summaries(told) if one.starts]
    _, _, foresight = pooled([one for one in told.reference if one.profile == FORESIGHT])

    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        for number, (name, one) in enumerate(points):
            colour = charts.LINES[number % len(charts.LINES)]
            axes.plot(100 * one.average, 100 * one.covered, "o", color=colour, markersize=6)
            up = number % 2 == 0
            axes.annotate(
                name,
                (100 * one.average, 100 * one.covered),
                xytext=(6, 4 if up else -10),
                textcoords="offset points",
                fontsize=7 if size.narrow else 8,
            )
        axes.axvline(100 * foresight, color=charts.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_xlabel("mean requirement, % of gross notional")
        axes.set_ylabel("losses covered, %")
        axes.margins(x=0.25 if size.narrow else 0.15, y=0.15)

    return draw


def _book(told: Backtest, name: str) -> str:
    own = [one for one in told.verdicts if one.book == name and len(one.times)]
    if not own:
        return ""
    described = next((one.description for one in BOOKS if one.name == name), name)
    counts = ", ".join(f"{one.profile} {len(one.breaches)}" for one in own)
    legend = "Lines: initial margin, % of gross notional. Bars: the loss over the period after each start."
    text = f"{described[0].upper()}{described[1:]}. {legend} Rings: breaches. Breaches: {counts}."
    return page.section(f"book-{name}", name, text, _over_time(own), 1.0 + 0.04 * len(own))


def _over_time(own: Sequence[Verdict]) -> charts.Drawing:
    """Requirements as lines, the loss of the longest period as bars; few stretches, so that a page stays light."""
    longest = max(own, key=lambda one: (one.hours, len(one.times)))

    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        times, lost = _stretches(longest.times, np.maximum(longest.lost, 0.0), np.maximum)
        axes.fill_between(_axis(times), 0, 100 * lost, step="mid", color=charts.MUTED, alpha=0.45, linewidth=0)
        for number, one in enumerate(own):
            colour = charts.LINES[number % len(charts.LINES)]
            dash: Any = _DASHES[number // len(charts.LINES) % len(_DASHES)]
            times, asked = _stretches(one.times, one.required, np.minimum)
            axes.plot(_axis(times), 100 * asked, color=colour, linestyle=dash, linewidth=1.2, label=one.profile)
            if one.breaches:
                gross = dict(zip(one.times.tolist(), one.lost.tolist(), strict=True))
                at = [each.time for each in one.breaches]
                axes.plot(
                    _axis(at), [100 * gross[time] for time in at], "o", color=colour, markersize=3.5, fillstyle="none"
                )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        charts.dated(axes, size)
        charts.legend(axes, 2 if size.narrow else 4)

    return draw


def _stretches(times: npt.NDArray[np.int64], values: FloatArray, kept: np.ufunc) -> tuple[list[int], FloatArray]:
    """At most DRAWN stretches, each by its largest or smallest value (`kept`)."""
    firsts = np.arange(0, len(times), max(1, -(-len(times) // DRAWN)))
    return times[firsts].tolist(), kept.reduceat(values, firsts)


def _axis(times: Sequence[int]) -> Any:
    return charts.moments(times)


def _method(told: Backtest) -> str:
    proxied = ", ".join(f"{name} {share:.0%}" for name, share in told.proxied.items())
    return (
        "<section id=method><h2>What is real here and what is a proxy</h2>"
        "<p>Prices of spot and perp and funding are recorded ones, by the hour. A book is laid anew at every start, at "
        "the same moneyness and days to expiry, and held for the profile's margin period, rounded up to hours; what "
        "it lost is its change in value along the recorded prices, funding and the change of its collateral included. "
        "The requirement of a start is asked in the market as it was known then. Tests are made on starts whose "
        "periods do not overlap; a daily start sees the periods that begin at that hour of the day.</p>"
        f"<p><b>PROXY:</b> options are synthetic: Black-76 at the volatility of the hour, with a stated smile "
        f"({SKEW:+g} a standard deviation of log-moneyness, {CURVE:+g} its square) and the same volatility for every "
        f"expiry. Forwards carry the mean funding of the last {CARRY_HOURS // 24} days. Where there is no volatility "
        f"index: {escape(PROXY)}. Share of the starts on the proxy: {escape(proxied)}.</p></section>"
    )


def _rich(title: str, heading: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(heading):
        table.add_column(name, justify="left" if place < texts else "right", overflow="fold")
    before = ""
    for row in rows:
        if texts == 2 and before and row[0] != before:
            table.add_section()
        before = row[0]
        table.add_row(*row)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _minute(time: int) -> str:
    return format_time(time)[:16].replace("T", " ")

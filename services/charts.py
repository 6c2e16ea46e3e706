"""Plots as SVG for an HTML page: colours follow the page's theme, nothing is fetched.

The same figures give the same bytes. Every plot is drawn twice, for a wide screen and for a phone; the page shows one.
matplotlib is slow to read in, and most commands draw nothing: it is read in where something is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.limits import MICRO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that appear nowhere else: each is replaced by the page's variable of that name.
INK, MUTED, GRID, SURFACE = "#010101", "#020202", "#030303", "#040404"
FIRST, SECOND, EQUITY, MARGIN, GAIN, LOSS = "#050505", "#060606", "#070707", "#080808", "#090909", "#0a0a0a"
_VARIABLES: Final[Mapping[str, str]] = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SURFACE: "--surface",
    FIRST: "--first",
    SECOND: "--second",
    EQUITY: "--equity",
    MARGIN: "--margin",
    GAIN: "--gain",
    LOSS: "--loss",
}
LINES: Final = (FIRST, SECOND, EQUITY, MARGIN)

_SETTINGS: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "text.color": INK,
    "legend.frameon": False,
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Size:
    """A plot's size in inches, and for which screen."""

    name: str
    width: float
    height: float

    @property
    def narrow(self) -> bool:
        """Whether it is the phone's."""
        return self.name == "narrow"


WIDE: Final = Size("wide", 9.2, 3.3)
NARROW: Final = Size("narrow", 4.5, 3.3)
Drawing = Callable[["Figure", Size], None]


def dollars(amount: float) -> str:
    """Micro-dollars for people, three digits at most: $1.25M."""
    value = abs(amount) / MICRO
    sign = "−" if amount < 0 and value >= 0.5 else ""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            scaled = value / size
            places = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            text = f"{scaled:.{places}f}"
            return f"{sign}${text.rstrip('0').rstrip('.') if '.' in text else text}{letter}"
    return f"{sign}${value:.0f}"


def plot(key: str, title: str, description: str, drawing: Drawing, height: float = 1.0) -> str:
    """An HTML fragment with both sizes of a plot. `key` names its parts on the page, `height` stretches it."""
    both: list[str] = []
    for size in (WIDE, NARROW):
        stretched = replace(size, height=size.height * height)
        svg = _svg(f"{key}-{size.name}", title, description, drawing, stretched)
        both.append(f'<div class="plot {size.name}">{svg}</div>')
    return "".join(both)


def _svg(key: str, title: str, description: str, drawing: Drawing, size: Size) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {**_SETTINGS, "svg.hashsalt": key}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(size.width, size.height), layout="constrained")
        figure.patch.set_visible(False)
        drawing(figure, size)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(written.getvalue(), key, title, description)


def _inlined(svg: str, key: str, title: str, description: str) -> str:
    """A stand-alone SVG as a part of a page: no addresses, own ids, colours by variable, a title."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', body)
    assert box is not None
    used = set(re.findall(r"url\(#([^)]+)\)", body)) | set(re.findall(r'href="#([^"]+)"', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", body)
    body = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{key}-\1"', body)
    body = re.sub(r"#0[1-9a]0[1-9a]0[1-9a]", lambda m: f"var({_VARIABLES[m[0]]})" if m[0] in _VARIABLES else m[0], body)
    body = re.sub(r"font: ([^;\"]*?)([\d.]+)px [^;\"]*", r"font-size: \2px; font-weight: \1", body)
    body = body.replace("font-weight: ;", "font-weight: 400;")
    body = body[body.index(">") + 1 :]
    heading = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return heading + re.sub(r"\n\s*", "\n", body).strip()


def moments(times: Sequence[int]) -> list[datetime]:
    """Microseconds as UTC times, for an axis."""
    return [datetime.fromtimestamp(time / MICRO, UTC) for time in times]


def dated(axes: Axes, size: Size) -> None:
    """An axis of time below the plot."""
    from matplotlib import dates as calendar

    dates: Any = calendar
    locator = dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=4 if size.narrow else 9)
    # A page may show two days, or two hours: without whole days among the hours, and whole hours among the minutes,
    # none of matplotlib's steps is wide enough.
    locator.intervald[dates.HOURLY] = [1, 2, 3, 4, 6, 12, 24]
    locator.intervald[dates.MINUTELY] = [1, 5, 10, 15, 30, 60]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(
            locator,
            tz=UTC,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S"],
            zero_formats=["", "%Y", "%b", "%d %b", "%H:%M", "%H:%M"],
            show_offset=False,
        )
    )
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.01)


def at_most(ticks: int, *, whole: bool = False) -> Any:
    """Where the ticks stand: so many at most."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(ticks, integer=whole)


def written(form: Callable[[float, int], str]) -> Any:
    """How the ticks are written."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(form)


def _money(axes: Axes, ticks: int = 5) -> None:
    axes.yaxis.set_major_locator(at_most(ticks))
    axes.yaxis.set_major_formatter(written(lambda value, _: dollars(value)))


def legend(axes: Axes, columns: int) -> None:
    """The legend above the plot."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderpad=0, handlelength=1.4, columnspacing=1.4
    )


def lines(times: Sequence[int], named: Mapping[str, Sequence[float]], unit: str, marks: Sequence[int] = ()) -> Drawing:
    """Lines over time, at most four; `unit` follows the axis' numbers. `marks` are times with a thin upright line."""

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        days: Any = moments(times)
        for (name, values), colour in zip(named.items(), LINES, strict=False):
            axes.plot(days, values, color=colour, linewidth=1.4, label=name)
        for mark in moments(marks):
            axes.axvline(mark, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))  # type: ignore[arg-type]
        axes.yaxis.set_major_locator(at_most(5))
        axes.yaxis.set_major_formatter(written(lambda value, _: f"{value:.0f}{unit}"))
        axes.margins(y=0.12)
        dated(axes, size)
        legend(axes, len(named))

    return draw


def margin_and_equity(
    times: Sequence[int], equity: Sequence[int], initial: Sequence[int], maintenance: Sequence[int]
) -> Drawing:
    """Sums over all accounts in micro-dollars: equity as a line, both margins as areas under it."""

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        days: Any = moments(times)
        axes.fill_between(
            days, 0, np.asarray(initial, float), color=MARGIN, alpha=0.22, linewidth=0, label="initial margin"
        )
        axes.fill_between(
            days, 0, np.asarray(maintenance, float), color=MARGIN, alpha=0.6, linewidth=0, label="maintenance"
        )
        axes.plot(days, np.asarray(equity, float), color=EQUITY, linewidth=1.6, label="equity")
        axes.set_ylim(bottom=0)
        _money(axes)
        dated(axes, size)
        legend(axes, 3)

    return draw


def counts_and_notional(times: Sequence[int], counts: Sequence[int], notional: Sequence[int]) -> Drawing:
    """Two panels of bars by hour: how many accounts entered liquidation, and what was closed in micro-dollars."""

    def draw(figure: Figure, size: Size) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        hours: dict[int, list[int]] = {}
        for time, count, closed in zip(times, counts, notional, strict=True):
            hour = hours.setdefault(time - time % (3_600 * MICRO), [0, 0])
            hour[0] += count
            hour[1] += closed
        days: Any = moments(list(hours))
        for axes, place, colour in ((upper, 0, LOSS), (lower, 1, FIRST)):
            axes.bar(days, [float(hour[place]) for hour in hours.values()], width=0.8 / 24, align="edge", color=colour)
            axes.margins(y=0.1)
        upper.set_title("accounts entering liquidation, by hour", loc="left", fontsize=9, color=MUTED)
        lower.set_title("dollars of positions closed, by hour", loc="left", fontsize=9, color=MUTED)
        upper.yaxis.set_major_locator(at_most(3, whole=True))
        _money(lower, 3)
        dated(upper, size)
        dated(lower, size)

    return draw


def balance(times: Sequence[int], amounts: Sequence[int], name: str) -> Drawing:
    """A balance in micro-dollars over time, as steps down to a zero line."""

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        days: Any = moments(times)
        values = np.asarray(amounts, float)
        axes.fill_between(days, 0, values, step="post", color=EQUITY, alpha=0.18, linewidth=0)
        axes.step(days, values, where="post", color=EQUITY, linewidth=1.6, label=name)
        axes.set_ylim(bottom=min(0.0, float(values.min(initial=0.0))))
        axes.margins(y=0.1)
        _money(axes)
        dated(axes, size)
        legend(axes, 1)

    return draw


def gains_and_losses(amounts: Mapping[str, int]) -> Drawing:
    """A bar to either side of zero for each name, micro-dollars, largest loss on top."""
    ordered = sorted(amounts.items(), key=lambda pair: (-pair[1], pair[0]))

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        values = [float(amount) for _, amount in ordered]
        axes.barh(
            [name for name, _ in ordered], values, color=[GAIN if value >= 0 else LOSS for value in values], height=0.62
        )
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, value in enumerate(values):
            axes.annotate(
                dollars(value),
                (value, place),
                xytext=(4 if value >= 0 else -4, 0),
                textcoords="offset points",
                ha="left" if value >= 0 else "right",
                va="center",
            )
        axes.margins(x=0.28 if size.narrow else 0.14)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(at_most(3 if size.narrow else 6))
        axes.xaxis.set_major_formatter(written(lambda value, _: dollars(value)))
        axes.tick_params(axis="y", labelcolor=INK)

    return draw


def waterfall(parts: Sequence[tuple[str, int]]) -> Drawing:
    """How a sum was carried, micro-dollars: below the whole, each part begins where the one before ended."""
    whole = sum(amount for _, amount in parts)

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        begin = 0.0
        colours = [EQUITY, *((MARGIN, FIRST)[place % 2] for place in range(len(parts) - 2)), LOSS]
        axes.barh([0], [float(whole)], color=MUTED, height=0.6)
        for place, (_, amount) in enumerate(parts, 1):
            axes.barh([place], [float(amount)], left=begin, color=colours[place - 1], height=0.6)
            begin += float(amount)
        ends = [float(whole), *np.cumsum([float(amount) for _, amount in parts])]
        for place, amount in enumerate([whole, *(amount for _, amount in parts)]):
            axes.annotate(dollars(amount), (ends[place], place), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(parts) + 1), ["all losses", *(name for name, _ in parts)])
        axes.invert_yaxis()
        axes.set_xlim(0, max(1.0, float(whole)) * (1.25 if size.narrow else 1.1))
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(at_most(3 if size.narrow else 6))
        axes.xaxis.set_major_formatter(written(lambda value, _: dollars(value)))
        axes.tick_params(axis="y", labelcolor=INK)

    return draw

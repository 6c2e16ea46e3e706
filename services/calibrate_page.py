"""The calibration's HTML page: regimes over time, the frontier by regime, correlations, the ranges. Fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from risk.correlation import least_eigenvalue
from risk.forecast.har import trailing
from risk.frontier import ALL, TOOLS, Point, frontier
from risk.regimes import NAMES
from schemas.limits import MICRO
from services import charts
from services import page as pages
from services.calibrate import Proposal, Study
from services.charts import Drawing, Size

_DAYS: Final = 365


def page(profile: str, to: str, proposal: Proposal, found: Study) -> str:
    """The page. The same figures give the same bytes."""
    days = max(1, -(-proposal.rules.hours // 24))
    confidence = proposal.rules.confidence
    parts = [
        f"<header><p class=eyebrow>Novate · calibration</p><h1>{escape(profile)} at {escape(to)}</h1>",
        f"<p class=period>{confidence:.2%} over {proposal.rules.hours} h · lookback {proposal.rules.lookback} days "
        f"· tool: {escape(proposal.tool.value)}</p></header>",
        _ranges(proposal),
        pages.section(
            "regimes",
            "Regimes",
            f"Weekly volatility a year, mean of {', '.join(found.symbols)}; shaded: stress, by the whole history.",
            _timeline(found),
        ),
    ]
    for place, symbol in enumerate(found.symbols):
        points = frontier(np.expm1(found.returns[:, place]), found.known, NAMES, confidence, days)
        parts.append(
            pages.section(
                f"frontier-{symbol}",
                f"Efficiency against safety: {symbol}",
                f"Mean margin (part of the notional) against the share of moves over {days} d that pass it, long and "
                f"short, for multiples {points[0].multiple:g} to {points[-1].multiple:g} of the volatility margin; one "
                "panel a regime, as known on the day.",
                _frontier(points),
                1.9,
            )
        )
        parts.append(_procyclicality(symbol, points))
    parts += [
        pages.table(
            f"correlation-{name}",
            f"Correlations, {name}",
            ("", *found.symbols),
            [(symbol, *(f"{value:.3f}" for value in line)) for symbol, line in zip(found.symbols, matrix, strict=True)]
            + [("least eigenvalue", f"{max(0.0, least_eigenvalue(matrix)):.4f}", *[""] * (len(found.symbols) - 1))],
            1,
        )
        for name, matrix in found.correlations().items()
    ]
    return pages.document(f"{profile} at {to}", "\n".join(parts))


def _ranges(proposal: Proposal) -> str:
    rows = [
        (
            one.underlying,
            one.key,
            one.rests_on,
            f"{one.before:,}",
            f"{one.range.basis_points:,}",
            f"{one.range.lookback:.2%}",
            f"{one.range.stressed:.2%}",
            f"{one.range.long_run:.2%}",
        )
        for one in proposal.ranges
    ]
    heading = ("underlying", "range", "rests on", "before, bp", "after, bp", "lookback", "stressed", "long run")
    return pages.table("ranges", "Scan ranges", heading, rows, 3) + "".join(
        f"<section><p>{escape(note)}</p></section>" for note in proposal.notes
    )


def _procyclicality(symbol: str, points: Sequence[Point]) -> str:
    rows = [
        (
            one.tool,
            f"{one.level:.2%}",
            f"{one.share:.2%}",
            f"{one.shortfall * 10_000:.2f}",
            f"{one.peak_to_trough:.1f}",
            f"{one.largest_rise:+.0%}",
        )
        for one in points
        if one.regime == ALL and one.multiple == 1.0
    ]
    heading = ("tool", "mean margin", "passed", "mean shortfall, bp", "peak to trough", "largest 5-day rise")
    return pages.table(f"tools-{symbol}", f"The tools at multiple 1: {symbol}", heading, rows, 1)


def _timeline(found: Study) -> Drawing:
    weekly = np.exp(
        np.mean(
            [
                0.5 * np.log(_DAYS * np.maximum(trailing(np.square(found.returns[:, place]), 7), 1e-10))
                for place in range(len(found.symbols))
            ],
            axis=0,
        )
    )
    stress = found.looking_back == len(NAMES) - 1

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        when: Any = [datetime.fromtimestamp(int(time) / MICRO, UTC) for time in found.times]
        axes.fill_between(
            when,
            0,
            1,
            where=stress.tolist(),
            transform=axes.get_xaxis_transform(),
            color=charts.LOSS,
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(when, weekly, color=charts.FIRST, linewidth=1.1)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_locator(MaxNLocator(4 if size.narrow else 8))
        axes.margins(x=0.01)

    return draw


def _frontier(points: Sequence[Point]) -> Drawing:
    def draw(figure: Figure, size: Size) -> None:
        panels = figure.subplots(2, 2)
        for axes, regime in zip(panels.flat, (ALL, *NAMES), strict=True):
            for tool, colour in zip(TOOLS, charts.LINES, strict=True):
                line = [one for one in points if one.tool == tool and one.regime == regime and one.observations]
                axes.plot(
                    [one.level for one in line],
                    [one.share for one in line],
                    color=colour,
                    marker="o",
                    markersize=2.5,
                    linewidth=1.1,
                    label=tool,
                )
            axes.set_title("all days" if regime == ALL else regime, loc="left", fontsize=9, color=charts.MUTED)
            axes.set_yscale("symlog", linthresh=0.001)
            axes.set_ylim(0, 0.5)
            axes.set_yticks([0, 0.001, 0.01, 0.1], ["0", "0.1%", "1%", "10%"])
            axes.yaxis.set_minor_locator(MaxNLocator(1))
            axes.xaxis.set_major_locator(MaxNLocator(3 if size.narrow else 5))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        panels.flat[0].legend(
            loc="lower left", bbox_to_anchor=(0, 1.12), ncols=2 if size.narrow else 4, borderpad=0, handlelength=1.2
        )

    return draw

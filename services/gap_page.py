"""What `novate gap` shows: its tables and bars for the terminal, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from rich.table import Table

from liquidation.gap import by_mark
from schemas.limits import BASIS_POINTS
from schemas.units import format_time
from services import charts, page
from services.charts import dollars
from services.gaps import LEVELS, Gaps, classes, rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Listed = tuple[str, Sequence[str], list[list[str]], int]
"""title, heading, rows, how many columns are text"""

PRINTED: Final = 10
"""worst liquidations shown"""
BAR: Final = 40
"""characters of the longest bar"""


def tables(told: Gaps) -> list[Table]:
    """The answer for a terminal."""
    found = []
    for title, heading, cells, texts in _listed(told, terminal=True):
        if not cells:
            continue
        table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0))
        for column, name in enumerate(heading):
            table.add_column(name, justify="left" if column < texts or not name else "right", no_wrap=True)
        for row in cells:
            table.add_row(*row)
        found.append(table)
    return found


def summary(told: Gaps) -> str:
    """The answer in a sentence."""
    if not told.liquidations:
        return "No position was liquidated by sale: there is no gap to tell."
    worst = told.worst[0]
    worth, lost = (sum(getattr(one, name) for one in told.liquidations) for name in ("worth", "lost"))
    return (
        f"{len(told.liquidations):,} liquidations of {dollars(worth)} got {dollars(lost)} less than the marks, "
        f"{lost * BASIS_POINTS / max(worth, 1):.0f} bp; the worst {worst.gap:,} bp (account {worst.account})."
    )


def proposed(told: Gaps) -> str:
    """What the council may do about it, in a sentence."""
    asked, change = told.asked, told.proposed
    of = min(asked.last, len(told.liquidations))
    limited = ", its limit" if change.value == asked.most and asked.most else ""
    return (
        f"Proposed: BUFFER_GAP {change.value:,} bp of maintenance{limited}, which {asked.level / 100:g} % of the last "
        f"{of:,} liquidations did not exceed; in force: {told.buffer:,}. Not before "
        f"{format_time(change.effective)[:19]}Z, and only if the council appends it."
    )


def html(told: Gaps) -> str:
    """The page. The same journal gives the same bytes; it asks for nothing from anywhere."""
    title = "What liquidations got against the marks"
    worth, lost = (sum(getattr(one, name) for one in told.liquidations) for name in ("worth", "lost"))
    tiles = (
        ("liquidations", f"{len(told.liquidations):,}"),
        ("worth at the marks", dollars(worth)),
        ("got less", dollars(lost)),
        ("mean gap", f"{lost * BASIS_POINTS / max(worth, 1):.0f} bp"),
        ("buffer proposed", f"{told.proposed.value:,} bp"),
    )
    body = [
        f"<header><p class=eyebrow>Novate · gap</p><h1>{title}</h1><p class=period>up to entry {told.position:,}, "
        f"{format_time(told.time)[:16].replace('T', ' ')} UTC</p></header>",
        f"<p class='verdict good'>{escape(summary(told))}<br>{escape(proposed(told))}</p>",
        "<dl class=tiles>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>" for k, v in tiles) + "</dl>",
    ]
    if told.liquidations:
        body += [
            page.section(
                "classes",
                "How large the gaps were",
                "Liquidations by what they got less than the marks, basis points of what was sold. What was closed by "
                "deleveraging or tear-up has its price by rule and is not among them.",
                _bars(told),
            ),
            page.section(
                "marks",
                "When",
                "Each mark at which something was sold: the mean gap of its legs by worth, and the worst leg.",
                _over_time(told),
            ),
        ]
    keys = ("groups", "gaps", "worst")
    listed = _listed(told, terminal=False)
    body += [page.table(f"table-{key}", *one) for key, one in zip(keys, listed, strict=True)]
    return page.document(title, "\n".join(body))


def _listed(told: Gaps, *, terminal: bool) -> list[Listed]:
    return [
        (
            "Legs sold, basis points of their worth at the marks",
            ("legs", "number", "worth", "got less", "mean", *(f"{level / 100:g} %" for level in LEVELS), "worst"),
            [
                [
                    row.group, f"{row.legs:,}", dollars(row.worth), dollars(row.lost), f"{row.mean:,}",
                    *(f"{one:,}" for one in row.quantiles), f"{row.worst:,}",
                ]
                for row in rows(told.sales)
            ],
            1,
        ),
        (
            "Liquidations by gap, basis points",
            ("gap", "number", "got less", *([""] if terminal else [])),
            _classes(told, terminal=terminal),
            1,
        ),
        (
            f"The largest gaps ({PRINTED} at most)",
            (
                *(("account",) if terminal else ("account", "name")),
                *("marks", "last", "legs", "worth", "got less", "gap", "of margin"),
            ),
            [
                [
                    str(one.account), *([] if terminal else [told.names[one.account]]), _span(one.first, one.last),
                    format_time(told.times[one.last])[:16].replace("T", " "), f"{one.legs:,}", dollars(one.worth),
                    dollars(one.lost), f"{one.gap:,}", f"{one.share / 100:.1f} %",
                ]
                for one in told.worst[:PRINTED]
            ],
            3 if terminal else 4,
        ),
    ]  # fmt: skip


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _classes(told: Gaps, *, terminal: bool) -> list[list[str]]:
    if not told.liquidations:
        return []
    found = classes(told.liquidations)
    most = max(count for _, count, _ in found)
    return [
        [name, f"{count:,}", dollars(lost), *(["█" * -(-count * BAR // most)] if terminal else [])]
        for name, count, lost in found
    ]


def _bars(told: Gaps) -> charts.Drawing:
    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        found = classes(told.liquidations)
        axes.barh([name for name, _, _ in found], [count for _, count, _ in found], color=charts.MARGIN, height=0.62)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("liquidations" if size.narrow else "liquidations; gap in basis points")
        axes.tick_params(axis="y", labelcolor=charts.INK)

    return draw


def _over_time(told: Gaps) -> charts.Drawing:
    found = by_mark(sale.told for sale in told.sales)

    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        when = charts.moments([told.times[mark] for mark in found])
        mean = [one.lost * BASIS_POINTS / max(one.worth, 1) for one in found.values()]
        worst = [float(one.worst) for one in found.values()]
        axes.scatter(when, worst, s=14, color=charts.LOSS, label="worst leg")  # type: ignore[arg-type]
        axes.scatter(when, mean, s=14, color=charts.EQUITY, label="mean")  # type: ignore[arg-type]
        axes.axhline(0, color=charts.MUTED, linewidth=0.8)
        axes.set_ylabel("bp")
        charts.dated(axes, size)
        charts.legend(axes, 2)

    return draw

"""What `novate stress` shows: its tables for the terminal, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.table import Table

from liquidation.contagion import Cascade
from schemas.kinds import WaterfallLayer
from schemas.limits import MICRO
from schemas.units import format_time
from services import charts, page
from services.stress import Stress, Verdict
from services.stress_waterfall import prefunded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[list[str]]
Listed = tuple[str, Sequence[str], Rows, int]
"""title, heading, rows, how many columns are text"""

NAMES: Final = {
    WaterfallLayer.LAID_OUT: "laid out",
    WaterfallLayer.MEMBER_CONTRIBUTION: "own part",
    WaterfallLayer.OWN_CAPITAL: "capital",
    WaterfallLayer.FUND: "fund",
    WaterfallLayer.DEFAULT_FUND: "default fund",
    WaterfallLayer.ASSESSMENT: "called",
    WaterfallLayer.GAINS_HAIRCUT: "haircut",
    WaterfallLayer.DELEVERAGING: "to ADL",
    WaterfallLayer.TEAR_UP: "torn up",
}
"""layers that money comes from, or what is left falls on"""
COLOURS: Final = dict(
    zip(
        NAMES,
        (charts.GRID, charts.MUTED, charts.MARGIN, charts.EQUITY, charts.SECOND, charts.FIRST, charts.GAIN),
        strict=False,
    )
)

WIDE: Final = 6
"""columns beyond which a table for a terminal is set narrow"""
DUST: Final = 0.5
"""dollars: what is laid out and came too late is shown from there on; remainders of haircuts are less"""
PRINTED: Final = 8
"""rounds, members and failures shown of the worst shock"""


def tables(told: Stress) -> list[Table]:
    """The answer for a terminal."""
    return [_rich(*one) for one in _listed(told).values() if one[2]]


def summary(told: Stress) -> str:
    """The answer in a sentence."""
    one, two = told.cover
    worst = told.worst
    borne = [f"{NAMES[layer]} {money(amount)}" for layer, amount in worst.layers.borne.items() if amount >= DUST]
    return (
        f"Worst: {worst.shock.name}: {money(worst.borne.deficits)} of deficits; {_policy(told)}: "
        f"{', '.join([*borne, f'{_last(told)} {money(worst.borne.shortfall)}'])}. "
        f"Cover-1 {money(one)}, cover-2 {money(two)}, prefunded {money(prefunded(worst.layers))}."
    )


def _policy(told: Stress) -> str:
    return told.situation.backing.policy


def _last(told: Stress) -> str:
    return NAMES[told.situation.backing.last]


def money(dollars: float) -> str:
    """Dollars for people."""
    return charts.dollars(dollars * MICRO)


def html(told: Stress) -> str:
    """The page. The same book under the same assumptions gives the same bytes; it asks for nothing from anywhere."""
    of, worst = told.situation, told.worst
    title = "The book under stress"
    listed = _listed(told)
    enough = "good" if worst.borne.shortfall <= 0.0 else "bad"
    one, two = told.cover
    tiles = (
        ("the fund now", money(told.fund)),
        ("cover-1", money(one)),
        ("cover-2", money(two)),
        ("worst shortfall", money(worst.borne.shortfall)),
        ("loss multiplier there", f"{worst.cascade.multiplier:.3f}"),
    )
    body = [
        f"<header><p class=eyebrow>Novate · stress</p><h1>{title}</h1><p class=period>after entry {of.position:,}, "
        f"{format_time(of.time)[:16].replace('T', ' ')} UTC · {len(of.book.numbers):,} accounts</p></header>",
        f"<p class='verdict {enough}'>{escape(summary(told))}</p>",
        "<dl class=tiles>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>" for k, v in tiles) + "</dl>",
        page.section(
            "losses",
            "What each shock costs, and what liquidations add",
            "Losses of all accounts by the shock alone, and what forced sales and their impact on prices add to them.",
            _losses(told),
            1.0 + len(told.verdicts) / 20,
        ),
        _table("shocks", listed["shocks"]),
        *_waterfall(told),
        _table("layers", listed["layers"]),
        _table("fund", listed["fund"]),
        page.section(
            "pacing",
            f"{worst.shock.name}: all at once, and paced",
            "The price by round in the underlying that moves furthest, relative to before the shock: sales held to a "
            "part of a round's volume leave time for their impact to fade, so the price falls less far behind the "
            "shock. Below: what is liquidated in each round.",
            _pacing(told),
            1.5,
        ),
        *(_table(key, listed[key]) for key in ("paces", "rounds", "reverse", "members", "owners", "failures")),
        _method(told),
    ]
    return page.document(title, "\n".join(body))


def _table(key: str, listed: Listed) -> str:
    title, heading, rows, texts = listed
    return page.table(f"table-{key}", title, heading, rows, texts)


def _rich(title: str, heading: Sequence[str], rows: Rows, texts: int) -> Table:
    table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0) if len(heading) > WIDE else (0, 1))
    for column, name in enumerate(heading):
        table.add_column(name, justify="left" if column < texts else "right", no_wrap=column == 0)
    for row in rows:
        table.add_row(*row)
    return table


def _listed(told: Stress) -> dict[str, Listed]:
    worst = told.worst
    return {
        "shocks": (
            "Shocks: what liquidations add",
            ("shock", "first loss", "loss", "factor", "failed", "rounds", "sold"),
            [_followed(verdict) for verdict in told.verdicts],
            1,
        ),
        "layers": (
            f"Shocks: who pays ({_policy(told)}; * the last that paid, used up)",
            ("shock", "owed", *(NAMES[layer] for layer in _paying(told)), _last(told)),
            [_paid(told, verdict) for verdict in told.verdicts],
            1,
        ),
        "fund": (
            "Shocks: how large the fund must be",
            ("shock", "owed", "prefunded", "fund left", "cover-1", "cover-2", "top owner"),
            [_carried(verdict) for verdict in told.verdicts],
            1,
        ),
        "paces": (
            f"Pacing under {worst.shock.name}",
            ("sales in a round", "loss", "factor", "impact cost", "owed", _last(told), "rounds"),
            [
                [
                    pace.name, money(ran.loss), f"{ran.multiplier:.4f}", money(ran.cost), money(carried.deficits),
                    money(carried.shortfall), _rounds(ran),
                ]
                for pace, ran, carried in told.paced
            ],
            1,
        ),
        "rounds": (
            f"Rounds of {worst.shock.name} ({PRINTED} at most)",
            ("round", "failed", "liquidating", "liquidated", "impact cost", *told.situation.symbols.values()),
            [
                [
                    str(one.number), f"{one.failed:,}", f"{one.liquidating:,}", money(one.sold), money(one.cost),
                    *(f"{one.moves[number]:+.2%}" for number in told.situation.symbols),
                ]
                for one in worst.cascade.rounds[:PRINTED]
            ],
            0,
        ),
        "reverse": (
            f"Reverse stress: the smallest move that leaves something {_last(told)}",
            ("direction", "smallest move"),
            [
                [line.direction, f"{line.size:+.1%}" if line.size is not None else f"none to {line.furthest:+.0%}"]
                for line in told.reverse
            ],
            1,
        ),
        "members": (
            f"Members in deficit under {worst.shock.name}, with clients and affiliates",
            ("member", "accounts", "deficit"),
            [[str(one.name), f"{one.accounts:,}", money(one.deficit)] for one in worst.members.groups[:PRINTED]],
            1,
        ),
        "owners": (
            f"Owners in deficit under {worst.shock.name}",
            ("owner", "accounts", "deficit"),
            [[str(one.name), f"{one.accounts:,}", money(one.deficit)] for one in worst.owners.groups[:PRINTED]],
            1,
        ),
        "failures": (
            f"First to fail under {worst.shock.name}",
            ("account", "name", "member", "round", "deficit"),
            [
                [str(one.account), one.name, str(one.member), str(one.round), money(one.deficit)]
                for one in worst.failures[:PRINTED]
            ],
            3,
        ),
    }  # fmt: skip


def _followed(verdict: Verdict) -> list[str]:
    ran = verdict.cascade
    return [
        verdict.shock.name, money(ran.first_loss), money(ran.loss), f"{ran.multiplier:.3f}",
        f"{(ran.entered > 0).sum():,}", _rounds(ran), money(ran.sold),
    ]  # fmt: skip


def _carried(verdict: Verdict) -> list[str]:
    carried = verdict.borne
    return [
        verdict.shock.name, money(carried.deficits), money(prefunded(verdict.layers)), money(carried.fund_left),
        money(verdict.members.one), money(verdict.members.two), money(verdict.owners.one),
    ]  # fmt: skip


def _paying(told: Stress) -> list[WaterfallLayer]:
    """The layers that money comes from, in the policy's order; what came too late only where it pays anything."""
    late = WaterfallLayer.LAID_OUT
    first = [late] if any(verdict.layers.borne.get(late, 0.0) >= DUST for verdict in told.verdicts) else []
    return [*first, *(rank.layer for rank in told.situation.backing.ranks if rank.layer in COLOURS)]


def _paid(told: Stress, verdict: Verdict) -> list[str]:
    bears, out = verdict.layers.borne, verdict.layers.exhausted_at
    return [
        verdict.shock.name, money(verdict.borne.deficits),
        *(money(bears.get(layer, 0.0)) + ("*" if layer == out else "") for layer in _paying(told)),
        money(verdict.borne.shortfall),
    ]  # fmt: skip


def _waterfall(told: Stress) -> list[str]:
    if not any(verdict.borne.deficits > 0.0 for verdict in told.verdicts):
        return []
    return [
        page.section(
            "waterfall",
            f"Who pays what is owed: {_policy(told)}",
            "What failing accounts owe when all they have is gone, laid on the policy's layers in their order; what no "
            f"money covers is {_last(told)}.",
            _stacked(told),
            1.0 + len(told.verdicts) / 20,
        )
    ]


def _stacked(told: Stress) -> charts.Drawing:
    def draw(figure: Figure, size: charts.Size) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes = figure.subplots()
        places = np.arange(len(told.verdicts))
        begin = np.zeros(len(places))
        parts = [
            (NAMES[layer], COLOURS[layer], [one.layers.borne.get(layer, 0.0) for one in told.verdicts])
            for layer in _paying(told)
        ]
        parts.append((_last(told), charts.LOSS, [one.borne.shortfall for one in told.verdicts]))
        for name, colour, amounts in parts:
            axes.barh(places, amounts, left=begin, color=colour, height=0.62, label=name)
            begin += amounts
        axes.set_yticks(places, [one.shock.name for one in told.verdicts])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(3 if size.narrow else 6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
        axes.tick_params(axis="y", labelcolor=charts.INK)
        charts.legend(axes, 3 if size.narrow else len(parts))

    return draw


def _rounds(ran: Cascade) -> str:
    return f"{len(ran.rounds)}" if ran.settled else f"{len(ran.rounds)}, cut"


def _losses(told: Stress) -> charts.Drawing:
    def draw(figure: Figure, size: charts.Size) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes = figure.subplots()
        places = np.arange(len(told.verdicts))
        first = np.array([one.cascade.first_loss for one in told.verdicts])
        added = np.maximum([one.cascade.loss for one in told.verdicts] - first, 0.0)
        axes.barh(places, first, color=charts.MARGIN, height=0.62, label="by the shock alone")
        axes.barh(places, added, left=first, color=charts.LOSS, height=0.62, label="by liquidations")
        axes.set_yticks(places, [one.shock.name for one in told.verdicts])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(3 if size.narrow else 6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
        axes.tick_params(axis="y", labelcolor=charts.INK)
        charts.legend(axes, 2)

    return draw


def _pacing(told: Stress) -> charts.Drawing:
    led = int(np.argmax(np.abs(told.worst.cascade.moves)))

    def draw(figure: Figure, size: charts.Size) -> None:
        from matplotlib.ticker import FuncFormatter

        upper, lower = figure.subplots(2, 1, sharex=True)
        for (pace, ran, _), colour in zip(told.paced, charts.LINES, strict=False):
            numbers = [one.number for one in ran.rounds]
            moved = [100.0 * one.moves[led] for one in ran.rounds]
            upper.plot(numbers, moved, color=colour, linewidth=1.4, marker="o", markersize=2.5, label=pace.name)
            lower.plot(
                numbers, [one.sold for one in ran.rounds], color=colour, linewidth=1.4, marker="o", markersize=2.5
            )
        upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f} %"))
        lower.set_yscale("symlog", linthresh=100.0)
        lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
        lower.set_title("liquidated, by round", loc="left", fontsize=9, color=charts.MUTED)
        _whole(lower, size)
        charts.legend(upper, 2 if size.narrow else 4)

    return draw


def _whole(axes: Axes, size: charts.Size) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4 if size.narrow else 9, integer=True))
    axes.set_xlabel("round")


def _method(told: Stress) -> str:
    assumed = told.assumed
    impact = assumed.impact
    text = (
        f"A what-if in floats over the book as it stood; nothing of it is in the journal. Assumed, not measured: a "
        f"daily volatility of {assumed.volatility:.1%}, a correlation of {assumed.correlation:.0%}, a day's volume of "
        f"{assumed.turnover:g} times open interest, {assumed.rounds_a_day:g} rounds a day; impact {impact.scale:g} x "
        f"volatility x the root of flow over volume, {impact.decay.value} decay over {impact.rounds:g} rounds, "
        f"{impact.cross:.0%} of the correlation across underlyings. Coins given as collateral are revalued, not sold; "
        f"hedges of other venues, new deposits and what owners do by themselves are not in it."
    )
    return f"<section id=method><h2>How it is made</h2><p>{escape(text)}</p></section>"

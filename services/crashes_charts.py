"""What the page of crashes draws: prices and forced closing, funds, costs by part, differences against baselines.

A drawing is of one crash under one condition, whose runs share customers, times and prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from services import charts
from services.crashes import WAYS, Cleared
from services.exchange import HOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Part(NamedTuple):
    """A part of a liquidation's cost, and how it is drawn."""

    name: str
    of: Callable[[Cleared], int]
    colour: str
    depth: float
    """of the colour: 1 is full"""


PARTS: Final[Sequence[Part]] = (
    Part("gap", lambda c: c.losses.discount, charts.FIRST, 1.0),
    Part("fees", lambda c: c.losses.fees, charts.FIRST, 0.45),
    Part("lost to ADL", lambda c: c.losses.taken, charts.LOSS, 1.0),
    Part("funds paid", lambda c: c.losses.fund_paid, charts.SECOND, 1.0),
    Part("withheld", lambda c: c.losses.withheld, charts.SECOND, 0.45),
    Part("gave up", lambda c: c.losses.given_up, charts.EQUITY, 1.0),
    Part("unpaid", lambda c: c.losses.unpaid, charts.MUTED, 1.0),
)
"""what failing accounts lost, then what others bore"""

_DASHES: Final[Sequence[Any]] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_FURTHEST: Final = 150.0
"""per cent; a bar that goes further is cut, its figure is not"""
_INCH: Final = charts.WIDE.height


def is_baseline(one: Cleared) -> bool:
    """Whether a run is one that policies are held against."""
    way = WAYS.get(one.way)
    return way is not None and way.fee is not None


def together(one: Cleared) -> int:
    """What liquidation cost failing accounts and others, micro-dollars."""
    return one.losses.cost + one.losses.others


def against(mine: int, theirs: int) -> float | None:
    """By how much a cost is above a baseline's, a share of the baseline's; None where that is nothing."""
    return (mine - theirs) / theirs if theirs else None


def percent(share: float) -> str:
    """A signed share in per cent."""
    whole = round(100 * share)
    return f"{'−' if whole < 0 else '+' if whole > 0 else ''}{abs(whole):,} %"


def versus(mine: int, theirs: int) -> str:
    """A cost against a baseline's, for people: per cent, or both amounts where the baseline's is nothing."""
    share = against(mine, theirs)
    if share is not None:
        return percent(share)
    return f"{charts.dollars(mine)} vs $0" if mine else "both $0"


def sorted_by_cost(case: Sequence[Cleared]) -> list[Cleared]:
    """Policies from the cheapest, then baselines from the cheapest."""
    return sorted(case, key=lambda one: (is_baseline(one), together(one)))


def relative(one: Cleared) -> dict[str, list[float]]:
    """Each price against its first, by mark: −0.1 is ten per cent below. USDC where it had a price of its own."""
    series = {**one.prices, **({"USDC": one.stable} if len(one.stable) else {})}
    return {name: [price / prices[0] - 1.0 for price in prices] for name, prices in series.items() if len(prices)}


def falls(one: Cleared) -> dict[str, float]:
    """How far each price fell below its first at the lowest."""
    return {name: min(values) for name, values in relative(one).items()}


def hour_of(time: int) -> int:
    """The beginning of the hour a time lies in, microseconds."""
    return time - time % HOUR


def by_hour(times: Sequence[int], amounts: Sequence[int]) -> Mapping[int, int]:
    """Sums by the beginning of the hour."""
    told: Counter[int] = Counter()
    for time, amount in zip(times, amounts, strict=True):
        told[hour_of(time)] += amount
    return told


def fall(case: Sequence[Cleared]) -> charts.Drawing:
    """Prices relative to the first mark, and under them a strip of bars for each policy: closed by force, by hour."""
    sold = [by_hour(one.times, one.liquidated) for one in case]
    most = max((amount for told in sold for amount in told.values()), default=0)

    def draw(figure: Figure, size: charts.Size) -> None:
        upper, *strips = figure.subplots(1 + len(case), 1, sharex=True, height_ratios=[3.4, *[1.0] * len(case)])
        times: Any = charts.moments(case[0].times)
        moves = relative(case[0])
        for (name, values), colour in zip(moves.items(), (*charts.LINES, charts.GAIN), strict=False):
            dash: Any = _DASHES[2] if name == "USDC" else "-"
            drawn = charts.INK if name == "USDC" else colour
            upper.plot(times, 100.0 * np.array(values), color=drawn, linestyle=dash, linewidth=1.4, label=name)
        upper.axhline(0.0, color=charts.MUTED, linewidth=0.7)
        upper.yaxis.set_major_locator(charts.at_most(5))
        upper.yaxis.set_major_formatter(charts.written(lambda value, _: percent(value / 100.0)))
        charts.legend(upper, len(moves))
        charts.dated(upper, size)
        for place, (axes, one, told) in enumerate(zip(strips, case, sold, strict=True)):
            _strip(axes, one, told, most, scaled=place == 0)
            charts.dated(axes, size)

    return draw


def _strip(axes: Axes, one: Cleared, told: Mapping[int, int], most: int, *, scaled: bool) -> None:
    hours: Any = charts.moments(list(told))
    colour = charts.MUTED if is_baseline(one) else charts.LOSS
    axes.bar(hours, [float(amount) for amount in told.values()], width=0.9 / 24, align="edge", color=colour)
    axes.set_ylim(0.0, max(1.0, 1.05 * most))
    axes.set_yticks([0.0, float(max(1, most))], ["", charts.dollars(most) if scaled else ""])
    axes.set_title(f"{one.way}: {charts.dollars(sum(told.values()))}", loc="left", fontsize=9, color=charts.INK, pad=2)


def fall_height(case: Sequence[Cleared]) -> float:
    """How far `fall` stretches."""
    return (2.6 + 0.62 * len(case)) / _INCH


def cover(case: Sequence[Cleared]) -> charts.Drawing:
    """Funds and own capital by mark, a line for each policy."""

    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        number = grey = 0
        for one in case:
            times: Any = charts.moments(one.times[: len(one.cover)])
            if is_baseline(one):
                colour, dash, width, grey = charts.MUTED, _DASHES[(grey + 1) % len(_DASHES)], 1.6, grey + 1
            else:
                colour = charts.LINES[number % len(charts.LINES)]
                dash = _DASHES[number // len(charts.LINES) % len(_DASHES)]
                width, number = 1.6, number + 1
            values = [float(amount) for amount in one.cover]
            axes.step(times, values, where="post", color=colour, linestyle=dash, linewidth=width, label=one.way)
        axes.set_ylim(0.0, 1.1 * max([1.0, *(float(amount) for one in case for amount in one.cover)]))
        axes.yaxis.set_major_locator(charts.at_most(5))
        axes.yaxis.set_major_formatter(charts.written(lambda value, _: charts.dollars(value)))
        charts.dated(axes, size)
        charts.legend(axes, _columns(size))

    return draw


def _columns(size: charts.Size) -> int:
    return 2 if size.narrow else 5


def cover_height(case: Sequence[Cleared]) -> float:
    """How far `cover` stretches."""
    return (2.4 + 0.15 * -(-len(case) // 2)) / _INCH


def cost(case: Sequence[Cleared]) -> charts.Drawing:
    """A stacked bar for each policy, the cheapest on top, baselines apart below."""
    ordered = sorted_by_cost(case)
    places = _places(ordered)
    longest = max([1, *(together(one) for one in case)])
    shown = [part for part in PARTS if any(part.of(one) for one in case)]

    def draw(figure: Figure, size: charts.Size) -> None:
        axes = figure.subplots()
        for part in shown:
            before = PARTS.index(part)
            begins = [float(sum(max(0, other.of(one)) for other in PARTS[:before])) for one in ordered]
            widths = [float(max(0, part.of(one))) for one in ordered]
            axes.barh(
                places, widths, left=begins, height=0.66, color=part.colour, alpha=part.depth,
                label=part.name, edgecolor=charts.SURFACE, linewidth=0.5,
            )  # fmt: skip
        for place, one in zip(places, ordered, strict=True):
            end = sum(max(0, part.of(one)) for part in PARTS)
            axes.annotate(
                charts.dollars(together(one)), (end, place), xytext=(4, 0), textcoords="offset points", va="center"
            )
        _named(axes, places, ordered)
        axes.set_xlim(0.0, longest * (1.22 if size.narrow else 1.1))
        axes.xaxis.set_major_locator(charts.at_most(3 if size.narrow else 6))
        axes.xaxis.set_major_formatter(charts.written(lambda value, _: charts.dollars(value)))
        if shown:
            charts.legend(axes, 3 if size.narrow else 7)

    return draw


def _places(ordered: Sequence[Cleared]) -> list[float]:
    """Where bars stand: baselines stand apart from the rest."""
    apart = any(not is_baseline(one) for one in ordered)
    return [place + (0.6 if apart and is_baseline(one) else 0.0) for place, one in enumerate(ordered)]


def _named(axes: Axes, places: Sequence[float], ordered: Sequence[Cleared]) -> None:
    axes.set_yticks(places, [one.way for one in ordered])
    for label, one in zip(axes.get_yticklabels(), ordered, strict=True):
        label.set_color(charts.MUTED if is_baseline(one) else charts.INK)
    axes.set_ylim(max(places, default=0.0) + 0.6, -0.6)
    axes.grid(visible=False, axis="y")


def cost_height(case: Sequence[Cleared]) -> float:
    """How far `cost` stretches."""
    return (1.0 + 0.27 * len(case)) / _INCH


def difference(policies: Sequence[Cleared], bases: Sequence[Cleared]) -> charts.Drawing:
    """For each baseline a panel: each policy's cost above or below it, in per cent."""
    ordered = sorted_by_cost(policies)
    places = _places(ordered)
    shares = [[against(together(one), together(base)) for one in ordered] for base in bases]
    told = [100.0 * share for panel in shares for share in panel if share is not None]
    least, most = min([0.0, *told]), min(_FURTHEST, max([0.0, *told]))
    above = most > 0.0 or any(share is None for panel in shares for share in panel)

    def draw(figure: Figure, size: charts.Size) -> None:
        panels = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
        room = max(20.0, (0.7 if size.narrow else 0.25) * (most - least))
        step = 100 if size.narrow else 50
        ticks = [float(tick) for tick in range(-100, 201, step) if least - 5.0 <= tick <= most + 5.0]
        for axes, base, panel in zip(panels, bases, shares, strict=True):
            for place, one, share in zip(places, ordered, panel, strict=True):
                _one(axes, place, share, versus(together(one), together(base)), most)
            axes.axvline(0.0, color=charts.MUTED, linewidth=0.8)
            axes.set_xlim(least - (room if least < 0.0 else 5.0), most + (room if above else 5.0))
            axes.set_xticks(ticks, [percent(tick / 100.0) for tick in ticks])
            axes.set_title(f"against {base.way}", loc="left", fontsize=9, color=charts.MUTED)
            axes.grid(visible=False, axis="y")
        _named(panels[0], places, ordered)

    return draw


def _one(axes: Axes, place: float, share: float | None, text: str, most: float) -> None:
    value = 0.0 if share is None else 100.0 * share
    end = min(value, most)
    axes.barh([place], [end], height=0.62, color=charts.GAIN if value <= 0.0 else charts.LOSS)
    axes.annotate(
        text + (" ▸" if end < value else ""),
        (end, place),
        xytext=(-4 if value < 0.0 else 4, 0),
        textcoords="offset points",
        ha="right" if value < 0.0 else "left",
        va="center",
    )


def difference_height(policies: Sequence[Cleared]) -> float:
    """How far `difference` stretches."""
    return (0.85 + 0.27 * len(policies)) / _INCH

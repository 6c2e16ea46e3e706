"""A run's figures as one self-contained HTML page and as the table printed at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from rich.table import Table

from schemas.limits import MICRO
from schemas.units import format_time
from services import charts, page
from services.charts import dollars


@dataclass(frozen=True, slots=True)
class StrategyFigures:
    """What became of the accounts of one strategy; micro-dollars. `profit` is change of equity less net deposits."""

    name: str
    accounts: int
    called: int
    liquidated: int
    deficits: int
    profit: int
    shortfall: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """An account that could not pay: what it owed when it held nothing more to sell, and who paid; micro-dollars."""

    account: int
    strategy: str
    profile: str
    time: int
    owed: int
    paid: int
    """by all layers of the waterfall that are money"""
    from_deleveraging: int


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """A layer of the waterfall that is money: what it paid of what failing accounts owed, and what its house account
    holds at the end, where it has one of its own; micro-dollars at the prices of the time."""

    name: str
    paid: int
    left: int | None


@dataclass(frozen=True, slots=True)
class Losses:
    """How the losses of all liquidated accounts were carried, in the order of the waterfall; micro-dollars.

    `torn_up` is the value at the mark of positions of failing accounts that were closed against the other side: what
    the other side lost by it is no money at that mark, and is in none of the sums.
    """

    from_accounts: int
    from_layers: Sequence[LayerFigures]
    from_deleveraging: int
    uncovered: int
    torn_up: int = 0

    @property
    def paid(self) -> int:
        """By all layers."""
        return sum(one.paid for one in self.from_layers)

    @property
    def total(self) -> int:
        """All of them."""
        return self.from_accounts + self.paid + self.from_deleveraging + self.uncovered


@dataclass(frozen=True, slots=True)
class Decision:
    """What the risk council changed, and when it took effect (microseconds)."""

    time: int
    what: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The verdict of the replay in a fresh process, in its own words."""

    agreed: bool
    verdict: str


@dataclass(frozen=True)
class RunFigures:
    """Everything the report shows.

    Sequences over marks have one entry a mark: `times` in microseconds, money in micro-dollars. `calls` and
    `liquidations` count accounts that entered that rung at the mark, `notional` is the value of positions closed by
    awards and deleveraging. `prices` are micro-dollars, `volatility` millionths at the money, by underlying.
    `own_figures`: the prices are the project's table, not the user's files. `policy`: the published waterfall that the
    run was to be under, empty where there was none.
    """

    title: str
    seed: int
    accounts: int
    entries: int
    events: int
    outcomes: int
    times: Sequence[int]
    prices: Mapping[str, Sequence[int]]
    volatility: Mapping[str, Sequence[int]]
    equity: Sequence[int]
    initial: Sequence[int]
    maintenance: Sequence[int]
    calls: Sequence[int]
    liquidations: Sequence[int]
    notional: Sequence[int]
    fund: Sequence[int]
    strategies: Sequence[StrategyFigures]
    shortfalls: Sequence[Shortfall]
    losses: Losses
    audit: Audit
    decisions: Sequence[Decision] = ()
    rejections: Mapping[str, int] = field(default_factory=dict)
    own_figures: bool = True
    policy: str = ""


INSURANCE_FUND: Final = "the fund"
"""its name among the layers"""
SHOWN: Final = 10
"""shortfalls in the page's table"""


def _time(micros: int) -> str:
    """To the minute: 2020-03-12 10:45."""
    return format_time(micros)[:16].replace("T", " ")


def headline(figures: RunFigures) -> list[tuple[str, str]]:
    """The figures that the page and the printed table begin with: name, value."""
    worst = max(figures.shortfalls, key=lambda one: (one.owed, -one.account), default=None)
    return [
        ("events", f"{figures.events:,}"),
        ("accounts", f"{figures.accounts:,}"),
        ("marks", f"{len(figures.times):,}"),
        ("margin calls", f"{sum(figures.calls):,}"),
        ("liquidations", f"{sum(figures.liquidations):,}"),
        ("positions closed", dollars(sum(figures.notional))),
        ("losses of liquidated accounts", dollars(figures.losses.total)),
        *((f"paid by {one.name}", _paid(one, left=bool(figures.policy))) for one in figures.losses.from_layers),
        ("taken by deleveraging", dollars(figures.losses.from_deleveraging)),
        *([("positions torn up", dollars(figures.losses.torn_up))] if figures.losses.torn_up else []),
        ("largest shortfall", f"{dollars(worst.owed)} (account {worst.account})" if worst else "none"),
    ]


def _paid(one: LayerFigures, *, left: bool) -> str:
    rest = f" ({dollars(one.left)} left)" if left and one.left is not None else ""
    return dollars(one.paid) + rest


def summary_table(figures: RunFigures) -> Table:
    """The table printed when a run ends: the headline, the largest shortfalls, the audit's verdict."""
    table = Table(title=figures.title, show_header=False, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in headline(figures):
        table.add_row(name, value)
    table.add_section()
    for one in _largest(figures.shortfalls)[:3]:
        table.add_row(f"account {one.account}, {one.strategy}, {_time(one.time)}", f"owed {dollars(one.owed)}")
    table.add_section()
    colour = "green" if figures.audit.agreed else "red"
    table.add_row("audit", f"[{colour}]{figures.audit.verdict}[/{colour}]")
    return table


def _largest(shortfalls: Sequence[Shortfall]) -> list[Shortfall]:
    return sorted(shortfalls, key=lambda one: (-one.owed, one.account))


def html(figures: RunFigures) -> str:
    """The page. The same figures give the same bytes; it asks for nothing from anywhere."""
    period = f"{_time(figures.times[0])} to {_time(figures.times[-1])} UTC" if figures.times else "no marks"
    agreed = figures.audit.agreed
    body = "\n".join(
        [
            f"<header><p class=eyebrow>Novate · clearing report</p><h1>{escape(figures.title)}</h1>",
            f"<p class=period>{period} · {figures.accounts:,} accounts · seed {figures.seed}</p>",
            f'<p class="verdict {"good" if agreed else "bad"}"><b>{"✓ Audit" if agreed else "✗ Audit"}</b> ',
            f"{escape(figures.audit.verdict)}</p></header>",
            _tiles(figures),
            *(_sections(figures) if figures.times else []),
            _layers(figures),
            _strategies(figures.strategies),
            _shortfalls(figures.shortfalls),
            _decisions(figures.decisions),
            _rejections(figures.rejections),
            _method(own=figures.own_figures),
        ]
    )
    return page.document(figures.title, body)


def _tiles(figures: RunFigures) -> str:
    tiles = ""
    for name, value in headline(figures):
        number, _, rest = value.partition(" (")
        small = f" <small>({escape(rest)}</small>" if rest else ""
        tiles += f"<div><dt>{escape(name)}</dt><dd>{escape(number)}{small}</dd></div>"
    return f"<dl class=tiles>{tiles}</dl>"


def _sections(figures: RunFigures) -> list[str]:
    times = figures.times
    indexed = {name: [100.0 * price / path[0] for price in path] for name, path in figures.prices.items()}
    lows = ", ".join(f"{name} ${min(path) / MICRO:,.2f}" for name, path in figures.prices.items())
    volatility = {name: [value / 10_000 for value in path] for name, path in figures.volatility.items()}
    equity, maintenance = figures.equity, figures.maintenance
    # the first mark comes before the first deposit
    opened = next((k for k, amount in enumerate(equity) if amount), 0)
    cover = min(
        ((held / margin, at) for held, margin, at in zip(equity, maintenance, times, strict=True) if margin),
        default=None,
    )
    least = f" They were closest at {_time(cover[1])}: {cover[0]:.1f} times." if cover else ""
    busiest = max(range(len(times)), key=lambda k: figures.liquidations[k])
    losses = figures.losses
    changes = [one.time for one in figures.decisions]
    return [
        page.section(
            "prices",
            "Prices",
            f"Each underlying's index price, opening = 100. Lowest: {lows}."
            + (" Dotted: the risk council's changes." if changes else ""),
            charts.lines(times, indexed, "", changes),
        ),
        page.section(
            "margin",
            "Margin against equity",
            "Equity after haircuts and the margin required, summed over all accounts; a sum hides those that fail."
            + least,
            charts.margin_and_equity(*(column[opened:] for column in (times, equity, figures.initial, maintenance))),
        ),
        page.section(
            "liquidations",
            "Liquidations",
            f"Accounts entered liquidation {sum(figures.liquidations):,} times, most of them at the mark of "
            f"{_time(times[busiest])} ({figures.liquidations[busiest]:,}).",
            charts.counts_and_notional(times, figures.liquidations, figures.notional),
            1.25,
        ),
        page.section(
            "fund",
            "The insurance fund",
            f"Its balance: {dollars(figures.fund[0])} at the opening, {dollars(figures.fund[-1])} at the end, "
            f"lowest {dollars(min(figures.fund))}. It {_work_of_the_fund(losses)}.",
            charts.balance(times, figures.fund, "fund balance"),
        ),
        page.section(
            "waterfall",
            "Who carried the losses",
            f"Of {dollars(losses.total)} lost by liquidated accounts, {dollars(losses.from_accounts)} came from the "
            f"accounts, {''.join(f'{dollars(one.paid)} from {one.name}, ' for one in losses.from_layers)[:-2]} and "
            f"{dollars(losses.from_deleveraging)} from deleveraged counterparties; {dollars(losses.uncovered)} remain "
            "uncovered.",
            charts.waterfall(
                [
                    ("accounts", losses.from_accounts),
                    *((one.name.removeprefix("the "), one.paid) for one in losses.from_layers),
                    ("deleveraging", losses.from_deleveraging),
                    ("uncovered", losses.uncovered),
                ]
            ),
            0.2 * (3 + len(losses.from_layers)),
        ),
        page.section(
            "strategies",
            "Who lost what",
            "Change of equity less net deposits, by strategy.",
            charts.gains_and_losses({one.name: one.profit for one in figures.strategies}),
        ),
        page.section(
            "volatility",
            "Volatility (PROXY)",
            "At-the-money volatility of the nearest expiry: not implied by any option, computed from the bars' range.",
            charts.lines(times, volatility, " %"),
            0.8,
        ),
    ]


def _work_of_the_fund(losses: Losses) -> str:
    pays = any(one.name == INSURANCE_FUND for one in losses.from_layers)
    return "pays what failing accounts owe and earns a share of fees" if pays else "earns a share of fees"


def _layers(figures: RunFigures) -> str:
    if not figures.policy:
        return ""
    rows = [
        (one.name, dollars(one.paid), "" if one.left is None else dollars(one.left))
        for one in figures.losses.from_layers
    ]
    title = f"Layer by layer: the policy {figures.policy}"
    return page.table("layers", title, ("layer", "paid", "left at the end"), rows, 1)


def _strategies(strategies: Sequence[StrategyFigures]) -> str:
    rows = [
        (
            one.name,
            f"{one.accounts:,}",
            f"{one.called:,}",
            f"{one.liquidated:,}",
            f"{one.deficits:,}",
            dollars(one.profit),
            dollars(one.shortfall),
        )
        for one in sorted(strategies, key=lambda one: (one.profit, one.name))
    ]
    heading = ("strategy", "accounts", "called", "liquidated", "in deficit", "profit", "shortfall")
    return page.table("by-strategy", "By strategy", heading, rows, 1)


def _shortfalls(shortfalls: Sequence[Shortfall]) -> str:
    rows = [
        (
            str(one.account),
            one.strategy,
            one.profile,
            _time(one.time),
            dollars(one.owed),
            dollars(one.paid),
            dollars(one.from_deleveraging),
        )
        for one in _largest(shortfalls)[:SHOWN]
    ]
    heading = ("account", "strategy", "profile", "time (UTC)", "owed", "paid", "deleveraged")
    return page.table("shortfalls", "Largest shortfalls", heading, rows, 4)


def _decisions(decisions: Sequence[Decision]) -> str:
    rows = [(_time(one.time), one.what) for one in decisions]
    return page.table("council", "What the risk council changed", ("in force (UTC)", "change"), rows, 2)


def _rejections(rejections: Mapping[str, int]) -> str:
    rows = [
        (reason, f"{count:,}") for reason, count in sorted(rejections.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return page.table("rejections", "Events refused", ("reason", "events"), rows, 1)


def _method(*, own: bool) -> str:
    source = (
        "Prices and funding rates are public figures of the Binance exchange (spot BTCUSDT and ETHUSDT by the hour; "
        "funding of the perps), shipped as a small table."
        if own
        else "Prices are the user's."
    )
    return (
        "<section id=method><h2>What is real here and what is made up</h2>"
        f"<p>{source} A bar becomes four prices a quarter of its length apart: its opening, its low and high in the "
        "order its direction suggests, its close.</p>"
        "<p><b>PROXY:</b> no implied volatility is known for these days. The surface is an exponentially weighted mean "
        "of the bars' range, carried to each expiry as a mean-reverting variance is, with a smile in log-moneyness. "
        "Forwards are a carry that falls with the drawdown; the governance token follows the last underlying with a "
        "beta of 1.3; USDC stands at one dollar. Accounts, trades and bids are drawn from the seed.</p>"
        "<p>Every figure above is a sum over outcomes of the journal and can be computed again from it.</p></section>"
    )

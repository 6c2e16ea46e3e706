"""`novate crashes`: five real crashes cleared under every policy and against simple baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from schemas.limits import MICRO
from services.crashes import ACCOUNTS, CONDITIONS, CRASHES, SEED, WAYS, Cleared, clear, inputs_of
from services.crashes_page import html
from services.exchange import HOUR
from services.markets import POINTS
from services.terminal import CONSOLE, Refused, print_json, progress_bar

app = typer.Typer(no_args_is_help=True, add_completion=False)

DATA: Final = Path("../shared/data")
USUAL: Final = ("exchange", "baseline-1%", "baseline-5%")
ALL: Final = "all"


@app.callback()
def _several() -> None:
    """Typer makes no group of a single command; `novate` looks for it in one."""


@app.command("crashes")
def crashes_command(
    only: Annotated[
        list[str] | None, typer.Option(help=f"A crash alone: {', '.join(CRASHES)}; may stand again; default: each")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(WAYS)}, or all; may stand again; default: exchange and the baselines"),
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(CONDITIONS)}; may stand again; default: each")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of history (docs/crashes.md)", metavar="DIR")] = DATA,
    accounts: Annotated[int, typer.Option(help="Accounts of the population", min=24)] = ACCOUNTS,
    seed: Annotated[int, typer.Option(help="Seed of the population and its flow", min=0)] = SEED,
    leverage: Annotated[
        float | None, typer.Option(help="Times the shipped profiles' leverage, instead of the condition's", min=0.1)
    ] = None,
    fund: Annotated[
        int | None, typer.Option(help="Dollars of fund an account, instead of the condition's", min=1)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Stop each after so many marks", min=2)] = None,
    bars: Annotated[
        int, typer.Option(help="Minutes of a bar, a divisor of 60; a bar becomes four marks", min=1, max=60)
    ] = 60,
    audited: Annotated[bool, typer.Option("--audit/--no-audit", help="Replay each from its journal at the end")] = True,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page of plots too", metavar="FILE")] = None,
    as_text: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Clear real crashes with the same customers, trades and prices by each policy: what it cost whom."""
    if 60 % bars:
        raise Refused(f"{bars} minutes do not divide an hour")
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        # said before minutes of runs, not after
        raise Refused(f"{page} cannot be written: {'it is a folder' if page.is_dir() else 'its folder is not there'}")
    names = _among(only, CRASHES, tuple(CRASHES))
    ways = _among(tuple(WAYS) if policy and ALL in policy else policy, WAYS, USUAL)
    under = [
        replace(
            CONDITIONS[one],
            leverage=leverage if leverage is not None else CONDITIONS[one].leverage,
            fund=fund if fund is not None else CONDITIONS[one].fund,
        )
        for one in _among(condition, CONDITIONS, tuple(CONDITIONS))
    ]
    done: list[Cleared] = []
    try:
        with progress_bar("crashes", quiet=as_text) as bar, TemporaryDirectory() as room:
            task = bar.add_task("crashes", total=len(names) * len(ways) * len(under))
            for name in names:
                inputs = inputs_of(CRASHES[name], data, bars * HOUR // 60)
                for one in under:
                    for way in ways:
                        directory = Path(room) / f"{len(done)}"
                        done.append(
                            clear(CRASHES[name], inputs, WAYS[way], one, directory, accounts=accounts, seed=seed,
                                  steps=steps, audited=audited)
                        )  # fmt: skip
                        bar.advance(task)
        if page is not None:
            made = _made(accounts, seed, bars, steps, leverage, fund, audited=audited)
            page.write_text(html(done, made), "utf-8")
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error
    if as_text:
        print_json([as_json(one) for one in done])
        return
    for name in names:
        for one in under:
            for told in tables([c for c in done if (c.crash, c.condition) == (name, one.name)]):
                CONSOLE.print(told)
    for line in compared(done):
        CONSOLE.print(line, highlight=False, soft_wrap=True)
    if page is not None:
        CONSOLE.print(f"written: {page}", highlight=False, soft_wrap=True)
    if audited:
        CONSOLE.print(f"{len(done)} directories replayed from their journals: all agree", highlight=False)


def _among(asked: Sequence[str] | None, known: Iterable[str], usual: Sequence[str]) -> Sequence[str]:
    for one in asked or ():
        if one not in known:
            raise Refused(f"{one!r} is none of {', '.join(known)}")
    return asked or usual


def _made(
    accounts: int, seed: int, bars: int, steps: int | None, leverage: float | None, fund: int | None, *, audited: bool
) -> str:
    """How the runs were made, for the page."""
    told = [f"{accounts:,} accounts", f"seed {seed}", f"a mark every {bars * 60 // POINTS:,} seconds"]
    told += [f"stopped after {steps:,} marks"] if steps is not None else []
    told += [f"leverage {leverage:g} instead of the condition's"] if leverage is not None else []
    told += [f"{fund:,} dollars of fund an account instead of the condition's"] if fund is not None else []
    return ", ".join([*told, "each replayed from its journal" if audited else "not replayed from their journals"])


def _thousands(micros: int) -> str:
    return f"{micros / MICRO / 1_000:,.0f}"


Column = tuple[str, Callable[[Cleared], str]]
SOLD: Final[Sequence[Column]] = (
    ("policy", lambda c: c.way),
    ("called", lambda c: str(c.losses.called)),
    ("sold out", lambda c: str(c.losses.liquidated)),
    ("notional", lambda c: _thousands(c.losses.notional)),
    ("gap", lambda c: _thousands(c.losses.discount)),
    ("mean bp", lambda c: f"{c.losses.mean_gap:,.0f}"),
    ("worst bp", lambda c: f"{c.losses.worst_gap:,.0f}"),
    ("fees", lambda c: _thousands(c.losses.fees)),
    ("by ADL", lambda c: _thousands(c.losses.taken)),
    ("lost", lambda c: _thousands(c.losses.failed_lost)),
)
"""what failing accounts sold, and what it cost them; money in thousands of dollars"""
PAID: Final[Sequence[Column]] = (
    ("policy", lambda c: c.way),
    ("deficits", lambda c: str(c.losses.deficits)),
    ("paid", lambda c: _thousands(c.losses.fund_paid)),
    ("left", lambda c: _thousands(c.losses.fund_left)),
    ("withheld", lambda c: _thousands(c.losses.withheld)),
    ("unpaid", lambda c: _thousands(c.losses.unpaid)),
    ("ADL", lambda c: _thousands(c.losses.deleveraged)),
    ("of", lambda c: str(c.losses.counterparties)),
    ("gave up", lambda c: _thousands(c.losses.given_up)),
    ("buyers", lambda c: _thousands(c.losses.liquidators_gained)),
)
"""what others bore, and what liquidators gained"""


def tables(rows: Sequence[Cleared]) -> list[Table]:
    """One crash under one condition, a policy a line."""
    title = f"{CRASHES[rows[0].crash].title}, {rows[0].condition}, thousands of dollars"
    return [_table(f"{title}: {what}", rows, columns) for what, columns in (("sold", SOLD), ("borne by others", PAID))]


def _table(title: str, rows: Sequence[Cleared], columns: Sequence[Column]) -> Table:
    told = Table(title=title, title_justify="left", padding=(0, 1, 0, 0))
    for name, _ in columns:
        told.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for row in rows:
        told.add_row(*(show(row) for _, show in columns))
    return told


def compared(done: Sequence[Cleared]) -> list[str]:
    """Each policy against each baseline of its crash and condition: what accounts lost to liquidation, and others."""
    lines = []
    for base in done:
        if WAYS[base.way].fee is None:
            continue
        for one in done:
            if (one.crash, one.condition) == (base.crash, base.condition) and WAYS[one.way].fee is None:
                lines.append(
                    f"{one.crash} {one.condition}: {one.way} against {base.way}: accounts"
                    f" {_against(one.losses.cost, base.losses.cost)}; fund and others"
                    f" {_against(one.losses.others, base.losses.others)}; together"
                    f" {_against(one.losses.cost + one.losses.others, base.losses.cost + base.losses.others)}"
                )
    return lines


def _against(mine: int, theirs: int) -> str:
    if theirs == 0:
        return f"{_thousands(mine)} k against none"
    part = 100.0 * (mine - theirs) / theirs
    return f"{_thousands(mine)} k against {_thousands(theirs)} k, {abs(part):.0f} % {'less' if part < 0 else 'more'}"


def as_json(one: Cleared) -> dict[str, Any]:
    """A run's figures as plain data."""
    return {
        "crash": one.crash,
        "policy": one.way,
        "condition": one.condition,
        "entries": one.entries,
        "audit": one.verdict,
        **asdict(one.losses),
        "cost_to_accounts": one.losses.cost,
        "cost_to_others": one.losses.others,
    }

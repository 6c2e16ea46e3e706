"""`novate backtest`: how good margin profiles were on real crashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from risk.backtest.portfolios import BOOKS, NOTIONAL, Book
from schemas.strict import TomlError
from services.backtest import (
    DAILY,
    HOURLY,
    WINDOWS,
    NoHistory,
    Profile,
    as_json,
    backtest,
    day,
    read_past,
)
from services.backtest_page import html, tables
from services.margin import profile_text, published_profiles
from services.margin_reading import BadInput
from services.terminal import CONSOLE, Refused, progress_bar

app = typer.Typer(no_args_is_help=True, add_completion=False)

DATA: Final = Path("../shared/data")
ALL: Final = "all"


@app.callback()
def _several() -> None:
    """Typer makes no group of a single command; `novate` looks for it in one."""


@app.command("backtest")
def backtest_command(
    profile: Annotated[list[str], typer.Option(help="A profile's name, a TOML file, or all; may stand again")],
    first: Annotated[str | None, typer.Option("--from", help="First day", metavar="YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Day before which it ends", metavar="YYYY-MM-DD")] = None,
    window: Annotated[
        str | None, typer.Option(help=f"A crash instead of --from and --to: {', '.join(WINDOWS)}")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of history (docs/backtest.md)", metavar="DIR")] = DATA,
    step: Annotated[
        int | None, typer.Option(help="Hours from start to start; default 24, in a window 1", min=1, max=720)
    ] = None,
    book: Annotated[
        list[str] | None, typer.Option(help="A book of the set alone; may stand again; default: all")
    ] = None,
    notional: Annotated[float, typer.Option(help="Dollars a leg is on", min=1.0, max=1e12)] = NOTIONAL,
    jobs: Annotated[int, typer.Option(help="Processes that share the work", min=1, max=64)] = 1,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page of plots", metavar="FILE")] = None,
    figures: Annotated[Path | None, typer.Option("--json", help="Write all figures", metavar="FILE")] = None,
) -> None:
    """Walk margin profiles through real history: coverage, cost, procyclicality and breaches, side by side."""
    begin, end = _period(first, last, window)
    try:
        with progress_bar("reading", quiet=False) as bar:
            bar.add_task("reading", total=None)
            history = read_past(data)
        with progress_bar("walking", quiet=False) as bar:
            task = bar.add_task("walking", total=None)
            told = backtest(
                history,
                _profiles(profile),
                begin,
                end,
                step=step or (HOURLY if window else DAILY),
                books=_books(book),
                notional=notional,
                jobs=jobs,
                told=lambda done, of: bar.update(task, completed=done, total=of),
            )
        if page is not None:
            page.write_text(html(told), "utf-8")
        if figures is not None:
            figures.write_text(json.dumps(as_json(told), indent=1) + "\n", "utf-8")
    except BadInput as error:
        raise Refused(f"{error.path}: {error.code}: {error.message}") from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except (NoHistory, TomlError, ValueError) as error:
        raise Refused(str(error)) from error
    for table in tables(told):
        CONSOLE.print(table)
    for name, share in told.proxied.items():
        if share:
            CONSOLE.print(f"{name}: implied volatility is a proxy at {share:.0%} of the starts", highlight=False)
    for note in told.notes:
        CONSOLE.print(note, highlight=False, markup=False, soft_wrap=True)
    for path in (page, figures):
        if path is not None:
            CONSOLE.print(f"written: {path}", highlight=False, soft_wrap=True)


def _period(first: str | None, last: str | None, window: str | None) -> tuple[int, int]:
    if window is not None:
        if first is not None or last is not None:
            raise Refused("--window goes alone: it stands for --from and --to")
        if window not in WINDOWS:
            raise Refused(f"{window!r} is no window; known are {', '.join(WINDOWS)}")
        first, last = WINDOWS[window]
    if first is None or last is None:
        raise Refused("--from and --to are needed, or --window")
    try:
        begin, end = day(first), day(last)
    except ValueError as error:
        raise Refused(str(error)) from error
    if begin >= end:
        raise Refused(f"--from {first} is not before --to {last}")
    return begin, end


def _profiles(named: list[str]) -> list[Profile]:
    every = list(published_profiles()) if ALL in named else []
    return [Profile(Path(one).stem, profile_text(one)) for one in dict.fromkeys([*every, *named]) if one != ALL]


def _books(named: list[str] | None) -> tuple[Book, ...]:
    known = {one.name: one for one in BOOKS}
    for one in named or ():
        if one not in known:
            raise Refused(f"{one!r} is no book; known are {', '.join(known)}")
    return tuple(known[one] for one in dict.fromkeys(named)) if named else BOOKS

"""`novate gap`: what a run's liquidations got against the marks, and the buffer that would have covered it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.conservation import ConservationBroken
from ledger.journal import JournalBroken
from ledger.trades import InvariantBroken
from schemas.limits import BASIS_POINTS
from services.gap_page import html, proposed, summary, tables
from services.gaps import LAST, LEVEL, MOST, Asked, as_json, counted
from services.terminal import CONSOLE, Refused, print_json, progress_bar

BROKEN: Final = (ValueError, ConservationBroken, InvariantBroken, JournalBroken)
"""what a directory may be found to be"""

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _several() -> None:
    """Typer makes no group of a single command; `novate` looks for it in one."""


@app.command("gap")
def gap_command(
    directory: Annotated[Path, typer.Argument(help="A run's directory", metavar="DIR")],
    to: Annotated[int | None, typer.Option("--to", help="The last entry to fold; default: the last", min=1)] = None,
    level: Annotated[
        float, typer.Option(help="Part of liquidations whose loss the buffer covers", min=0.01, max=1.0)
    ] = LEVEL / BASIS_POINTS,
    last: Annotated[int, typer.Option(help="Of so many liquidations, the latest", min=1)] = LAST,
    most: Annotated[int, typer.Option(help="The largest buffer proposed, basis points of maintenance", min=0)] = MOST,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page of plots", metavar="FILE")] = None,
    as_text: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Fold a run again and say what each liquidation got against its marks, and which buffer that asks for."""
    try:
        with progress_bar("folding", quiet=as_text) as bar:
            task = bar.add_task("folding", total=None)
            told = counted(
                directory,
                to,
                Asked(round(level * BASIS_POINTS), last, most),
                lambda done, of: bar.update(task, completed=done, total=of),
            )
        if page is not None:
            page.write_text(html(told), "utf-8")
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except BROKEN as error:
        raise Refused(str(error)) from error
    if as_text:
        print_json(as_json(told))
        return
    for table in tables(told):
        CONSOLE.print(table)
    CONSOLE.print(summary(told), highlight=False, soft_wrap=True)
    CONSOLE.print(proposed(told), highlight=False, soft_wrap=True)
    if page is not None:
        CONSOLE.print(f"written: {page}", highlight=False, soft_wrap=True)

"""`novate stress`: what daily moves of 20 to 40 % would do to a run's whole book, and how large the fund must be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ledger.journal import JournalBroken, JournalLocked
from ledger.journal.outcomes import OutcomesBroken
from liquidation.impact import Decay
from services.stress import Assumed, as_json, situation, stress
from services.stress_page import html, summary, tables
from services.terminal import CONSOLE, Refused, print_json, print_verdict, progress_bar

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _several() -> None:
    """Typer makes no group of a single command; `novate` looks for it in one."""


@app.command("stress")
def stress_command(
    directory: Annotated[Path, typer.Argument(help="A run's directory", metavar="DIR")],
    at: Annotated[int | None, typer.Option(help="The book after this entry; default: the last", min=1)] = None,
    volatility: Annotated[float, typer.Option(help="Of a day, assumed of every underlying", min=0.001, max=1.0)] = 0.05,
    correlation: Annotated[float, typer.Option(help="Assumed between any two", min=0.0, max=1.0)] = 0.8,
    turnover: Annotated[
        float, typer.Option(help="A day's volume over open interest, assumed", min=0.001, max=1000.0)
    ] = 1.0,
    impact: Annotated[float, typer.Option(help="Y of the square-root law; 0: sales move nothing", min=0.0)] = 1.0,
    decay: Annotated[Decay, typer.Option(help="How the impact fades")] = Decay.EXPONENTIAL,
    rounds: Annotated[int, typer.Option(help="Rounds after which a cascade is cut", min=1, max=10_000)] = 200,
    reverse: Annotated[bool, typer.Option(help="Look for the smallest shocks that exhaust the fund")] = True,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page of plots", metavar="FILE")] = None,
    as_text: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Shock the whole book as it stood: who fails, what their liquidation does, what the fund must hold."""
    assumed = Assumed(volatility, correlation, turnover, rounds=rounds)
    assumed = replace(assumed, impact=assumed.impact._replace(scale=impact, decay=decay))
    try:
        book = situation(directory, at)
        with progress_bar("stressing", quiet=as_text) as bar:
            task = bar.add_task("stressing", total=None)
            told = stress(
                book, assumed, reverse=reverse, told=lambda done, of: bar.update(task, completed=done, total=of)
            )
        if page is not None:
            page.write_text(html(told), "utf-8")
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except (ValueError, JournalBroken, JournalLocked, OutcomesBroken) as error:
        raise Refused(str(error)) from error
    if as_text:
        print_json(as_json(told))
        return
    for table in tables(told):
        CONSOLE.print(table)
    print_verdict(summary(told), good=told.worst.borne.shortfall <= 0.0)
    if page is not None:
        CONSOLE.print(f"written: {page}", highlight=False, soft_wrap=True)

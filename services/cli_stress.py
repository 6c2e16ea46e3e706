"""`novate stress`: what daily moves of 20 to 40 % would do to a run's whole book, and how large the fund must be."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from insurance.policy import SHIPPED, Policy
from ledger.conservation import ConservationBroken
from ledger.journal import JournalBroken, JournalFull, JournalLocked
from ledger.journal.outcomes import OutcomeDiffers, OutcomesBroken
from ledger.trades import InvariantBroken
from liquidation.impact import Decay
from services.client import Client, GatewayRefused, GatewayUnreachable
from services.gateway.keys import KEYS, read_keys
from services.heads import HeadDiffers
from services.stress import Assumed, Stress, as_json, situation, stress
from services.stress_events import record, recorded, recorded_json, send
from services.stress_page import html, summary, tables
from services.stress_waterfall import policy_named, under
from services.terminal import CONSOLE, Refused, print_json, print_verdict, progress_bar

BROKEN: Final = (
    ValueError,
    ConservationBroken,
    HeadDiffers,
    InvariantBroken,
    JournalBroken,
    JournalFull,
    JournalLocked,
    OutcomeDiffers,
    OutcomesBroken,
)
"""what a directory may be found to be"""

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
    policy: Annotated[
        str | None,
        typer.Option(
            help=f"Lay deficits on this policy instead of the one in force: {', '.join(SHIPPED)}, or a file",
            metavar="NAME|FILE",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds after which a cascade is cut", min=1, max=10_000)] = 200,
    reverse: Annotated[bool, typer.Option(help="Look for the smallest shocks that no layer covers")] = True,
    keep: Annotated[
        bool, typer.Option("--record", help="Append the answer to this directory, which must rest")
    ] = False,
    url: Annotated[
        str | None, typer.Option("--send", help="Send the answer to a running system as the council's", metavar="URL")
    ] = None,
    key: Annotated[str, typer.Option(help=f"Of the directory's {KEYS}, for --send")] = "local",
    told_before: Annotated[bool, typer.Option("--recorded", help="Print as JSON what was recorded, and end")] = False,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page of plots", metavar="FILE")] = None,
    as_text: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Shock the whole book as it stood: who fails, what their liquidation does, what the fund must hold."""
    if told_before:
        print_json(_recorded(directory))
        return
    if policy is not None and (keep or url is not None):
        raise Refused("--policy tries what is not in force: such an answer is neither recorded nor sent")
    tried = _tried(policy) if policy is not None else None
    assumed = Assumed(volatility, correlation, turnover, rounds=rounds)
    assumed = replace(assumed, impact=assumed.impact._replace(scale=impact, decay=decay))
    try:
        book = situation(directory, at)
        if tried is not None:
            book = replace(book, backing=under(book.backing, tried))
        with progress_bar("stressing", quiet=as_text) as bar:
            task = bar.add_task("stressing", total=None)
            told = stress(
                book, assumed, reverse=reverse, told=lambda done, of: bar.update(task, completed=done, total=of)
            )
        if page is not None:
            page.write_text(html(told), "utf-8")
        where = _said(directory, told, keep=keep, url=url, key=key)
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except (*BROKEN, GatewayRefused, GatewayUnreachable) as error:
        raise Refused(str(error)) from error
    if as_text:
        print_json(as_json(told))
        return
    for table in tables(told):
        CONSOLE.print(table)
    print_verdict(summary(told), good=told.worst.borne.shortfall <= 0.0)
    if page is not None:
        CONSOLE.print(f"written: {page}", highlight=False, soft_wrap=True)
    if where:
        CONSOLE.print(where, highlight=False, soft_wrap=True)


def _tried(policy: str) -> Policy:
    try:
        return policy_named(policy)
    except OSError as error:
        raise Refused(f"{policy} is none of {', '.join(SHIPPED)}, and no file: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{policy}: {error}") from error


def _said(directory: Path, told: Stress, *, keep: bool, url: str | None, key: str) -> str:
    """Put the answer in a journal where that was asked for; says where it is."""
    said = []
    if keep:
        said.append(f"recorded: entry {record(directory, told)} of {directory}")
    if url is not None:
        keys = read_keys(directory / KEYS)
        if key not in keys:
            raise Refused(f"{directory / KEYS} has no key {key}")
        with closing(Client(url, keys[key])) as client:
            said.append(f"sent: {url} has it at offset {send(client, told)}")
    return "\n".join(said)


def _recorded(directory: Path) -> list[dict[str, Any]]:
    try:
        return recorded_json(recorded(directory))
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except BROKEN as error:
        raise Refused(str(error)) from error

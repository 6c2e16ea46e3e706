"""What the commands print with: a progress bar, a verdict, JSON; and the error that is one line."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

CONSOLE: Final = Console()
ERRORS: Final = Console(stderr=True)


class Refused(Exception):  # noqa: N818 - caught in main, printed in one line
    """What the user asked for cannot be done: says why and what to do."""


def progress_bar(description: str, *, quiet: bool) -> Progress:
    """A progress bar on the terminal; where the errors go elsewhere there is none."""
    return Progress(
        TextColumn(f"{description:<10}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=ERRORS,
        disable=quiet or not ERRORS.is_terminal,
        transient=False,
    )


def print_json(answer: Any) -> None:
    """The answer for programs."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def print_verdict(verdict: str, *, good: bool) -> None:
    """One line, green or red."""
    CONSOLE.print(verdict, style="bold green" if good else "bold red", highlight=False, markup=False, soft_wrap=True)

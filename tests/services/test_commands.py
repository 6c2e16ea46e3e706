"""The commands that are read in late are those that their modules have."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

from typer.main import get_command

from services.cli import LATE


def test_late_commands_are_the_ones_of_their_modules() -> None:
    for module in set(LATE.values()):
        group: Any = get_command(import_module(module).app)
        assert set(group.commands) == {name for name, where in LATE.items() if where == module}


def test_a_command_that_needs_no_cluster_loads_none_of_it() -> None:
    heavy = ("kafka", "psycopg", "fastapi", "faust", "aiokafka")
    code = f"import sys, services.cli; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"

"""Runs every benchmark, prints a table and writes `name -> value, unit, goal, peers` as JSON."""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import bench.audit as audit
import bench.cascade as cascade
import bench.fold as fold
import bench.http as http
import bench.plans as plans
import bench.pricing as pricing
import bench.projector as projector
import bench.recovery as recovery
import bench.remargin as remargin
import bench.simulation as simulation
import bench.system as system

SUITES: Final[dict[str, Callable[[], list[dict[str, Any]]]]] = {
    "remargin": remargin.run,
    "fold": fold.run,
    "audit": audit.run,
    "pricing": pricing.run,
    "simulation": simulation.run,
    "plans": plans.run,
    "cascade": cascade.run,
    "projector": projector.run,
    "recovery": recovery.run,
    "system": system.run,
    "http": http.run,
}
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


def met(value: float, goal: str | None) -> bool | None:
    """Whether a value reaches a goal such as ">= 0.2"; None where there is no goal."""
    if not goal:
        return None
    sign, bound, *_ = goal.split()
    return _COMPARE[sign](value, float(bound.replace(",", "")))


def main() -> None:
    """Command line: `python -m bench [--only NAME ...] [--out FILE]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=sorted(SUITES), default=list(SUITES))
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    chosen = parser.parse_args()
    figures = [figure for name in chosen.only for figure in SUITES[name]()]
    table = Table("figure", "value", "unit", "goal", "met", "beside it in the same run", title="Benchmarks")
    for one in figures:
        answer = met(float(one["value"]), one.get("goal"))
        peers = ", ".join(f"{name}: {value:,.3g}" for name, value in one.get("peers", {}).items())
        shown = f"{one['value']:,.3g}" if one["value"] < 1000 else f"{one['value']:,.0f}"
        table.add_row(
            one["name"], shown, one["unit"], one.get("goal") or "", {True: "yes", False: "NO", None: ""}[answer], peers
        )
    Console(width=180).print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    told = {one["name"]: {k: v for k, v in one.items() if k != "name"} for one in figures}
    # The dense product's rate depends on which kernels OpenBLAS is told to use, so it is said with the figures.
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set: chosen by OpenBLAS"),
    }
    chosen.out.write_text(json.dumps({"machine": machine, **told}, indent=1) + "\n")


if __name__ == "__main__":
    main()

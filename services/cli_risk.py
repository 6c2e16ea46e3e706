"""`novate margin` and `novate profiles`: the stand-alone margin calculator on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from services.margin import DEFAULT_PROFILE, batch, margin_of, profile_text, published_profiles, ready
from services.margin_reading import BadInput, parsed, read_market, read_portfolio
from services.terminal import CONSOLE, Refused, print_json, progress_bar

app = typer.Typer(no_args_is_help=True, add_completion=False)

_FIGURES: Final = ("equity", "mark_to_market", "buffer", "isolated_requirement", "capital_saved")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]


@app.command("margin")
def margin_command(
    profile: Annotated[
        str | None,
        typer.Option(help=f"A profile's name (novate profiles), or a TOML file; default: {DEFAULT_PROFILE}"),
    ] = None,
    portfolio: Annotated[Path | None, typer.Option(help="portfolio.json", metavar="FILE")] = None,
    market: Annotated[Path | None, typer.Option(help="market.json", metavar="FILE")] = None,
    overrides: Annotated[
        Path | None, typer.Option(help="TOML that replaces any parameter of the profile", metavar="FILE")
    ] = None,
    requests: Annotated[
        Path | None, typer.Option("--batch", help="Requests, one a line; answers one a line", metavar="FILE")
    ] = None,
    floats: Annotated[bool, typer.Option("--float", help="The float model's figures too, at full precision")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what margin a portfolio needs, and everything that is made of. Needs no service."""
    if requests is not None:
        if any(one is not None for one in (profile, portfolio, market, overrides)):
            raise Refused("--batch goes alone: each request names its own profile, portfolio and market")
        _batch(requests, floats=floats)
        return
    if portfolio is None or market is None:
        raise Refused("--portfolio and --market are needed, or --batch")
    try:
        priced = read_market(parsed(_text(market), "$.market"))
        asked = read_portfolio(parsed(_text(portfolio), "$.portfolio"), priced)
        calculator = ready(profile or DEFAULT_PROFILE, "" if overrides is None else _text(overrides))
        told = margin_of(calculator, asked, priced, floats=floats)
    except BadInput as error:
        raise Refused(f"{error.path}: {error.code}: {error.message}") from error
    if as_json:
        print_json(told)
    else:
        _explain(told, priced.settlement)


@app.command("profiles")
def profiles_command(
    name: Annotated[str | None, typer.Argument(help="The profile whose TOML to print")] = None,
    as_json: AsJson = False,
) -> None:
    """List the margin profiles with the day each was published and its hash, or print one."""
    try:
        if name is not None:
            sys.stdout.write(profile_text(name))
            return
        listed = [_listed(one) for one in published_profiles()]
    except BadInput as error:
        raise Refused(f"{error.path}: {error.code}: {error.message}") from error
    if as_json:
        print_json(listed)
        return
    table = Table(title="margin profiles, each as published on the day given, not as current", title_justify="left")
    for heading in ("profile", "published", "model", "conf.", "hours", "days", "collateral", "hash"):
        table.add_column(heading, overflow="fold")
    for one in listed:
        hours = one["margin_period"]
        table.add_row(
            one["profile"],
            one["published"],
            one["model"],
            f"{one['confidence']:.4g}",
            f"{hours['detection']:g}+{hours['auction']:g}+{hours['settlement_delay']:g}",
            f"{one['lookback']}" if one["lookback"] else "-",
            ", ".join(one["collateral"]) or "any quoted",
            one["hash"][:12],
        )
    CONSOLE.print(table)
    CONSOLE.print("hours: the margin period, detection + auction + settlement delay; days: lookback", highlight=False)


def _listed(name: str) -> dict[str, Any]:
    calculator = ready(name)
    header, period = calculator.header, calculator.header.period
    return {
        "profile": name,
        "name": header.name,
        "published": header.published,
        "source": header.source,
        "description": header.description,
        "model": header.model,
        "confidence": header.confidence,
        "margin_period": {
            "detection": period.detection,
            "auction": period.auction,
            "settlement_delay": period.settlement_delay,
        },
        "lookback": header.lookback,
        "collateral": list(header.collateral),
        "buffer": header.buffer,
        "hash": calculator.digest,
    }


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _batch(requests: Path, *, floats: bool) -> None:
    # lines end at a newline and nowhere else, and a line that is no text is the fault of that line
    lines = _bytes(requests).removesuffix(b"\n").split(b"\n")
    with progress_bar("margining", quiet=False) as bar:
        task = bar.add_task("margining", total=len(lines))
        for told in batch(lines, floats=floats):
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            bar.advance(task)


def _explain(told: Mapping[str, Any], settlement: str) -> None:
    """The answer for people: every part of answer.json, the deciding scenario marked."""
    profile = told["profile"]
    CONSOLE.print(
        f"[bold]{escape(profile['name'])}[/], published {profile['published']}, hash {profile['hash'][:12]}",
        highlight=False,
    )
    top = Table("", "initial", "maintenance", title=f"margin, {settlement}", title_justify="left")
    for name in ("requirement", "excess", "ratio"):
        top.add_row(name, *(told[side][name] or "-" for side in ("initial", "maintenance")))
    if "float" in told:
        top.add_row("float model", *(repr(told["float"][side]) for side in ("initial", "maintenance")))
    worst = told["worst_scenario"]
    top.add_row("decided by", worst["initial"] or "-", worst["maintenance"] or "-")
    CONSOLE.print(top)
    figures = {name: told[name] for name in _FIGURES} | told["components"]
    _pairs("what it stands against", [(name.replace("_", " "), figure) for name, figure in figures.items()])
    _scenarios(told)
    _rows("positions", ("position", "mark", "gain in worst", "greeks"), [
        (str(one["position"]), one["mark"], one["pnl_in_worst"], _greeks(one["greeks"])) for one in told["legs"]
    ])  # fmt: skip
    _rows("add-ons", ("", "initial", "maintenance"), [
        (one["name"], one["initial"], one["maintenance"]) for one in told["add_ons"]
    ])  # fmt: skip
    _rows("collateral", ("asset", "value", "haircut, initial", "haircut, maintenance"), [
        (one["asset"], one["value"], one["haircut"], one["haircut_maintenance"]) for one in told["collateral"]
    ])  # fmt: skip
    parts = told["expansion"]
    _pairs("the worst scenario by its greeks, dollars", [(name, f"{figure:,.2f}") for name, figure in parts.items()])
    if not told["new_risk"]:
        CONSOLE.print("[bold]no new risk[/]: what the book or its orders rest on is too old", highlight=False)
    for note in told["notes"]:
        CONSOLE.print(f"note: {note}", highlight=False, markup=False)


def _scenarios(told: Mapping[str, Any]) -> None:
    deciding = set(told["worst_scenario"].values())
    rows = []
    for one in told["scenarios"]:
        parts = [f"{group['underlying']}{' ' + group['expiry'][:10] if group['expiry'] else ''} {group['pnl']}"
                 for group in one["groups"]]  # fmt: skip
        rows.append((f"{one['id']}{'  <- worst' if one['id'] in deciding else ''}", one["pnl"], "\n".join(parts)))
    _rows("scenarios", ("scenario", "gain", "by underlying and expiry"), rows)


def _pairs(title: str, pairs: list[tuple[str, str]]) -> None:
    _rows(title, ("", ""), pairs)


def _rows(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(*headings, title=title, title_justify="left", show_header=any(headings))
    for row in rows:
        # names come from the user's files: they are text, not markup
        table.add_row(*(escape(cell) for cell in row))
    if table.row_count:
        CONSOLE.print(table)


def _greeks(greeks: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in greeks.items())

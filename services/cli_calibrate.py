"""`novate calibrate`, `novate forecasts`, `novate regimes`: what history says, and scan ranges made of it."""

from __future__ import annotations

import json
import math
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.table import Table

from risk.calibration import DAY, HOUR, Tool
from risk.correlation import NoCorrelation
from risk.regimes import NAMES
from schemas.units import UnitError, format_time, parse_time
from services.calibrate import Proposal, Study, Unfit, as_overrides, entry, in_market_form, proposed, read_store, study
from services.margin import profile_text
from services.run import shipped_profiles
from services.tables import PROFILE_NUMBERS
from services.terminal import CONSOLE, Refused, print_json, progress_bar

app = typer.Typer(no_args_is_help=True, add_completion=False)

DATA: Final = Path("../shared/data")
YEAR: Final = 365
Data = Annotated[Path, typer.Option(help="Folder of hourly_BTCUSDT_spot.csv.gz, dvol_BTC_1h.csv.gz ...", metavar="DIR")]
To = Annotated[str, typer.Option("--to", help="The last day that counts, UTC", metavar="YYYY-MM-DD")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:  # what profiles, tables, regimes and calibrations raise
        raise Refused(str(error)) from error


@app.command("calibrate")
def calibrate_command(
    profile: Annotated[str, typer.Option(help="A profile's name, or a TOML file", metavar="P")],
    to: To,
    data: Data = DATA,
    lookback: Annotated[
        int, typer.Option(help="Days of history; default: as the profile states, or a year where it states none", min=0)
    ] = 0,
    tool: Annotated[Tool, typer.Option(help="The anti-procyclical tool that damps the ranges")] = Tool.STRESSED,
    number: Annotated[int | None, typer.Option(help="The profile's number in the journal", min=1)] = None,
    time: Annotated[str | None, typer.Option(help="The event's own time; default: the end of --to")] = None,
    notice: Annotated[int, typer.Option(help="Hours from that time until it takes effect", min=0)] = 24,
    council: Annotated[int, typer.Option(help="Which of the council's sources sends it", min=0, max=999)] = 0,
    sequence: Annotated[int, typer.Option(help="That source's next sequence number", min=1)] = 1,
    toml: Annotated[Path | None, typer.Option(help="Write the new profile there", metavar="FILE")] = None,
    event: Annotated[Path | None, typer.Option(help="Write the entry for the journal there", metavar="FILE")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of plots there", metavar="FILE")] = None,
    as_json: AsJson = False,
) -> None:
    """Retune a profile's scan ranges from history and propose them as a delayed publication. Changes nothing itself."""
    with _told():
        end = _end(to)
        text, known = _profile(profile)
        with progress_bar("calibrating", quiet=as_json) as bar:
            task = bar.add_task("calibrating", total=3 if html is None else 4)
            store = read_store(data)
            bar.advance(task)
            found = study(store, end)
            bar.advance(task)
            proposal = proposed(text, store, end, tool, found, lookback or _lookback(text))
            bar.advance(task)
            if html is not None:
                from services.calibrate_page import page

                html.write_text(page(profile, to, proposal, found), "utf-8")
                bar.advance(task)
        publication = _publication(
            proposal, number or known, end if time is None else parse_time(time), notice, council, sequence
        )
        if toml is not None:
            toml.write_text(proposal.text, "ascii")
        if event is not None:
            if publication is None:
                raise Unfit("there is no event to write: the journal does not know this profile; --number names it")
            event.write_text(json.dumps(publication, indent=1) + "\n", "ascii")
    if as_json:
        print_json(_as_json(proposal, publication))
        return
    _explain(profile, to, proposal)
    if toml is None:
        sys.stdout.write(f"\n{proposal.text}")
    if publication is not None and event is None:
        sys.stdout.write("\n" + json.dumps(publication, indent=1) + "\n")


@app.command("regimes")
def regimes_command(
    to: To,
    data: Data = DATA,
    overrides: Annotated[
        Path | None,
        typer.Option(help="Write the correlations as overrides of a simulated profile there", metavar="FILE"),
    ] = None,
    regime: Annotated[
        str | None, typer.Option(help=f"The regime in force there: {', '.join(NAMES)}; default: the last day's")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which regimes history falls into, how long they last, and the correlations in each."""
    if regime is not None and regime not in NAMES:
        raise Refused(f"--regime {regime!r}; known are {', '.join(NAMES)}")
    with _told(), progress_bar("regimes", quiet=as_json) as bar:
        task = bar.add_task("regimes", total=2)
        store = read_store(data)
        bar.advance(task)
        found = study(store, _end(to))
        try:
            matrices = found.correlations()
        except NoCorrelation as error:
            raise Refused(str(error)) from error
        bar.advance(task)
    rows = _regime_rows(found)
    if overrides is not None:
        overrides.write_text(as_overrides(found.symbols, matrices, regime or found.regime), "ascii")
    if as_json:
        print_json(
            {
                "assets": found.symbols,
                "regime": found.regime,
                "regimes": rows,
                "correlations": {name: matrix.tolist() for name, matrix in matrices.items()},
                "market": {name: in_market_form(found.symbols, matrix) for name, matrix in matrices.items()},
            }
        )
        return
    table = Table(title=f"regimes of {', '.join(found.symbols)} to {to}; the last day: {found.regime}")
    for heading in ("regime", "days", "volatility a year", "mean correlation", "lasts, days", "last day seen"):
        table.add_column(heading, justify="left" if heading == "regime" else "right")
    for row in rows:
        table.add_row(
            row["regime"],
            f"{row['days']:,}",
            f"{row['volatility']:.0%}",
            f"{row['correlation']:.2f}",
            f"{row['lasts']:.0f}",
            row["last"],
        )
    CONSOLE.print(table)
    for name, matrix in matrices.items():
        shown = Table(title=f"correlations, {name}")
        for heading in ("", *found.symbols):
            shown.add_column(heading, justify="right")
        for symbol, line in zip(found.symbols, matrix, strict=True):
            shown.add_row(symbol, *(f"{value:.2f}" for value in line))
        CONSOLE.print(shown)


@app.command("forecasts")
def forecasts_command(
    to: To,
    data: Data = DATA,
    asset: Annotated[list[str] | None, typer.Option(help="An asset; may be repeated; default: all")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare forecasts of daily variance out of sample: EWMA, GARCH, HAR and a learned one."""
    from risk.forecast.compared import Score, compare
    from risk.forecast.days import days_of

    with _told(), progress_bar("comparing", quiet=as_json) as bar:
        end = _end(to)
        store = read_store(data)
        missing = [one for one in asset or () if one not in store.bars]
        if missing:
            raise Unfit(f"no bars of {missing[0]} in {data}; there are {', '.join(store.bars)}")
        wanted = asset or list(store.bars)
        task = bar.add_task("comparing", total=len(wanted))
        scores: list[Score] = []
        for one in wanted:
            bars = store.bars[one].between(0, end)
            scores += compare({one: days_of(bars.times, bars.close)})
            bar.advance(task)
    if as_json:
        told = [one._asdict() for one in scores]
        print_json([{name: None if value != value else value for name, value in one.items()} for one in told])
        return
    table = Table(title="forecasts of the next day's realised variance, out of sample; lower is better")
    for heading in ("asset", "forecast", "days", "QLIKE", "MSE, %²", "DM against the first"):
        table.add_column(heading, justify="left" if heading in ("asset", "forecast") else "right")
    for score in scores:
        against = "" if math.isnan(score.against_first) else f"{score.against_first:+.2f}"
        table.add_row(
            score.asset, score.forecaster, f"{score.days:,}", f"{score.qlike:.4f}", f"{score.mse:,.1f}", against
        )
    CONSOLE.print(table)


def _end(day: str) -> int:
    """The end of a day, microseconds."""
    try:
        return parse_time(f"{day}T00:00:00Z") + DAY
    except UnitError as error:
        raise Unfit(f"--to {day!r} is no day YYYY-MM-DD") from error


def _profile(name: str) -> tuple[str, int | None]:
    """A profile's text, and its number where it is one that the journal begins with: those go first."""
    number = PROFILE_NUMBERS.get(name.replace("_", "-"))
    if number is not None:
        return shipped_profiles()[number], number
    return profile_text(name), None


def _lookback(text: str) -> int:
    """Days for a profile whose numbers were set by hand and that states none; 0: its own."""
    return 0 if tomllib.loads(text).get("lookback") else YEAR


def _publication(
    proposal: Proposal, number: int | None, time: int, notice: int, council: int, sequence: int
) -> dict[str, Any] | None:
    """The entry that publishes it; None for a calculator's profile, or one whose number nobody said."""
    if not proposal.rules.ledger or number is None:
        return None
    return entry(number, proposal.text, time, time + notice * HOUR, council, sequence)


def _as_json(proposal: Proposal, publication: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "confidence": proposal.rules.confidence,
        "margin_period_hours": proposal.rules.hours,
        "lookback_days": proposal.rules.lookback,
        "tool": proposal.tool.value,
        "ranges": [
            {
                "underlying": one.underlying,
                "key": one.key,
                "before": one.before,
                "after": one.range.basis_points,
                "rests_on": one.rests_on,
                **one.range._asdict(),
            }
            for one in proposal.ranges
        ],
        "notes": list(proposal.notes),
        "toml": proposal.text,
        "entry": publication,
    }


def _explain(profile: str, to: str, proposal: Proposal) -> None:
    rules = proposal.rules
    table = Table(
        title=f"{profile} at {to}: {rules.confidence:.2%} over {rules.hours} h, lookback {rules.lookback} days, "
        f"tool: {proposal.tool}; ranges in basis points"
    )
    for heading in ("underlying", "range", "before", "after", "lookback", "stressed", "long run", "moves"):
        table.add_column(heading, justify="left" if heading in ("underlying", "range") else "right")
    for one in proposal.ranges:
        table.add_row(
            one.underlying,
            one.key,
            f"{one.before:,}",
            f"{one.range.basis_points:,}",
            *(
                f"{value:.2%}" if value else ""
                for value in (one.range.lookback, one.range.stressed, one.range.long_run)
            ),
            f"{one.range.observations:,}",
        )
    CONSOLE.print(table)
    for one in proposal.ranges:
        if one.rests_on != one.underlying:
            _line(f"{one.underlying} {one.key} rests on {one.rests_on}")
    for note in proposal.notes:
        _line(f"note: {note}")


def _line(text: str) -> None:
    CONSOLE.print(text, highlight=False, markup=False, soft_wrap=True)


def _regime_rows(found: Study) -> list[dict[str, Any]]:
    rows = []
    for place, name in enumerate(NAMES):
        days = found.times[found.looking_back == place]
        rows.append(
            {
                "regime": name,
                "days": len(days),
                "volatility": float(found.model.volatility()[place]),
                "correlation": float(found.model.correlation()[place]),
                "lasts": float(found.model.length()[place]),
                "last": format_time(int(np.max(days)))[:10] if len(days) else "",
            }
        )
    return rows

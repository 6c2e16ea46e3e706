"""The command `novate`: run, replay, explain, balance, journal cat, proof, schema; and where the others are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from typer.core import TyperGroup
from typer.main import get_command

from ledger.conservation import ConservationBroken
from ledger.journal import JournalBroken, JournalFull, JournalLocked, JournalUnreachable
from ledger.journal.outcomes import OutcomeDiffers, OutcomeOutOfOrder, OutcomesBroken
from ledger.journal.sqlite import SqliteReader
from ledger.merkle import MerkleLog, includes, leaf_hash
from ledger.sequence import Numbered, SequenceState, number
from ledger.trades import InvariantBroken
from schemas.events import EVENTS
from schemas.jsonform import schema_of_catalogue, to_json
from schemas.outcomes import OUTCOMES
from schemas.sbe import document
from schemas.units import format_time, parse_time
from schemas.wire import EntryHeader, WireError, decode, messages_of
from services.explain import explained, owner, standing, summary
from services.heads import HeadDiffers
from services.lockstep import JOURNAL, SETTINGS, RunDiffers
from services.policies import read_policy, under
from services.replay import position_at, replayed
from services.run import FUND_PER_ACCOUNT, Inputs, run, venue_of
from services.tables import read_accounts, read_deposits, read_funding, read_prices, read_trades
from services.terminal import CONSOLE, ERRORS, Refused, print_json, print_verdict, progress_bar

if TYPE_CHECKING:
    from services.report import Audit

LATE: Final = {
    "surface": "services.surfaces",
    **dict.fromkeys(("audit", "archive", "import", "reshard"), "services.cli_history"),
    **dict.fromkeys(
        (
            *("up", "demo", "gateway", "worker", "projector", "archiver", "postgres", "broker", "migrate", "topics"),
            *("keys", "login"),
        ),
        "services.cli_system",
    ),
    **dict.fromkeys(("margin", "profiles"), "services.cli_risk"),
    **dict.fromkeys(("calibrate", "forecasts", "regimes"), "services.cli_calibrate"),
    "backtest": "services.cli_backtest",
    "stress": "services.cli_stress",
    "gap": "services.cli_gap",
    "crashes": "services.cli_crashes",
}
"""the module of each command that needs Kafka, PostgreSQL, a server or the margin models: read in when asked for"""


class Lazily(TyperGroup):
    """The commands of this module and those of LATE."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        return [*super().list_commands(ctx), *LATE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; None where there is no such one."""
        if cmd_name not in LATE:
            return super().get_command(ctx, cmd_name)
        group: Any = get_command(import_module(LATE[cmd_name]).app)
        return group.get_command(ctx, cmd_name)


app = typer.Typer(
    cls=Lazily,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An event-sourced clearinghouse ledger: clear a run, audit it to the byte, ask it why.",
)
journal_app = typer.Typer(no_args_is_help=True, help="Read the journal.")
app.add_typer(journal_app, name="journal")

Directory = Annotated[Path, typer.Argument(help="A run's directory", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]
REPORT = "report.html"
FIGURES = "figures.json"


@contextmanager
def _told() -> Iterator[None]:
    """Errors that a user can act on, as one line."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read the answer has read enough
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except (
        ValueError,  # what the tables, settings, heads, snapshots and positions of a directory raise
        ConservationBroken,
        HeadDiffers,
        InvariantBroken,
        JournalBroken,
        JournalFull,
        JournalLocked,
        JournalUnreachable,
        OutcomeDiffers,
        OutcomeOutOfOrder,
        OutcomesBroken,
        RunDiffers,
    ) as error:
        raise Refused(str(error)) from error


@app.command("run")
def run_command(
    out: Annotated[Path, typer.Option("--out", help="Where the journal, snapshots and report go", metavar="DIR")],
    accounts: Annotated[int, typer.Option(help="Accounts of the demonstration", min=24)] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of the demonstration's mix and flow", min=0)] = 1,
    shards: Annotated[
        int, typer.Option(help="Shards the accounts are dealt to; the books are the same", min=1, max=64)
    ] = 1,
    prices: Annotated[Path | None, typer.Option(help="Your bars: ts,symbol,open,high,low,close")] = None,
    funding: Annotated[Path | None, typer.Option(help="Your funding rates: ts,symbol,rate")] = None,
    account_file: Annotated[
        Path | None, typer.Option("--account-file", help="Your accounts instead of the mix")
    ] = None,
    deposits: Annotated[Path | None, typer.Option(help="Your deposits")] = None,
    trades: Annotated[Path | None, typer.Option(help="Your trades")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many marks", min=2)] = None,
    policy: Annotated[
        str | None, typer.Option(help="The waterfall, published: exchange, ccp, or a file of your own")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what is in DIR first")] = False,
    audited: Annotated[bool, typer.Option("--audit/--no-audit", help="Replay in a fresh process at the end")] = True,
    as_json: AsJson = False,
) -> None:
    """Clear a crash: by default 11-14 March 2020, with a seeded exchange of 2,000 accounts. Ends with an audit."""
    if fresh and out.exists():
        if any(out.iterdir()) and not (out / SETTINGS).exists():
            raise Refused(f"{out} holds something that is no run; --fresh will not delete it")
        shutil.rmtree(out)
    with _told():
        inputs = _inputs(prices, funding, account_file, deposits, trades)
        named = None if policy is None else read_policy(policy)
        with progress_bar("clearing", quiet=as_json) as bar:
            task = bar.add_task("clearing", total=None)
            ledger, ran = run(
                out,
                inputs,
                accounts=accounts,
                seed=seed,
                shards=shards,
                steps=steps,
                tell=lambda done, of: bar.update(task, completed=done, total=of),
                variant=None if named is None else under(named, accounts * FUND_PER_ACCOUNT),
            )
        entries = ledger.clearing.sequence.n
        ledger.close()
    # drawing is slow to read in, and no other command draws
    from services.figures import figures
    from services.report import Audit, html, summary_table

    verdict = _fresh_audit(out, quiet=as_json) if audited else Audit(agreed=False, verdict="not audited")
    told = figures(
        ran.gathered,
        ledger.clearing.states,
        ran.customers,
        title="The crash of 11-14 March 2020"
        if inputs.own_figures
        else f"A run over {prices.name if prices else account_file}",
        seed=seed,
        entries=entries,
        events=ran.events,
        audit=verdict,
        own_figures=inputs.own_figures,
        policy="" if named is None else named.name,
    )
    (out / REPORT).write_text(html(told), "utf-8")
    (out / FIGURES).write_text(json.dumps(asdict(told), indent=1) + "\n", "utf-8")
    if as_json:
        print_json(asdict(told))
    else:
        CONSOLE.print(summary_table(told))
        print_verdict(verdict.verdict, good=verdict.agreed)
        CONSOLE.print(f"report: {out / REPORT}", highlight=False, soft_wrap=True)
    if audited and not verdict.agreed:
        raise typer.Exit(1)


def _inputs(
    prices: Path | None, funding: Path | None, accounts: Path | None, deposits: Path | None, trades: Path | None
) -> Inputs:
    data = files("services") / "data"
    if prices is None:
        bars = read_prices(Path(str(data / "crash_2020_03.csv")))
        rates = read_funding(Path(str(data / "funding_2020_03.csv"))) if funding is None else read_funding(funding)
    else:
        bars = read_prices(prices)
        rates = read_funding(funding) if funding is not None else ()
    if accounts is None:
        if deposits is not None or trades is not None:
            raise Refused("--deposits and --trades need --account-file: they name its accounts")
        return Inputs(bars, rates, own_figures=prices is None)
    venue = venue_of(Inputs(bars))
    opened = read_accounts(accounts, bars[0].ts)
    known = frozenset(one.account for one in opened)
    return Inputs(
        bars,
        rates,
        opened,
        read_deposits(deposits, venue, known) if deposits else (),
        read_trades(trades, venue, known) if trades else (),
        own_figures=False,
    )


def _fresh_audit(directory: Path, *, quiet: bool) -> Audit:
    """The audit in another process, as an auditor would run it."""
    from services.report import Audit

    command = [sys.executable, "-m", "services.cli", "audit", str(directory), "--json"]
    with progress_bar("auditing", quiet=quiet) as bar:
        bar.add_task("auditing", total=None)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        return Audit(agreed=False, verdict=f"the audit did not end: {done.stderr.strip()[-500:]}")
    told = json.loads(done.stdout)
    return Audit(agreed=bool(told["agrees"]), verdict=str(told["verdict"]))


@app.command("replay")
def replay_command(
    directory: Directory,
    to: Annotated[int | None, typer.Option("--to", help="The last entry to fold; default: the journal's end")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Use no snapshot")] = False,
    fall_back: Annotated[
        bool, typer.Option("--fall-back", help="Where a snapshot is damaged take the one before it")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fold the journal up to a position and say what stands there."""
    with _told():
        told = summary(replayed(directory, to, from_start=from_start, fall_back=fall_back))
    if as_json:
        print_json(told)
        return
    table = Table(title=f"position {told['position']}, {told['time']}", show_header=False)
    for name in ("mark", "accounts", "open_positions", "running_auctions"):
        table.add_row(name.replace("_", " "), f"{told[name]:,}")
    for symbol, price in told["prices"].items():
        table.add_row(f"price of {symbol}", price)
    for symbol, amounts in told["assets"].items():
        table.add_row(f"{symbol} held for accounts", amounts["held_for_accounts"])
    CONSOLE.print(table)
    for shard, digest in enumerate(told["digests"]):
        CONSOLE.print(f"digest of shard {shard}: {digest}", highlight=False, soft_wrap=True)


@app.command("explain")
def explain_command(
    directory: Directory,
    account: Annotated[int, typer.Option(help="The account's number")],
    at: Annotated[int, typer.Option(help="The position: the n of a call, refusal or liquidation")],
    as_json: AsJson = False,
) -> None:
    """Say why an account stands where it stands: margin taken apart, and what was said of it at this entry."""
    with _told():
        told = explained(directory, account, at)
    if as_json:
        print_json(told)
        return
    CONSOLE.print(f"[bold]{told['name']}[/] (account {account}) after entry {at}, {told['time']}", highlight=False)
    CONSOLE.print(
        f"{told['rung']}; profile {told['profile']['name']} ({(told['profile']['digest'] or '')[:12]})", highlight=False
    )
    top = Table("", "dollars", title="margin", title_justify="left")
    for name in ("equity", "maintenance", "buffer", "initial"):
        top.add_row(name, told[name])
    top.add_row("each position alone", told["isolated_maintenance"])
    top.add_row("saved of that", told["capital_saved"])
    top.add_row("margin ratio", told["margin_ratio"] or "-")
    top.add_row("breach", "yes" if told["breach"] else "no")
    CONSOLE.print(top)
    held = Table("what equity is made of", "amount", "counts, dollars", title_justify="left")
    for part in told["equity_of_assets"]:
        held.add_row(part["asset"], f"{part['value']} less {part['haircut']}", part["counted"])
    for part in told["equity_of_positions"]:
        held.add_row(part["instrument"], f"{part['lots']:,} lots", part["counted"])
    CONSOLE.print(held)
    for group in told["groups"]:
        legs = Table("leg", "lots", "loss in worst, dollars", title=f"{group['group']}: scan {group['scan_risk']}"
                     f" in {group['worst_scenario']}, basis {group['basis_charge']}", title_justify="left")  # fmt: skip
        for leg in group["legs"]:
            legs.add_row(leg["instrument"] + (" (collateral)" if leg["collateral"] else ""), f"{leg['lots']:,}",
                         leg["loss_in_worst"])  # fmt: skip
        CONSOLE.print(legs)
    for pair in told["add_ons"]["credits"]:
        CONSOLE.print(f"credit between {' and '.join(pair['between'])}: {pair['credit']}", highlight=False)
    CONSOLE.print(f"short option minimum: {told['add_ons']['short_option_minimum']}", highlight=False)
    for one in told["auctions"]["wider_than_maintenance"]:
        needs = f"the {one['maintenance']} that a {one['underlying']} {one['kind']} needs in {one['profile']}"
        CONSOLE.print(f"{one['discount']}: {one['basis_points']} basis points, wider than {needs}", highlight=False)
    for said in told["said"]:
        CONSOLE.print_json(json.dumps(said), indent=None)


@app.command("balance")
def balance_command(
    directory: Directory,
    account: Annotated[int, typer.Option(help="The account's number")],
    as_of: Annotated[str, typer.Option("--as-of", help="A time such as 2020-03-12T12:00:00Z")],
    as_json: AsJson = False,
) -> None:
    """Say what an account held as of a time: the books before the first mark after it."""
    with _told():
        time = parse_time(as_of, "--as-of")
        position = position_at(directory, time)
        if position == 0:
            raise Refused(f"{as_of} is before the first mark")
        clearing = replayed(directory, position)
        state = owner(clearing, account)
        told = {"position": position, "time": format_time(state.time), **standing(state, account)}
    if as_json:
        print_json(told)
        return
    table = Table(title=f"{told['name']} after entry {position}, {told['time']}", show_header=False)
    for symbol, amount in told["balances"].items():
        table.add_row(symbol, amount)
    for one in told["positions"]:
        table.add_row(one["instrument"], f"{one['lots']:,} lots, cost {one['cost']}, realised {one['realised']}")
    CONSOLE.print(table)


@journal_app.command("cat")
def cat_command(
    directory: Directory,
    first: Annotated[int, typer.Option("--from", help="The first entry")] = 1,
    last: Annotated[int | None, typer.Option("--to", help="The last entry")] = None,
) -> None:
    """Print numbered entries as JSON lines: an entry a line, its events in order."""
    with _told():
        sequence = SequenceState()
        reader = SqliteReader(directory / JOURNAL)
        try:
            for offset, data in reader.read(0, reader.end()):
                told = number(sequence, offset, data)
                if not isinstance(told, Numbered):
                    sys.stdout.write(json.dumps({"dropped": type(told).__name__.lower(), **asdict(told)}) + "\n")
                elif told.n >= first and (last is None or told.n <= last):
                    sys.stdout.write(json.dumps(_entry(told)) + "\n")
        finally:
            reader.close()


def _entry(told: Numbered) -> dict[str, Any]:
    head: dict[str, Any] = {"n": told.n, "offset": told.offset, "source": told.source, "sequence": told.sequence}
    try:
        runs = decode(told.data, EntryHeader, EVENTS).runs
        events = [to_json(EVENTS, event) for event in messages_of(runs)]
    except WireError as error:
        return {**head, "unreadable": str(error)}
    # with the length of each run the very bytes can be made again
    return {**head, "runs": [len(run.rows) for run in runs], "events": events}


@app.command("proof")
def proof_command(
    directory: Directory,
    entry: Annotated[int, typer.Option(help="The entry's offset in the journal, from 0")],
) -> None:
    """Print the Merkle proof that an entry is in the journal, checkable without it (RFC 6962)."""
    with _told():
        reader = SqliteReader(directory / JOURNAL)
        log = MerkleLog()
        try:
            for _, data in reader.read(0, reader.end()):
                log.append(leaf_hash(data))
            size = reader.end()
            if not 0 <= entry < size:
                raise Refused(f"entry {entry} is not there: the journal's offsets are 0 to {size - 1}")
            leaf = leaf_hash(next(iter(reader.read(entry, 1)))[1])
        finally:
            reader.close()
        path = log.inclusion(entry, size)
        root = log.root(size)
        print_json(
            {
                "entries": size,
                "entry": entry,
                "leaf": leaf.hex(),
                "root": root.hex(),
                "proof": [node.hex() for node in path],
                "holds": includes(root, size, entry, leaf, path),
            }
        )


@app.command("schema")
def schema_command(
    form: Annotated[
        str, typer.Argument(help="sbe; events, outcomes, margin-portfolio, margin-market, margin-answer (JSON Schema)")
    ],
) -> None:
    """Print the published schema of the wire (SBE XML) or of the readable JSON."""
    if form == "sbe":
        sys.stdout.write(document())
    elif form in ("events", "outcomes"):
        print_json(schema_of_catalogue(EVENTS if form == "events" else OUTCOMES, form))
    elif form.startswith("margin-"):
        print_json(_margin_schema(form))
    else:
        raise Refused(f"{form} is no form: sbe, events, outcomes, margin-portfolio, margin-market or margin-answer")


def _margin_schema(form: str) -> Any:
    from services.margin_forms import SCHEMAS

    if form not in SCHEMAS:
        raise Refused(f"{form} is no form: {', '.join(SCHEMAS)}")
    return SCHEMAS[form].model_json_schema()


@app.command("compile")
def compile_command() -> None:
    """Compile every kernel into the cache, so that nothing waits for it later. Part of the installation."""
    from services.warm import warm

    warm()


def main() -> None:
    """The command's entry: what a user can act on is one line and exit status 2."""
    try:
        app()
    except Refused as error:
        ERRORS.print(f"novate: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""The commands of the running system: up, and each of its processes by itself; topics, migrations, keys."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import psycopg
import typer
from prometheus_client import start_http_server
from psycopg.conninfo import make_conninfo

from ledger.journal import JournalBroken, JournalFull, JournalLocked, JournalUnreachable
from ledger.journal.security import SECURITY
from ledger.journal.topics import PREFIX, SettingsWrong, check, create
from ledger.store.faults import LoginTaken, StoreAway, StoreOutdated, StoreRefused
from ledger.store.migrating import REVISION, migrate
from ledger.store.roles import grant_member, grant_regulator, revoke
from schemas.chart import FIRST_ACCOUNT
from services import demo, projector, up
from services.archiver import ArchiveStopped, Measured, SegmentDiffers, archive_cluster
from services.broker import BrokerFailed, BrokerMissing
from services.client import Client, GatewayRefused, GatewayUnreachable
from services.database import DatabaseInUse, DatabaseNotStarted
from services.embedded import Embedded
from services.gateway.app import create_app
from services.gateway.core import Core
from services.gateway.kafka import KafkaCore
from services.gateway.keys import KEYS, read_keys, ready_keys
from services.gateway.server import serve
from services.heads import HeadDiffers
from services.lockstep import Settings
from services.projector import URL
from services.run import SNAPSHOT_EVERY
from services.supervisor import ChildRefused, Supervisor
from services.workers.logs import to_json_lines
from services.workers.settings import awaited, settle

app = typer.Typer(add_completion=False)
topics_app = typer.Typer(no_args_is_help=True, help="The topics of a Kafka cluster.")
keys_app = typer.Typer(no_args_is_help=True, help="The gateway's API keys.")
app.add_typer(topics_app, name="topics")
app.add_typer(keys_app, name="keys")
login_app = typer.Typer(no_args_is_help=True, help="Logins of the PostgreSQL store that read.")
app.add_typer(login_app, name="login")

EMBEDDED: Final = "embedded"
_WITHIN: Final = 10.0
"""seconds that a cluster has to answer a question"""

Kafka = Annotated[str, typer.Option("--kafka", help="The brokers", metavar="HOST:PORT")]
MaybeKafka = Annotated[
    str | None, typer.Option("--kafka", help="Run against these brokers; `embedded`: start one", metavar="HOST:PORT")
]
Prefix = Annotated[str, typer.Option("--prefix", help="What the topics' names begin with")]
Host = Annotated[str, typer.Option("--host", help="The address to listen at")]
Port = Annotated[int, typer.Option("--port", help="The gateway's port", min=0, max=65535)]
Out = Annotated[Path, typer.Option("--out", help="Where journal, snapshots, keys and logs lie", metavar="DIR")]
Accounts = Annotated[int | None, typer.Option("--accounts", help="Account numbers dealt to the shards", min=1)]
Shards = Annotated[int | None, typer.Option("--shards", help="Shards of a new system", min=1, max=64)]

FAULTS: Final = (
    ValueError,  # settings, keys, addresses
    OSError,
    ArchiveStopped,
    BrokerFailed,
    BrokerMissing,
    ChildRefused,
    DatabaseInUse,
    DatabaseNotStarted,
    GatewayRefused,
    GatewayUnreachable,
    HeadDiffers,
    JournalBroken,
    JournalFull,
    JournalLocked,
    JournalUnreachable,
    LoginTaken,
    SegmentDiffers,
    SettingsWrong,
    StoreAway,
    StoreOutdated,
    StoreRefused,
    demo.DemoDiffers,
    psycopg.Error,
)
"""what a user can act on: told in one line, exit status 2"""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        what = str(error).strip() or type(error).__name__
        typer.secho(f"novate: {what}", fg="red", err=True)
        raise typer.Exit(2) from error


def _until_stopped() -> Callable[[], bool]:
    """Says no once SIGTERM or SIGINT has come."""
    stopping = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stopping.set())
    return lambda: not stopping.is_set()


@app.command("up")
def up_command(
    out: Out = Path("out/up"),
    port: Port = 8080,
    accounts: Accounts = None,
    shards: Shards = None,
    kafka: MaybeKafka = None,
    prefix: Prefix = PREFIX,
    workers: Annotated[int, typer.Option(help="Clearing workers, with --kafka", min=1, max=64)] = 2,
    demonstrate: Annotated[bool, typer.Option("--demo", help="Send the demonstration's events")] = False,
    speed: Annotated[float, typer.Option(help="Rounds of prices a second of --demo; 0: as fast as it goes")] = 4.0,
) -> None:
    """Start the whole system: gateway, database, projector; with --kafka the workers too. Ctrl-C stops all of it.

    PostgreSQL is started in DIR unless the environment's DATABASE_URL names one.
    """
    with _told():
        out.mkdir(parents=True, exist_ok=True)
        out = out.resolve()
        shards = shards or (up.KAFKA_SHARDS if kafka else None)
        settings = up.settings_of(out, accounts, shards)
        ready_keys(out)
        store = up.store_of(out) if URL not in os.environ else None
        if store is None:
            migrate(os.environ[URL])
        with (out / up.LOG).open("a", buffering=1) as log, Supervisor(lambda line: _log(log.write, line)) as tree:
            if kafka is None:
                children = up.embedded(out, settings, port, store)
            else:
                if kafka == EMBEDDED:
                    if os.environ.get(SECURITY):
                        raise ValueError(f"a broker of one's own is reached in the clear: {SECURITY} must not be set")
                    broker_port = up.free_port()
                    kafka = f"127.0.0.1:{broker_port}"
                    tree.start(up.own_broker(out, broker_port))
                if not _topics_ready(tree, kafka, prefix, settings):
                    return
                children = up.clustered(out, kafka, prefix, port, workers, store)
            for child in children:
                tree.start(child)
            url = f"http://127.0.0.1:{port}"
            if not tree.wait_for(lambda: up.takes_entries(url), up.READY_WITHIN):
                if tree.stopping:
                    return
                raise ValueError(f"nothing takes entries at {url} after {up.READY_WITHIN:g} s: see {out / up.LOG}")
            typer.echo(_ready(url, out, store, kafka))
            if demonstrate:
                tree.start(up.demonstration(url, out, speed))
            tree.run()


def _log(write: Callable[[str], object], line: str) -> None:
    """Everything into the log; what the demonstration says, and which process died, to the user too."""
    write(line + "\n")
    told = json.loads(line)
    if told["process"] == "demo":
        typer.echo(told["message"])
    elif told["process"] == "supervisor":
        typer.echo(f"{told['child']}: {told['message']}", err=True)


def _topics_ready(tree: Supervisor, kafka: str, prefix: str, settings: Settings) -> bool:
    """Whether the topics are there; False where a stop was asked for meanwhile."""
    if not tree.wait_for(lambda: up.listens(kafka), up.READY_WITHIN):
        if tree.stopping:
            return False
        raise ValueError(f"no broker listens at {kafka}: start it, or take `--kafka {EMBEDDED}`")
    # in a process of its own: the supervisor's has no threads
    done = subprocess.run(up.topics_made(kafka, prefix, settings), capture_output=True, text=True, check=False)
    if done.returncode and not tree.stopping:
        raise ValueError(done.stderr.strip().removeprefix("novate: "))
    return not tree.stopping


def _ready(url: str, out: Path, store: up.Store | None, kafka: str | None) -> str:
    database = f"127.0.0.1:{store.port}; addresses with passwords in {out / up.STORE}" if store else f"as {URL} says"
    journal = f"Kafka at {kafka}" if kafka else f"{out}, `novate audit {out}` checks it"
    return "\n".join(
        (
            "Novate is up; Ctrl-C stops it.",
            f"  API       {url}/openapi.json, {url}/v1/asyncapi.json, {url}/health, {url}/metrics",
            f"  keys      {out / KEYS}; `local` may do everything",
            f"  database  PostgreSQL at {database}",
            f"  journal   {journal}",
            f"  log       {out / up.LOG}",
            f"Try it: novate demo {url} --out {out}",
        )
    )


@app.command("demo")
def demo_command(
    url: Annotated[str, typer.Argument(help="The gateway")] = "http://127.0.0.1:8080",
    out: Out = Path("out/up"),
    accounts: Annotated[int, typer.Option(help="Accounts of the demonstration", min=24)] = demo.ACCOUNTS,
    steps: Annotated[int, typer.Option(help="Quarters of an hour", min=2)] = demo.STEPS,
    speed: Annotated[float, typer.Option(help="Rounds of prices a second; 0: as fast as it goes", min=0)] = 4.0,
) -> None:
    """Send the demonstration's accounts, deposits, prices and trades to a gateway, and print what it says of them."""
    with _told():
        key = read_keys(out / KEYS)["local"]
        goes_on = _until_stopped()
        typer.echo("the demonstration's exchange is being prepared")
        entries = demo.recorded(accounts, steps=steps)
        with closing(Client(url, key)) as client:
            demo.overheard(Client(url, key), typer.echo)
            sent = demo.demonstrate(client, entries, speed, typer.echo, goes_on)
        typer.echo(f"{sent} entries sent; the demonstration is over")


@app.command("gateway")
def gateway_command(
    out: Out,
    kafka: MaybeKafka = None,
    prefix: Prefix = PREFIX,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    accounts: Accounts = None,
    shards: Shards = None,
    certificate: Annotated[Path | None, typer.Option(help="Serve over TLS with this certificate")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="and its key")] = None,
) -> None:
    """The exchange's HTTP API: with the engine in it over the journal in DIR, or with --kafka over a cluster."""
    with _told():
        out.mkdir(parents=True, exist_ok=True)
        keys = ready_keys(out)
        goes_on = _until_stopped()  # the server hands the signal on when it has ended: the core is still to be closed
        core: Core
        if kafka is None:
            core = Embedded(out, up.settings_of(out, accounts, shards))
        else:
            settings = awaited(kafka, prefix, goes_on=goes_on)
            if settings is None:
                return
            core = KafkaCore(kafka, prefix, settings)
        with closing(core):
            serve(create_app(core, keys, prefix), host, port, certificate=certificate, key=certificate_key)


@app.command("worker", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def worker_command(context: typer.Context) -> None:
    """One worker of a part: see `python -m services.workers --help`, which takes the same arguments."""
    os.execv(sys.executable, [sys.executable, "-m", "services.workers", *context.args])


@app.command("projector")
def projector_command(
    directory: Annotated[Path, typer.Argument(help="A directory with a journal", metavar="DIR")],
    port: Annotated[int, typer.Option("--port", help="Metrics; 0: none", min=0)] = 0,
) -> None:
    """Bring the journal and outcomes of DIR into the PostgreSQL that the environment's DATABASE_URL names."""
    to_json_lines(part="projector")
    with _told():
        if URL not in os.environ:
            raise ValueError(f"set {URL} to postgresql://login:password@host/name")
        projector.run(directory, port)


@app.command("archiver")
def archiver_command(
    folder: Annotated[Path, typer.Argument(help="Where the archive's files go", metavar="DIR")],
    kafka: Kafka,
    prefix: Prefix = PREFIX,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Metrics; 0: none", min=0)] = 0,
) -> None:
    """Write a cluster's journal and outcomes into files, and publish heads over them."""
    to_json_lines(part="archiver")
    goes_on = _until_stopped()
    measured = Measured()
    if port:
        start_http_server(port, host, measured.registry)
    if awaited(kafka, prefix, goes_on=goes_on) is None:
        return
    try:
        archive_cluster(kafka, prefix, folder, lambda: not goes_on(), tell=measured.told)
    except JournalUnreachable as error:  # it may come back: whoever started this starts it again
        typer.secho(f"novate: {error}", fg="red", err=True)
        raise typer.Exit(1) from error


@app.command("postgres", hidden=True)
def postgres_command(directory: Path, port: Annotated[int, typer.Option("--port")]) -> None:
    """PostgreSQL of one's own in a directory, with tables and logins, until stopped."""
    names = {"projector": "NOVATE_PROJECTOR_PASSWORD", "regulator": "NOVATE_REGULATOR_PASSWORD"}
    with _told():
        passwords = {login: os.environ[name] for login, name in names.items() if name in os.environ}
        up.keep_database(directory, port, passwords, _until_stopped())


@app.command("broker", hidden=True)
def broker_command(directory: Path, port: Annotated[int, typer.Option("--port")]) -> None:
    """A Kafka broker of one's own over a directory, until stopped."""
    with _told():
        up.keep_broker(directory, port, _until_stopped())


@app.command("migrate")
def migrate_command(
    url: Annotated[str | None, typer.Argument(help="postgresql://...; default: the environment's DATABASE_URL")] = None,
    to: Annotated[str, typer.Option("--to", help="A revision")] = REVISION,
) -> None:
    """Bring a database's tables up to what this version needs. The login must be able to make roles."""
    with _told():
        where = url or os.environ.get(URL)
        if not where:
            raise ValueError(f"say which database, or set {URL}")
        migrate(where, to)
        typer.echo(f"the tables are of revision {to}")


Replication = Annotated[int, typer.Option(help="Copies of each topic", min=1)]
InSync = Annotated[int, typer.Option("--in-sync", help="Copies that must have an entry before it counts", min=1)]


@topics_app.command("create")
def create_command(
    kafka: Kafka,
    prefix: Prefix = PREFIX,
    shards: Annotated[int, typer.Option(help="Shards", min=1, max=64)] = up.KAFKA_SHARDS,
    accounts: Annotated[int, typer.Option(help="Account numbers dealt to the shards", min=1)] = up.ACCOUNTS,
    replication: Replication = 1,
    in_sync: InSync = 1,
) -> None:
    """Make the topics that are missing, check all of them, and settle how the journal is folded."""
    with _told():
        made = create(kafka, prefix, shards, replication=replication, in_sync=in_sync)
        check(kafka, prefix, shards, replication=replication, in_sync=in_sync)
        settle(kafka, prefix, Settings(shards, FIRST_ACCOUNT + accounts, SNAPSHOT_EVERY))
        typer.echo(f"{len(made)} topics made, all are as they have to be")


@topics_app.command("check")
def check_command(
    kafka: Kafka,
    prefix: Prefix = PREFIX,
    shards: Annotated[int, typer.Option(help="Shards", min=1, max=64)] = up.KAFKA_SHARDS,
    replication: Replication = 1,
    in_sync: InSync = 1,
) -> None:
    """Name every setting of the cluster's topics and brokers that would lose or refuse something."""
    with _told():
        check(kafka, prefix, shards, replication=replication, in_sync=in_sync, timeout=_WITHIN)
        typer.echo("all topics are as they have to be")


@keys_app.command("new")
def keys_command(
    directory: Annotated[Path, typer.Argument(help="The gateway's directory", metavar="DIR")],
) -> None:
    """Make DIR/keys.toml, with a key for every role, where there is none; a gateway there reads it at its start."""
    with _told():
        directory.mkdir(parents=True, exist_ok=True)
        there = (directory / KEYS).exists()
        keys = ready_keys(directory)
        typer.echo(f"{directory / KEYS} {'has' if there else 'was made with'} {len(keys)} keys: {', '.join(keys)}")


Granting = Annotated[str | None, typer.Option("--url", help="The store, as who may make roles; default: DATABASE_URL")]
OwnStore = Annotated[
    Path | None, typer.Option("--out", help="The store of a `novate up` in this directory", metavar="DIR")
]
LoginName = Annotated[str, typer.Argument(help="The login's name", metavar="LOGIN")]


def _granting(url: str | None, out: Path | None) -> str:
    where = up.own_store_url(out) if out is not None else url or os.environ.get(URL)
    if not where:
        raise ValueError(f"say which store, by --url or --out, or set {URL}")
    return where


def _granted(where: str, login: str, grant: Callable[[str], None]) -> None:
    """Its password is made here, shown once and kept nowhere."""
    password = secrets.token_urlsafe(24)
    grant(password)
    typer.echo(make_conninfo(where, user=login, password=password))


@login_app.command("member")
def login_member_command(
    member: Annotated[int, typer.Argument(help="The member's number", metavar="NUMBER", min=0, max=2**32 - 1)],
    login: LoginName,
    url: Granting = None,
    out: OwnStore = None,
) -> None:
    """Make a login that reads the rows of a member's accounts and no other's; prints how it connects, once."""
    with _told():
        where = _granting(url, out)
        _granted(where, login, lambda password: grant_member(where, login, member, password))


@login_app.command("regulator")
def login_regulator_command(login: LoginName, url: Granting = None, out: OwnStore = None) -> None:
    """Make a login that reads every row; prints how it connects, once."""
    with _told():
        where = _granting(url, out)
        _granted(where, login, lambda password: grant_regulator(where, login, password))


@login_app.command("end")
def login_end_command(login: LoginName, url: Granting = None, out: OwnStore = None) -> None:
    """End a login, its open sessions too; nothing where there is none."""
    with _told():
        revoke(_granting(url, out), login)

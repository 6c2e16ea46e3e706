"""`novate up`: which processes make a system and what each needs, embedded in a directory or against a cluster."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from ledger.store.faults import LoginTaken
from ledger.store.migrating import migrate
from ledger.store.roles import grant_projector, grant_regulator
from schemas.chart import FIRST_ACCOUNT
from services.broker import Broker, fetched
from services.database import DATABASE, Database
from services.lockstep import SETTINGS, Settings
from services.projector import URL
from services.run import SNAPSHOT_EVERY
from services.supervisor import Child
from services.workers.parts import CLEARING, FUND, LIQUIDATOR, PRICER, PROJECTOR, SEQUENCER

ACCOUNTS: Final = 10_000
"""customers' accounts of a new directory that says nothing of it; their shards are dealt out once and for all"""
SHARDS: Final = 1
KAFKA_SHARDS: Final = 2
LOG: Final = "up.log"
STORE: Final = "database.json"
READY_WITHIN: Final = 120.0
"""seconds until a system that does not take entries is given up; compiling kernels takes most of a first start"""
KAFKA_HOME: Final = "NOVATE_KAFKA_HOME"

_BASE, _PARTS, _FRONT, _DEMO = range(4)
_POSTGRES: Final = "postgres"
_PROJECTOR_LOGIN: Final = "projector"
_REGULATOR_LOGIN: Final = "regulator"
_LOOK: Final = 0.2


class Store(NamedTuple):
    """Where a directory's own PostgreSQL is, and its logins."""

    port: int
    projector: str
    """password"""
    regulator: str

    def url(self, login: str) -> str:
        """Where a login connects, its password in it."""
        password = self.projector if login == _PROJECTOR_LOGIN else self.regulator
        return f"postgresql://{login}:{password}@127.0.0.1:{self.port}/{DATABASE}"


def settings_of(directory: Path, accounts: int | None, shards: int | None) -> Settings:
    """A directory's settings, or new ones where it has none. What is asked for must be what it has.

    Raises SettingsBroken, and ValueError where it differs.
    """
    try:
        held = Settings.read(directory)
    except FileNotFoundError:
        return Settings(shards or SHARDS, FIRST_ACCOUNT + (accounts or ACCOUNTS), SNAPSHOT_EVERY)
    if shards not in (None, held.shards):
        raise ValueError(f"{directory / SETTINGS} has {held.shards} shards: `novate reshard` gives it others")
    if accounts is not None and FIRST_ACCOUNT + accounts > held.accounts:
        raise ValueError(
            f"{directory / SETTINGS} deals {held.accounts} accounts to shards: `novate reshard` deals more"
        )
    return held


def store_of(directory: Path) -> Store:
    """A directory's own PostgreSQL: what was written down before, on another port if somebody has that one now."""
    path = directory / STORE
    try:
        told = json.loads(path.read_text())
        held = Store(told["port"], told["projector"], told["regulator"])
    except FileNotFoundError:
        held = Store(0, secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    store = held._replace(port=_free_port(held.port))
    if store != held:
        urls = {f"{login}_url": store.url(login) for login in (_PROJECTOR_LOGIN, _REGULATOR_LOGIN)}
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(store._asdict() | urls, indent=2) + "\n")
        unfinished.rename(path)
    return store


def own_store_url(directory: Path) -> str:
    """Where the superuser of a directory's own PostgreSQL connects, the password in it. Raises FileNotFoundError where
    the directory has none."""
    return Database(directory / _POSTGRES, json.loads((directory / STORE).read_text())["port"]).url


def embedded(directory: Path, settings: Settings, port: int, store: Store | None) -> list[Child]:
    """The processes over a directory: the gateway with the engine in it, the projector, and PostgreSQL unless the
    environment names another."""
    front = ("gateway", "--out", str(directory), "--port", str(port), *_dealt(settings))
    return [
        *_own_store(directory, store),
        Child("projector", _novate("projector", str(directory)), _store_url(store), rank=_PARTS),
        Child("gateway", _novate(*front), rank=_FRONT),
    ]


def clustered(directory: Path, kafka: str, prefix: str, port: int, workers: int, store: Store | None) -> list[Child]:
    """The processes against a cluster whose topics and settings are there; `workers` share the shards."""
    where = ("--kafka", kafka, "--prefix", prefix)
    snapshots = (*where, "--snapshots", str(directory / "snapshots"))
    parts = [SEQUENCER, *(f"{CLEARING}-{k + 1}" for k in range(workers)), PRICER, FUND, LIQUIDATOR]
    return [
        *_own_store(directory, store),
        *(Child(name, _worker(name.partition("-")[0], *snapshots), rank=_PARTS) for name in parts),
        Child(PROJECTOR, _worker(PROJECTOR, *snapshots), _store_url(store), rank=_PARTS),
        Child("archiver", _novate("archiver", str(directory / "archive"), *where), rank=_PARTS),
        Child("gateway", _novate("gateway", "--out", str(directory), *where, "--port", str(port)), rank=_FRONT),
    ]


def own_broker(directory: Path, port: int) -> Child:
    """A broker of one's own, at 127.0.0.1."""
    command = _novate("broker", str(directory / "kafka"), "--port", str(port))
    return Child("broker", command, orphaned=signal.SIGTERM, rank=_BASE)


def demonstration(url: str, directory: Path, speed: float) -> Child:
    """The exchange that sends the demonstration's events."""
    command = _novate("demo", url, "--out", str(directory), "--speed", str(speed))
    return Child("demo", command, rank=_DEMO, once=True)


def topics_made(kafka: str, prefix: str, settings: Settings) -> tuple[str, ...]:
    """The command that makes and checks the topics and settles how the journal is folded."""
    return _novate("topics", "create", "--kafka", kafka, "--prefix", prefix, *_dealt(settings))


def takes_entries(url: str) -> bool:
    """Whether a gateway is there and takes entries."""
    try:
        return bool(httpx.get(f"{url}/health", timeout=_LOOK).json()["ok"])
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def listens(address: str) -> bool:
    """Whether somebody takes connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _LOOK).close()
    except OSError:
        return False
    return True


def keep_database(directory: Path, port: int, passwords: Mapping[str, str], goes_on: Callable[[], bool]) -> None:
    """Run PostgreSQL in a directory, with its tables and logins, until `goes_on` says no; started again when it dies.

    Raises DatabaseInUse, DatabaseNotStarted, StoreAway.
    """
    database = Database(directory, port)
    granting = {_PROJECTOR_LOGIN: grant_projector, _REGULATOR_LOGIN: grant_regulator}
    try:
        while goes_on():
            if not database.running:
                database.start()
                migrate(database.url)
                for login, password in passwords.items():
                    with suppress(LoginTaken):
                        granting[login](database.url, login, password)
            time.sleep(_LOOK)
    finally:
        database.stop()


def keep_broker(directory: Path, port: int, goes_on: Callable[[], bool]) -> None:
    """Run a Kafka broker over a directory until `goes_on` says no; started again when it dies. An acknowledged entry is
    on the disk. Raises BrokerMissing, BrokerFailed."""
    jars = fetched(Path(os.environ.get(KAFKA_HOME, ".kafka")))
    broker = Broker(directory, jars, port=port, durable=True)
    try:
        while goes_on():
            broker.start()
            time.sleep(_LOOK)
    finally:
        broker.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    return _free_port(0)


def _own_store(directory: Path, store: Store | None) -> list[Child]:
    if store is None:
        return []
    command = _novate("postgres", str(directory / _POSTGRES), "--port", str(store.port))
    logins = {"NOVATE_PROJECTOR_PASSWORD": store.projector, "NOVATE_REGULATOR_PASSWORD": store.regulator}
    return [Child("postgres", command, logins, orphaned=signal.SIGTERM, rank=_BASE)]


def _store_url(store: Store | None) -> dict[str, str]:
    """What the projector is told; nothing where the environment tells it already."""
    return {} if store is None else {URL: store.url(_PROJECTOR_LOGIN)}


def _dealt(settings: Settings) -> tuple[str, ...]:
    return ("--accounts", str(settings.accounts - FIRST_ACCOUNT), "--shards", str(settings.shards))


def _worker(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "services.workers", *arguments)


def _novate(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "services.cli", *arguments)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as one, suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            return int(one.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")

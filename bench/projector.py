"""The projector against a bare COPY of the same bytes into tables of the same form, on the same server."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import psycopg

from bench.audit import directory_of_trades
from ledger.journal.sqlite import SqliteReader
from ledger.sequence import ShardEntry, SplitState, facts_part
from ledger.store.copying import CLOSING, OPENING, encoded
from ledger.store.migrating import migrate
from ledger.store.projection import Projection
from ledger.store.rows import Listings, outcome_rows, part_of
from ledger.store.tables import POSTINGS
from schemas.events import EVENTS
from schemas.wire import EntryHeader, decode
from services.database import Database
from services.lockstep import JOURNAL, Clearing, Settings

BATCH: Final = 4
"""numbered entries written in one transaction: some 20,000 trades"""
ENTRIES: Final = 24
"""of trades: some 120,000"""
ROUNDS: Final = 3
SERVER: Final = {"max_wal_size": "4GB", "shared_buffers": "512MB"}


def streams(directory: Path) -> tuple[list[ShardEntry], list[bytes]]:
    """The facts and the outcomes of a directory's journal, folded anew."""
    clearing = Clearing(Settings.read(directory))
    splitting = SplitState.of(clearing.settings.shards)
    facts: list[ShardEntry] = []
    outcomes: list[bytes] = []
    reader = SqliteReader(directory / JOURNAL)
    for offset, data in reader.read(0, reader.end()):
        parts = clearing.take(offset, data)
        outcomes += [told for _, told in parts]
        runs = decode(data, EntryHeader, EVENTS).runs
        part = facts_part(splitting, clearing.sequence.n, runs, [one for one, _ in parts])
        if part is not None:
            facts.append(part)
        if sum(map(_legs, outcomes[-ENTRIES:])) == ENTRIES:
            break
    reader.close()
    return facts, outcomes


def projected(url: str, facts: list[ShardEntry], outcomes: list[bytes]) -> tuple[int, float]:
    """Write everything into an empty store, then the trades timed; returns the postings and the seconds they took."""
    migrate(url)
    projection = Projection(url)
    opening = next(at for at, data in enumerate(outcomes) if _legs(data))
    projection.take(facts, outcomes[:opening])
    before = _postings(url)
    begun = perf_counter()
    for at in range(opening, len(outcomes), BATCH):
        projection.take([], outcomes[at : at + BATCH])
    seconds = perf_counter() - begun
    projection.close()
    return _postings(url) - before, seconds


def copied(url: str, listings: Listings, outcomes: list[bytes], *, bare: bool) -> float:
    """Seconds to COPY the same rows, made beforehand; `bare`: postings alone, into a table without any index."""
    migrate(url)
    parts = [part_of(data) for data in outcomes if _legs(data)]
    batches = []
    for at in range(0, len(parts), BATCH):
        found = list(outcome_rows(parts[at : at + BATCH], listings))
        batches.append([(table, encoded(table, rows)) for table, rows in found if table is POSTINGS or not bare])
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE bare (LIKE postings)")
        begun = perf_counter()
        for batch in batches:
            with session.transaction(), session.cursor() as cursor:
                for table, data in batch:
                    name = "bare" if bare else table.name
                    columns = ", ".join(column.name for column in table.columns)
                    with cursor.copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                        copy.write(OPENING + data + CLOSING)
        return perf_counter() - begun


def run() -> list[dict[str, Any]]:
    """Postings a second of the projector, its rows' making included, and of the bare COPYs beside it."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        directory_of_trades(Path(folder) / "run")
        facts, outcomes = streams(Path(folder) / "run")
        listings = Listings()
        database = Database(Path(folder) / "server", settings=SERVER)
        database.start()
        try:
            rates, indexed, bare = [], [], []
            for turn in range(ROUNDS):
                postings, seconds = projected(_fresh(database, f"p{turn}"), facts, outcomes)
                rates.append(postings / seconds)
                with psycopg.connect(_url(database, f"p{turn}")) as session:
                    for row in session.execute(
                        "SELECT instrument, kind, settlement_asset, base_asset, lot_size FROM instruments"
                    ):
                        listings.add(*row)
                indexed.append(postings / copied(_fresh(database, f"i{turn}"), listings, outcomes, bare=False))
                bare.append(postings / copied(_fresh(database, f"b{turn}"), listings, outcomes, bare=True))
                for name in (f"p{turn}", f"i{turn}", f"b{turn}"):
                    with psycopg.connect(database.url, autocommit=True) as session:
                        session.execute(f"DROP DATABASE {name}".encode())
        finally:
            database.stop()
    return [
        {
            "name": "projector, postings/s into PostgreSQL",
            "value": median(rates),
            "unit": "postings/s",
            "goal": ">= 100,000",
            "peers": {
                "COPY of the same rows, made beforehand, into the same tables": median(indexed),
                "COPY of the postings alone, no index": median(bare),
            },
        }
    ]


def _legs(data: bytes) -> bool:
    return any(run.message.name == "LegPosted" for run in part_of(data).runs)


def _postings(url: str) -> int:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT count(*) FROM postings").fetchone()
    return int(row[0]) if row else 0


def _url(database: Database, name: str) -> str:
    return database.url.rpartition("/")[0] + f"/{name}"


def _fresh(database: Database, name: str) -> str:
    with psycopg.connect(database.url, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    return _url(database, name)

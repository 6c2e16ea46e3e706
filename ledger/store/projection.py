"""The projection: outcomes and facts into the store, each batch with the place it ends at in one transaction.

The place fences: whoever writes holds it, and what is not above it is dropped. So the store may be fed twice, by two at
once, or from an older place of a restored backup; the rows come out the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ledger.sequence import FACTS_SHARD, IndexedRun, ShardEntry
from ledger.store.copying import CLOSING, OPENING, encoded
from ledger.store.faults import StoreAway, StoreMoved, StoreOutdated, StoreRefused
from ledger.store.migrating import OWNER, REVISION, revision_of
from ledger.store.rows import Columns, Listings, Part, accepted, fact_rows, listed, outcome_rows, part_of, refused
from ledger.store.tables import Table

SESSION: Final = (
    # A projector that is stopped in the middle of a transaction must not keep the next one waiting for ever.
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET lock_timeout = '5s'",
)
_CONNECT_WITHIN: Final = 5
_KEEPALIVE: Final = 5
"""seconds of silence, then between three questions: a machine that is gone is noticed by then"""
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the store has come: the last n of the facts, and of each shard that has any."""

    facts: int = 0
    shards: dict[int, int] = field(default_factory=dict)

    def of(self, shard: int) -> int:
        """A shard's last n, 0 before its first."""
        return self.shards.get(shard, 0)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What of a batch can be written, and the place it ends at."""

    facts: list[tuple[int, list[IndexedRun]]]
    parts: list[Part]
    place: Place


class Projection:
    """One writer of the store at `url`, whose login may act as the projector. Connects when it is first needed.

    Not for several threads at once. What it raises: StoreAway (wait, and give the same again), StoreMoved (ask for
    `place`, give again from there), StoreOutdated (migrate first), StoreRefused (stop: something is wrong).
    """

    def __init__(self, url: str) -> None:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # which tells parts of the password
            raise ValueError(
                "the address of the store cannot be read as postgresql://login:password@host/name"
            ) from None
        self._url = url
        self._session: psycopg.Connection[Any] | None = None
        self._told: Place | None = None
        """the place last given to the caller, who goes on from there"""
        self._listings = Listings()
        self._listed: Place | None = None
        """the place that the listings are of"""

    def place(self) -> Place:
        """How far the store has come: read the streams on from there."""
        with self._connected() as session, session.transaction():
            found = _place(session, lock=False)
        self._told = found
        return found

    def take(self, facts: Sequence[ShardEntry], outcomes: Sequence[bytes]) -> Place:
        """Write what can be written of these and return the place that the store has come to.

        `facts` in their order, `outcomes` in each shard's order, both without holes from the place on; what is not
        above it is dropped. What must wait is left out, and is to be given again with what comes after: facts until
        shard 0's outcomes of their entry are here too (they tell which were rejected), outcomes until the listings of
        their instruments are. Raises WireError where bytes are no outcomes; nothing of the batch is written then.
        """
        parts = [part_of(data) for data in outcomes]
        with self._connected() as session, session.transaction():
            before = _place(session, lock=True)
            if self._told is not None and _went_back(self._told, before):
                raise StoreMoved(f"the store is at {before}, further back than it was")
            if self._listed != before:
                self._listings = _listings(session)
                self._listed = before
            ready = self._ready(session, before, facts, parts)
            for table, columns in (*fact_rows(ready.facts), *outcome_rows(ready.parts, self._listings)):
                _copy(session, table, columns)
            _move(session, ready.place)
        self._told = self._listed = ready.place
        return ready.place

    def close(self) -> None:
        """Let go of the connection; a second close does nothing."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ready(
        self, session: psycopg.Connection[Any], before: Place, facts: Sequence[ShardEntry], parts: Sequence[Part]
    ) -> _Ready:
        waiting = sorted((part for part in parts if part.n > before.of(part.shard)), key=lambda part: part.n)
        rejected = {part.n: refused(part) for part in waiting if part.shard == 0}
        fresh = [entry for entry in facts if entry.n > before.facts]
        rejected |= _stored_rejections(session, [one.n for one in fresh if one.n <= before.of(0)])
        told: list[tuple[int, list[IndexedRun]]] = []
        last = before.facts
        for entry in fresh:
            if entry.n <= last:
                continue  # given twice in one batch
            if entry.runs and entry.n not in rejected:
                break
            kept = accepted(entry, rejected[entry.n]) if entry.runs else []
            listed(kept, self._listings)
            told.append((entry.n, kept))
            last = entry.n
        shards = dict(before.shards)
        stopped: set[int] = set()
        written: list[Part] = []
        for part in waiting:
            if part.n <= shards.get(part.shard, 0):
                continue
            if part.shard in stopped or not self._listings.knows(part):
                stopped.add(part.shard)
                continue
            shards[part.shard] = part.n
            written.append(part)
        return _Ready(told, written, Place(last, shards))

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """The session, made where there is none; dropped, with what it had begun, at whatever is raised."""
        try:
            if self._session is None:
                self._session = _connect(self._url)
            yield self._session
        except BaseException as error:
            self._listed = None
            if self._session is not None:
                self._session.close()
                self._session = None
            if isinstance(error, _AWAY):
                raise StoreAway(f"PostgreSQL: {str(error).strip()}") from error
            if isinstance(error, psycopg.IntegrityError | psycopg.DataError):
                raise StoreRefused(f"PostgreSQL: {str(error).strip()}") from error
            raise


def _connect(url: str) -> psycopg.Connection[Any]:
    session = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=_CONNECT_WITHIN,
        keepalives_idle=_KEEPALIVE,
        keepalives_interval=_KEEPALIVE,
        keepalives_count=3,
    )
    try:
        found = revision_of(session)
        if found != REVISION:
            raise StoreOutdated(found, REVISION)
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
        for setting in SESSION:
            session.execute(setting.encode())
    except BaseException:
        session.close()
        raise
    return session


def _place(session: psycopg.Connection[Any], *, lock: bool) -> Place:
    """The store's place; with `lock`, nobody else moves it before this transaction ends."""
    if lock:
        # The row is there from the first on, so that there is something to hold.
        session.execute("INSERT INTO places VALUES (%s, 0) ON CONFLICT DO NOTHING", (FACTS_SHARD,))
        session.execute("SELECT n FROM places WHERE shard = %s FOR UPDATE", (FACTS_SHARD,))
    found = dict(session.execute("SELECT shard, n FROM places").fetchall())
    facts = found.pop(FACTS_SHARD, 0)
    return Place(facts, found)


def _listings(session: psycopg.Connection[Any]) -> Listings:
    """The instruments that the store knows."""
    listings = Listings()
    for row in session.execute("SELECT instrument, kind, settlement_asset, base_asset, lot_size FROM instruments"):
        listings.add(*row)
    return listings


def _went_back(told: Place, now: Place) -> bool:
    return now.facts < told.facts or any(now.of(shard) < n for shard, n in told.shards.items())


def _stored_rejections(session: psycopg.Connection[Any], entries: list[int]) -> dict[int, npt.NDArray[np.int64]]:
    """For each of these entries, of which shard 0's outcomes are stored, the positions that it rejected."""
    if not entries:
        return {}
    found: defaultdict[int, list[int]] = defaultdict(list)
    for n, index in session.execute(
        "SELECT n, index FROM rejections WHERE shard = 0 AND n = ANY (%s)", (entries,)
    ).fetchall():
        found[n].append(index)
    return {n: np.array(found[n], np.int64) for n in entries}


def _copy(session: psycopg.Connection[Any], table: Table, columns: Columns) -> None:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT BINARY)").format(sql.Identifier(table.name), names)
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(OPENING + encoded(table, columns) + CLOSING)


def _move(session: psycopg.Connection[Any], place: Place) -> None:
    with session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO places VALUES (%s, %s) ON CONFLICT (shard) DO UPDATE SET n = excluded.n",
            [(FACTS_SHARD, place.facts), *sorted(place.shards.items())],
        )

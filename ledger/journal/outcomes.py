"""The outcomes of each numbered entry in each shard, in one SQLite file, chained by hash shard by shard.

They follow from the journal, so a commit is not flushed at once: after a power cut the last ones may be missing and are
folded again. One that is there is never written over.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ledger.chain import link_numbered, outcomes_genesis
from ledger.journal import JournalFull, JournalLocked
from ledger.journal.sqlite import REFUSED_BY_THE_SYSTEM, code_of

FORMAT: Final = 1
PAGE_BYTES: Final = 16384
CHUNK_BYTES: Final = 2 << 20
"""what one read transaction gathers at most"""
BUSY_SECONDS: Final = 30.0

_APPLICATION: Final = 0x4E6F4F75
_TABLE: Final = """CREATE TABLE outcomes (
    shard INTEGER NOT NULL, n INTEGER NOT NULL, chain BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (shard, n))"""
_SCAN: Final = "SELECT n, chain, data FROM outcomes WHERE shard = ? AND n >= ? ORDER BY n"
_BEFORE: Final = "SELECT n, chain FROM outcomes WHERE shard = ? AND n < ? ORDER BY n DESC LIMIT 1"


class OutcomeDiffers(Exception):  # noqa: N818 - named for what is found
    """Other outcomes of this entry were stored before: two folds of one journal do not agree."""

    def __init__(self, where: str, n: int, shard: int) -> None:
        super().__init__(f"{where}: the outcomes of entry {n} in shard {shard} differ from those stored")
        self.n = n
        self.shard = shard


class OutcomeOutOfOrder(Exception):  # noqa: N818
    """Outcomes came for an entry before the shard's last and are not stored: the shard's order would change."""

    def __init__(self, where: str, n: int, shard: int, last: int) -> None:
        super().__init__(f"{where}: entry {n} in shard {shard} comes after entry {last}")
        self.n = n
        self.shard = shard
        self.last = last


class OutcomesBroken(Exception):  # noqa: N818
    """What is stored is not what was put. Nothing of the shard from n on can be trusted; it can be folded again."""

    def __init__(self, where: str, n: int, shard: int, what: str) -> None:
        super().__init__(f"{where}: broken at entry {n} in shard {shard}: {what}")
        self.n = n
        self.shard = shard
        self.what = what


class OutcomeLog:
    """Outcomes by (n, shard). Several processes may have it open; makes the file where there is none, unless `reading`
    says that nothing will be put.

    Raises OutcomesBroken where the file is something else, JournalFull where it cannot be made, JournalLocked where
    another process has held it for BUSY_SECONDS; with `reading`, FileNotFoundError where there is none.
    """

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        self._where = str(path)
        self._lock = threading.Lock()
        if reading and not path.exists():
            raise FileNotFoundError(self._where)
        with self._naming(0, 0, writing=not reading):
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={'ro' if reading else 'rwc'}", uri=True, isolation_level=None,
                timeout=BUSY_SECONDS, check_same_thread=False,
            )  # fmt: skip
            try:
                self._prepare(reading=reading)
            except BaseException:
                self._connection.close()
                raise

    def put_many(self, outcomes: Iterable[tuple[int, int, bytes]]) -> int:
        """Store (n, shard, bytes), each shard's n rising, all of them or none; returns how many were new.

        What is stored already with equal bytes is left as it is. Raises OutcomeDiffers, OutcomeOutOfOrder,
        OutcomesBroken, JournalFull, JournalLocked.
        """
        with self._lock, self._naming(0, 0, writing=True), self._transaction("BEGIN IMMEDIATE"):
            heads: dict[int, tuple[int, bytes]] = {}
            rows: list[tuple[int, int, bytes, bytes]] = []
            for n, shard, data in outcomes:
                last, chain = heads[shard] if shard in heads else self._before(shard, None)
                if n > last:
                    chain = link_numbered(chain, n, data)
                    rows.append((shard, n, chain, data))
                    last = n
                else:
                    self._compare(n, shard, data, last, rows)
                heads[shard] = (last, chain)
            self._connection.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?)", rows)
        return len(rows)

    def get(self, n: int, shard: int) -> bytes | None:
        """The outcomes of entry n in a shard, checked against the chain; None where there are none."""
        with self._lock, self._naming(n, shard), self._transaction("BEGIN"):
            row = self._connection.execute(_SCAN + " LIMIT 1", (shard, n)).fetchone()
            if row is None or row[0] != n:
                return None
            _, chain = self._before(shard, n)
            return self._checked(shard, chain, row)

    def scan(self, shard: int, n: int = 0) -> Iterator[tuple[int, bytes]]:
        """A shard's outcomes as (n, bytes) from entry n on, in order, each checked against the one before.

        Raises OutcomesBroken at the first that does not follow.
        """
        while chunk := self._chunk(shard, n):
            yield from chunk
            n = chunk[-1][0] + 1

    def last(self, shard: int) -> int:
        """The last n that has outcomes in a shard, 0 where none has."""
        with self._lock, self._naming(0, shard):
            return self._before(shard, None)[0]

    def close(self) -> None:
        """Let go of the file; a second close does nothing. Where another thread is reading, it ends its read first."""
        with self._lock:
            self._connection.close()

    def _compare(self, n: int, shard: int, data: bytes, last: int, rows: list[tuple[int, int, bytes, bytes]]) -> None:
        known = self._connection.execute("SELECT data FROM outcomes WHERE shard = ? AND n = ?", (shard, n)).fetchone()
        held = known[0] if known else next((row[3] for row in rows if row[:2] == (shard, n)), None)
        if held is None:
            raise OutcomeOutOfOrder(self._where, n, shard, last)
        if held != data:
            raise OutcomeDiffers(self._where, n, shard)

    def _chunk(self, shard: int, n: int) -> list[tuple[int, bytes]]:
        gathered: list[tuple[int, bytes]] = []
        size = 0
        with self._lock, self._naming(n, shard), self._transaction("BEGIN"):
            _, chain = self._before(shard, n)
            for row in self._connection.execute(_SCAN, (shard, n)):
                data = self._checked(shard, chain, row)
                chain = row[1]
                gathered.append((row[0], data))
                size += len(data)
                if size >= CHUNK_BYTES:
                    break
        return gathered

    def _before(self, shard: int, n: int | None) -> tuple[int, bytes]:
        """The last n and chain hash of a shard before entry n (None: of all)."""
        row = self._connection.execute(_BEFORE, (shard, n if n is not None else 2**63 - 1)).fetchone()
        if row is None:
            return 0, outcomes_genesis(shard)
        if not isinstance(row[0], int) or not isinstance(row[1], bytes) or len(row[1]) != len(outcomes_genesis(shard)):
            raise OutcomesBroken(self._where, row[0], shard, f"its chain hash reads {row[1]!r}")
        return row[0], row[1]

    def _checked(self, shard: int, previous: bytes, row: tuple[int, bytes, bytes]) -> bytes:
        n, chain, data = row
        if not isinstance(n, int) or not isinstance(data, bytes) or link_numbered(previous, n, data) != chain:
            raise OutcomesBroken(self._where, n, shard, "outcomes and chain hash do not belong together")
        return data

    def _prepare(self, *, reading: bool) -> None:
        one = self._connection
        one.execute("PRAGMA mmap_size = 1099511627776")
        if not reading:
            one.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            one.execute("PRAGMA journal_mode = WAL")
            one.execute("PRAGMA synchronous = NORMAL")
            with self._transaction("BEGIN IMMEDIATE"):
                if one.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                    one.execute(_TABLE)
                    one.execute(f"PRAGMA application_id = {_APPLICATION}")
                    one.execute(f"PRAGMA user_version = {FORMAT}")
        found = (one.execute("PRAGMA application_id").fetchone()[0], one.execute("PRAGMA user_version").fetchone()[0])
        if reading and found == (0, 0) and not one.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise FileNotFoundError(f"{self._where}: no outcomes have been put here yet")
        if found != (_APPLICATION, FORMAT):
            raise OutcomesBroken(self._where, 0, 0, f"application id {found[0]:#x}, format {found[1]}: no outcomes")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):  # the error that led here is raised; this one would only hide it
                    self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _naming(self, n: int, shard: int, *, writing: bool = False) -> Iterator[None]:
        """Gives SQLite's errors names; (n, shard) is where work was going on."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.Error, MemoryError, UnicodeDecodeError) as error:
            code = code_of(error)
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise JournalLocked(self._where, str(error)) from error
            if writing and code in REFUSED_BY_THE_SYSTEM:
                raise JournalFull(self._where, str(error)) from error
            raise OutcomesBroken(self._where, n, shard, str(error) or type(error).__name__) from error

"""The journal in one SQLite file (WAL, synchronous=FULL): a row an entry, with its chain hash, and a row for the head.

The head says how many entries there are and the last one's hash: entries lost off the end are found like changed ones.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ledger.chain import JOURNAL_GENESIS, link
from ledger.journal import EntryTooLarge, JournalBroken, JournalFull, JournalLocked
from schemas.limits import MAX_ENTRY_BYTES

FORMAT: Final = 1
PAGE_BYTES: Final = 16384
"""large entries lie in chains of pages; past this size reading gains nothing and a small entry's flush costs more"""
CHUNK_BYTES: Final = 2 << 20
"""what one read transaction gathers at most: a long one would keep the write-ahead log from being taken over"""
CHECKPOINT_PAGES: Final = (64 << 20) // PAGE_BYTES
"""the write-ahead log is carried into the file about every so many pages"""
POLL_SECONDS: Final = 0.001
"""how often a waiting reader looks; one look reads a counter in shared memory"""
BUSY_SECONDS: Final = 30.0

REFUSED_BY_THE_SYSTEM: Final = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
     sqlite3.SQLITE_NOMEM)
)  # fmt: skip
"""SQLite's errors on writing that speak of the disk or memory, not of what the file holds"""

_APPLICATION: Final = 0x4E6F7661
_TABLES: Final = (
    "CREATE TABLE entries (offset INTEGER PRIMARY KEY, chain BLOB NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE head (row INTEGER PRIMARY KEY CHECK (row = 0), count INTEGER NOT NULL, chain BLOB NOT NULL)",
)
_SELECT: Final = "SELECT offset, chain, data FROM entries WHERE offset >= ? ORDER BY offset LIMIT ?"


class SqliteReader:
    """Reads a journal file, beside its appender and other readers. May be used from several threads.

    Raises FileNotFoundError where no journal has been made yet, JournalBroken where the file is none.
    """

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._lock = threading.Lock()
        if not path.exists():
            raise FileNotFoundError(self._where)
        self._connection = _connect(path, "ro")
        try:
            _check_format(self._connection, self._where)
        except BaseException:
            self._connection.close()
            raise

    def read(self, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """See JournalReader.read."""
        while limit > 0:
            chunk = self._chunk(offset, limit)
            if not chunk:
                return
            yield from chunk
            offset += len(chunk)
            limit -= len(chunk)

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[tuple[int, bytes]]:
        """See JournalReader.tail."""
        deadline = time.monotonic() + timeout
        while True:
            version = self._version()  # before the read: what comes between the two is seen by the next look
            chunk = self._chunk(offset, limit)
            if chunk or time.monotonic() >= deadline:
                return chunk
            while self._version() == version and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

    def end(self) -> int:
        """See JournalReader.end."""
        with self._lock, _naming(self._where, 0):
            return _head(self._connection, self._where)[0]

    def close(self) -> None:
        """See JournalReader.close. Where another thread is reading, it ends its read first."""
        with self._lock:
            self._connection.close()

    def _version(self) -> int:
        with self._lock, _naming(self._where, 0):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _chunk(self, offset: int, limit: int) -> list[tuple[int, bytes]]:
        """Entries from one transaction, checked: as many as CHUNK_BYTES hold, at least one where there is one."""
        if offset < 0:
            raise ValueError(f"offset {offset}: the first is 0")
        with self._lock, _naming(self._where, offset):
            self._connection.execute("BEGIN")
            try:
                return self._gathered(offset, limit)
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _gathered(self, offset: int, limit: int) -> list[tuple[int, bytes]]:
        count, _ = _head(self._connection, self._where)
        limit = min(limit, count - offset)
        if limit <= 0:
            return []
        gathered: list[tuple[int, bytes]] = []
        size = 0
        previous = _chain_at(self._connection, self._where, offset - 1)
        for stored, chain, data in self._connection.execute(_SELECT, (offset, limit)):
            expected = offset + len(gathered)
            if stored != expected:
                raise JournalBroken(self._where, expected, f"missing, entry {stored} follows")
            if not isinstance(data, bytes) or link(previous, data) != chain:
                raise self._mismatch(expected, first=not gathered)
            previous = chain
            gathered.append((expected, data))
            size += len(data)
            if size >= CHUNK_BYTES:
                return gathered
        if len(gathered) < limit:
            raise JournalBroken(self._where, offset + len(gathered), f"missing, {count} entries are told")
        return gathered

    def _mismatch(self, offset: int, *, first: bool) -> JournalBroken:
        # A read that starts here took the hash before it on trust: the changed byte may be that hash's.
        if first and offset > 0:
            before = _chain_at(self._connection, self._where, offset - 2)
            row = self._connection.execute(_SELECT, (offset - 1, 1)).fetchone()
            if not isinstance(row[2], bytes) or link(before, row[2]) != row[1]:
                offset -= 1
        return JournalBroken(self._where, offset, "entry and chain hash do not belong together")


class SqliteJournal:
    """The one appender of a journal file; makes the file where there is none. May be used from several threads.

    `max_bytes` bounds the file (None: by the disk alone). Raises JournalLocked where another appender has it, in this
    process or another; the lock ends with the process that holds it. Raises JournalBroken where the end is not whole.
    """

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        self._where = str(path)
        self._guard = threading.Lock()
        self._failure: BaseException | None = None
        self._unflushed_pages = 0
        self._lock_file = _lock(path)
        try:
            with _naming(self._where, 0, writing=True):
                self._connection = _opened(path, max_bytes)
            try:
                self._count, self._chain = self._recovered()
                self._reader = SqliteReader(path)
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            os.close(self._lock_file)
            raise
        self._open = True

    def append(self, entry: bytes) -> int:
        """See Journal.append."""
        return self.append_many([entry])[0]

    def append_many(self, entries: Sequence[bytes]) -> list[int]:
        """See Journal.append_many."""
        for entry in entries:
            if len(entry) > MAX_ENTRY_BYTES:
                raise EntryTooLarge(len(entry), MAX_ENTRY_BYTES)
        with self._guard:
            if self._failure is not None:
                raise JournalFull(self._where, f"not before it is opened anew, after {self._failure!r}")
            if not self._open:
                raise ValueError(f"{self._where}: closed")
            if not entries:
                return []
            return self._committed(entries)

    def read(self, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """See JournalReader.read."""
        return self._reader.read(offset, limit)

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[tuple[int, bytes]]:
        """See JournalReader.tail."""
        return self._reader.tail(offset, timeout, limit)

    def end(self) -> int:
        """See JournalReader.end."""
        return self._reader.end()

    def close(self) -> None:
        """See JournalReader.close; another appender may open it then."""
        with self._guard:
            if not self._open:
                return
            self._open = False
            self._reader.close()
            self._connection.close()
            os.close(self._lock_file)

    def _committed(self, entries: Sequence[bytes]) -> list[int]:
        first, chain = self._count, self._chain
        rows: list[tuple[int, bytes, bytes]] = []
        for offset, entry in enumerate(entries, first):
            chain = link(chain, entry)
            rows.append((offset, chain, entry))
        try:
            with _naming(self._where, first, writing=True):
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
                self._connection.execute("UPDATE head SET count = ?, chain = ?", (first + len(rows), chain))
                self._connection.execute("COMMIT")
        except BaseException as error:
            self._fail(error)
            raise
        self._count, self._chain = first + len(rows), chain
        self._unflushed_pages += sum(len(entry) // PAGE_BYTES + 2 for entry in entries) + 2
        if self._unflushed_pages >= CHECKPOINT_PAGES:
            self._carry_over()
        return list(range(first, first + len(rows)))

    def _carry_over(self) -> None:
        # The entries are on the disk already; where this fails they stay acknowledged and the next append is refused.
        try:
            with _naming(self._where, self._count, writing=True):
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._unflushed_pages = 0
        except (JournalFull, JournalBroken, JournalLocked) as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # the error that led here is raised; this one would only hide it
                self._connection.execute("ROLLBACK")

    def _recovered(self) -> tuple[int, bytes]:
        with _naming(self._where, 0, writing=True):
            # An entry whose flush failed may be read back from the operating system's cache without being on the disk.
            # Carrying all of it into the file writes it again, so what is seen from here on is there to stay.
            busy = self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]
            if busy:
                raise JournalLocked(self._where, f"a reader has held on to it for {BUSY_SECONDS} seconds")
            count, chain = _head(self._connection, self._where)
            beyond = self._connection.execute(_SELECT, (count, 1)).fetchone()
            if beyond is not None:
                raise JournalBroken(self._where, count, f"entry {beyond[0]} lies past the {count} entries told")
            if count > 0:
                data = self._connection.execute(_SELECT, (count - 1, 1)).fetchone()[2]
                before = _chain_at(self._connection, self._where, count - 2)
                if not isinstance(data, bytes) or link(before, data) != chain:
                    raise JournalBroken(self._where, count - 1, "entry and chain hash do not belong together")
            return count, chain


def code_of(error: BaseException) -> int:
    """SQLite's primary code for an error; 0 for one that it did not tell itself, such as text that is no UTF-8."""
    return sqlite3.SQLITE_NOMEM if isinstance(error, MemoryError) else getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def _naming(where: str, offset: int, *, writing: bool = False) -> Iterator[None]:
    """Gives SQLite's errors the journal's names; `offset` is where work was going on."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.Error, MemoryError, UnicodeDecodeError) as error:
        code = code_of(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise JournalLocked(where, str(error)) from error
        if writing and code in REFUSED_BY_THE_SYSTEM:
            raise JournalFull(where, str(error)) from error
        raise JournalBroken(where, offset, str(error) or type(error).__name__) from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS,
        check_same_thread=False,
    )  # fmt: skip
    connection.execute("PRAGMA mmap_size = 1099511627776")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _opened(path: Path, max_bytes: int | None) -> sqlite3.Connection:
    connection = _connect(path, "rwc")
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # its failures would be silent; see _carry_over
        if max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count = {max_bytes // PAGE_BYTES}")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO head VALUES (0, 0, ?)", (JOURNAL_GENESIS,))
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
            _flush_directory(path)
        _check_format(connection, str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, where: str) -> None:
    """Raises JournalBroken where the file is something else, FileNotFoundError where it is still empty."""
    with _naming(where, 0):
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if (application, version) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise FileNotFoundError(f"{where}: no journal has been made here yet")
        if application != _APPLICATION:
            raise JournalBroken(where, 0, f"application id {application:#x}: no journal")
        if version != FORMAT:
            raise JournalBroken(where, 0, f"format {version}, known is {FORMAT}")


def _head(connection: sqlite3.Connection, where: str) -> tuple[int, bytes]:
    """The number of entries and the last one's chain hash. Raises JournalBroken where they do not agree with it."""
    row = connection.execute("SELECT count, chain FROM head WHERE row = 0").fetchone()
    if row is None or not isinstance(row[0], int) or row[0] < 0:
        raise JournalBroken(where, 0, f"the head reads {row!r}")
    count, chain = row
    if _chain_at(connection, where, count - 1) != chain:
        raise JournalBroken(where, max(count - 1, 0), "the last entry's chain hash is not the head's")
    return count, chain


def _chain_at(connection: sqlite3.Connection, where: str, offset: int) -> bytes:
    if offset < 0:
        return JOURNAL_GENESIS
    row = connection.execute("SELECT chain FROM entries WHERE offset = ?", (offset,)).fetchone()
    if row is None:
        raise JournalBroken(where, offset, "missing")
    if not isinstance(row[0], bytes) or len(row[0]) != len(JOURNAL_GENESIS):
        raise JournalBroken(where, offset, f"its chain hash reads {row[0]!r}")
    return row[0]


def _lock(path: Path) -> int:
    """A file descriptor that holds the appender's lock. Raises JournalLocked where another one does."""
    resolved = path.resolve()
    descriptor = os.open(resolved.with_name(resolved.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalLocked(str(path), "another appender has it") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

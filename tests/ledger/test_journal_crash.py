"""The SQLite journal under kill -9, a full disk, a failed flush and changed bytes. Every draw comes from a seed."""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.journal import JournalBroken, JournalFull, JournalLocked
from ledger.journal import sqlite as form
from ledger.journal.sqlite import SqliteJournal, SqliteReader

ROOT = Path(__file__).parents[2]
ENTRIES = 40


def content(offset: int) -> bytes:
    """What the entry of this offset holds, so that a lost, moved or repeated one shows."""
    draw = random.Random(offset)
    return b"%d:" % offset + draw.randbytes(draw.choice([0, 20, 300, 5_000, 40_000, 120_000]))


def batch_size(offset: int) -> int:
    """How many entries the child commits at once when it stands at this offset."""
    return random.Random(-1 - offset).choice([1, 1, 1, 2, 5])


def read_all(path: Path, offset: int = 0) -> list[tuple[int, bytes]]:
    reader = SqliteReader(path)
    try:
        return list(reader.read(offset, 1 << 40))
    finally:
        reader.close()


def appending_child(path: Path, *, file_limit: int | None = None) -> subprocess.Popen[bytes]:
    def limited() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.Popen(
        [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, cwd=ROOT, preexec_fn=limited,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def child(path: Path) -> None:
    """Appends for ever; tells each acknowledged end on its standard output."""
    form.CHECKPOINT_PAGES = 24  # type: ignore[misc] # so that kills fall into the carrying over too
    journal = SqliteJournal(path)
    end = journal.end()
    try:
        while True:
            offsets = journal.append_many([content(end + i) for i in range(batch_size(end))])
            end = offsets[-1] + 1
            os.write(1, b"%d\n" % end)
    except JournalFull as error:
        os.write(1, b"full\n")
        with pytest.raises(JournalFull, match="opened anew"):
            journal.append(b"")
        raise SystemExit(7) from error


def test_every_acknowledged_entry_survives_kills(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    draw = random.Random(20)
    acknowledged = 0
    in_flight = 0
    for _ in range(24):
        process = appending_child(path)
        assert process.stdout is not None
        told = process.stdout.readline()
        time.sleep(draw.choice([0.0, draw.uniform(0, 0.02), draw.uniform(0, 0.15)]))
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
        process.wait()
        process.stdout.close()
        before, acknowledged = acknowledged, int(told.splitlines()[-1])
        assert acknowledged > before
        found = read_all(path)
        assert found == [(i, content(i)) for i in range(len(found))]
        assert len(found) in (acknowledged, acknowledged + batch_size(acknowledged))
        in_flight += len(found) > acknowledged
        acknowledged = len(found)
    assert acknowledged > 24
    journal = SqliteJournal(path)
    assert journal.append(content(acknowledged)) == acknowledged
    assert journal.end() == acknowledged + 1
    journal.close()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    process = appending_child(path)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(JournalLocked, match=r"journal\.db: another appender has it"):
        SqliteJournal(path)
    process.kill()
    process.wait()
    process.stdout.close()
    SqliteJournal(path).close()


def test_what_is_found_at_opening_is_on_the_disk_before_more_is_taken(tmp_path: Path) -> None:
    running = SqliteJournal(tmp_path / "running.db")
    running.append_many([content(i) for i in range(9)])
    for suffix in ("", "-wal"):  # as a power cut would leave them
        shutil.copy(tmp_path / f"running.db{suffix}", tmp_path / f"cut.db{suffix}")
    running.close()
    journal = SqliteJournal(tmp_path / "cut.db")
    without_its_log = Path(shutil.copy(tmp_path / "cut.db", tmp_path / "alone.db"))
    assert read_all(without_its_log) == list(journal.read(0, 1 << 40)) == [(i, content(i)) for i in range(9)]
    journal.close()


def test_a_file_cut_short_is_broken(tmp_path: Path, whole: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path))
    for length in (path.stat().st_size - 1, path.stat().st_size // 2, form.PAGE_BYTES * 2, 100):
        os.truncate(path, length)
        with pytest.raises(JournalBroken):
            read_all(path)


@pytest.mark.parametrize("pages", [8, 20, 64])
def test_a_full_disk_stops_the_journal_and_loses_nothing(tmp_path: Path, pages: int) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, max_bytes=pages * form.PAGE_BYTES)
    acknowledged = 0
    with pytest.raises(JournalFull, match=r"journal\.db: nothing can be appended: database or disk is full"):
        while True:
            acknowledged = journal.append_many([content(acknowledged), content(acknowledged + 1)])[-1] + 1
    with pytest.raises(JournalFull, match="not before it is opened anew"):
        journal.append(b"small enough to fit")
    assert list(journal.read(0, 1 << 20)) == [(i, content(i)) for i in range(acknowledged)]
    journal.close()
    larger = SqliteJournal(path)
    assert larger.append(content(acknowledged)) == acknowledged
    larger.close()
    assert read_all(path) == [(i, content(i)) for i in range(acknowledged + 1)]


def test_a_write_that_the_system_refuses_stops_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    process = appending_child(path, file_limit=1 << 20)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 7
    *ends, last = told.splitlines()
    assert last == b"full"
    acknowledged = int(ends[-1])
    assert read_all(path) == [(i, content(i)) for i in range(acknowledged)]
    SqliteJournal(path).close()


class Flushless:
    """A connection whose flush fails, as SQLite tells it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.commits = 0
        self.in_transaction = True

    def execute(self, statement: str, *values: object) -> object:
        if statement != "COMMIT":
            return self.connection.execute(statement, *values)
        self.commits += 1
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)


def test_a_failed_flush_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.append(b"kept")
    failing = Flushless(journal._connection)
    journal._connection = failing  # type: ignore[assignment]
    with pytest.raises(JournalFull, match="disk I/O error"):
        journal.append(b"lost")
    journal._connection = failing.connection
    for _ in range(3):
        with pytest.raises(JournalFull, match="opened anew"):
            journal.append(b"later")
    assert failing.commits == 1
    journal.close()
    assert read_all(path) == [(0, b"kept")]


def test_a_commit_is_flushed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("whole") / "journal.db"
    journal = SqliteJournal(path)
    journal.append_many([content(i) for i in range(ENTRIES)])
    journal.close()
    return path


def stored(path: Path, statement: str, *values: object) -> list[tuple[bytes, ...]]:
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


PLACES = [(seed, column) for seed in range(30) for column in ("data", "chain")]


@pytest.mark.parametrize(("seed", "column"), PLACES)
def test_a_changed_byte_is_found_and_its_entry_named(tmp_path: Path, whole: Path, seed: int, column: str) -> None:
    path = Path(shutil.copy(whole, tmp_path))
    draw = random.Random(seed)
    offset = draw.choice([0, ENTRIES - 1, draw.randrange(ENTRIES)])
    changed = bytearray(stored(path, f"SELECT {column} FROM entries WHERE offset = ?", offset)[0][0])
    changed[draw.randrange(len(changed))] ^= draw.randrange(1, 256)
    stored(path, f"UPDATE entries SET {column} = ? WHERE offset = ?", bytes(changed), offset)
    for start in {0, offset // 2, offset, min(offset + 1, ENTRIES - 1) if column == "chain" else offset}:
        with pytest.raises(JournalBroken, match=f"broken at offset {offset}:") as caught:
            read_all(path, start)
        assert (caught.value.offset, caught.value.where) == (offset, str(path))


@pytest.mark.parametrize("seed", range(60))
def test_no_changed_byte_of_the_file_goes_unseen(tmp_path: Path, whole: Path, seed: int) -> None:
    path = Path(shutil.copy(whole, tmp_path))
    draw = random.Random(seed)
    data = bytearray(path.read_bytes())
    page = draw.choice([0, draw.randrange(8), draw.randrange(len(data) // form.PAGE_BYTES)])
    within = draw.choice([draw.randrange(24), draw.randrange(form.PAGE_BYTES)])
    data[page * form.PAGE_BYTES + within] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    try:
        found = read_all(path)
    except (JournalBroken, JournalLocked):
        return
    assert found == [(i, content(i)) for i in range(ENTRIES)]


@pytest.mark.parametrize(
    ("damage", "offset", "what"),
    [
        ("DELETE FROM entries WHERE offset = 39", 39, "missing"),
        ("DELETE FROM entries WHERE offset >= 20", 39, "missing"),
        ("DELETE FROM entries WHERE offset = 7", 7, "missing, entry 8 follows"),
        ("DELETE FROM entries WHERE offset = 0", 0, "missing, entry 1 follows"),
        ("UPDATE entries SET offset = 100 WHERE offset = 7", 7, "missing, entry 8 follows"),
        ("UPDATE entries SET data = 'text' WHERE offset = 3", 3, "do not belong together"),
        ("UPDATE entries SET chain = 5 WHERE offset = 3", 3, "do not belong together"),
        ("UPDATE entries SET chain = 5 WHERE offset = 39", 39, "its chain hash reads 5"),
        ("UPDATE entries SET data = (SELECT data FROM entries WHERE offset = 5) WHERE offset = 4", 4, "do not belong"),
        ("UPDATE head SET count = 39", 38, "not the head's"),
        ("UPDATE head SET count = 41", 40, "missing"),
        ("UPDATE head SET count = -1", 0, "the head reads"),
        ("DELETE FROM head", 0, "the head reads None"),
        ("PRAGMA user_version = 2", 0, "format 2, known is 1"),
        ("PRAGMA application_id = 1", 0, "no journal"),
    ],
)
def test_damage_is_named(tmp_path: Path, whole: Path, damage: str, offset: int, what: str) -> None:
    path = Path(shutil.copy(whole, tmp_path))
    stored(path, damage)
    with pytest.raises(JournalBroken, match=what) as caught:
        read_all(path)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM entries WHERE offset = 39",
        "INSERT INTO entries SELECT 40, chain, data FROM entries WHERE offset = 39",
        "UPDATE entries SET data = x'00' WHERE offset = 39",
        "UPDATE head SET count = 20",
    ],
)
def test_a_broken_end_is_not_appended_to(tmp_path: Path, whole: Path, damage: str) -> None:
    path = Path(shutil.copy(whole, tmp_path))
    stored(path, damage)
    with pytest.raises(JournalBroken):
        SqliteJournal(path)
    with pytest.raises(JournalBroken):  # and the lock was let go
        SqliteJournal(path)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SqliteReader(tmp_path / "none.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(FileNotFoundError, match="no journal has been made"):
        SqliteReader(tmp_path / "empty.db")
    (tmp_path / "other.db").write_bytes(b"a letter to a friend\n" * 100)
    for opening in (SqliteReader, SqliteJournal):
        with pytest.raises(JournalBroken, match=r"other\.db: broken at offset 0"):
            opening(tmp_path / "other.db")
    SqliteJournal(tmp_path / "torn.db").close()
    garbled = (tmp_path / "torn.db").read_bytes().replace(b"head (row", b"head \xffrow")
    (tmp_path / "torn.db").write_bytes(garbled)
    for opening in (read_all, SqliteJournal):
        with pytest.raises(JournalBroken, match=r"torn\.db: broken at offset 0"):
            opening(tmp_path / "torn.db")
    stored(tmp_path / "stranger.db", "CREATE TABLE entries (a)")
    for opening in (SqliteReader, SqliteJournal):
        with pytest.raises(JournalBroken, match="no journal"):
            opening(tmp_path / "stranger.db")


if __name__ == "__main__":
    child(Path(sys.argv[1]))

"""Full disks and failed flushes, for real: what cannot be kept stops by name, and goes on when there is room."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import crash
import pytest
from broker import running
from disks import Disk, disk, may_mount, promising
from postgres import fresh
from storing import dump, feed, streams
from workers import wait_until

from ledger.journal import JournalFull, JournalUnreachable
from ledger.journal.kafka import KafkaJournal
from ledger.journal.sqlite import SqliteJournal
from ledger.journal.topics import make, topics
from ledger.store.faults import StoreAway
from ledger.store.projection import Projection
from services.archiver import ArchiveStopped, archive_directory
from services.auditor import audit
from services.database import Database
from services.lockstep import Settings
from services.processors.records import Snapshot
from services.workers.snapshots import SnapshotStore

MIB = 1 << 20
pytestmark = pytest.mark.skipif(not may_mount(), reason="a small disk can be mounted by root alone")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "small", 3 * MIB) as one:
        yield one


def content(offset: int) -> bytes:
    return b"%d:" % offset * (300 + offset % 7)


def filled(journal: SqliteJournal) -> int:
    """Append until it is refused; the number of entries that were acknowledged."""
    acknowledged = journal.end()
    with pytest.raises(JournalFull):
        while True:
            assert journal.append(content(acknowledged)) == acknowledged
            acknowledged += 1
    with pytest.raises(JournalFull, match="opened anew"):
        journal.append(b"small enough to fit")
    return acknowledged


def there(path: Path) -> list[bytes]:
    journal = SqliteJournal(path)
    try:
        return [data for _, data in journal.read(0, 1 << 40)]
    finally:
        journal.close()


def test_the_journal_on_a_full_disk(small: Disk) -> None:
    path = small.path / "journal.sqlite"
    journal = SqliteJournal(path)
    acknowledged = filled(journal)
    journal.close()
    assert acknowledged > 50
    small.enlarge(8 * MIB)
    assert there(path) == [content(i) for i in range(acknowledged)]
    journal = SqliteJournal(path)
    assert journal.append(content(acknowledged)) == acknowledged
    journal.close()


def test_the_journal_on_a_disk_whose_flush_fails(tmp_path: Path) -> None:
    with promising(tmp_path / "disk", 4 * MIB, 48 * MIB) as one:
        path = one.path / "journal.sqlite"
        journal = SqliteJournal(path)
        acknowledged = filled(journal)
        journal.close()
        one.power_cut_and_repair(64 * MIB)
        assert acknowledged > 100
        found = there(path)
        assert found[:acknowledged] == [content(i) for i in range(acknowledged)]
        assert len(found) <= acknowledged + 1


def test_a_run_goes_on_to_the_same_bytes_where_its_disk_was_full(short: Path, small: Disk) -> None:
    """Whatever is refused, the journal, the outcomes, a snapshot or a head: started again it ends as if undisturbed."""
    directory = small.path / "run"
    stopped = 0
    size = 3 * MIB // 2
    small.enlarge(size)
    while True:
        try:
            crash.clear(directory, shards=2, snapshot_every=25, steps=24, accounts=40)
            break
        except (JournalFull, OSError):
            stopped += 1
            size += MIB
            small.enlarge(size)
    assert stopped > 1
    assert crash.contents(directory, 2) == crash.contents(short, 2)
    assert audit(directory).agrees


def test_snapshots_of_workers_on_a_full_disk(small: Disk) -> None:
    store = SnapshotStore(small.path / "snapshots")
    draw = os.urandom(MIB)
    store.keep("clearing", 0, Snapshot(1, draw))
    ballast = small.fill(MIB // 2)
    with pytest.raises(OSError, match="No space left"):
        store.keep("clearing", 0, Snapshot(2, draw + b"2"))
    assert store.restored("clearing", 0, lambda data: data) == (draw, [])
    ballast.unlink()
    store.keep("clearing", 0, Snapshot(2, draw + b"2"))
    assert store.restored("clearing", 0, lambda data: data) == (draw + b"2", [])


def test_an_archive_on_a_full_disk(short: Path, small: Disk, tmp_path: Path) -> None:
    archive_directory(short, tmp_path / "whole", entries=10)
    folder = small.path / "archive"
    small.enlarge(MIB // 2)
    with pytest.raises(ArchiveStopped, match="No space left"):
        archive_directory(short, folder, entries=10)
    small.enlarge(32 * MIB)
    archive_directory(short, folder, entries=10)
    assert files(folder) == files(tmp_path / "whole")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".part"
    }


def test_a_broker_on_a_full_disk(tmp_path: Path, prefix: str) -> None:
    with disk(tmp_path / "small", 40 * MIB) as small, running(small.path / "broker") as broker:
        journal = topics(prefix, 1)[0]
        make(broker.address, [journal])
        small.fill(6 * MIB)
        acknowledged: list[bytes] = []
        appender = KafkaJournal(broker.address, journal.name, timeout=5.0)
        with pytest.raises((JournalFull, JournalUnreachable)):
            while True:
                entry = content(len(acknowledged)) * 40
                assert appender.append(entry) == len(acknowledged)
                acknowledged.append(entry)
        appender.close()
        assert len(acknowledged) > 5
        wait_until(lambda: broker.process_id is None, "a broker whose only disk failed ends")
        small.enlarge(200 * MIB)
        broker.start()
        appender = KafkaJournal(broker.address, journal.name)
        found = [data for _, data in appender.read(0, 1 << 40)]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        assert appender.append(b"goes on") == len(found)
        appender.close()


def test_postgresql_on_a_full_disk(short: Path) -> None:
    stream = streams(Settings.read(short), crash.entries(short))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="novate-small-")))
        folder.chmod(0o755)  # the server runs as another user
        small = stack.enter_context(disk(folder / "disk", 200 * MIB))
        database = Database(small.path / "server", settings={"max_wal_size": "32MB", "min_wal_size": "32MB"})
        database.start()
        stack.callback(database.kill)
        url, undisturbed = fresh(database), fresh(database)
        feed(Projection(undisturbed), stream, 50)
        projection = Projection(url)
        stack.callback(projection.close)
        place = projection.take(stream.facts, stream.outcomes[: len(stream.outcomes) // 3])
        ballast = small.fill(64 << 10)
        with pytest.raises(StoreAway):  # what is open of its files and its log may have room for some rows
            feed(projection, stream.above(place), 1)
        ballast.unlink()
        database.start()  # where its log was what was full, it has ended
        wait_until(lambda: answers(projection), "the store is back")
        feed(projection, stream, 50)
        assert dump(url) == dump(undisturbed)


def answers(projection: Projection) -> bool:
    try:
        projection.place()
    except StoreAway:
        return False
    return True

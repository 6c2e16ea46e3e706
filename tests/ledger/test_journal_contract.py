"""What every storage of the journal must keep. A storage joins by one line in STORAGES."""

import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.journal import EntryTooLarge, Journal, JournalLocked, JournalReader
from ledger.journal.sqlite import SqliteJournal, SqliteReader
from schemas.limits import MAX_ENTRY_BYTES


class Storage(NamedTuple):
    """How a storage is opened at a place of its own."""

    appender: Callable[[Path], Journal]
    reader: Callable[[Path], JournalReader]


STORAGES = {
    "sqlite": Storage(SqliteJournal, SqliteReader),
}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest) -> Storage:
    return STORAGES[request.param]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(storage: Storage, place: Path) -> Iterator[Journal]:
    opened = storage.appender(place)
    yield opened
    opened.close()


def everything(reader: JournalReader, offset: int = 0) -> list[tuple[int, bytes]]:
    return list(reader.read(offset, 1 << 40))


def test_offsets_are_dense_from_zero(journal: Journal) -> None:
    assert journal.end() == 0
    assert [journal.append(b"a"), journal.append(b""), journal.append(b"a")] == [0, 1, 2]
    assert journal.append_many([b"b", b"c"]) == [3, 4]
    assert journal.append_many([]) == []
    assert journal.end() == 5
    assert everything(journal) == [(0, b"a"), (1, b""), (2, b"a"), (3, b"b"), (4, b"c")]


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [(0, 2, [0, 1]), (1, 1, [1]), (2, 9, [2]), (3, 9, []), (99, 9, []), (0, 0, []), (0, 3, [0, 1, 2])],
)
def test_a_read_is_cut_where_asked(journal: Journal, offset: int, limit: int, expected: list[int]) -> None:
    journal.append_many([b"0", b"1", b"2"])
    assert list(journal.read(offset, limit)) == [(i, str(i).encode()) for i in expected]
    assert journal.tail(offset, 0.0, limit) == [(i, str(i).encode()) for i in expected]


def test_a_negative_offset_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="-1"):
        list(journal.read(-1, 1))


def test_a_second_appender_is_refused_until_the_first_closes(storage: Storage, place: Path) -> None:
    first = storage.appender(place)
    first.append(b"one")
    with pytest.raises(JournalLocked, match=place.name):
        storage.appender(place)
    assert first.append(b"two") == 1
    first.close()
    first.close()
    second = storage.appender(place)
    assert second.append(b"three") == 2
    assert [data for _, data in everything(second)] == [b"one", b"two", b"three"]
    second.close()


def test_a_closed_journal_takes_nothing(journal: Journal) -> None:
    journal.append(b"one")
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append(b"two")


def test_an_entry_past_the_limit_is_refused_and_the_next_is_taken(journal: Journal) -> None:
    with pytest.raises(EntryTooLarge, match=str(MAX_ENTRY_BYTES)):
        journal.append_many([b"fits", b"\0" * (MAX_ENTRY_BYTES + 1)])
    assert journal.append(b"\1" * MAX_ENTRY_BYTES) == 0
    assert everything(journal) == [(0, b"\1" * MAX_ENTRY_BYTES)]


def test_large_and_small_entries_come_back_whole(journal: Journal, storage: Storage, place: Path) -> None:
    entries = [bytes([i % 251]) * (1 + (i * 7919) % 700_001) for i in range(60)]
    for first in range(0, 60, 7):
        journal.append_many(entries[first : first + 7])
    reader = storage.reader(place)
    assert everything(reader) == list(enumerate(entries))
    assert everything(reader, 41) == list(enumerate(entries))[41:]
    reader.close()


def test_a_reader_sees_what_is_appended_while_it_reads(journal: Journal, storage: Storage, place: Path) -> None:
    journal.append(b"first")
    reader = storage.reader(place)
    assert everything(reader) == [(0, b"first")]
    journal.append(b"second")
    assert everything(reader, 1) == [(1, b"second")]
    assert reader.end() == 2
    reader.close()


def test_tail_waits_for_its_time_and_no_longer(journal: Journal) -> None:
    started = time.monotonic()
    assert journal.tail(0, 0.05) == []
    assert 0.05 <= time.monotonic() - started < 5


def test_tail_wakes_on_an_entry(journal: Journal) -> None:
    thread = threading.Timer(0.05, journal.append, [b"late"])
    thread.start()
    started = time.monotonic()
    assert journal.tail(0, 30.0) == [(0, b"late")]
    assert time.monotonic() - started < 15
    thread.join()


def append_in_child(name: str, place: Path, count: int) -> None:
    journal = STORAGES[name].appender(place)
    for i in range(count):
        time.sleep(0.005)
        journal.append(b"child %d" % i)
    journal.close()


def test_tail_follows_another_process(request: pytest.FixtureRequest, storage: Storage, place: Path) -> None:
    storage.appender(place).close()
    reader = storage.reader(place)
    name = next(name for name, one in STORAGES.items() if one is storage)
    child = get_context("spawn").Process(target=append_in_child, args=(name, place, 20))
    child.start()
    seen: list[tuple[int, bytes]] = []
    while len(seen) < 20:
        batch = reader.tail(len(seen), 30.0)
        assert batch, "nothing came in 30 seconds"
        seen += batch
    child.join()
    assert seen == [(i, b"child %d" % i) for i in range(20)]
    reader.close()


def test_two_readers_and_two_appending_threads_agree(journal: Journal, storage: Storage, place: Path) -> None:
    def appending(name: bytes) -> None:
        for i in range(50):
            journal.append(name + b"%d" % i)

    def following(into: list[tuple[int, bytes]]) -> None:
        reader = storage.reader(place)
        while len(into) < 100:
            into += reader.tail(len(into), 30.0)
        reader.close()

    seen: list[list[tuple[int, bytes]]] = [[], []]
    threads = [threading.Thread(target=appending, args=(name,)) for name in (b"a", b"b")]
    threads += [threading.Thread(target=following, args=(into,)) for into in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen[0] == seen[1] == everything(journal)
    for name in (b"a", b"b"):
        assert [d for _, d in seen[0] if d.startswith(name)] == [name + b"%d" % i for i in range(50)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.binary(max_size=60), max_size=5), max_size=6), offset=st.integers(0, 30))
def test_it_is_a_list_that_survives_closing(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], offset: int
) -> None:
    place = tmp_path_factory.mktemp("journal") / "journal.db"
    model: list[bytes] = []
    for batch in batches:
        journal = storage.appender(place)
        assert journal.append_many(batch) == list(range(len(model), len(model) + len(batch)))
        model += batch
        assert journal.end() == len(model)
        assert everything(journal, offset) == list(enumerate(model))[offset:]
        journal.close()

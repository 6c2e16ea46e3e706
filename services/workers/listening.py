"""Reads whole topics beside the group: who owns a service hears the notices of every shard, whatever group they are of.

A consumer without a group, because Faust's would share these partitions out among the group's workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from ledger.journal.security import connection
from ledger.journal.topics import topic_name
from services.processors.records import Place, Record

_FETCH_WAIT_MS: Final = 100
_FETCH: Final = 1 << 20
_AT_ONCE: Final = 1024
"""records"""
_WAIT_MS: Final = 1000
_LOOK_MS: Final = 20
"""between two looks whether more is wanted of a partition that is full"""


class Listening:
    """Reads the `places` from their offsets on. To be used from one event loop."""

    def __init__(self, address: str, prefix: str, places: Mapping[Place, int]) -> None:
        self._address = address
        self._prefix = prefix
        self._places = {TopicPartition(topic_name(prefix, topic), at): (topic, at) for topic, at in places}
        self._offsets = {tp: places[place] for tp, place in self._places.items()}
        self._consumer: Any = None

    async def start(self) -> dict[Place, int]:
        """Connect; returns where each place ends now. Raises aiokafka's errors where the broker does not answer."""
        self._consumer = AIOKafkaConsumer(
            **connection(self._address), group_id=None, enable_auto_commit=False, auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_WAIT_MS, max_partition_fetch_bytes=_FETCH,
        )  # fmt: skip
        await self._consumer.start()
        self._consumer.assign(list(self._places))
        for tp, offset in self._offsets.items():
            self._consumer.seek(tp, offset)
        ends = await self._consumer.end_offsets(list(self._places))
        return {self._places[tp]: end for tp, end in ends.items()}

    def end(self, place: Place) -> int | None:
        """Where a place ends, as the broker told last."""
        topic, partition = place
        end: int | None = self._consumer.highwater(TopicPartition(topic_name(self._prefix, topic), partition))
        return end

    async def run(self, heard: Callable[[Record], Awaitable[None]], full: Callable[[], Set[Place]] = frozenset) -> None:
        """Give each record to `heard`, until cancelled. Of places that are `full` no more is fetched while they are."""
        try:
            while True:
                paused = {tp for tp, place in self._places.items() if place in full()}
                self._consumer.resume(*(self._consumer.paused() - paused))
                self._consumer.pause(*paused)
                batches = await self._consumer.getmany(
                    timeout_ms=_LOOK_MS if paused else _WAIT_MS, max_records=_AT_ONCE
                )
                for tp, records in batches.items():
                    topic, partition = self._places[tp]
                    for record in records:
                        await heard(Record(topic, partition, record.offset, record.value or b""))
        finally:
            await self._consumer.stop()

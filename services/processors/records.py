"""What the parts of the running system read and write: records of partitioned topics; and what a part is."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence, Set
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class Topic(StrEnum):
    """The topics. SHARDS, OUTCOMES and NOTICES have a partition for each shard, the others have one."""

    JOURNAL = "journal"
    """entries: the only truth; everything below follows from it"""
    SHARDS = "shards"
    """each shard's part of each numbered entry"""
    FACTS = "facts"
    """what services that keep no accounts need of each entry"""
    OUTCOMES = "outcomes"
    """each shard's outcomes of each entry"""
    NOTICES = "notices"
    """what of these concerns others than the books: calls, liquidations, rejections, marks done"""
    QUARANTINE = "quarantine"
    """bytes that cannot be read, with what is wrong with them"""
    HEADS = "heads"
    """published heads of the hash chains"""
    SETTINGS = "settings"
    """how the journal is folded; the first record counts"""
    OWNERS = "owners"
    """where a shard's state can be asked"""


Place = tuple[Topic, int]
"""a topic's partition"""


class Record(NamedTuple):
    """A record read."""

    topic: Topic
    partition: int
    offset: int
    value: bytes


class Write(NamedTuple):
    """A record to be written."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes


class Snapshot(NamedTuple):
    """A part's state as bytes, to be kept when everything written before it is acknowledged. `n` names it."""

    n: int
    data: bytes


class Processor(Protocol):
    """A part: a fold over the records of some partitions.

    A part is made from its last snapshot, or from nothing, and then given every record of its `places` from there on,
    partition by partition in order. What it writes is a pure function of what it read: made again from an older
    snapshot, it writes the same bytes again, and whoever reads them drops what they have.
    """

    def places(self) -> Mapping[Place, int]:
        """The partitions it reads, and the offset in each from which it must be given records."""
        ...

    def take(self, record: Record) -> Sequence[Write]:
        """Fold a record; returns what is to be written, in order. Records it has already are dropped."""
        ...

    def live(self) -> Sequence[Write]:
        """What is to be written now that no more history is waiting to be read; none again before something changes.

        Called when every record that was there at the start has been taken, and after each `take` from then on.
        """
        ...

    def full(self, behind: Set[Place]) -> Set[Place]:
        """The partitions of which it wants no more for now: too much of them waits for others. Never one of those that
        it waits for. `behind`: the partitions that are known to have more records than it has taken."""
        ...

    def snapshot(self) -> Snapshot | None:
        """The state as it is now, where it is time for a snapshot; None else. Called after each `take`."""
        ...


_KEY: Final = struct.Struct("<Q")


def key_of(number: int) -> bytes:
    """A record's key: a number, mostly the entry's n."""
    return _KEY.pack(number)


def number_of(key: bytes) -> int:
    """The number in a key."""
    return int(_KEY.unpack(key)[0])

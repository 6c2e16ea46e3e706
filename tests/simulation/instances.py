"""A part's running instance and the snapshots kept of it: what a worker does around a processor, one move at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from simulation.topics import Producer, Topics

from ledger.snapshot import SnapshotBroken
from services.lockstep import Settings
from services.processors.clearing import Shard
from services.processors.deciders import Liquidating, Paying, Pricing
from services.processors.records import Place, Processor, Record, Snapshot
from services.processors.sequencer import Sequencer
from services.processors.service import Service

KEPT = 3
"""snapshots of a part that are kept"""

Making = Callable[[bytes | None], Processor]


def makings(settings: Settings) -> dict[str, Making]:
    """How each part is made, from a snapshot or from nothing."""
    made: dict[str, Making] = {
        "sequencer": lambda data: Sequencer(settings, data),
        "pricer": lambda data: Service(settings, Pricing(), data),
        "fund": lambda data: Service(settings, Paying(settings.shards), data),
        "liquidator": lambda data: Service(settings, Liquidating(settings.shards), data),
    }
    for shard in range(settings.shards):
        made[f"shard {shard}"] = lambda data, shard=shard: Shard(settings, shard, data)  # type: ignore[misc]
    return made


@dataclass
class Store:
    """The snapshots kept of each part, by n. `whole`: every one that a part gave, by which damage can be told."""

    kept: dict[str, dict[int, bytes]] = field(default_factory=dict)
    whole: dict[str, set[bytes]] = field(default_factory=dict)

    def keep(self, part: str, snapshot: Snapshot) -> None:
        mine = self.kept.setdefault(part, {})
        mine[snapshot.n] = snapshot.data
        self.whole.setdefault(part, set()).add(snapshot.data)
        for n in sorted(mine)[:-KEPT]:
            del mine[n]

    def damage(self, draw: Random) -> str | None:
        """Flip a bit of a kept snapshot, cut it, or put another part's in its place; returns whose it was."""
        part = draw.choice(sorted(self.kept))
        if not self.kept[part]:
            return None
        n = draw.choice(sorted(self.kept[part]))
        data = bytearray(self.kept[part][n])
        if not data:
            return None  # it was damaged before, to nothing
        match draw.randrange(4):
            case 0 | 1:
                at = draw.randrange(min(len(data), draw.choice((200, len(data)))))
                data[at] ^= 1 << draw.randrange(8)
            case 2:
                del data[draw.randrange(len(data)) :]
            case _:
                other = draw.choice([name for name in sorted(self.kept) if name != part])
                data = bytearray(next(iter(self.kept[other].values()), b""))
        if bytes(data) == self.kept[part][n]:
            return None
        self.kept[part][n] = bytes(data)
        return f"{part} {n}"


class DamageTaken(Exception):  # noqa: N818 - named for what is found
    """A damaged snapshot was taken for a whole one."""


def restored(store: Store, part: str, make: Making, draw: Random, forget: float) -> tuple[Processor, str]:
    """The part made from one of its snapshots, mostly the last; from an older one where that is damaged, or nothing."""
    candidates = sorted(store.kept.get(part, {}), reverse=True)
    if draw.random() < forget:
        candidates = []
    elif draw.random() < 0.3:
        candidates = candidates[draw.randrange(len(candidates) + 1) :]
    refused = 0
    for n in candidates:
        try:
            made = make(store.kept[part][n])
        except SnapshotBroken:
            refused += 1
            continue
        if store.kept[part][n] not in store.whole[part]:
            raise DamageTaken(f"{part}, the snapshot of n {n}")
        return made, f"from its snapshot of n {n}, {refused} refused"
    return make(None), f"from nothing, {refused} refused"


class Instance:
    """A running part. Each method is one move of it; nothing else of it happens in between."""

    def __init__(self, name: str, number: int, part: Processor, topics: Topics, producer: Producer) -> None:
        self.name = name
        self.number = number
        self.part = part
        self.producer = producer
        self.paused = False
        self._topics = topics
        self.read: dict[Place, int] = dict(part.places())
        self._history = {place: len(topics.records[place]) for place in self.read}
        self.due: deque[tuple[int, Snapshot]] = deque()

    @property
    def unread(self) -> list[Place]:
        """The partitions that have more for it, but for those of which it wants no more yet."""
        behind = {place for place, offset in self.read.items() if offset < len(self._topics.records[place])}
        full = self.part.full(behind)
        return [place for place in self.read if place in behind and place not in full]

    def take(self, place: Place, most: int) -> int:
        """Take the next records of a partition, write what comes of each; returns how many were taken."""
        records = self._topics.records[place]
        first = self.read[place]
        end = min(len(records), first + most)
        for offset in range(first, end):
            self.read[place] = offset + 1
            self.producer.write(list(self.part.take(Record(place[0], place[1], offset, records[offset]))))
            if (snapshot := self.part.snapshot()) is not None:
                self.due.append((self.producer.made, snapshot))
        self.speak()
        return end - first

    def speak(self) -> None:
        """Write what the part has to say of itself, once it knows all that was there when it began."""
        if self._history:
            self._history = {place: end for place, end in self._history.items() if self.read[place] < end}
        if not self._history:
            self.producer.write(list(self.part.live()))

    @property
    def keepable(self) -> bool:
        """Whether a snapshot waits, and everything written before it is acknowledged."""
        return bool(self.due) and self.producer.acknowledged(self.due[0][0])

    def keep(self, store: Store) -> Snapshot:
        _, snapshot = self.due.popleft()
        store.keep(self.name, snapshot)
        return snapshot

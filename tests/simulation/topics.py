"""Topics in memory as the broker keeps them, and producers whose writes are on the way until they are acknowledged."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from random import Random

from services.processors.records import Place, Topic, Write

REACH = 4
"""a producer that is not idempotent appends any of its next so many writes first"""


class Topics:
    """Every partition's records. `foreign` are the places of records that no part wrote."""

    def __init__(self, begun: dict[Place, list[bytes]]) -> None:
        self.records: defaultdict[Place, list[bytes]] = defaultdict(list)
        for place, values in begun.items():
            self.records[place] = list(values)
        self.foreign: set[tuple[Place, int]] = set()
        self.down = 0
        """steps until the broker answers again"""

    def append(self, place: Place, value: bytes, *, foreign: bool = False) -> int:
        records = self.records[place]
        records.append(value)
        if foreign:
            self.foreign.add((place, len(records) - 1))
        return len(records) - 1


class Producer:
    """Writes on their way. Each becomes appended, then acknowledged; what a crash finds not appended may be lost.

    To the journal a producer is idempotent: in order, each once. To derived topics `loose` ones reorder and repeat.
    """

    def __init__(self, topics: Topics, *, reorders: float = 0.0, repeats: float = 0.0) -> None:
        self._topics = topics
        self._reorders, self._repeats = reorders, repeats
        self.waiting: defaultdict[Place, deque[tuple[int, bytes]]] = defaultdict(deque)
        self.appended: list[tuple[int, Place, bytes]] = []
        self.made = 0
        self._open: set[int] = set()

    @property
    def unwritten(self) -> list[Place]:
        return [place for place, waiting in self.waiting.items() if waiting]

    @property
    def idle(self) -> bool:
        return not self._open

    def acknowledged(self, count: int) -> bool:
        """Whether the first so many writes all are."""
        return not self._open or min(self._open) >= count

    def write(self, writes: Sequence[Write]) -> None:
        for one in writes:
            self.waiting[one.topic, one.partition].append((self.made, one.value))
            self._open.add(self.made)
            self.made += 1

    def append(self, draw: Random, place: Place) -> tuple[int, str]:
        """The next write of a partition reaches it; returns its offset and what was strange about it."""
        waiting = self.waiting[place]
        strange = ""
        if place[0] != Topic.JOURNAL and self._reorders and len(waiting) > 1 and draw.random() < self._reorders:
            at = draw.randrange(min(REACH, len(waiting)))
            serial, value = waiting[at]
            del waiting[at]
            strange = "reorder" if at else ""
        else:
            serial, value = waiting.popleft()
        self.appended.append((serial, place, value))
        offset = self._topics.append(place, value)
        if place[0] != Topic.JOURNAL and self._repeats and draw.random() < self._repeats:
            self._topics.append(place, value)
            strange = "repeat"
        return offset, strange

    def acknowledge(self) -> None:
        """The oldest appended write's producer hears of it."""
        serial, _, _ = self.appended.pop(0)
        self._open.discard(serial)

    def unheard(self) -> int:
        """The broker's answers are lost, and a producer that is not idempotent writes again; returns how many."""
        if not self._repeats:
            return 0
        again = [(place, value) for _, place, value in self.appended if place[0] != Topic.JOURNAL]
        for place, value in again:
            self._topics.append(place, value)
        return len(again)

    def crash(self, draw: Random) -> None:
        """The writer is gone: of what was on the way, each partition gets some first part."""
        for place, waiting in self.waiting.items():
            for _, value in list(waiting)[: draw.randint(0, len(waiting))]:
                self._topics.append(place, value)
        self.waiting.clear()

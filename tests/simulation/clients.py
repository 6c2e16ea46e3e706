"""Clients of the clearinghouse: each sends its entries in order, again where it hears nothing, and counts receipts."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.course import Outer
from simulation.topics import Producer, Topics

from services.processors.records import Topic, Write

JOURNAL = (Topic.JOURNAL, 0)


class Client:
    """One source. `received` is how many of its entries it was told are in the journal: those may never be lost."""

    def __init__(self, entries: Sequence[Outer], topics: Topics) -> None:
        self.entries = entries
        self.source = entries[0].source
        self._first = entries[0].sequence
        self._topics = topics
        self.producer = Producer(topics)
        self.sent = 0
        self.received = 0

    @property
    def done(self) -> bool:
        return self.received == len(self.entries)

    def send(self, at: int) -> None:
        """Send the entry at this place of the client's list."""
        self.producer.write([Write(Topic.JOURNAL, 0, b"", self.entries[at].data)])
        self.sent = max(self.sent, at + 1)

    def next_wanted(self, window: int, numbered: int | None) -> int | None:
        """The entry to send now; None where it must wait. `numbered`: in lockstep, how many the journal holds."""
        if self.sent >= len(self.entries) or self.sent - self.received >= window:
            return None
        if numbered is not None and self.entries[self.sent].at != numbered:
            return None
        return self.sent

    def hear(self, last: int) -> None:
        """Be told the last number of this source in the journal; what was refused as a gap is to be sent again."""
        self.received = max(self.received, min(last - self._first + 1, len(self.entries)))
        if self.producer.idle:
            self.sent = self.received

    def crash(self, producer: Producer) -> None:
        """Forget everything but what was told; go on through a new producer."""
        self.producer = producer
        self.sent = self.received

"""A deciding service: follows the entries, lets its decider hear them, and sends what it decides until it is there."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Final

from ledger.snapshot import SnapshotBroken
from ledger.state import State
from schemas.wire import Run, encode_entry
from services.lockstep import Settings, bounded
from services.processors.deciders import Decider, packed
from services.processors.follower import Follower, Told
from services.processors.records import Place, Record, Snapshot, Topic, Write, key_of
from services.processors.sealing import sealed, unsealed

_MAGIC: Final = b"novate service 1\n"


class Service:
    """A Follower and a Decider. What was decided waits until the journal's numbered entries show it.

    A decision's entries have the sequence numbers after those of its source seen and decided so far. A service made
    again from an older snapshot decides the same again while it catches up: what is in the journal by then is not sent,
    the rest is sent by `live`, and if another one had sent it meanwhile the journal's numbering drops it as a repeat.
    """

    def __init__(self, settings: Settings, decider: Decider, snapshot: bytes | None = None) -> None:
        self._settings = settings
        self._decider = decider
        self._decided: deque[tuple[int, bytes]] = deque()
        self._seen = 0
        self._sent = 0
        self._kept = 0
        body = None
        if snapshot is not None:
            told, body = unsealed(_MAGIC, snapshot)
            if told["source"] != decider.source:
                raise SnapshotBroken(f"source {told['source']}'s, not {decider.source}'s")
            self._seen = self._sent = told["seen"]
            self._decided.extend((sequence, bytes.fromhex(entry)) for sequence, entry in told["decided"])
            decider.restore(told["decider"])
        self._follower = Follower(settings, body)
        self._kept = self._follower.state.n

    @property
    def state(self) -> State:
        """The facts after the last entry heard."""
        return self._follower.state

    @property
    def quiet(self) -> bool:
        """Whether everything decided is in the journal, and every known entry was answered by the shards."""
        return not self._decided and not self._follower.waits

    @property
    def missing(self) -> tuple[int, int] | None:
        """See Follower."""
        return self._follower.missing

    def places(self) -> Mapping[Place, int]:
        """See Processor."""
        return self._follower.places()

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor. What is decided is sent by `live`."""
        for told in self._follower.take(record):
            self._hear(told)
        return ()

    def live(self) -> Sequence[Write]:
        """See Processor."""
        if self.quiet:
            self._decide(self._decider.idle(self.state))
        fresh = [(sequence, entry) for sequence, entry in self._decided if sequence > self._sent]
        self._sent = max([self._sent, *(sequence for sequence, _ in fresh)])
        return [Write(Topic.JOURNAL, 0, key_of(self._decider.source), entry) for _, entry in fresh]

    def full(self, behind: Set[Place]) -> Set[Place]:
        """See Processor and Follower."""
        return self._follower.full(behind)

    def snapshot(self) -> Snapshot | None:
        """See Processor."""
        n, every = self.state.n, self._settings.snapshot_every
        if not every or n // every <= self._kept // every:
            return None
        self._kept = n
        told = {
            "source": self._decider.source,
            "seen": self._seen,
            "decided": [[sequence, entry.hex()] for sequence, entry in self._decided],
            "decider": json.loads(packed(self._decider)),
        }
        return Snapshot(n, sealed(_MAGIC, told, self._follower.exported()))

    def _hear(self, told: Told) -> None:
        if told.source == self._decider.source:
            self._seen += 1
            while self._decided and self._decided[0][0] <= self._seen:
                self._decided.popleft()
        decisions = self._decider.hear(told.source, told.said, self.state, under_way=bool(self._decided))
        self._decide(decisions)

    def _decide(self, decisions: Sequence[Sequence[Run]]) -> None:
        for decision in decisions:
            for part in bounded(decision):
                sequence = (self._decided[-1][0] if self._decided else self._seen) + 1
                self._decided.append((sequence, encode_entry(self._decider.source, sequence, part)))

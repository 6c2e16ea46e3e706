"""A clearinghouse of one shard in one part: numbers the journal's entries and folds them without a topic between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from ledger.snapshot import SnapshotBroken
from ledger.state import State
from services.lockstep import Settings
from services.processors.clearing import Shard, packed
from services.processors.records import Place, Record, Snapshot, Write
from services.processors.sealing import sealed, unsealed
from services.processors.sequencer import Sequencer

_MAGIC: Final = b"novate whole 1\n"


class Whole:
    """Sequencer and Shard as one: what it reads is the journal, what it writes is what the two write, less SHARDS.

    Raises ValueError where the settings have more than one shard; else as Shard does.
    """

    def __init__(self, settings: Settings, snapshot: bytes | None = None) -> None:
        if settings.shards != 1:
            raise ValueError(f"{settings.shards} shards: each is a part of its own, and so is the sequencer")
        own: bytes | None = None
        books: bytes | None = None
        if snapshot is not None:
            length, body = unsealed(_MAGIC, snapshot)
            own, books = body[:length], body[length:]
        self._sequencer = Sequencer(settings, own)
        self._shard = Shard(settings, 0, books)
        if self._sequencer.n < self._shard.state.n:
            raise SnapshotBroken(f"entry {self._shard.state.n} is folded, {self._sequencer.n} are numbered")

    @property
    def state(self) -> State:
        """The one shard's state."""
        return self._shard.state

    @property
    def n(self) -> int:
        """The last number given."""
        return self._sequencer.n

    @property
    def missing(self) -> None:
        """See Shard: no part waits for another here."""
        return

    def places(self) -> Mapping[Place, int]:
        """See Processor."""
        return self._sequencer.places()

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor."""
        parts, writes = self._sequencer.split(record)
        for part in parts:
            writes += self._shard.fold(part)
        return writes

    def live(self) -> Sequence[Write]:
        """See Processor. It says nothing of itself."""
        return ()

    def full(self, _behind: Set[Place]) -> Set[Place]:
        """See Processor. Nothing that it reads waits for long."""
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        """See Processor."""
        kept = self._shard.snapshot()
        return None if kept is None else Snapshot(kept.n, whole(self._sequencer.packed(), kept.data))


def whole(own: bytes, books: bytes) -> bytes:
    """A snapshot made of the sequencer's and the shard's."""
    return sealed(_MAGIC, len(own), own + books)


def opening(settings: Settings, state: State) -> bytes:
    """A snapshot from which to begin with this state, before the journal's first entry."""
    return whole(Sequencer(settings).packed(), packed(0, state))

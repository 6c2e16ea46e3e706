"""Clearing: one shard's fold over its parts of the entries; writes their outcomes and the notices among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from ledger.fold import fold, took_snapshot
from ledger.notices import notice_of
from ledger.sequence import ShardEntry, tells
from ledger.snapshot import SnapshotBroken, dump, load
from ledger.state import State, genesis
from services.lockstep import Settings
from services.processors.intake import Intake
from services.processors.records import Place, Record, Snapshot, Topic, Write, key_of
from services.processors.sealing import sealed, unsealed

_MAGIC: Final = b"novate shard 1\n"


class Shard:
    """A shard's state, moved on by the records of its partition of SHARDS. Not safe for several threads at once.

    `snapshot` is bytes that a Shard of the same settings gave; raises SnapshotBroken where they are damaged. `take`
    raises ConservationBroken or InvariantBroken where the books do not balance, MissingPredecessor where parts were
    lost; the shard must not go on then.
    """

    def __init__(self, settings: Settings, shard: int, snapshot: bytes | None = None) -> None:
        self._settings = settings
        self._shard = shard
        table = settings.table()
        if snapshot is None:
            self.state: State = genesis(shard, settings.shards, table, accounts=max(64, settings.accounts))
            offset = 0
        else:
            offset, body = unsealed(_MAGIC, snapshot)
            self.state = load(body, table)
            if (self.state.shard, self.state.shards) != (shard, settings.shards):
                raise SnapshotBroken(
                    f"shard {self.state.shard} of {self.state.shards}, not {shard} of {settings.shards}"
                )
        self._intake = Intake(shard, self.state.n, offset)
        self._due = False

    @property
    def missing(self) -> tuple[int, int] | None:
        """(the last n here, the n that the first waiting part follows), where parts wait for one that is missing."""
        return self._intake.missing

    def places(self) -> Mapping[Place, int]:
        """See Processor."""
        return {(Topic.SHARDS, self._shard): self._intake.place}

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor."""
        writes: list[Write] = []
        for _, entry in self._intake.arrived(record.offset, record.value):
            writes += self.fold(entry)
        return writes

    def live(self) -> Sequence[Write]:
        """See Processor. A shard says nothing of itself."""
        return ()

    def full(self, _behind: Set[Place]) -> Set[Place]:
        """See Processor. Nothing that it reads waits for long."""
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        """See Processor. Taken after the entry whose outcomes end with its digest."""
        if not self._due:
            return None
        self._due = False
        return Snapshot(self.state.n, packed(self._intake.place, self.state))

    def fold(self, entry: ShardEntry) -> list[Write]:
        """Fold the shard's next part; returns what is to be written of it."""
        before = self.state.n
        every = self._settings.snapshot_every
        outcomes = fold(self.state, entry, snapshot_every=every)
        # a snapshot holds one entry's end: where several were folded at once, the last one's, if it is due
        self._due = took_snapshot(before, entry.n, every)
        key = key_of(entry.n)
        writes = [Write(Topic.OUTCOMES, self._shard, key, outcomes)]
        notice = notice_of(outcomes, awaited=tells(entry))
        if notice is not None:
            writes.append(Write(Topic.NOTICES, self._shard, key, notice))
        return writes


def packed(offset: int, state: State) -> bytes:
    """A snapshot of a state that reads on at this offset of its shard's partition."""
    return sealed(_MAGIC, offset, dump(state))

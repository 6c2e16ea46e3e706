"""The sequencer: numbers the journal's entries and gives each shard its part, the services the facts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence, Set
from typing import Final

import numpy as np

from ledger.sequence import (
    Numbered,
    Quarantined,
    SequenceState,
    ShardEntry,
    SplitState,
    exported,
    facts_part,
    number,
    refused,
    restored,
    split,
)
from ledger.shardwire import encode_shard
from schemas.events import EVENTS
from schemas.wire import EntryHeader, Run, WireError, decode
from services.lockstep import Settings
from services.processors.records import Place, Record, Snapshot, Topic, Write, key_of
from services.processors.sealing import sealed, unsealed

_MAGIC: Final = b"novate sequencer 1\n"


class Sequencer:
    """Reads the journal; writes the shards' parts, the facts and the quarantine. Its state: how far it has numbered."""

    def __init__(self, settings: Settings, snapshot: bytes | None = None) -> None:
        self._settings = settings
        self._shard_of = settings.table()
        self._sequence = SequenceState()
        self._splitting = SplitState.of(settings.shards)
        self._kept = 0
        if snapshot is not None:
            self._restore(snapshot)

    @property
    def n(self) -> int:
        """The last number given."""
        return self._sequence.n

    def places(self) -> Mapping[Place, int]:
        """See Processor."""
        return {(Topic.JOURNAL, 0): self._sequence.offset}

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor. Every entry has an answer; none raises."""
        parts, writes = self.split(record)
        return [*(Write(Topic.SHARDS, part.shard, key_of(part.n), encode_shard(part)) for part in parts), *writes]

    def split(self, record: Record) -> tuple[Sequence[ShardEntry], list[Write]]:
        """A journal record's parts for the shards, and what else is to be written of it."""
        told = number(self._sequence, record.offset, record.value)
        match told:
            case Numbered():
                return self._numbered(told)
            case Quarantined():
                return (), [_quarantined(told, record.value)]
            case _:
                return (), []

    def live(self) -> Sequence[Write]:
        """See Processor. The sequencer says nothing of itself."""
        return ()

    def full(self, _behind: Set[Place]) -> Set[Place]:
        """See Processor. Nothing that it reads waits for long."""
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        """See Processor."""
        n, every = self._sequence.n, self._settings.snapshot_every
        if not every or n // every <= self._kept // every:
            return None
        self._kept = n
        return Snapshot(n, self.packed())

    def packed(self) -> bytes:
        """A snapshot of it as it is now."""
        told = {name: array.tolist() for name, array in exported(self._sequence).items()}
        told |= {"sent": self._splitting.sent, "facts": [self._splitting.facts]}
        return sealed(_MAGIC, told)

    def _numbered(self, told: Numbered) -> tuple[Sequence[ShardEntry], list[Write]]:
        runs: tuple[Run, ...] = ()
        try:
            runs = decode(told.data, EntryHeader, EVENTS).runs
        except WireError as error:
            parts: tuple[ShardEntry, ...] = (refused(self._splitting, told.n, error.reason, told.source),)
        else:
            parts = split(self._splitting, told.n, runs, self._shard_of, told.source)
        facts = facts_part(self._splitting, told.n, runs, parts)
        return parts, [Write(Topic.FACTS, 0, key_of(told.n), encode_shard(facts))] if facts is not None else []

    def _restore(self, data: bytes) -> None:
        told, _ = unsealed(_MAGIC, data)
        arrays = {name: np.array(told[name], np.uint64) for name in ("position", "sources", "sequences")}
        self._sequence = restored(arrays)
        self._splitting.sent, self._splitting.facts = told["sent"], told["facts"][0]
        self._kept = self._sequence.n


def _quarantined(told: Quarantined, data: bytes) -> Write:
    page = {
        "offset": told.offset,
        "reason": told.reason.name,
        "position": told.position,
        "what": told.what,
        "bytes": b64encode(data).decode(),
    }
    return Write(Topic.QUARANTINE, 0, key_of(told.offset), json.dumps(page).encode())

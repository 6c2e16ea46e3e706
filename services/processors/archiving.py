"""Archiving: joins the journal with every shard's outcomes and closes segments of both, with the head at their end."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

import numpy as np

from ledger.archive import Kind, Row, Stretch, genesis, linked, sealed
from ledger.journal.outcomes import OutcomeDiffers
from ledger.merkle import Frontier, appended, leaf_hash, root
from ledger.sequence import Numbered, SequenceState, exported, number, recipients, restored
from ledger.snapshot import SnapshotBroken
from schemas.events import EVENTS
from schemas.wire import EntryHeader, OutcomeHeader, WireError, decode, decode_header
from services.heads import Head
from services.lockstep import Settings
from services.processors.records import Place, Record, Snapshot, Topic, Write, key_of

ENTRIES: Final = 4096
"""entries after which segments are closed"""
BYTES: Final = 16 << 20
"""and bytes of the journal's entries, whichever comes first"""

_MAGIC: Final = b"novate archiving 1\n"
_DIGEST: Final = hashlib.sha256().digest_size


class Closed(NamedTuple):
    """Segments that are complete, as (name, bytes): the journal's first, then each shard's; and the head after them."""

    segments: tuple[tuple[str, bytes], ...]
    head: Head


class Archiving:
    """A Processor that reads JOURNAL and OUTCOMES, and writes HEADS.

    An entry is archived when every shard that it concerns has said its outcomes, so where segments end depends on the
    journal alone, and two archivers close equal ones. `closed` gives what was closed by the last `take`: it must be
    stored before what `take` returned is written. Raises SnapshotBroken on a snapshot that no Archiving of these
    settings gave; `take` raises OutcomeDiffers where an entry's outcomes come a second time as others.
    """

    def __init__(
        self, settings: Settings, snapshot: bytes | None = None, *, entries: int = ENTRIES, size: int = BYTES
    ) -> None:
        self._settings = settings
        self._shard_of = settings.table()
        self._cut = (entries, size)
        self.strange = 0
        """records of OUTCOMES that hold none, or that no entry called for; dropped"""
        shards = (Stretch(Kind.OUTCOMES, shard, 0, 0) for shard in range(settings.shards))
        self._chains = (Stretch(Kind.JOURNAL, 0, 0, 0), *shards)
        self._before = [genesis(one) for one in self._chains]
        self._merkle = Frontier()
        self._sequence = SequenceState()
        self._next = [0] * settings.shards
        if snapshot is not None:
            self._restore(snapshot)
        self._n = self._sequence.n
        self._read = self._sequence.offset
        self._front: tuple[int, int] | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._held: list[dict[int, tuple[int, bytes]]] = [{} for _ in range(settings.shards)]
        self._closed: list[Closed] = []
        self._kept: Snapshot | None = None
        self._begin()

    @property
    def waits(self) -> int:
        """How many entries wait for outcomes."""
        return len(self._waiting)

    @property
    def n(self) -> int:
        """The last n that is archived, in closed segments or not."""
        return self._n

    @property
    def missing(self) -> int | None:
        """The first shard whose outcomes of the next entry are not here; None where no entry waits."""
        if self._front is None:
            return None
        n, mask = self._front
        return next((shard for shard, held in enumerate(self._held) if mask >> shard & 1 and n not in held), None)

    def ahead(self, shard: int) -> int:
        """How many outcomes of a shard wait for their entries, or for another shard's outcomes."""
        return len(self._held[shard])

    @property
    def entries(self) -> int:
        """How many of the journal's entries have been taken into segments, closed or not."""
        return self._merkle.size

    @property
    def stored(self) -> int:
        """How many of them are in closed segments."""
        return self._begins[0]

    def places(self) -> Mapping[Place, int]:
        """See Processor."""
        places: dict[Place, int] = {(Topic.JOURNAL, 0): self._read}
        return places | {(Topic.OUTCOMES, shard): offset for shard, offset in enumerate(self._next)}

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor."""
        if record.topic == Topic.JOURNAL and record.offset >= self._read:
            self._read = record.offset + 1
            self._waiting.append((record.offset, record.value))
        elif record.topic == Topic.OUTCOMES:
            self._heard(record)
        before = len(self._closed)
        while self._waiting and self._complete():
            self._archive()
        return [published(one.head) for one in self._closed[before:]]

    def live(self) -> Sequence[Write]:
        """See Processor. The archiver says nothing of itself."""
        return ()

    def full(self, _behind: Set[Place]) -> Set[Place]:
        """See Processor. Its reader asks `waits` and `ahead`."""
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        """See Processor. Taken where segments were closed."""
        kept, self._kept = self._kept, None
        return kept

    def closed(self) -> list[Closed]:
        """The segments closed since this was last asked, in order."""
        closed, self._closed = self._closed, []
        return closed

    def seal(self) -> Closed | None:
        """Segments of what is archived and not in closed ones yet; None where there is nothing. For the end of a
        history: an archiver that goes on closes whole segments over the same entries."""
        return self._segments() if self._rows[0] else None

    def _heard(self, record: Record) -> None:
        shard = record.partition
        self._next[shard] = max(self._next[shard], record.offset + 1)
        try:
            header, _ = decode_header(record.value, OutcomeHeader)
        except WireError:
            self.strange += 1
            return
        n = header["n"]
        if header["shard"] != shard:
            self.strange += 1
        elif n not in self._held[shard]:
            if n > self._n:
                self._held[shard][n] = (record.offset, record.value)
        elif self._held[shard][n][1] != record.value:
            raise OutcomeDiffers(f"outcomes, partition {shard}, offset {record.offset}", n, shard)

    def _complete(self) -> bool:
        """Whether every shard has answered the entry that comes next."""
        if self._front is None:
            offset, data = self._waiting[0]
            told = number(self._sequence, offset, data)
            self._front = (told.n, self._concerned(told.data)) if isinstance(told, Numbered) else (0, 0)
        return self.missing is None

    def _concerned(self, data: bytes) -> int:
        try:
            runs = decode(data, EntryHeader, EVENTS).runs
        except WireError:
            return 1  # shard 0 says that it cannot be read
        return recipients(runs, self._shard_of, self._settings.shards)

    def _archive(self) -> None:
        """Take the complete entry in front into the open segments; close them where it is time."""
        offset, data = self._waiting.popleft()
        n, mask = self._front or (0, 0)
        self._front = None
        self._add(0, offset, data)
        self._merkle = appended(self._merkle, leaf_hash(data))
        self._size += len(data)
        if n:
            self._n = n
            for shard, held in enumerate(self._held):
                told = held.pop(n, None)
                if told is not None and mask >> shard & 1:
                    self._add(1 + shard, n, told[1])
                elif told is not None:
                    self.strange += 1
        if len(self._rows[0]) >= self._cut[0] or self._size >= self._cut[1]:
            self._closed.append(self._segments())
            self._before = self._links()
            self._begin()
            self._kept = self._exported()

    def _add(self, at: int, numbered: int, data: bytes) -> None:
        rows = self._rows[at]
        rows.append(linked(self._chains[at], rows[-1].link if rows else self._before[at], numbered, data))

    def _links(self) -> list[bytes]:
        return [rows[-1].link if rows else before for rows, before in zip(self._rows, self._before, strict=True)]

    def _begin(self) -> None:
        self._rows: list[list[Row]] = [[] for _ in self._chains]
        self._begins = (self._merkle.size, self._n + 1)
        self._size = 0

    def _segments(self) -> Closed:
        covered = [(self._begins[0], self._merkle.size - 1)] + [(self._begins[1], self._n)] * self._settings.shards
        stretches = [
            chain._replace(first=first, last=last) for chain, (first, last) in zip(self._chains, covered, strict=True)
        ]
        named = tuple(sealed(*one) for one in zip(stretches, self._before, self._rows, strict=True))
        journal, *outcomes = (one.hex() for one in self._links())
        return Closed(named, Head(self._merkle.size, self._n, journal, root(self._merkle).hex(), tuple(outcomes)))

    def _exported(self) -> Snapshot:
        ahead = [
            min((offset for offset, _ in held.values()), default=after)
            for held, after in zip(self._held, self._next, strict=True)
        ]
        told: dict[str, Any] = {name: array.tolist() for name, array in exported(self._sequence).items()}
        told |= {"links": [one.hex() for one in self._before], "size": self._merkle.size, "next": ahead}
        told |= {"peaks": [one.hex() for one in self._merkle.peaks], "settings": self._settings.line().decode()}
        body = json.dumps(told).encode()
        return Snapshot(self._sequence.n, _MAGIC + hashlib.sha256(body).digest() + body)

    def _restore(self, data: bytes) -> None:
        start = len(_MAGIC) + _DIGEST
        body = data[start:]
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
            raise SnapshotBroken("its bytes are not those that an archiver wrote")
        told = json.loads(body)
        if told["settings"] != self._settings.line().decode():
            raise SnapshotBroken("it was taken under other settings")
        self._sequence = restored(
            {name: np.array(told[name], np.uint64) for name in ("position", "sources", "sequences")}
        )
        self._merkle = Frontier(told["size"], tuple(bytes.fromhex(one) for one in told["peaks"]))
        self._before = [bytes.fromhex(one) for one in told["links"]]
        self._next = told["next"]


def published(head: Head) -> Write:
    """A head as it is written to HEADS."""
    return Write(Topic.HEADS, 0, key_of(head.entries), head.line().encode())

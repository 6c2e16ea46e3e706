"""How a service that keeps no accounts follows: the facts and what every shard said, entry by entry in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Set
from typing import Final, NamedTuple

from ledger.fold import fold
from ledger.sequence import FACTS_SHARD, ShardEntry
from ledger.snapshot import SnapshotBroken, dump, load
from ledger.state import State, genesis
from schemas.outcomes import OUTCOMES
from schemas.wire import OutcomeHeader, Run, WireError, decode
from services.lockstep import Settings
from services.processors.intake import Intake
from services.processors.records import Place, Record, Topic
from services.processors.sealing import sealed, unsealed

MOST_AHEAD: Final = 1024
"""facts, or notices of one shard, that may wait for another shard; no more of them are wanted until that has spoken"""

_MAGIC: Final = b"novate follower 1\n"


class Told(NamedTuple):
    """An entry that every shard it concerns has answered: its facts, and what the shards said, shards ascending."""

    n: int
    source: int
    facts: ShardEntry
    said: tuple[Run, ...]


class Follower:
    """Joins FACTS with the NOTICES of every shard. `state` knows the facts as the shards do, and keeps no accounts.

    An entry is given out when each shard that it concerns has said something of it, and in the order of n: what a
    service makes of it is then a pure function of the journal, however its topics were read. Raises SnapshotBroken on
    bytes that no Follower of these settings gave.
    """

    def __init__(self, settings: Settings, snapshot: bytes | None = None) -> None:
        self._settings = settings
        table = settings.table()
        offsets = [0] * (settings.shards + 1)
        if snapshot is None:
            self.state: State = genesis(FACTS_SHARD, settings.shards, table, accounts=max(64, settings.accounts))
        else:
            offsets, body = unsealed(_MAGIC, snapshot)
            if len(offsets) != settings.shards + 1:
                raise SnapshotBroken(f"places of {len(offsets) - 1} shards, not of {settings.shards}")
            self.state = load(body, table)
        self._intake = Intake(FACTS_SHARD, self.state.n, offsets[0])
        self._next = offsets[1:]
        self._waiting: deque[tuple[int, ShardEntry]] = deque()
        self._notices: list[OrderedDict[int, tuple[int, tuple[Run, ...]]]] = [
            OrderedDict() for _ in range(settings.shards)
        ]

    @property
    def waits(self) -> bool:
        """Whether entries are known that not every shard has answered yet, or that wait for one before them."""
        return bool(self._waiting) or self._intake.missing is not None

    @property
    def missing(self) -> tuple[int, int] | None:
        """(the last fact here, the n that the first waiting one follows), where facts wait for one that is missing."""
        return self._intake.missing

    def full(self, behind: Set[Place]) -> Set[Place]:
        """The places of which no more is wanted for now: those far ahead of an entry that another shard has to answer,
        or of facts that are there (`behind`: see Processor).

        Never a shard that the next entry waits for, nor the facts while none of them waits; so that what moves things
        on is always read.
        """
        far = {(Topic.NOTICES, shard) for shard, held in enumerate(self._notices) if len(held) >= MOST_AHEAD}
        if not self._waiting:
            return far if (Topic.FACTS, 0) in behind else frozenset()
        entry = self._waiting[0][1]
        awaited = {(Topic.NOTICES, shard) for shard in self._concerned(entry) if entry.n not in self._notices[shard]}
        facts = {(Topic.FACTS, 0)} if len(self._waiting) >= MOST_AHEAD else set()
        return (far - awaited) | facts

    def places(self) -> Mapping[Place, int]:
        """Where to read from: everything before has been given out."""
        first = min((offset for offset, _ in self._waiting), default=self._intake.place)
        places: dict[Place, int] = {(Topic.FACTS, 0): min(first, self._intake.place)}
        for shard, held in enumerate(self._notices):
            places[(Topic.NOTICES, shard)] = min((offset for offset, _ in held.values()), default=self._next[shard])
        return places

    def take(self, record: Record) -> Iterator[Told]:
        """The entries that are complete with this record, in order. The state is each entry's own while it is out."""
        if record.topic == Topic.FACTS:
            self._waiting.extend(self._intake.arrived(record.offset, record.value))
        elif record.topic == Topic.NOTICES:
            self._heard(record)
        while self._waiting and self._complete(self._waiting[0][1]):
            _, entry = self._waiting.popleft()
            yield self._given_out(entry)

    def exported(self) -> bytes:
        """A snapshot after the last entry given out."""
        places = self.places()
        offsets = [places[(Topic.FACTS, 0)], *(places[(Topic.NOTICES, s)] for s in range(self._settings.shards))]
        return sealed(_MAGIC, offsets, dump(self.state))

    def _heard(self, record: Record) -> None:
        shard = record.partition
        self._next[shard] = max(self._next[shard], record.offset + 1)
        try:
            notice = decode(record.value, OutcomeHeader, OUTCOMES)
        except WireError:
            return  # no notice: the entry it should have told of waits, and shows in `waits`
        n = notice.header["n"]
        if n > self.state.n and notice.header["shard"] == shard:
            self._notices[shard].setdefault(n, (record.offset, notice.runs))

    def _complete(self, entry: ShardEntry) -> bool:
        return all(entry.n in self._notices[shard] for shard in self._concerned(entry))

    def _concerned(self, entry: ShardEntry) -> list[int]:
        return [shard for shard in range(self._settings.shards) if entry.recipients >> shard & 1]

    def _given_out(self, entry: ShardEntry) -> Told:
        said = tuple(run for shard in self._concerned(entry) for run in self._notices[shard][entry.n][1])
        for held in self._notices:
            while held and next(iter(held)) <= entry.n:  # a shard speaks in order, and may be far ahead of the facts
                held.popitem(last=False)  # what was said of entries that need no answer goes too
        fold(self.state, entry)
        return Told(entry.n, entry.source, entry, said)

"""The projector: brings facts and outcomes into the store, of a directory as it grows or of Kafka's topics.

Nothing waits for it: while PostgreSQL is away it holds a bounded part of what it has read, and goes on from the store's
own place.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from ledger.sequence import FACTS_SHARD, Numbered, SequenceState, ShardEntry, SplitState, facts_part, number, split
from ledger.shardwire import decode_shard
from ledger.snapshot import SnapshotBroken
from ledger.store.faults import StoreAway, StoreMoved, StoreOutdated
from ledger.store.projection import Place, Projection
from schemas.events import EVENTS
from schemas.outcomes import OUTCOMES
from schemas.wire import EntryHeader, OutcomeHeader, WireError, decode
from services.lockstep import JOURNAL, OUTCOME_LOG, Settings
from services.processors.records import Place as Partition
from services.processors.records import Record, Snapshot, Topic, Write
from services.processors.sealing import sealed, unsealed

URL: Final = "DATABASE_URL"
"""the environment's variable that says where the store is, and as whom to write there"""
MOST_HELD: Final = 16 << 20
"""bytes of one stream, a shard's or the facts', that wait to be written; no more of it is read then"""
BATCH: Final = 4 << 20
"""bytes that make a transaction while there is history to catch up with"""
KEEP_EVERY: Final = 64
"""transactions between two snapshots of where to read on"""

_MAGIC: Final = b"novate projector 1\n"
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0
_LOOK: Final = 0.02
"""seconds between two looks at a directory in which nothing is new"""
_SETTINGS_WAIT: Final = 0.2

log: Final = logging.getLogger("novate.projector")


class Measured:
    """What a projector counts, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rows = Counter("novate_store_outcomes", "Outcomes written to the store", registry=self.registry)
        self.written = Counter("novate_store_transactions", "Transactions of the store", registry=self.registry)
        self.away = Gauge("novate_store_away", "1 while the store cannot be written", registry=self.registry)
        self.n = Gauge("novate_store_n", "The last entry in the store", ["stream"], registry=self.registry)
        self.lag = Gauge("novate_store_lag_entries", "Entries read and not stored", ["stream"], registry=self.registry)


class _Waiting(NamedTuple):
    """Something of entry n that is not in the store yet; `rows` outcomes, `offset` its record's."""

    n: int
    offset: int
    size: int
    rows: int
    told: ShardEntry | bytes


class Feeding:
    """What waits for the store at `url`, and the writing of it. Each wait ends when `going_on` says no.

    A stream is a shard's number, or FACTS_SHARD.
    """

    def __init__(self, url: str, measured: Measured, going_on: Callable[[], bool] = lambda: True) -> None:
        self._projection = Projection(url)
        self._measured = measured
        self._going_on = going_on
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._held: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self.place = Place()

    def begin(self) -> Place:
        """Where the store is, as soon as it says so; what was waiting is dropped, and is to be given again."""
        self._waiting.clear()
        self._held.clear()
        self.place = self._patiently(self._projection.place) or Place()
        return self.place

    def full(self, stream: int) -> bool:
        """Whether no more of a stream should be given now."""
        return self._held.get(stream, 0) >= MOST_HELD

    def held(self) -> int:
        """Bytes that wait."""
        return sum(self._held.values())

    def facts(self, entry: ShardEntry, size: int, offset: int) -> None:
        """Add the facts' part of an entry, of a record of `size` bytes at `offset`."""
        self._add(FACTS_SHARD, _Waiting(entry.n, offset, size, 0, entry))

    def outcomes(self, shard: int, data: bytes, offset: int) -> None:
        """Add a shard's outcomes of an entry. Raises WireError."""
        message = decode(data, OutcomeHeader, OUTCOMES)
        rows = sum(len(run.rows) for run in message.runs)
        self._add(shard, _Waiting(message.header["n"], offset, len(data), rows, data))

    def write(self) -> Place:
        """Write what can be written and return the store's place; the place as it was where a wait was ended.

        Raises StoreMoved (begin again), StoreRefused, WireError.
        """
        facts = [one.told for one in self._waiting.get(FACTS_SHARD, ()) if isinstance(one.told, ShardEntry)]
        streams = [self._waiting[shard] for shard in sorted(self._waiting) if shard != FACTS_SHARD]
        outcomes = [one.told for stream in streams for one in stream if isinstance(one.told, bytes)]
        place = self._patiently(lambda: self._projection.take(facts, outcomes))
        if place is not None:
            self._written(place)
        return self.place

    def offsets(self) -> dict[int, int]:
        """The record of each stream that was given, or any after it, to read from next time."""
        return {at: stream[0].offset if (stream := self._waiting[at]) else self._next[at] for at in self._waiting}

    def close(self) -> None:
        """Let go of the store."""
        self._projection.close()

    def _add(self, stream: int, one: _Waiting) -> None:
        self._next[stream] = one.offset + 1
        waiting = self._waiting.setdefault(stream, deque())
        if one.n <= _of(self.place, stream) or (waiting and one.n <= waiting[-1].n):
            return  # in the store, or waiting already
        waiting.append(one)
        self._held[stream] = self._held.get(stream, 0) + one.size
        self._measured.lag.labels(_named(stream)).set(one.n - _of(self.place, stream))

    def _written(self, place: Place) -> None:
        for stream, waiting in self._waiting.items():
            while waiting and waiting[0].n <= _of(place, stream):
                one = waiting.popleft()
                self._held[stream] -= one.size
                self._measured.rows.inc(one.rows)
            last = _of(place, stream)
            self._measured.n.labels(_named(stream)).set(last)
            self._measured.lag.labels(_named(stream)).set(waiting[-1].n - last if waiting else 0)
        self._measured.written.inc()
        self.place = place

    def _patiently(self, what: Callable[[], Place]) -> Place | None:
        """Its answer, as soon as the store gives one; None where `going_on` says no first."""
        wait = _FIRST_WAIT
        while self._going_on():
            try:
                place = what()
            except (StoreAway, StoreOutdated) as error:
                if wait == _FIRST_WAIT:
                    log.warning("the store is away", extra={"error": type(error).__name__, "what": str(error)})
                self._measured.away.set(1)
                time.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            if wait > _FIRST_WAIT:
                log.info("the store is there again")
            self._measured.away.set(0)
            return place
        return None


def _of(place: Place, stream: int) -> int:
    return place.facts if stream == FACTS_SHARD else place.of(stream)


def _named(stream: int) -> str:
    return "facts" if stream == FACTS_SHARD else str(stream)


# --- over Kafka -------------------------------------------------------------------------------------------------------


class Projecting:
    """A part (services/processors/records.py) that reads FACTS and OUTCOMES into the store and writes no records.

    Its snapshot tells where to read on; where the store is further back than that, it raises SnapshotBroken, so that an
    older one is taken. Making one and `take` wait while the store is away.
    """

    def __init__(self, settings: Settings, feeding: Feeding, snapshot: bytes | None = None) -> None:
        self._feeding = feeding
        self._shards = settings.shards
        self._transactions = 0
        self._new = False
        self._due = False
        place = feeding.begin()
        self._offsets = dict.fromkeys((FACTS_SHARD, *range(settings.shards)), 0)
        if snapshot is not None:
            told, _ = unsealed(_MAGIC, snapshot)
            if any(n > _of(place, int(stream)) for stream, n in told["place"].items()):
                raise SnapshotBroken("the store is further back: it was restored or emptied since")
            self._offsets |= {int(stream): offset for stream, offset in told["offsets"].items()}

    @property
    def n(self) -> int:
        """The last entry of which the store has anything."""
        place = self._feeding.place
        return max(place.facts, *place.shards.values(), 0)

    def places(self) -> Mapping[Partition, int]:
        """See Processor."""
        offsets = self._offsets | self._feeding.offsets()
        outcomes = {(Topic.OUTCOMES, shard): offsets[shard] for shard in range(self._shards)}
        return {(Topic.FACTS, 0): offsets[FACTS_SHARD], **outcomes}

    def take(self, record: Record) -> Sequence[Write]:
        """See Processor. Raises StoreMoved, StoreRefused; made again it goes on from the store's place."""
        try:
            if record.topic == Topic.FACTS:
                self._feeding.facts(decode_shard(record.value), len(record.value), record.offset)
            elif record.topic == Topic.OUTCOMES:
                self._feeding.outcomes(record.partition, record.value, record.offset)
        except WireError as error:  # the entry it should have told of never comes, and the lag says so
            log.error("unreadable", extra={"topic": record.topic, "offset": record.offset, "what": error.what})
            return ()
        self._new = True
        if self._feeding.held() >= BATCH:
            self._write()
        return ()

    def live(self) -> Sequence[Write]:
        """See Processor: with no history waiting, every batch is stored at once."""
        if self._new:
            self._write()
        return ()

    def full(self, _behind: Set[Partition]) -> Set[Partition]:
        """See Processor."""
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        """See Processor."""
        if not self._due:
            return None
        self._due = False
        place = self._feeding.place
        told = {str(FACTS_SHARD): place.facts} | {str(shard): n for shard, n in place.shards.items()}
        data = {"place": told, "offsets": self._offsets | self._feeding.offsets()}
        return Snapshot(self.n, sealed(_MAGIC, data))

    def _write(self) -> None:
        self._new = False
        self._feeding.write()
        self._transactions += 1
        self._due = self._due or self._transactions % KEEP_EVERY == 0


# --- over a directory -------------------------------------------------------------------------------------------------


class Streams:
    """A directory's facts and outcomes above a place, read as they grow. Raises FileNotFoundError before they are
    there, JournalBroken, OutcomesBroken."""

    def __init__(self, directory: Path, place: Place) -> None:
        self._settings = Settings.read(directory)
        self._shard_of = self._settings.table()
        self._facts = place.facts
        self._last = {shard: place.of(shard) for shard in range(self._settings.shards)}
        self._sequence = SequenceState()
        self._splitting = SplitState.of(self._settings.shards)
        with ExitStack() as opened:
            self._journal = opened.enter_context(closing(SqliteReader(directory / JOURNAL)))
            self._log = opened.enter_context(closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)))
            self._files = opened.pop_all()

    def read_into(self, feeding: Feeding) -> bool:
        """Give it what is new, up to what it takes; whether there was anything."""
        new = False
        if not feeding.full(FACTS_SHARD):
            for offset, data in self._journal.tail(self._sequence.offset, 0.0):
                new = True
                entry = self._facts_of(offset, data)
                if entry is not None:
                    feeding.facts(entry, len(data), offset)
        for shard, last in self._last.items():
            scan = self._log.scan(shard, last + 1)
            for n, data in takewhile(lambda _, shard=shard: not feeding.full(shard), scan):  # type: ignore[misc]
                new = True
                self._last[shard] = n
                feeding.outcomes(shard, data, n)
        return new

    def close(self) -> None:
        """Let go of the files."""
        self._files.close()

    def _facts_of(self, offset: int, data: bytes) -> ShardEntry | None:
        told = number(self._sequence, offset, data)
        if not isinstance(told, Numbered) or told.n <= self._facts:
            return None
        try:
            runs = decode(told.data, EntryHeader, EVENTS).runs
        except WireError:
            return None  # shard 0 rejects it; there are no facts in it
        parts = split(self._splitting, told.n, runs, self._shard_of, told.source)
        return facts_part(self._splitting, told.n, runs, parts)


def follow(directory: Path, feeding: Feeding, going_on: Callable[[], bool]) -> None:
    """Bring a directory's streams into the store until `going_on` says no. A directory without a run is waited for.

    Raises what reading it and writing the store raises, but for a store that is away or was restored.
    """
    while going_on():
        place = feeding.begin()
        try:
            streams = Streams(directory, place)
        except FileNotFoundError:
            time.sleep(_SETTINGS_WAIT)
            continue
        with closing(streams):
            try:
                _pump(streams, feeding, going_on)
            except StoreMoved as error:
                log.warning("the store was restored", extra={"what": str(error)})


def _pump(streams: Streams, feeding: Feeding, going_on: Callable[[], bool]) -> None:
    while going_on():
        if streams.read_into(feeding):
            feeding.write()
        else:
            time.sleep(_LOOK)


def run(directory: Path, port: int) -> None:
    """The process over a directory, until SIGTERM or SIGINT; metrics on `port` of the loopback, 0: none. The store is
    what the environment's URL says. Raises KeyError where it says nothing, and what `follow` raises."""
    stopping = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stopping.set())
    measured = Measured()
    if port:
        start_http_server(port, "127.0.0.1", measured.registry)
    with closing(Feeding(os.environ[URL], measured, lambda: not stopping.is_set())) as feeding:
        follow(directory, feeding, lambda: not stopping.is_set())

"""Embedded lockstep: one process appends, numbers, folds every shard and keeps what came of it, entry by entry.

Started again over a directory that holds part of a run, it takes the entries that are there instead of appending them,
and refuses to go on where what it would append is not what was appended: nothing acknowledged is lost or repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ledger.chain import JOURNAL_GENESIS, link, link_numbered, outcomes_genesis
from ledger.conservation import books, check_books
from ledger.fold import fold, took_snapshot
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteJournal
from ledger.merkle import Frontier, appended, leaf_hash, root
from ledger.sequence import Numbered, SequenceState, ShardEntry, SplitState, number, refused, split
from ledger.snapshot import dump
from ledger.state import State, genesis
from schemas.events import EVENTS
from schemas.outcomes import OUTCOMES, HouseBalance, MarkDone, NetPosition
from schemas.wire import EntryHeader, OutcomeHeader, Run, WireError, decode, encode_entry, message_of

JOURNAL: Final = "journal.sqlite"
OUTCOME_LOG: Final = "outcomes.sqlite"
HEADS: Final = "heads.jsonl"
SNAPSHOTS: Final = "snapshots"
SETTINGS: Final = "settings.json"
ENTRY_BYTES: Final = 1 << 19
"""events are gathered into entries of about this size"""


class RunDiffers(RuntimeError):  # noqa: N818 - named for what is found
    """The directory holds another run: an entry in it is not the one this run would append."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"entry at offset {offset} is not what this run appends there: another run's directory?")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Settings:
    """How a directory's journal is folded: the shards, which account is whose, and how often a snapshot is taken."""

    shards: int
    accounts: int
    """account numbers below this are dealt to the shards in turn; those beyond belong to shard 0"""
    snapshot_every: int

    def table(self) -> npt.NDArray[np.int32]:
        """The shard of each account number."""
        return (np.arange(self.accounts, dtype=np.int32) % self.shards).astype(np.int32)

    def write(self, directory: Path) -> None:
        """Keep the settings beside the journal."""
        told = {"shards": self.shards, "accounts": self.accounts, "snapshot_every": self.snapshot_every}
        (directory / SETTINGS).write_text(json.dumps(told) + "\n")

    @staticmethod
    def read(directory: Path) -> Settings:
        """The settings of a directory. Raises FileNotFoundError where it holds no run."""
        return Settings(**json.loads((directory / SETTINGS).read_text()))


def snapshot_path(directory: Path, shard: int, n: int) -> Path:
    """Where a shard's snapshot after entry n lies."""
    return directory / SNAPSHOTS / f"{shard:03d}-{n:012d}.snapshot"


@dataclass(frozen=True, slots=True)
class Head:
    """What is published of a history, to be held by somebody else: with it any change before it is found."""

    entries: int
    """entries in the journal"""
    n: int
    """the last number given"""
    journal: str
    """hash chain over the entries, hex"""
    merkle: str
    """RFC 6962 root over the entries, hex"""
    outcomes: tuple[str, ...]
    """hash chain over each shard's outcomes, hex"""


class Clearing:
    """Every shard's fold over one sequence: what `Lockstep` runs live and an audit runs again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shard_of = settings.table()
        self.sequence = SequenceState()
        self.splitting = SplitState.of(settings.shards)
        self.states: list[State] = [
            genesis(shard, settings.shards, self.shard_of, accounts=max(64, settings.accounts))
            for shard in range(settings.shards)
        ]
        self._journal = JOURNAL_GENESIS
        self._merkle = Frontier()
        self._outcomes = [outcomes_genesis(shard) for shard in range(settings.shards)]

    def head(self) -> Head:
        """The head after the last entry taken."""
        return Head(
            entries=self._merkle.size,
            n=self.sequence.n,
            journal=self._journal.hex(),
            merkle=root(self._merkle).hex(),
            outcomes=tuple(chain.hex() for chain in self._outcomes),
        )

    def take(self, offset: int, data: bytes) -> list[tuple[ShardEntry, bytes]]:
        """Number, split and fold the journal's entry at an offset; returns each shard's outcomes. Repeats, gaps and
        unreadable bytes give none."""
        self._journal = link(self._journal, data)
        self._merkle = appended(self._merkle, leaf_hash(data))
        told = number(self.sequence, offset, data)
        if not isinstance(told, Numbered):
            return []
        results = []
        for part in self.parts(told):
            outcomes = fold(self.states[part.shard], part, snapshot_every=self.settings.snapshot_every)
            self._outcomes[part.shard] = link_numbered(self._outcomes[part.shard], part.n, outcomes)
            results.append((part, outcomes))
        return results

    def parts(self, told: Numbered) -> tuple[ShardEntry, ...]:
        """A numbered entry split over the shards."""
        try:
            runs = decode(told.data, EntryHeader, EVENTS).runs
        except WireError as error:
            return (refused(self.splitting, told.n, error.reason, told.source),)
        return split(self.splitting, told.n, runs, self.shard_of, told.source)


class Lockstep:
    """A directory's journal, open for appending, with everything that follows from each entry folded at once."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / SNAPSHOTS).mkdir(exist_ok=True)
        settings.write(directory)
        self.directory = directory
        self.clearing = Clearing(settings)
        self.journal = SqliteJournal(directory / JOURNAL)
        self.log = OutcomeLog(directory / OUTCOME_LOG)
        self._at = 0
        self._end = self.journal.end()
        self._stored: Iterator[tuple[int, bytes]] = self.journal.read(0, self._end)
        self._last: dict[int, int] = {}
        self._heads_file = (directory / HEADS).open("w")

    @property
    def offset(self) -> int:
        """Where the next entry goes."""
        return self._at

    @property
    def state(self) -> State:
        """Shard 0's state: its facts are every shard's."""
        return self.clearing.states[0]

    def send(self, source: int, runs: Sequence[Run]) -> list[Run]:
        """Append runs of events from a source as entries of bounded size; returns all shards' outcomes."""
        out: list[Run] = []
        for part in _bounded(runs):
            out.extend(self._entry(source, part))
        return out

    def close(self) -> None:
        """Publish the last head and let go of the files."""
        self._publish()
        self._heads_file.close()
        self.journal.close()
        self.log.close()

    def _entry(self, source: int, runs: Sequence[Run]) -> list[Run]:
        sequence = self._last.get(source, 0) + 1
        data = encode_entry(source, sequence, runs)
        offset = self._append(data)
        self._last[source] = sequence
        before = [state.n for state in self.clearing.states]
        results = self.clearing.take(offset, data)
        self.log.put_many([(part.n, part.shard, outcomes) for part, outcomes in results])
        decoded: list[Run] = []
        snapped = False
        for part, outcomes in results:
            if took_snapshot(before[part.shard], part.n, self.clearing.settings.snapshot_every):
                path = snapshot_path(self.directory, part.shard, part.n)
                path.write_bytes(dump(self.clearing.states[part.shard]))
                snapped = True
            decoded.extend(decode(outcomes, OutcomeHeader, OUTCOMES).runs)
        if snapped:
            self._publish()
        self._check(decoded)
        return decoded

    def _append(self, data: bytes) -> int:
        offset = self._at
        self._at += 1
        if offset < self._end:
            _, stored = next(self._stored)
            if stored != data:
                raise RunDiffers(offset)
            return offset
        return self.journal.append(data)

    def _publish(self) -> None:
        self._heads_file.write(json.dumps(asdict(self.clearing.head())) + "\n")
        self._heads_file.flush()

    def _check(self, runs: Sequence[Run]) -> None:
        told = [
            message_of(run.message, row)
            for run in runs
            if run.message.cls in (NetPosition, HouseBalance)
            for row in run.rows
        ]
        if not any(run.message.cls is MarkDone for run in runs):
            return
        assets = {number: listed.settlement_asset for number, listed in self.state.facts.instruments.items()}
        check_books(self.clearing.sequence.n, books(told, assets))


def _bounded(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs gathered into entries of about ENTRY_BYTES; a chain of linked rows is never cut."""
    waiting: list[Run] = []
    size = 0
    for run in runs:
        width = run.message.dtype.itemsize
        rows = run.rows
        while len(rows):
            room = max(1, (ENTRY_BYTES - size) // width)
            cut = min(room, len(rows), 65535)
            while cut < len(rows) and rows["flags"][cut - 1] & 1:
                cut += 1
            part = rows[:cut]
            waiting.append(Run(run.message, part))
            size += width * cut
            rows = rows[cut:]
            if size >= ENTRY_BYTES:
                yield waiting
                waiting, size = [], 0
    if waiting:
        yield waiting

"""The books as they were: a directory's journal folded up to a position, from the snapshots that come before it."""

from __future__ import annotations

from pathlib import Path

from ledger.fold import fold
from ledger.journal.sqlite import SqliteReader
from ledger.sequence import Numbered, SequenceState, number
from ledger.snapshot import load
from ledger.state import State
from schemas.events import EVENTS, Mark
from schemas.wire import EntryHeader, WireError, decode
from services.lockstep import JOURNAL, SNAPSHOTS, Clearing, Settings


class PositionUnknown(ValueError):  # noqa: N818 - named for what is found
    """The journal does not reach the position asked for."""

    def __init__(self, asked: int, last: int) -> None:
        super().__init__(f"position {asked} is not there: the journal's entries are numbered 1 to {last}")
        self.last = last


def replayed(directory: Path, to: int | None = None, *, from_start: bool = False) -> Clearing:
    """Every shard after entry `to` (None: the last), each from its last snapshot before it unless `from_start`.

    Raises PositionUnknown, SnapshotBroken, JournalBroken, FileNotFoundError.
    """
    settings = Settings.read(directory)
    clearing = Clearing(settings)
    if not from_start:
        for shard in range(settings.shards):
            if (state := latest_snapshot(directory, clearing, shard, to)) is not None:
                clearing.states[shard] = state
    reader = SqliteReader(directory / JOURNAL)
    try:
        if to is not None and to < 1:
            raise PositionUnknown(to, reader.end())
        for offset, data in reader.read(0, reader.end()):
            if to is not None and clearing.sequence.n >= to:
                break
            told = number(clearing.sequence, offset, data)
            if isinstance(told, Numbered):
                for part in clearing.parts(told):
                    if part.n > clearing.states[part.shard].n:
                        fold(clearing.states[part.shard], part, snapshot_every=settings.snapshot_every)
    finally:
        reader.close()
    if to is not None and clearing.sequence.n < to:
        raise PositionUnknown(to, clearing.sequence.n)
    return clearing


def latest_snapshot(directory: Path, clearing: Clearing, shard: int, to: int | None) -> State | None:
    """The last snapshot of a shard not after entry `to`."""
    names = sorted((directory / SNAPSHOTS).glob(f"{shard:03d}-*.snapshot"), reverse=True)
    for path in names:
        n = int(path.stem.split("-")[1])
        if to is None or n <= to:
            return load(path.read_bytes(), clearing.shard_of)
    return None


def position_at(directory: Path, time: int) -> int:
    """The last position whose books are those as of a time (microseconds): the one before the first later mark.

    0 where the first mark is later.
    """
    sequence = SequenceState()
    reader = SqliteReader(directory / JOURNAL)
    try:
        for offset, data in reader.read(0, reader.end()):
            told = number(sequence, offset, data)
            if isinstance(told, Numbered) and _marks_after(told.data, time):
                return told.n - 1
    finally:
        reader.close()
    return sequence.n


def _marks_after(data: bytes, time: int) -> bool:
    try:
        runs = decode(data, EntryHeader, EVENTS).runs
    except WireError:
        return False
    return any(run.message.cls is Mark and bool((run.rows["time"] > time).any()) for run in runs)

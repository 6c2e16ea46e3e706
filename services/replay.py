"""The books as they were: a directory's journal folded up to a position, from the snapshots that come before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ledger.fold import fold
from ledger.journal import JournalReader
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from ledger.sequence import Numbered, SequenceState, ShardEntry, number
from schemas.events import EVENTS, Mark
from schemas.wire import EntryHeader, WireError, decode
from services.lockstep import JOURNAL, OUTCOME_LOG, Clearing, Settings
from services.snapshots import latest


class PositionUnknown(ValueError):  # noqa: N818 - named for what is found
    """The journal does not reach the position asked for."""

    def __init__(self, asked: int, last: int) -> None:
        super().__init__(f"position {asked} is not there: the journal's entries are numbered 1 to {last}")
        self.last = last


def replayed(directory: Path, to: int | None = None, *, from_start: bool = False, fall_back: bool = False) -> Clearing:
    """Every shard after entry `to` (None: the last), each from its last snapshot before it unless `from_start`.

    `fall_back`: where a snapshot is damaged the one before it is taken. Raises PositionUnknown, SnapshotBroken,
    OutcomesBroken, JournalBroken, SettingsBroken, FileNotFoundError.
    """
    clearing = Clearing(Settings.read(directory))
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        if to is not None and to < 1:
            raise PositionUnknown(to, _last(reader))
        if not from_start:
            restore(clearing, directory, to, fall_back=fall_back)
        for _ in refolded(clearing, reader, to):
            pass
    if to is not None and clearing.sequence.n < to:
        raise PositionUnknown(to, clearing.sequence.n)
    return clearing


def refolded(clearing: Clearing, reader: JournalReader, to: int | None = None) -> Iterator[tuple[ShardEntry, bytes]]:
    """Fold the entries up to `to` that each shard does not have yet, telling the outcomes of each."""
    for offset, data in reader.read(0, reader.end()):
        if to is not None and clearing.sequence.n >= to:
            return
        told = number(clearing.sequence, offset, data)
        if isinstance(told, Numbered) and any(state.n < told.n for state in clearing.states):
            for part in clearing.parts(told):
                if part.n > clearing.states[part.shard].n:
                    every = clearing.settings.snapshot_every
                    yield part, fold(clearing.states[part.shard], part, snapshot_every=every)


def restore(clearing: Clearing, directory: Path, to: int | None, *, fall_back: bool = False) -> None:
    """Put each shard where its last snapshot not after entry `to` has it. Raises as `replayed`."""
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        for shard in range(clearing.settings.shards):
            state = latest(directory, log, shard, to, clearing.shard_of, fall_back=fall_back)
            if state is not None:
                clearing.states[shard] = state
                clearing.splitting.sent[shard] = state.n


def _last(reader: SqliteReader) -> int:
    sequence = SequenceState()
    for offset, data in reader.read(0, reader.end()):
        number(sequence, offset, data)
    return sequence.n


def position_at(directory: Path, time: int) -> int:
    """The entry of the last mark at or before a time (microseconds), like the store's `n_as_of`; 0 where there is
    none. What came after that mark belongs to a later time: the fold has no other."""
    sequence = SequenceState()
    found = 0
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        for offset, data in reader.read(0, reader.end()):
            told = number(sequence, offset, data)
            if not isinstance(told, Numbered):
                continue
            for mark in _marks(told.data):
                if mark > time:
                    return found
                found = told.n
    return found


def _marks(data: bytes) -> list[int]:
    """The times of an entry's marks."""
    try:
        runs = decode(data, EntryHeader, EVENTS).runs
    except WireError:
        return []
    return [int(time) for run in runs if run.message.cls is Mark for time in run.rows["time"]]

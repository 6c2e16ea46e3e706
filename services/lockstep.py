"""Embedded lockstep: one process appends, numbers, folds every shard and keeps what came of it, entry by entry.

Started again over a directory that holds part of a run, it takes the entries that are there instead of appending them,
and refuses to go on where anything there, settings and published heads too, is not what it would have written itself:
nothing acknowledged is lost or repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ledger.conservation import books, check_books
from ledger.fold import fold, took_snapshot
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteJournal
from ledger.sequence import MAX_SHARDS, Numbered, SequenceState, ShardEntry, SplitState, number, refused, split
from ledger.snapshot import dump
from ledger.state import State, genesis
from schemas.events import EVENTS, Mark
from schemas.limits import MAX_ACCOUNTS
from schemas.outcomes import OUTCOMES, HouseBalance, MemberPart, NetPosition
from schemas.wire import EntryHeader, OutcomeHeader, Run, WireError, decode, encode_entry, message_of
from services.chains import Chains
from services.heads import Head, HeadDiffers, HeadsFile
from services.snapshots import SNAPSHOTS, keep, snapshot_path, write_whole

JOURNAL: Final = "journal.sqlite"
OUTCOME_LOG: Final = "outcomes.sqlite"
HEADS: Final = "heads.jsonl"
SETTINGS: Final = "settings.json"
ENTRY_BYTES: Final = 1 << 19
"""events are gathered into entries of about this size"""


class RunDiffers(RuntimeError):  # noqa: N818 - named for what is found
    """The directory holds another run: an entry in it is not the one this run would append."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"entry at offset {offset} is not what this run appends there: another run's directory?")
        self.offset = offset


class SettingsDiffer(ValueError):  # noqa: N818
    """The directory's run has other settings: its outcomes and snapshots would not be those of this run."""

    def __init__(self, held: Settings, asked: Settings) -> None:
        told = [
            f"{name} {value}, not {asdict(asked)[name]}"
            for name, value in asdict(held).items()
            if value != asdict(asked)[name]
        ]
        super().__init__(f"the run in this directory has {', '.join(told)}")


class SettingsBroken(ValueError):  # noqa: N818
    """A settings file that no run has written."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a directory's journal is folded: the shards, which account is whose, and how often a snapshot is taken."""

    shards: int
    accounts: int
    """account numbers below this are dealt to the shards in turn; those beyond belong to shard 0"""
    snapshot_every: int
    moved: tuple[tuple[int, int, int], ...] = ()
    """(first account, last account, shard), ascending and apart: accounts that were taken out of turn"""

    def table(self) -> npt.NDArray[np.int32]:
        """The shard of each account number."""
        table = (np.arange(self.accounts, dtype=np.int32) % self.shards).astype(np.int32)
        for first, last, shard in self.moved:
            table[first : last + 1] = shard
        return table

    def settle(self, directory: Path) -> None:
        """Keep the settings beside the journal. Raises SettingsDiffer where others are there, SettingsBroken."""
        try:
            held = Settings.read(directory)
        except FileNotFoundError:
            write_whole(directory / SETTINGS, self.line())
            return
        if held != self:
            raise SettingsDiffer(held, self)

    @staticmethod
    def read(directory: Path) -> Settings:
        """The settings of a directory. Raises FileNotFoundError where it holds no run, SettingsBroken."""
        path = directory / SETTINGS
        return Settings.parsed(path.read_bytes(), str(path))

    @staticmethod
    def parsed(told: bytes, where: str) -> Settings:
        """The settings that a line of JSON tells. Raises SettingsBroken."""
        try:
            named = json.loads(told)
            moved = tuple((first, last, shard) for first, last, shard in named.pop("moved", ()))
            held = Settings(**named, moved=moved)
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingsBroken(f"{where} holds no settings of a run") from error
        if not (_is_whole(held.shards, 1, MAX_SHARDS) and _is_whole(held.accounts, 0, MAX_ACCOUNTS)):
            raise SettingsBroken(f"{where}: {held.shards} shards, {held.accounts} accounts are no run's")
        if not _is_whole(held.snapshot_every, 0, 2**63 - 1):
            raise SettingsBroken(f"{where}: no snapshot can be taken every {held.snapshot_every} entries")
        free = 0
        for first, last, shard in held.moved:
            inside = _is_whole(first, free, held.accounts - 1) and _is_whole(last, first, held.accounts - 1)
            if not (inside and _is_whole(shard, 0, held.shards - 1)):
                raise SettingsBroken(f"{where}: accounts {first} to {last} cannot be shard {shard}'s")
            free = last + 1
        return held

    def line(self) -> bytes:
        """The settings as they are kept; where no account was moved they say nothing of it."""
        told = {name: value for name, value in asdict(self).items() if name != "moved" or value}
        return (json.dumps(told) + "\n").encode()


def _is_whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


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
        self.chains = Chains(settings.shards)

    def head(self) -> Head:
        """The head after the last entry taken."""
        return self.chains.head(self.sequence.n)

    def take(self, offset: int, data: bytes) -> list[tuple[ShardEntry, bytes]]:
        """Number, split and fold the journal's entry at an offset; returns each shard's outcomes. Repeats, gaps and
        unreadable bytes give none.

        Raises ConservationBroken or InvariantBroken where the books, a shard's or all shards' together, do not balance;
        nothing after this entry can be trusted then.
        """
        told = number(self.sequence, offset, data)
        if not isinstance(told, Numbered):
            self.chains.append(data)
            return []
        every = self.settings.snapshot_every
        results = [(part, fold(self.states[part.shard], part, snapshot_every=every)) for part in self.parts(told)]
        self.chains.append(data, [(part.n, part.shard, outcomes) for part, outcomes in results])
        if any(run.message.cls is Mark for part, _ in results for run in part.runs):
            self._check_books(outcomes for _, outcomes in results)
        return results

    def _check_books(self, results: Iterable[bytes]) -> None:
        told = [
            message_of(run.message, row)
            for outcomes in results
            for run in decode(outcomes, OutcomeHeader, OUTCOMES).runs
            if run.message.cls in (NetPosition, HouseBalance, MemberPart)
            for row in run.rows
        ]
        assets = {number: listed.settlement_asset for number, listed in self.states[0].facts.instruments.items()}
        check_books(self.sequence.n, books(told, assets))

    def parts(self, told: Numbered) -> tuple[ShardEntry, ...]:
        """A numbered entry split over the shards."""
        try:
            runs = decode(told.data, EntryHeader, EVENTS).runs
        except WireError as error:
            return (refused(self.splitting, told.n, error.reason, told.source),)
        return split(self.splitting, told.n, runs, self.shard_of, told.source)


class Lockstep:
    """A directory's journal, open for appending, with everything that follows from each entry folded at once.

    `acknowledged` hears the offset of each entry as it is appended: it is on the disk then, and no run over this
    directory will go on without it. Raises SettingsDiffer, SettingsBroken, HeadBroken, HeadDiffers where the directory
    holds something else, JournalLocked, JournalBroken and what opening its files raises.
    """

    def __init__(self, directory: Path, settings: Settings, acknowledged: Callable[[int], None] | None = None) -> None:
        (directory / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.journal = SqliteJournal(directory / JOURNAL)  # first: who has it is alone here
        with ExitStack() as opened:
            opened.callback(self.journal.close)
            settings.settle(directory)
            self.clearing = Clearing(settings)
            self.log = OutcomeLog(directory / OUTCOME_LOG)
            opened.callback(self.log.close)
            self._heads = HeadsFile(directory / HEADS)
            opened.callback(self._heads.close)
            self._at = 0
            self._end = self.journal.end()
            if self._heads.last() > self._end:
                raise HeadDiffers(str(directory / HEADS), self._heads.last())
            self._files = opened.pop_all()
        self._stored: Iterator[tuple[int, bytes]] = self.journal.read(0, self._end)
        self._last: dict[int, int] = {}
        self._acknowledged = acknowledged

    @property
    def offset(self) -> int:
        """Where the next entry goes."""
        return self._at

    @property
    def state(self) -> State:
        """Shard 0's state: its facts are every shard's."""
        return self.clearing.states[0]

    def send(self, source: int, runs: Sequence[Run]) -> list[Run]:
        """Append events of a source as one entry (`bounded` cuts them into such); returns all shards' outcomes."""
        return self._entry(source, runs)

    def close(self) -> None:
        """Publish the last head and let go of the files. Raises RunDiffers where the directory holds more entries."""
        with self._files:
            if self._at < self._end:
                raise RunDiffers(self._at)
            self._heads.publish(self.clearing.head())

    def abandon(self) -> None:
        """Let go of the files and publish nothing."""
        self._files.close()

    def _entry(self, source: int, runs: Sequence[Run]) -> list[Run]:
        sequence = self._last.get(source, 0) + 1
        data = encode_entry(source, sequence, runs)
        offset = self._append(data)
        self._last[source] = sequence
        before = [state.n for state in self.clearing.states]
        results = self.clearing.take(offset, data)
        self.log.put_many([(part.n, part.shard, outcomes) for part, outcomes in results])
        decoded: list[Run] = []
        publish = self._heads.covers(self._at)
        for part, outcomes in results:
            if took_snapshot(before[part.shard], part.n, self.clearing.settings.snapshot_every):
                keep(snapshot_path(self.directory, part.shard, part.n), dump(self.clearing.states[part.shard]))
                publish = True
            decoded.extend(decode(outcomes, OutcomeHeader, OUTCOMES).runs)
        if publish:
            self._heads.publish(self.clearing.head())
        return decoded

    def _append(self, data: bytes) -> int:
        offset = self._at
        self._at += 1
        if offset < self._end:
            _, stored = next(self._stored)
            if stored != data:
                raise RunDiffers(offset)
            return offset
        self.journal.append(data)
        if self._acknowledged:
            self._acknowledged(offset)
        return offset


def bounded(runs: Sequence[Run]) -> Iterator[list[Run]]:
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

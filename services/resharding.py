"""Resharding: a journal split again over other shards, with proof that the books are the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.fold import took_snapshot
from ledger.journal import topics
from ledger.journal.kafka import KafkaPublisher, KafkaReader, PartitionReader
from ledger.journal.kafka import Record as Published
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteJournal, SqliteReader
from ledger.sequence import Numbered, SequenceState, number
from ledger.snapshot import dump
from ledger.state import State
from ledger.wholebooks import WholeBooks, first_difference, whole_books
from schemas.chart import FIRST_ACCOUNT
from schemas.events import EVENTS, Mark
from schemas.wire import EntryHeader, WireError, decode
from services.heads import Head, HeadDiffers, HeadsFile
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Clearing, Settings
from services.processors.clearing import Shard
from services.processors.records import Record, Topic, Write, number_of
from services.processors.sequencer import Sequencer
from services.snapshots import SNAPSHOTS, keep, snapshot_path, write_whole
from services.sources import ArchiveSource, cluster_settings

PROOF: Final = "resharding.json"
TOGETHER: Final = 64
"""entries appended with one flush"""

Entries = Iterable[tuple[int, bytes]]


class BooksDiffer(RuntimeError):  # noqa: N818 - named for what is found
    """The books under the new settings are not those under the old ones. Nothing was made."""

    def __init__(self, n: int, what: str) -> None:
        super().__init__(f"after entry {n} the books are not the same: {what}")
        self.n = n
        self.what = what


class TargetThere(ValueError):  # noqa: N818
    """What is to be made is there already."""


class MoveUnknown(ValueError):  # noqa: N818
    """A member that has no account, or a shard that will not be there."""


class ProofBroken(ValueError):  # noqa: N818
    """A file that no resharding has written."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a journal has the same books under two settings: their digest (ledger/wholebooks.py) at two places."""

    old: Settings
    new: Settings
    entries: int
    """entries of the journal that both were folded from"""
    mark: int
    """n of the last entry with a mark, 0 where there is none"""
    books_at_mark: str
    end: int
    """the last n"""
    books_at_end: str

    def told(self) -> dict[str, Any]:
        """The proof as plain data."""
        return asdict(self) | {"old": json.loads(self.old.line()), "new": json.loads(self.new.line())}

    @staticmethod
    def read(folder: Path) -> Proof | None:
        """The proof kept in a folder; None where there is none. Raises ProofBroken."""
        path = folder / PROOF
        if not path.exists():
            return None
        try:
            told = json.loads(path.read_bytes())
            old, new = (Settings.parsed(json.dumps(told[name]).encode(), str(path)) for name in ("old", "new"))
            return Proof(**(told | {"old": old, "new": new}))
        except (ValueError, TypeError, KeyError) as error:
            raise ProofBroken(f"{path} is no proof of a resharding: {error}") from error


def reshard(directory: Path, target: Path, shards: int | None = None, moves: Mapping[int, int] | None = None) -> Proof:
    """Make an embedded directory of another's journal under other settings; the other one is only read.

    `shards` is their new number (None: as it is), `moves` says which members' accounts go to which shard. Accounts
    moved before stay moved where their shard is still there. The target is whole or not there. Raises BooksDiffer,
    TargetThere, MoveUnknown, and what reading and folding raises.
    """
    _refuse_there(target)
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        old = Settings.read(directory)
        end = reader.end()
        mark = _last_mark(reader.read(0, end))
        before = _folded(old, reader.read(0, end), mark)
        new = settings_of(old, before.states, shards, moves or {})
        with _whole(target) as part:
            after = _Watch(mark)
            _rebuilt(part, new, reader.read(0, end), {}, after)
            proof = _proved(old, new, end, before, after)
            write_whole(part / PROOF, (json.dumps(proof.told(), indent=1) + "\n").encode())
        return proof


def checked(directory: Path) -> Proof:
    """Fold a resharded directory's journal under both settings again. Raises BooksDiffer where the proof does not hold,
    FileNotFoundError where there is none."""
    proof = Proof.read(directory)
    if proof is None:
        raise FileNotFoundError(f"{directory / PROOF}: no proof of a resharding")
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        for settings in (proof.old, proof.new):
            found = _folded(settings, reader.read(0, proof.entries), proof.mark)
            for n, digest in ((proof.mark, proof.books_at_mark), (proof.end, proof.books_at_end)):
                if n not in found.books or found.books[n].digest() != digest:
                    raise BooksDiffer(n, f"{settings.shards} shards do not give those of the proof")
    return proof


def import_archive(archive: Path, directory: Path) -> int:
    """Make an embedded directory of an archive by folding its journal again; returns the number of entries.

    Its snapshots are made anew, the heads are the archive's and those of a directory. Raises HeadDiffers where a head
    of the archive is not that of the entries, TargetThere, and what reading the archive raises.
    """
    _refuse_there(directory)
    source = ArchiveSource(archive)
    heads = source.heads()
    with _whole(directory) as part:
        clearing = _rebuilt(part, source.settings, source.entries(), heads, _Watch(-1))
        entries = clearing.head().entries
        if max(heads, default=0) > entries:
            raise HeadDiffers(str(archive), max(heads))
        return entries


def settings_of(old: Settings, states: Sequence[State], shards: int | None, moves: Mapping[int, int]) -> Settings:
    """The new settings: `moves` is member -> shard. Raises MoveUnknown."""
    count = old.shards if shards is None else shards
    table = states[0].accounts
    width = max(old.accounts, 1 + max((int(_of(table.member, member).max(initial=0)) for member in moves), default=0))
    chosen = np.full(width, -1, np.int64)
    for first, last, shard in old.moved:
        if shard < count:
            chosen[first : last + 1] = shard
    for member, shard in moves.items():
        mine = _of(table.member, member)
        if not len(mine) or not 0 <= shard < count:
            raise MoveUnknown(f"member {member} to shard {shard} of {count}: it has {len(mine)} accounts")
        chosen[mine] = shard
    return Settings.parsed(Settings(count, width, old.snapshot_every, _ranges(chosen)).line(), "the settings asked for")


def reshard_cluster(
    address: str,
    prefix: str,
    new_prefix: str,
    shards: int | None = None,
    moves: Mapping[int, int] | None = None,
    *,
    replication: int = 1,
    in_sync: int = 1,
) -> Proof:
    """Make a new generation of a cluster's topics under other settings, while nothing appends to the old journal.

    The new journal is the old one entry by entry, at the same offsets; every derived topic is folded anew by the parts
    themselves. The settings are written last: no worker starts on a generation that is not whole. The old generation is
    only read. Raises BooksDiffer, TargetThere, MoveUnknown, and what the cluster raises.
    """
    old = cluster_settings(address, prefix)
    with ExitStack() as opened:
        reader = opened.enter_context(closing(KafkaReader(address, topics.topic_name(prefix, topics.JOURNAL))))
        end = reader.end()
        mark = _last_mark(reader.read(0, end))
        before = _folded(old, reader.read(0, end), mark)
        new = settings_of(old, before.states, shards, moves or {})
        topics.create(address, new_prefix, new.shards, replication=replication, in_sync=in_sync)
        journal = topics.topic_name(new_prefix, topics.JOURNAL)
        if opened.enter_context(closing(PartitionReader(address, journal))).end():
            raise TargetThere(f"{address}/{journal}: a journal is there already")
        publisher = opened.enter_context(closing(KafkaPublisher(address)))

        def write(writes: Sequence[Write]) -> None:
            names = {one.topic: topics.topic_name(new_prefix, one.topic) for one in writes}
            publisher.publish(Published(names[one.topic], one.partition, one.key, one.value) for one in writes)

        sequencer = Sequencer(new)
        parts = [Shard(new, shard) for shard in range(new.shards)]
        at = [0] * new.shards
        states = [part.state for part in parts]
        after, n = _Watch(mark), 0
        after.see(n, states)
        for offset, data in reader.read(0, end):
            writes = [Write(Topic.JOURNAL, 0, b"", data)]
            for one in sequencer.take(Record(Topic.JOURNAL, 0, offset, data)):
                writes.append(one)
                if one.topic == Topic.SHARDS:
                    shard, n = one.partition, number_of(one.key)
                    writes += parts[shard].take(Record(one.topic, shard, at[shard], one.value))
                    at[shard] += 1
            write(writes)
            after.see(n, states)
        after.ended(n, states)
        proof = _proved(old, new, end, before, after)
        write([Write(Topic.SETTINGS, 0, b"", new.line())])
        return proof


class _Watch:
    """The books after the entry with the last mark, and at the end. `states` are those at the end."""

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.end = 0
        self.books: dict[int, WholeBooks] = {}
        self.states: Sequence[State] = ()

    def see(self, n: int, states: Sequence[State]) -> None:
        """Entry n is folded."""
        if n == self.mark and n not in self.books:
            self.books[n] = whole_books(states)

    def ended(self, n: int, states: Sequence[State]) -> None:
        """It was the last one."""
        self.books[n] = whole_books(states)
        self.end, self.states = n, states


def _last_mark(entries: Entries) -> int:
    """The n of the last entry with a mark; 0 where there is none."""
    sequence, last = SequenceState(), 0
    for offset, data in entries:
        told = number(sequence, offset, data)
        if isinstance(told, Numbered):
            try:
                runs = decode(told.data, EntryHeader, EVENTS).runs
            except WireError:
                continue
            if any(run.message.cls is Mark for run in runs):
                last = told.n
    return last


def _folded(settings: Settings, entries: Entries, mark: int) -> _Watch:
    clearing, watch = Clearing(settings), _Watch(mark)
    watch.see(0, clearing.states)
    for offset, data in entries:
        clearing.take(offset, data)
        watch.see(clearing.sequence.n, clearing.states)
    watch.ended(clearing.sequence.n, clearing.states)
    return watch


def _rebuilt(part: Path, settings: Settings, entries: Entries, heads: Mapping[int, Head], watch: _Watch) -> Clearing:
    """Fill a directory with entries and all that follows from them, as a run would have."""
    (part / SNAPSHOTS).mkdir()
    settings.settle(part)
    clearing = Clearing(settings)
    watch.see(0, clearing.states)
    with ExitStack() as opened:
        journal = opened.enter_context(closing(SqliteJournal(part / JOURNAL)))
        log = opened.enter_context(closing(OutcomeLog(part / OUTCOME_LOG)))
        out = opened.enter_context(closing(HeadsFile(part / HEADS)))
        waiting: list[bytes] = []
        for offset, data in entries:
            waiting.append(data)
            before = [state.n for state in clearing.states]
            results = clearing.take(offset, data)
            log.put_many((one.n, one.shard, outcomes) for one, outcomes in results)
            publish = offset + 1 in heads
            for one, _ in results:
                if took_snapshot(before[one.shard], one.n, settings.snapshot_every):
                    keep(snapshot_path(part, one.shard, one.n), dump(clearing.states[one.shard]))
                    publish = True
            if len(waiting) == TOGETHER:
                journal.append_many(waiting)
                waiting.clear()
            if publish:
                _publish(out, clearing.head(), heads)
            watch.see(clearing.sequence.n, clearing.states)
        journal.append_many(waiting)
        _publish(out, clearing.head(), heads)
    watch.ended(clearing.sequence.n, clearing.states)
    return clearing


def _publish(out: HeadsFile, head: Head, wanted: Mapping[int, Head]) -> None:
    if wanted.get(head.entries, head) != head:
        raise HeadDiffers("the archive", head.entries)
    out.publish(head)


def _proved(old: Settings, new: Settings, entries: int, before: _Watch, after: _Watch) -> Proof:
    for n, books in before.books.items():
        found = after.books.get(n)
        difference = "they were not reached" if found is None else first_difference(books, found)
        if difference is not None:
            raise BooksDiffer(n, difference)
    at_mark, at_end = (after.books[n].digest() for n in (before.mark, before.end))
    if (at_mark, at_end) != tuple(before.books[n].digest() for n in (before.mark, before.end)):
        raise BooksDiffer(before.end, "their digests")
    return Proof(old, new, entries, before.mark, at_mark, before.end, at_end)


def _refuse_there(target: Path) -> None:
    if target.exists():
        raise TargetThere(f"{target} is there already")


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A directory to fill, which is the target once it is whole."""
    part = target.with_name(target.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part)
        raise
    part.rename(target)


def _of(members: npt.NDArray[np.int64], member: int) -> npt.NDArray[np.intp]:
    """A member's accounts."""
    found = np.flatnonzero(members == member)
    return found[found >= FIRST_ACCOUNT]


def _ranges(chosen: npt.NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """(first, last, shard) of neighbours that go to one shard; -1 is nobody's choice."""
    starts = np.flatnonzero(np.diff(chosen, prepend=-2) != 0).tolist()
    ends = [*starts[1:], len(chosen)]
    told = ((first, end - 1, int(chosen[first])) for first, end in zip(starts, ends, strict=True))
    return tuple(one for one in told if one[2] >= 0)

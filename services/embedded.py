"""The running system in one process: an engine that appends in groups, folds, and lets every service answer; and the
thread it runs in, behind what the gateway asks of a system (services/gateway/core.py)."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.fold import took_snapshot
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteJournal, SqliteReader
from ledger.notices import notice_of
from ledger.sequence import ShardEntry
from ledger.snapshot import dump
from ledger.state import State
from schemas.outcomes import OUTCOMES
from schemas.wire import EntryHeader, OutcomeHeader, decode, decode_header, encode_entry
from services import checkpoints
from services.answers import Answers
from services.asking import Question, answer
from services.chains import Chains
from services.checkpoints import Checkpoint
from services.explain import AccountUnknown
from services.gateway.core import Judged, Notice, Overloaded, Proof, Receipt, SequenceGap, SequenceTaken, Stopped
from services.gateway.feed import Feed
from services.gateway.proofs import Proofs
from services.heads import Head, HeadDiffers, HeadsFile
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Clearing, Settings
from services.processors.deciders import Pricing
from services.snapshots import SNAPSHOTS, keep, snapshot_path

GROUP: Final = 64
"""entries appended with one flush at most: the first receipt waits for no more than these"""
ANSWERS_AT_ONCE: Final = 8
"""entries of the services' own between two looks at what waits to be appended"""
MOST_WAITING: Final = 2048
"""entries that may wait to be appended; more are refused"""
MOST_WAITING_BYTES: Final = 64 << 20
RECEIPTS: Final = 1 << 16
"""receipts that are remembered for repeats"""
TAKEN_UP: Final = 1 << 10
"""entries before a checkpoint whose receipts are remembered again: who sends its last one again after a restart is told
whether that is the one that is there"""


class Engine:
    """A directory's journal open for appending, every shard's fold, and the services' answers. For one thread.

    A directory that holds a history is taken up after its last checkpoint: what follows is folded again and compared
    with the outcomes and heads that are there. `skipped` tells which checkpoints were damaged. Raises SettingsDiffer,
    SettingsBroken, HeadBroken, HeadDiffers, OutcomeDiffers, JournalLocked, JournalBroken and what opening files raises.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        (directory / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._journal = SqliteJournal(directory / JOURNAL)  # first: who has it is alone here
        with ExitStack() as opened:
            opened.callback(self._journal.close)
            settings.settle(directory)
            self.clearing = Clearing(settings)
            self._log = OutcomeLog(directory / OUTCOME_LOG)
            opened.callback(self._log.close)
            self._heads = HeadsFile(directory / HEADS)
            opened.callback(self._heads.close)
            self._answers = Answers(settings.shards, Pricing())
            self._results: list[tuple[int, int, bytes]] = []
            self._receipts: dict[tuple[int, int], tuple[int, int]] = {}
            self._appended: deque[tuple[int, bytes]] = deque()
            self.skipped = self._recover()
            self.published = self.clearing.head()
            self._files = opened.pop_all()

    @property
    def state(self) -> State:
        """Shard 0's state: its facts are every shard's."""
        return self.clearing.states[0]

    @property
    def offset(self) -> int:
        """Where the next entry goes."""
        return self._end

    @property
    def waiting(self) -> int:
        """Entries appended and not folded."""
        return len(self._appended)

    def expected(self, source: int) -> int:
        """The sequence number that a source's next entry must have."""
        return self._last.get(source, 0) + 1

    def append(self, groups: Sequence[Sequence[bytes]]) -> list[list[Judged]]:
        """Judge each group's entries in order, up to its first refusal, and append those that are new with one flush.

        Raises JournalFull, JournalBroken; none of the receipts count then.
        """
        fresh: list[bytes] = []
        told = [self._judged(group, fresh) for group in groups]
        if fresh:
            offsets = self._journal.append_many(fresh)
            self._appended.extend(zip(offsets, fresh, strict=True))
        return told

    def fold(self) -> list[Notice]:
        """Fold everything appended; returns the notices. Raises ConservationBroken or InvariantBroken, and what storing
        raises: nothing may be appended then."""
        notices = []
        while self._appended:
            offset, data = self._appended.popleft()
            if notice := self._take(offset, data):
                notices.append(notice)
        self._store()
        return notices

    def answer(self) -> bool:
        """Append and leave to be folded the next entry that a service has to say; False where there is none."""
        if self._answers.following() is None:
            self._answers.idle(self.state)
        told = self._answers.following()
        if told is None:
            return False
        source, runs = told
        self.append([[encode_entry(source, self.expected(source), runs)]])
        return True

    def publish(self) -> Head:
        """Publish a head over everything folded, on the disk when this returns. Raises HeadDiffers, OSError."""
        self._heads.publish(self.clearing.head())
        self.published = self.clearing.head()
        return self.published

    def close(self) -> None:
        """Publish the last head, keep a checkpoint, and let go of the files."""
        with self._files:
            self._store()
            if self.clearing.sequence.offset:
                self.publish()
                self._keep()

    def abandon(self) -> None:
        """Let go of the files and keep nothing."""
        self._files.close()

    def _judged(self, group: Sequence[bytes], fresh: list[bytes]) -> list[Judged]:
        told: list[Judged] = []
        for entry in group:
            header = decode_header(entry, EntryHeader)[0]
            source, sequence = header["source"], header["sequence"]
            expected = self.expected(source)
            if sequence > expected:
                return [*told, SequenceGap(source, sequence, expected)]
            if sequence < expected:
                told.append(self._repeat(source, sequence, entry, fresh))
                if isinstance(told[-1], SequenceTaken):
                    return told
                continue
            self._n += 1
            self._last[source] = sequence
            self._remember(source, sequence, self._end, self._n)
            told.append(Receipt(source, sequence, self._end, self._n, repeated=False))
            self._end += 1
            fresh.append(entry)
        return told

    def _repeat(self, source: int, sequence: int, entry: bytes, fresh: Sequence[bytes]) -> Judged:
        known = self._receipts.get((source, sequence))
        if known is None:
            return Receipt(source, sequence, None, None, repeated=True)
        offset, n = known
        ahead = offset - (self._end - len(fresh))  # its place among those that this flush will append
        first = fresh[ahead] if ahead >= 0 else next(self._journal.read(offset, 1))[1]
        if first != entry:
            return SequenceTaken(source, sequence, offset)
        return Receipt(source, sequence, offset, n, repeated=True)

    def _remember(self, source: int, sequence: int, offset: int, n: int) -> None:
        self._receipts[(source, sequence)] = (offset, n)
        if len(self._receipts) > RECEIPTS:
            del self._receipts[next(iter(self._receipts))]

    def _take(self, offset: int, data: bytes) -> Notice | None:
        clearing = self.clearing
        n_before, before = clearing.sequence.n, [state.n for state in clearing.states]
        results = clearing.take(offset, data)
        if clearing.sequence.n == n_before:
            return None
        n = clearing.sequence.n
        said = []
        if results:
            said = [run for _, outcomes in results for run in decode(outcomes, OutcomeHeader, OUTCOMES).runs]
            self._answers.hear(results[0][0].source, said, self.state)
            self._results.extend((part.n, part.shard, outcomes) for part, outcomes in results)
        every = clearing.settings.snapshot_every
        kept = [part for part, _ in results if took_snapshot(before[part.shard], part.n, every)]
        if kept or took_snapshot(n_before, n, every) or self._heads.covers(clearing.sequence.offset):
            self._snapshots(kept, checkpoint=took_snapshot(n_before, n, every))
        return _notice(n, [outcomes for _, outcomes in results])

    def _snapshots(self, kept: Sequence[ShardEntry], *, checkpoint: bool) -> None:
        self._store()  # a snapshot counts only where its digest is among the outcomes
        for part in kept:
            keep(snapshot_path(self.directory, part.shard, part.n), dump(self.clearing.states[part.shard]))
        self.publish()
        if checkpoint:
            self._keep()

    def _store(self) -> None:
        if self._results:
            self._log.put_many(self._results)
            self._results = []

    def _keep(self) -> None:
        clearing = self.clearing
        point = Checkpoint(
            clearing.sequence,
            clearing.splitting,
            clearing.states,
            clearing.head(),
            clearing.chains.frontier().peaks,
            self._answers.exported(),
        )
        checkpoints.write(self.directory, point)

    def _recover(self) -> list[str]:
        clearing, end = self.clearing, self._journal.end()
        if self._heads.last() > end:
            raise HeadDiffers(str(self.directory / HEADS), self._heads.last())
        point, skipped = checkpoints.newest(self.directory, clearing.shard_of, end)
        if point is not None:
            clearing.sequence, clearing.splitting = point.sequence, point.splitting
            clearing.states = list(point.states)
            clearing.chains = Chains.after(point.head, point.peaks)
            self._answers.restore(point.answers)
        first = clearing.sequence.offset
        if clearing.sequence.n == first:  # so every entry has a number, and it is known without numbering
            begin = max(0, first - TAKEN_UP)
            for offset, data in self._journal.read(begin, first - begin):
                header = decode_header(data, EntryHeader)[0]
                self._remember(header["source"], header["sequence"], offset, offset + 1)
        for offset, data in self._journal.read(first, end - first):
            before = clearing.sequence.n
            self._take(offset, data)
            if clearing.sequence.n > before:
                header = decode_header(data, EntryHeader)[0]
                self._remember(header["source"], header["sequence"], offset, clearing.sequence.n)
            if len(self._results) > GROUP:
                self._store()
        self._store()
        self._end, self._n = end, clearing.sequence.n
        self._last = dict(clearing.sequence.last)
        return skipped


def _notice(n: int, outcomes: Sequence[bytes]) -> Notice | None:
    """The notice in what all shards said of entry n; None where there is nothing to tell."""
    told = [notice for one in outcomes if (notice := notice_of(one, awaited=False)) is not None]
    runs = tuple(run for notice in told for run in decode(notice, OutcomeHeader, OUTCOMES).runs)
    return Notice(n, runs) if runs else None


def stored_notices(directory: Path, shards: int, after: int, upto: int, most: int) -> list[Notice]:
    """Notices of entries after < n <= upto from a directory's outcomes, at most so many. Raises OutcomesBroken."""
    log = OutcomeLog(directory / OUTCOME_LOG, reading=True)
    try:
        rows = merge(*(_rows(log, shard, after) for shard in range(shards)), key=itemgetter(0))
        by_entry = ((n, [data for _, _, data in found]) for n, found in groupby(rows, itemgetter(0)))
        within = (_notice(n, told) for n, told in by_entry if n <= upto)
        return list(islice((notice for notice in within if notice is not None), most))
    finally:
        log.close()


def _rows(log: OutcomeLog, shard: int, after: int) -> Iterator[tuple[int, int, bytes]]:
    return ((n, shard, data) for n, data in log.scan(shard, after + 1))


class _Job(NamedTuple):
    """What waits for the engine's thread: entries to append, or something to do between two entries."""

    entries: Sequence[bytes]
    work: Callable[[], Any] | None
    done: Future[Any]


class Embedded:
    """An Engine in a thread of its own, as the gateway's Core. Raises what Engine raises.

    Where the engine fails, or the disk is full, nothing more is taken: `health` says why, everything else raises
    Stopped. Opened again over the same directory it goes on after what the journal holds.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        self._engine = Engine(directory, settings)
        self._proofs = Proofs(directory, lambda: SqliteReader(directory / JOURNAL))
        shards = settings.shards
        self._feed = Feed(
            lambda after, upto, most: stored_notices(directory, shards, after, upto, most),
            self._engine.clearing.sequence.n,
        )
        self._jobs: deque[_Job] = deque()
        self._bytes = 0
        self._turn = threading.Condition()
        self._why = ""
        self._quiet = False
        self._stopping = False
        # An engine nobody closed must not keep the process: what it would still do is done by the next one.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    async def expected(self, source: int) -> int:
        """See Core."""
        self._check()
        return self._engine.expected(source)

    async def append(self, entries: Sequence[bytes]) -> Sequence[Judged]:
        """See Core."""
        return await asyncio.wrap_future(self.submit(entries))

    def submit(self, entries: Sequence[bytes]) -> Future[list[Judged]]:
        """`append` from any thread. Raises Stopped."""
        self._check()
        done: Future[list[Judged]] = Future()
        size = sum(map(len, entries))
        with self._turn:
            if self._jobs and (
                sum(len(job.entries) for job in self._jobs) + len(entries) > MOST_WAITING
                or self._bytes + size > MOST_WAITING_BYTES
            ):
                what = f"{len(self._jobs)} requests of {self._bytes} bytes wait to be appended"
                done.set_result([Overloaded(what, 0.5)])
                return done
            self._bytes += size
            self._put(_Job(entries, None, done))
        return done

    def notices(self, after: int) -> AsyncIterator[Notice]:
        """See Core."""
        return self._feed.after(after)

    async def ask(self, account: int, question: Question) -> dict[str, Any]:
        """See Core."""
        told = await self._between(lambda: answer(self._owner(account), question))
        return dict(told)

    def member_of(self, account: int) -> int | None:
        """See Core."""
        state = self._engine.state
        return int(state.accounts.member[account]) if state.exists(account) else None

    async def proof(self, offset: int) -> Proof:
        """See Core."""
        self._check()
        engine = self._engine
        head = engine.published
        if head.entries <= offset < engine.offset:
            head = await self._between(engine.publish)
        return await asyncio.to_thread(self._proofs.proof, offset, head)

    async def head(self) -> Head:
        """See Core."""
        self._check()
        return self._engine.published

    def health(self) -> Mapping[str, Any]:
        """See Core."""
        engine, state = self._engine, self._engine.state
        return {
            "ok": not self._why,
            "why": self._why,
            "offset": engine.offset,
            "n": engine.clearing.sequence.n,
            "mark": state.mark,
            "answered": state.answered,
            "mark_time": state.time,
            "waiting": engine.waiting + len(self._jobs),
            "quiet": self._quiet,
        }

    def close(self) -> None:
        """Append what waits, let the services answer it, publish the last head and let go of the directory."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join()

    def _put(self, job: _Job) -> None:
        self._jobs.append(job)
        self._quiet = False
        self._turn.notify()

    def _owner(self, account: int) -> State:
        states = self._engine.clearing.states
        for state in states:
            if state.exists(account) and state.owns(account):
                return state
        raise AccountUnknown(account, states[0].n)

    async def _between(self, work: Callable[[], Any]) -> Any:
        """Do something in the engine's thread, between two entries."""
        self._check()
        done: Future[Any] = Future()
        with self._turn:
            self._put(_Job((), work, done))
        return await asyncio.wrap_future(done)

    def _check(self) -> None:
        if self._why:
            raise Stopped(self._why)
        if self._stopping:
            raise Stopped("it is being stopped")

    def _run(self) -> None:
        taken: list[_Job] = []
        try:
            quiet = False
            while (taken := self._next(quiet=quiet)) or not (quiet and self._stopping):
                self._do(taken)
                quiet = not self._answers_left()
            self._engine.close()
        except BaseException as error:  # whatever it was, the state is not to be trusted, and everyone is told so
            self._why = f"{type(error).__name__}: {error}"
            self._engine.abandon()
        finally:
            with self._turn:
                self._why = self._why or "it was stopped"
                taken = [*taken, *self._jobs]
                self._jobs.clear()
            for job in taken:
                if not job.done.done():
                    job.done.set_exception(Stopped(self._why))
            self._feed.close()

    def _next(self, *, quiet: bool) -> list[_Job]:
        """What waits, about GROUP entries of it; where all is quiet it waits for something to come."""
        with self._turn:
            if quiet:
                self._quiet = not self._jobs
                self._turn.wait_for(lambda: self._jobs or self._stopping)
            taken: list[_Job] = []
            entries = 0
            while self._jobs and entries < GROUP:
                job = self._jobs.popleft()
                self._bytes -= sum(map(len, job.entries))
                if job.done.set_running_or_notify_cancel():  # who went away before its turn is not served
                    taken.append(job)
                    entries += len(job.entries)
            return taken

    def _do(self, jobs: Sequence[_Job]) -> None:
        for working, same in groupby(jobs, lambda job: job.work is not None):
            if working:
                for job in same:
                    self._work(job)
            else:
                appending = list(same)
                told = self._engine.append([job.entries for job in appending])
                for job, judged in zip(appending, told, strict=True):
                    job.done.set_result(judged)
                self._fold()

    def _work(self, job: _Job) -> None:
        try:
            job.done.set_result(job.work() if job.work else None)
        except (OSError, HeadDiffers):
            raise
        except Exception as error:  # a question's own; the books are as they were
            job.done.set_exception(error)

    def _answers_left(self) -> bool:
        """Append and fold what the services have to say, some of it; whether there may be more."""
        for _ in range(ANSWERS_AT_ONCE):
            if not self._engine.answer():
                return False
            self._fold()
        return True

    def _fold(self) -> None:
        notices = self._engine.fold()
        self._feed.tell(notices, self._engine.clearing.sequence.n)

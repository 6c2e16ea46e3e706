"""A partition that this worker has: its fold, in a thread; what waits for it; and what it says, on the way out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from services.processors.records import Place, Processor, Record, Snapshot, Write
from services.workers.intray import Intray
from services.workers.measures import Measures
from services.workers.output import WriteFailed

Answer = TypeVar("Answer")


class Folded(NamedTuple):
    """What came of a batch: records to write, and snapshots with the number of those writes that come before each."""

    writes: list[Write]
    snapshots: list[tuple[int, Snapshot]]


class Fold:
    """A processor and how far it has been fed. May be used from several threads, which take turns.

    `ends`: the offsets at which each partition ended when the worker got it; `live` is asked once all of these have
    been reached.
    """

    def __init__(self, part: str, shard: int, processor: Processor, ends: Mapping[Place, int], measures: Measures):
        self.part = part
        self.shard = shard
        self.processor = processor
        self._lock = threading.Lock()
        self._ends = dict(ends)
        self.taken = dict(processor.places())
        self.full = processor.full(self._behind())
        """see Processor, after the last batch; may be read from any thread"""
        self._measures = measures
        self._live = self._caught_up()

    @property
    def live(self) -> bool:
        """Whether everything that was there at the start has been folded."""
        return self._live

    def fold(self, records: Sequence[Record]) -> Folded:
        """Take the records. Raises what the processor raises; it must not be used again then."""
        writes: list[Write] = []
        snapshots: list[tuple[int, Snapshot]] = []
        with self._lock:
            for record in records:
                begun = time.perf_counter()
                writes += self.processor.take(record)
                snapshot = self.processor.snapshot()
                self._measures.folded(self.shard, record, time.perf_counter() - begun)
                self.taken[record.topic, record.partition] = record.offset + 1
                if snapshot is not None:
                    snapshots.append((len(writes), snapshot))
            self.full = self.processor.full(self._behind())
            self._live = self._live or self._caught_up()
            if self._live:
                writes += self.processor.live()
        return Folded(writes, snapshots)

    def asked(self, question: Callable[[Processor], Answer]) -> Answer:
        """What a question finds between two batches."""
        with self._lock:
            return question(self.processor)

    def _caught_up(self) -> bool:
        return not self._behind()

    def _behind(self) -> set[Place]:
        """Where not all that was there at the start has been taken."""
        return {place for place, end in self._ends.items() if self.taken.get(place, 0) < end}


class Held:
    """Feeds a Fold from its tray and sends what it says; `run` until it is cancelled or something fails.

    `next` is the offset of the record that each partition must bring next.
    """

    def __init__(
        self, fold: Fold, pool: Executor,
        send: Callable[[Sequence[Write]], Awaitable[list[asyncio.Future[Any]]]], keep: Callable[[Snapshot], None],
    ) -> None:  # fmt: skip
        self.fold = fold
        self.tray = Intray()
        self.next = dict(fold.taken)
        self._pool = pool
        self._send = send
        self._keep = keep
        self._on_the_way: set[asyncio.Future[Any]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Raises WriteFailed and what the fold raises."""
        working = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait((working, self._failed), return_when=asyncio.FIRST_COMPLETED)
            (self._failed if self._failed.done() else working).result()
        finally:
            working.cancel()
            if self._keeping is not None:
                self._keeping.cancel()

    async def _work(self) -> None:
        """The next batch is folded while the last one's writes are handed over; these stay in order."""
        records: list[Record] = []
        saying: asyncio.Task[None] | None = None
        try:
            while True:
                folded = await asyncio.get_running_loop().run_in_executor(self._pool, self.fold.fold, records)
                if saying is not None:
                    await saying
                saying = asyncio.ensure_future(self._say(folded))
                saying.add_done_callback(self._said)
                records = await self.tray.take()
        finally:
            if saying is not None:
                saying.cancel()

    async def _say(self, folded: Folded) -> None:
        done = 0
        for writes, snapshot in folded.snapshots:
            await self._write(folded.writes[done:writes])
            done = writes
            await self._snapshot(snapshot)
        await self._write(folded.writes[done:])

    def _said(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _write(self, writes: Sequence[Write]) -> None:
        for write, future in zip(writes, await self._send(writes), strict=True):
            self._on_the_way.add(future)
            future.add_done_callback(partial(self._acknowledged, write))

    def _acknowledged(self, write: Write, future: asyncio.Future[Any]) -> None:
        self._on_the_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._fail(WriteFailed(write, error))

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _snapshot(self, snapshot: Snapshot) -> None:
        """One at a time: while the last one waits for its writes or is being written, folding waits too."""
        if self._keeping is not None:
            await self._keeping
        self._keeping = asyncio.ensure_future(self._kept(snapshot, set(self._on_the_way)))
        self._keeping.add_done_callback(self._kept_or_not)

    async def _kept(self, snapshot: Snapshot, before: set[asyncio.Future[Any]]) -> None:
        if before:
            await asyncio.wait(before)
        if self._failed.done() or any(future.cancelled() or future.exception() for future in before):
            return  # the worker is about to end for that
        await asyncio.get_running_loop().run_in_executor(None, self._keep, snapshot)

    def _kept_or_not(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

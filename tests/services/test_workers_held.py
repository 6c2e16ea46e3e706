"""A partition that a worker has: a snapshot is kept only where everything written before it was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from services.processors.records import Place, Record, Snapshot, Topic, Write
from services.workers.held import Fold, Held
from services.workers.measures import Measures
from services.workers.output import WriteFailed


class Echo:
    """Says something of the first record; a snapshot is due after the second."""

    def __init__(self) -> None:
        self.taken = 0

    def places(self) -> Mapping[Place, int]:
        return {(Topic.SHARDS, 0): 0}

    def take(self, record: Record) -> Sequence[Write]:
        self.taken += 1
        return [Write(Topic.OUTCOMES, 0, b"", record.value)] if self.taken == 1 else []

    def live(self) -> Sequence[Write]:
        return ()

    def full(self, _behind: Set[Place]) -> Set[Place]:
        return frozenset()

    def snapshot(self) -> Snapshot | None:
        return Snapshot(self.taken, b"") if self.taken > 1 else None


@pytest.mark.parametrize(("fails", "kept"), [(True, []), (False, [2])])
def test_no_snapshot_is_kept_over_a_write_that_failed(fails: bool, kept: list[int]) -> None:
    """The first record's write fails just before the second's snapshot: nothing is on the way any more then."""
    found: list[int] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        sent: list[asyncio.Future[Any]] = []
        asked = asyncio.Event()

        async def send(writes: Sequence[Write]) -> list[asyncio.Future[Any]]:
            made = [loop.create_future() for _ in writes]
            if asked.is_set() and not sent[0].done():
                sent[0].set_exception(OSError("the broker is gone")) if fails else sent[0].set_result(None)
                await asyncio.sleep(0)
            sent.extend(made)
            return made

        with ThreadPoolExecutor(1) as pool:
            fold = Fold("clearing", 0, Echo(), {}, Measures("clearing"))
            held = Held(fold, pool, send, lambda snapshot: found.append(snapshot.n))
            running = asyncio.ensure_future(held.run())
            await held.tray.put(Record(Topic.SHARDS, 0, 0, b"x"))
            while not sent:
                await asyncio.sleep(0.001)
            asked.set()
            await held.tray.put(Record(Topic.SHARDS, 0, 1, b"x"))
            await asyncio.wait({running}, timeout=0.2)
            running.cancel()
            with pytest.raises(WriteFailed if fails else asyncio.CancelledError):
                await running

    asyncio.run(run())
    assert found == kept

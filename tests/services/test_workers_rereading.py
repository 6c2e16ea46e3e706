"""A record that Faust dropped on its way is read again, the last one too, which no later record shows to be missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from workers import PATIENCE, System, reference

from services.broker import Broker
from services.processors.records import Record, Topic
from services.workers.measures import Measures
from services.workers.parts import PARTS, SEQUENCER
from services.workers.runner import Deployment, Worker

JOURNAL = (Topic.JOURNAL, 0)


@pytest.mark.parametrize("back", [0, 3], ids=["the last one", "one before the last"])
def test_a_record_dropped_on_its_way_is_read_again(tmp_path: Path, broker: Broker, prefix: str, back: int) -> None:
    told = reference(tmp_path / "embedded", shards=1, steps=2)
    with System(broker.address, prefix, told.settings, tmp_path / "system") as system:
        for entry in told.entries:
            system.append(entry)
        dropped, taken = asyncio.run(_folded(system, tmp_path, len(told.entries) - 1 - back, len(told.entries)))
    assert dropped == 1
    assert taken == len(told.entries)


async def _folded(system: System, folder: Path, offset: int, entries: int) -> tuple[int, int]:
    """How often the record at `offset` was dropped, and up to where the worker got."""
    where = Deployment(system.address, system.prefix, folder / "snapshots")
    worker = Worker(PARTS[SEQUENCER], system.settings, where, Measures(SEQUENCER))
    offered, dropped = worker._offered, 0

    async def dropping(record: Record) -> None:
        nonlocal dropped
        if record.offset == offset and not dropped:
            dropped += 1
        else:
            await offered(record)

    worker._offered = dropping  # type: ignore[method-assign]
    running = asyncio.ensure_future(worker.run())
    deadline = asyncio.get_running_loop().time() + PATIENCE

    def taken() -> int:
        folds = worker.folds
        return folds[0].taken.get(JOURNAL, 0) if folds else 0

    while taken() < entries and not running.done() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    reached = taken()
    worker.stop()
    await running
    return dropped, reached

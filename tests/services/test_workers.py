"""The workers on a real broker write what the embedded run writes, whoever of them is killed, paused or stopped."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from workers import Reference, System, deduplicated, reference, wait_until

from ledger.journal.kafka import PartitionReader
from ledger.journal.topics import OUTCOMES
from services.broker import Broker
from services.workers.parts import CLEARING, PRICER, SEQUENCER


@pytest.mark.parametrize("shards", [1, 16])
def test_five_parts_in_lockstep_write_what_the_embedded_run_wrote(
    tmp_path: Path, broker: Broker, prefix: str, shards: int
) -> None:
    told = reference(tmp_path / "embedded", shards=shards, steps=12)
    with System(broker.address, prefix, told.settings, tmp_path / "system") as system:
        system.start_all()
        system.drive(told)
        system.check(told)


TAKEOVER = 6.0
"""seconds from a worker's end until its shards move on: twice the goal, which bench/system.py measures"""


def test_killed_paused_and_stopped_workers_lose_nothing(tmp_path: Path, broker: Broker, prefix: str) -> None:
    told = reference(tmp_path / "embedded", shards=4, snapshot_every=20)
    with System(broker.address, prefix, told.settings, tmp_path / "system") as system:
        system.start_all()
        one, other = system.processes[1], system.start(CLEARING)
        wait_until(lambda: len(one.shards()) == len(other.shards()) == 2, "two workers share four shards")
        assert sorted(one.shards() + other.shards()) == [0, 1, 2, 3]
        system.drive(told, until=60)

        # Killed: the other one has all shards, and they move on.
        seconds = _seconds_to_move_on(system, told, one.shards(), one.kill)
        assert sorted(other.shards()) == [0, 1, 2, 3]
        system.drive(told, until=100)

        # Paused past its session and resumed: what it still says is equal bytes, or it says nothing.
        third = system.start(CLEARING)
        wait_until(lambda: len(third.shards()) == 2, "a third worker takes its part")
        other.pause()
        system.drive(told, until=130)
        assert sorted(third.shards()) == [0, 1, 2, 3]
        other.resume()
        wait_until(lambda: len(other.shards()) == len(third.shards()) == 2, "the paused one comes back")
        system.drive(told, until=150)

        # Stopped: it leaves at once, so the shards move on sooner than after a kill.
        took = _seconds_to_move_on(system, told, third.shards(), third.stop)
        print(f"moved on {seconds:.2f} s after a kill, {took:.2f} s after a stop")
        assert seconds < TAKEOVER
        assert took < TAKEOVER

        # The parts of which there is one: a new worker goes on where the killed one was.
        for part in (SEQUENCER, PRICER):
            next(process for process in system.processes if process.part == part).kill()
            system.start(part)
        system.drive(told)
        system.check(told)


def _seconds_to_move_on(system: System, told: Reference, shards: list[int], end: Callable[[], object]) -> float:
    """From the end of a worker until each of its shards has outcomes of an entry that was appended after it."""
    at = len(system.journal())
    before = {shard: len(deduplicated(system.read(OUTCOMES, shard))) for shard in shards}
    begun = time.monotonic()
    end()
    system.drive(told, until=at + 1)
    readers = {shard: PartitionReader(system.address, system.topic(OUTCOMES), shard) for shard in shards}
    for shard, reader in readers.items():
        with closing(reader):
            assert reader.tail(before[shard], 20.0), f"shard {shard} does not move on: {system.logs()}"
    return time.monotonic() - begun

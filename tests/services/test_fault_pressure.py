"""More than the system can take: it refuses by name what would wait too long, and what waits takes bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rounds import GATEWAY, Crew, ToGateway, ToKafka, external, history, setup, small_change
from verdict import Verdict
from workers import Process, Reference, System, wait_until

from ledger.journal.kafka import KafkaPublisher, PartitionReader
from ledger.journal.kafka import Record as Published
from ledger.journal.topics import FACTS, NOTICES, OUTCOMES
from ledger.sequence import FACTS_SHARD, ShardEntry
from ledger.shardwire import encode_shard
from schemas.events import EVENTS, Trade
from schemas.kinds import Reason
from schemas.sources import Role, source
from schemas.wire import EntryHeader, OutcomeHeader, decode, encode, encode_entry
from services.broker import Broker
from services.client import Client, GatewayRefused
from services.gateway.keys import KEYS, ready_keys
from services.processors.follower import MOST_AHEAD
from services.processors.records import number_of
from services.up import free_port
from services.workers.parts import FUND

MIB = 1 << 20
KEY = f"""[[key]]
id = "local"
secret = "{"5e" * 32}"
roles = ["exchange", "custodian"]
sources = [{source(Role.EXCHANGE, 1)}, {source(Role.CUSTODIAN, 1)}]
"""
PARTS = ("sequencer a", "clearing a", "pricer", "fund", "liquidator", GATEWAY)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return history(tmp_path_factory.mktemp("history") / "run", shards=2, snapshot_every=100, steps=6)


@contextmanager
def standing(told: Reference, broker: Broker, folder: Path, prefix: str) -> Iterator[tuple[Crew, Verdict]]:
    """A system that has its accounts and their first deposits."""
    with System(broker.address, prefix, told.settings, folder) as system, closing(Verdict(system)) as verdict:
        keys = folder / KEYS
        keys.touch(mode=0o600)
        keys.write_text(KEY)
        crew = Crew(system, port=free_port())
        crew.start_all(PARTS)
        sent, first = external(told), setup(told)
        append = ToKafka(system)
        append(sent[:first])
        verdict.settle(system.check_running, 90.0)
        append(sent[first : first + 3])
        verdict.settle(system.check_running, 90.0)
        append.close()
        yield crew, verdict


def memory(process: Process, what: str) -> int:
    """Bytes: VmRSS is what it has now, VmHWM the most it ever had."""
    for line in Path(f"/proc/{process.popen.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) << 10
    raise AssertionError(what)


def test_shards_that_stand_still_stop_the_intake(told: Reference, broker: Broker, tmp_path: Path, prefix: str) -> None:
    with standing(told, broker, tmp_path / "system", prefix) as (crew, verdict):
        url, key = f"http://127.0.0.1:{crew.port}", ready_keys(crew.system.directory)["local"]
        wait_until(lambda: up(url), "the gateway takes entries", 60.0)
        entries = small_change(told, 5)
        gateway, clearing = crew.running[GATEWAY], crew.running["clearing a"]
        before = memory(gateway, "VmRSS")
        clearing.pause()
        accepted: list[bytes] = []
        client = Client(url, key, patience=0.0)
        until = time.monotonic() + 60.0
        with closing(client), pytest.raises(GatewayRefused) as refused:
            while time.monotonic() < until:
                some = list(islice(entries, 16))
                client.append_many(some)
                accepted += some
                time.sleep(0.03)
        assert (refused.value.status, refused.value.name) == (429, "Overloaded")
        rest = some
        assert memory(gateway, "VmHWM") < before + 64 * MIB
        clearing.resume()
        append = ToGateway(url, key)
        wait_until(lambda: taken(append, rest), "entries are taken again", 60.0)
        verdict.settle(crew.system.check_running, 120.0)
        verdict.acknowledged(accepted + rest)


def up(url: str) -> bool:
    with closing(Client(url, key=None)) as client:  # type: ignore[arg-type] # health asks for no key
        try:
            return bool(client.health()["ok"])
        except Exception:
            return False


def taken(append: ToGateway, entries: list[bytes]) -> bool:
    try:
        append(entries)
    except Exception:
        return False
    return True


def test_a_service_reads_no_further_ahead_of_a_shard_that_stands_still(
    told: Reference, broker: Broker, tmp_path: Path, prefix: str
) -> None:
    """Entries in which nothing happens: their facts are there, shard 1 has answered all of them and shard 0 none."""
    count, fetched = 8000, 2048
    with (
        System(broker.address, prefix, told.settings, tmp_path) as system,
        closing(KafkaPublisher(broker.address)) as publisher,
    ):

        def answered(shard: int) -> list[Published]:
            headers = (
                OutcomeHeader(shard=shard, shards=2, outcomes=0, n=n, previous=n - 1) for n in range(1, count + 1)
            )
            return [Published(system.topic(NOTICES), shard, None, encode(header, ())) for header in headers]

        def standing() -> tuple[int, int]:
            folds = fund.health()["folds"]
            return (folds["0"]["n"], folds["0"]["lag"]) if folds else (-1, 0)

        facts = (ShardEntry(n, n - 1, FACTS_SHARD, (), Reason.NONE, 1, 0b11) for n in range(1, count + 1))
        publisher.publish([Published(system.topic(FACTS), 0, None, encode_shard(one)) for one in facts])
        publisher.publish(answered(1))
        fund = system.start(FUND)
        wait_until(lambda: standing()[0] == 0, "the fund has begun", 60.0)
        seen = [(0, 0), standing()]
        while seen[-1] != seen[-2]:
            time.sleep(1.0)  # for it to read on, if it did
            seen.append(standing())
        waiting = 2 * count - seen[-1][1]
        assert 2 * MOST_AHEAD <= waiting < 2 * (MOST_AHEAD + fetched), waiting
        publisher.publish(answered(0))
        wait_until(lambda: standing() == (count, 0), "the fund has caught up", 60.0)


@pytest.mark.slow
def test_a_long_way_to_catch_up_takes_no_more_memory(
    told: Reference, broker: Broker, tmp_path: Path, prefix: str
) -> None:
    """200 MB of trades wait for a worker, of which it makes 1 GB. What it holds does not grow with that."""
    with standing(told, broker, tmp_path / "system", prefix) as (crew, verdict):
        system = crew.system
        before = {name: memory(crew.running[name], "VmRSS") for name in ("sequencer a", "clearing a")}
        crew.kill("clearing a")
        rows = [run for entry in told.entries for run in decode(entry, EntryHeader, EVENTS).runs
                if run.message.cls is Trade]  # fmt: skip
        run = replace(rows[0], rows=np.repeat(rows[0].rows[:1], 8000))
        stranger = source(Role.EXCHANGE, 3)
        n = 400 + len(verdict.numbered)
        for sequence in range(1, 401):
            system.append(encode_entry(stranger, sequence, (run,)))
        crew.back("clearing a")
        worker = crew.running["clearing a"]
        wait_until(lambda: len(worker.shards()) == 2, "it has its shards", 60.0)
        wait_until(lambda: last(system) >= n, "it has caught up", 120.0)
        grown = {
            "sequencer": memory(crew.running["sequencer a"], "VmHWM") - before["sequencer a"],
            "clearing": memory(worker, "VmHWM") - before["clearing a"],
        }
        print({name: f"{size >> 20} MiB more" for name, size in grown.items()})
        assert grown["sequencer"] < 256 * MIB
        assert grown["clearing"] < 512 * MIB


def last(system: System) -> int:
    """The n of the last outcomes of both shards."""
    found = 0
    for shard in (0, 1):
        with closing(PartitionReader(system.address, system.topic(OUTCOMES), shard)) as reader:
            found = max([found, *(number_of(one.key or b"") for one in reader.read(max(0, reader.end() - 1), 1))])
    time.sleep(0.2)
    return found

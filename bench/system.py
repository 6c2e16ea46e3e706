"""The running system over a real broker: trades from the journal topic to margins known, beside its bare rates.

The broker, the sequencer, the clearing workers and this program, which sends and listens, share the machine's cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter, sleep
from typing import Any, Final

import numpy as np

from bench.fold import PER_ENTRY, entries, prepared
from ledger.journal.kafka import KafkaPublisher, PartitionReader, Record, Stored
from ledger.journal.topics import JOURNAL, OUTCOMES, create, topic_name
from ledger.state import State, own
from schemas.chart import FIRST_ACCOUNT
from services.broker import Broker, fetched
from services.lockstep import Settings
from services.pauses import keep
from services.processors.clearing import packed
from services.processors.records import Snapshot, number_of
from services.processors.whole import opening
from services.workers.parts import CLEARING, SEQUENCER, WHOLE
from services.workers.settings import settle
from services.workers.snapshots import SnapshotStore

ACCOUNTS: Final = 100_000
JARS: Final = Path(".kafka")
WARM: Final = 40
"""entries before the clock runs"""
MEASURED: Final = 250
"""entries of PER_ENTRY trades"""
SMALL: Final = 500
"""trades in an entry where latency is measured"""
RATE: Final = 50_000
"""trades a second then"""
SECONDS: Final = 12.0
BYTES: Final = 64
"""a trade's"""
PATIENCE: Final = 60.0


class System:
    """A broker, a deployment on it, and the processes that work for it."""

    def __init__(self, broker: Broker, prefix: str, directory: Path, shards: int) -> None:
        self.address = broker.address
        self.prefix = prefix
        self.directory = directory
        self.settings = Settings(shards, FIRST_ACCOUNT + ACCOUNTS, 0)
        self.processes: list[subprocess.Popen[bytes]] = []
        directory.mkdir(parents=True)
        create(self.address, prefix, shards)
        settle(self.address, prefix, self.settings)
        store = SnapshotStore(directory / "snapshots")
        if shards == 1:
            store.keep(WHOLE, 0, Snapshot(0, opening(self.settings, part_of(0, self.settings))))
        for shard in range(shards):
            store.keep(CLEARING, shard, Snapshot(0, packed(0, part_of(shard, self.settings))))
        self.publisher = KafkaPublisher(self.address)
        self.outcomes = [PartitionReader(self.address, topic_name(prefix, OUTCOMES), shard) for shard in range(shards)]
        self.sent = 0

    def start(self, part: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        with (self.directory / f"{part}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "services.workers", part, "--kafka", self.address, "--prefix", self.prefix,
                    "--snapshots", str(self.directory / "snapshots"), *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def append(self, data: Sequence[bytes]) -> None:
        """Append entries to the journal; returns when they are acknowledged."""
        self.publisher.publish([Record(topic_name(self.prefix, JOURNAL), 0, None, entry) for entry in data])
        self.sent += len(data)

    def await_outcomes(self, count: int, shard: int = 0) -> float:
        """Until a shard's outcomes are so many; the time it was seen."""
        deadline = perf_counter() + PATIENCE
        while self.outcomes[shard].end() < count:
            if perf_counter() > deadline or any(one.poll() is not None for one in self.processes):
                logs = "\n".join(path.read_text()[-2000:] for path in sorted(self.directory.glob("*.log")))
                raise RuntimeError(f"{self.outcomes[shard].end()} of {count} outcomes came\n{logs}")
            sleep(0.002)
        return perf_counter()

    def close(self) -> None:
        """Stop everything."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.publisher.close()
        for reader in self.outcomes:
            reader.close()


def part_of(shard: int, settings: Settings) -> State:
    """The prepared clearinghouse's state as one shard has it."""
    state = prepared(ACCOUNTS)
    state.shard, state.shards, state.shard_of = shard, settings.shards, settings.table()
    own(state.account_rows, 0, state.shard_of, shard)
    return state


@contextmanager
def running(broker: Broker, name: str, folder: Path, shards: int, parts: Sequence[str]) -> Iterator[System]:
    """A deployment with these workers, warm."""
    system = System(broker, name, folder / name, shards)
    with closing(system):
        for part in parts:
            system.start(part)
        system.append(entries(np.random.default_rng(1), ACCOUNTS, 1, WARM, PER_ENTRY))
        for shard in range(shards):
            system.await_outcomes(WARM, shard)
        yield system


def throughput(system: System) -> float:
    """Trades a second from the first append to the last outcome of every shard."""
    ready = entries(np.random.default_rng(2), ACCOUNTS, system.sent + 1, MEASURED, PER_ENTRY)
    before = [reader.end() for reader in system.outcomes]
    sending = Thread(target=system.append, args=(ready,))
    begun = perf_counter()
    sending.start()
    ended = max(system.await_outcomes(count + MEASURED, shard) for shard, count in enumerate(before))
    sending.join()
    return MEASURED * PER_ENTRY / (ended - begun)


def listener(system: System, count: int) -> tuple[Thread, dict[int, float]]:
    """A thread that reads the next `count` outcomes, started, and when each was read, by n."""
    keep()  # this program's own pauses are not the system's
    first, heard = system.outcomes[0].end(), dict[int, float]()

    def listen() -> None:
        at = first
        while len(heard) < count:
            records: list[Stored] = system.outcomes[0].tail(at, PATIENCE)
            now = perf_counter()
            if not records:
                return
            for record in records:
                heard.setdefault(number_of(record.key or b""), now)
            at = records[-1].offset + 1

    listening = Thread(target=listen)
    listening.start()
    return listening, heard


def latencies(system: System) -> list[float]:
    """Seconds from before an append to having read the outcomes, entry by entry, at RATE trades a second."""
    count = int(SECONDS * RATE / SMALL)
    ready = entries(np.random.default_rng(3), ACCOUNTS, system.sent + 1, count, SMALL)
    sent: list[float] = []
    n = system.sent
    listening, heard = listener(system, count)
    begun = perf_counter()
    for at, entry in enumerate(ready):
        due = begun + at * SMALL / RATE
        if (rest := due - perf_counter()) > 0:
            sleep(rest)
        # when it was due, not when this program came to it: waiting here is latency too
        sent.append(due)
        system.append([entry])
    listening.join()
    skip = count // 6
    return [heard[n + 1 + at] - sent[at] for at in range(skip, count)]


def bare(broker: Broker) -> tuple[float, float]:
    """Trades a second that this program writes to, and reads from, a topic of the same broker in the same entries."""
    topic = "bare"
    create(broker.address, topic, 1)
    name = topic_name(topic, JOURNAL)
    ready = entries(np.random.default_rng(2), ACCOUNTS, 1, MEASURED, PER_ENTRY)
    with closing(KafkaPublisher(broker.address)) as publisher, closing(PartitionReader(broker.address, name)) as reader:
        publisher.publish([Record(name, 0, None, entry) for entry in ready[:WARM]])
        begun = perf_counter()
        publisher.publish([Record(name, 0, None, entry) for entry in ready])
        written = perf_counter() - begun
        list(reader.read(0, WARM))
        begun = perf_counter()
        count = sum(1 for _ in reader.read(WARM, MEASURED))
        taken = perf_counter() - begun
    return MEASURED * PER_ENTRY / written, count * PER_ENTRY / taken


def takeover(system: System) -> float:
    """The longest time without an outcome of any shard after one of two clearing workers is killed, seconds."""
    count = 2_000
    ready = entries(np.random.default_rng(4), ACCOUNTS, system.sent + 1, count, 50)
    ends = [reader.end() for reader in system.outcomes]
    seen = [perf_counter()] * len(ends)
    gaps = [0.0] * len(ends)
    victim = next(one for one in system.processes[1:] if one.poll() is None)
    for at, entry in enumerate(ready):
        if at == count // 4:
            victim.kill()
            victim.wait()
            system.processes.remove(victim)
        system.append([entry])
        now = perf_counter()
        if at % 5 == 0:
            for shard, reader in enumerate(system.outcomes):
                if (end := reader.end()) > ends[shard]:
                    if at > count // 4:
                        gaps[shard] = max(gaps[shard], now - seen[shard])
                    ends[shard], seen[shard] = end, now
        sleep(max(0.0, 0.004 - (perf_counter() - now)))
    return max(gaps)


def run() -> list[dict[str, Any]]:
    """The running system's figures."""
    jars = fetched(JARS)
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(Broker(folder / "broker", jars))
        written, read = bare(broker)
        with running(broker, "whole", folder, 1, [WHOLE]) as system:
            alone = median(throughput(system) for _ in range(3))
            delays = latencies(system)
        with running(broker, "one", folder, 1, [SEQUENCER, CLEARING]) as system:
            one = median(throughput(system) for _ in range(3))
        with running(broker, "two", folder, 2, [SEQUENCER, CLEARING, CLEARING]) as system:
            two = median(throughput(system) for _ in range(3))
            gap = takeover(system)
    cuts = quantiles(delays, n=100)
    beside = {"bare produce, trades/s": written, "bare consume, trades/s": read, "cores": float(os.cpu_count() or 0)}
    return [
        {
            "name": "journal topic to outcomes, margins known",
            "value": alone,
            "unit": "trades/s",
            "goal": ">= 500,000",
            "peers": beside | {"part of bare produce": alone / written, "sequencer apart, trades/s": one},
        },
        {
            "name": f"journal topic to outcomes read, at {RATE:,} trades/s in entries of {SMALL}",
            "value": cuts[98] * 1000,
            "unit": "ms, p99",
            "goal": "< 50",
            "peers": {"p50, ms": cuts[49] * 1000, "worst, ms": max(delays) * 1000},
        },
        {
            "name": "two clearing workers over one",
            "value": two / one,
            "unit": "rate, ratio",
            "peers": {"two, trades/s": two, "one, trades/s": one},
        },
        {"name": "a clearing worker killed: longest pause of a shard", "value": gap, "unit": "s", "goal": "< 3"},
    ]

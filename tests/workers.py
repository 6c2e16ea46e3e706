"""The workers as processes over a real broker: started, killed, paused, driven in lockstep; what they wrote, read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ledger.journal.kafka import KafkaPublisher, PartitionReader, Record, Stored
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from ledger.journal.topics import JOURNAL as JOURNAL_TOPIC
from ledger.journal.topics import NOTICES, OUTCOMES, SHARDS, create, topic_name
from schemas.sources import Role
from schemas.wire import EntryHeader, OutcomeHeader, decode_header
from services.lockstep import JOURNAL, OUTCOME_LOG, Settings
from services.processors.records import key_of, number_of
from services.run import own_inputs, run
from services.workers.parts import CLEARING, FUND, LIQUIDATOR, PRICER, SEQUENCER
from services.workers.settings import settle

ALL = (SEQUENCER, CLEARING, PRICER, FUND, LIQUIDATOR)
ANSWERING = frozenset({Role.PRICER, Role.DESK, Role.FUND})
"""roles of the sources that the workers themselves speak as"""
PATIENCE = 90.0
"""seconds after which something counts as not coming; a busy machine takes long to start a process"""
ROOT = Path(__file__).parents[1]


# The reference: what the embedded run wrote.


@dataclass(frozen=True)
class Reference:
    """An embedded run: its journal's entries, and each shard's outcomes."""

    settings: Settings
    entries: list[bytes]
    outcomes: list[list[bytes]]

    @property
    def own(self) -> list[bool]:
        """Of each entry, whether the workers write it."""
        return [role_of(entry) in ANSWERING for entry in self.entries]


def reference(
    directory: Path, *, shards: int, accounts: int = 40, seed: int = 3, steps: int = 40, snapshot_every: int = 50
) -> Reference:
    """Run the demonstration's population in this process."""
    ledger, _ = run(
        directory, own_inputs(), accounts=accounts, seed=seed, shards=shards, snapshot_every=snapshot_every, steps=steps
    )
    settings = ledger.clearing.settings
    ledger.close()
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        entries = [data for _, data in reader.read(0, 10**7)]
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        outcomes = [[data for _, data in log.scan(shard)] for shard in range(shards)]
    return Reference(settings, entries, outcomes)


def header_of(entry: bytes) -> dict[str, int]:
    return decode_header(entry, EntryHeader)[0]


def role_of(entry: bytes) -> int:
    return header_of(entry)["source"] // 1000


# Processes.


@dataclass
class Process:
    """A worker process and where its log lies."""

    part: str
    popen: subprocess.Popen[bytes]
    log_path: Path

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL, also where it is paused."""
        self.popen.kill()
        self.popen.wait()

    def pause(self) -> None:
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    def stop(self, timeout: float = 20.0) -> float:
        """SIGTERM; the seconds until it ended. It must end with status 0."""
        begun = time.monotonic()
        self.popen.terminate()
        code = self.popen.wait(timeout)
        assert code == 0, (code, self.log())
        return time.monotonic() - begun

    @property
    def url(self) -> str:
        """Where it serves its health; waits until it does."""
        wait_until(lambda: any("url" in line for line in self.log()), f"{self.part} serves nothing: {self.log()}")
        return str(next(line["url"] for line in self.log() if "url" in line))

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=5.0).json()
        return told

    def shards(self) -> list[int]:
        """The partitions it has; none where it does not answer."""
        try:
            return list(self.health()["shards"])
        except httpx.HTTPError:
            return []

    def log(self) -> list[dict[str, Any]]:
        """Its log so far, line by line; what is no line of JSON as {"raw": ...}."""
        return [_parsed(line) for line in self.log_path.read_text(errors="replace").splitlines()]


def _parsed(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        return {"raw": line}
    return told if isinstance(told, dict) else {"raw": line}


@dataclass
class System:
    """A deployment over a broker: its topics and settings are there; the processes are started one by one.

    As a context manager it kills what still runs at the end.
    """

    address: str
    prefix: str
    settings: Settings
    directory: Path
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        create(self.address, self.prefix, self.settings.shards)
        settle(self.address, self.prefix, self.settings)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._journal = PartitionReader(self.address, self.topic(JOURNAL_TOPIC))
        self._publisher = KafkaPublisher(self.address)
        self._entries: list[bytes] = []

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        self._journal.close()
        self._publisher.close()

    @property
    def snapshots(self) -> Path:
        return self.directory / "snapshots"

    def topic(self, name: str) -> str:
        return topic_name(self.prefix, name)

    def start(self, part: str, *options: str) -> Process:
        """Start a worker; returns at once."""
        log_path = self.directory / f"{part}-{len(self.processes)}.log"
        command = (
            sys.executable, "-m", "services.workers", part, "--kafka", self.address, "--prefix", self.prefix,
            "--snapshots", str(self.snapshots), *options,
        )  # fmt: skip
        with log_path.open("wb") as log:
            popen = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )
        process = Process(part, popen, log_path)
        self.processes.append(process)
        return process

    def start_all(self, *options: str) -> dict[str, Process]:
        """One worker of each part."""
        return {part: self.start(part, *options) for part in ALL}

    def check_running(self) -> None:
        """Fail where a worker has ended that nobody ended."""
        for process in self.processes:
            code = process.popen.poll()
            assert code is None or code in (0, -signal.SIGKILL, -signal.SIGTERM), (process.part, code, process.log())

    # The journal.

    def append(self, entry: bytes) -> int:
        """Append as an exchange does; the offset."""
        key = header_of(entry)["source"].to_bytes(4, "little")
        return self._publisher.publish([Record(self.topic(JOURNAL_TOPIC), 0, key, entry)])[0]

    def journal(self, timeout: float = 0.0) -> list[bytes]:
        """The journal's entries in order without repeats; waits up to `timeout` seconds for one more."""
        fresh = self._journal.tail(len(self._entries), timeout)
        self._entries += [record.value or b"" for record in fresh]
        return entries_once(self._entries)

    def wait_until_journal_has(self, count: int, timeout: float = PATIENCE) -> list[bytes]:
        """Until so many entries, repeats not counted, are in the journal."""
        deadline = time.monotonic() + timeout
        while len(there := self.journal(0.2)) < count:
            self.check_running()
            assert time.monotonic() < deadline, f"{len(there)} of {count} entries after {timeout} s: {self.logs()}"
        return there

    def drive(
        self, told: Reference, *, before: Callable[[int], None] | None = None, until: int | None = None,
        timeout: float = PATIENCE,
    ) -> None:  # fmt: skip
        """Lockstep: append each entry of the reference that is not the workers' own when the journal has all before it,
        from where the journal stands. `before(i)` is called before entry i is due."""
        end = len(told.entries) if until is None else until
        own = told.own
        for i in range(len(self.journal()), end):
            if before is not None:
                before(i)
            there = self.wait_until_journal_has(i, timeout)
            assert there[i - 1 : i] == told.entries[max(0, i - 1) : i], f"entry {i - 1} differs"
            if not own[i] and len(there) == i:
                self.append(told.entries[i])
        assert self.wait_until_journal_has(end, timeout)[:end] == told.entries[:end]

    def publish(self, records: Sequence[Record]) -> None:
        """Write records of any topic, as a part would or should not."""
        self._publisher.publish(records)

    # What the workers wrote.

    def read(self, name: str, partition: int = 0) -> list[Stored]:
        """All records of a topic's partition."""
        return read_topic(self.address, self.topic(name), partition)

    def outcomes(self, shard: int, count: int, timeout: float = PATIENCE) -> list[bytes]:
        """A shard's outcomes without repeats, as soon as there are so many."""
        deadline = time.monotonic() + timeout
        while len(there := deduplicated(self.read(OUTCOMES, shard))) < count:
            self.check_running()
            assert time.monotonic() < deadline, f"shard {shard}: {len(there)} of {count} outcomes: {self.logs()}"
            time.sleep(0.05)
        return list(there.values())

    def check(self, told: Reference, timeout: float = PATIENCE) -> None:
        """The journal and all outcomes, repeats dropped, are the reference's to the byte, and every repeat in every
        topic is equal to what it repeats."""
        assert self.journal() == told.entries
        for shard, expected in enumerate(told.outcomes):
            found = self.outcomes(shard, len(expected), timeout)
            first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
            assert first is None, f"shard {shard}: outcome {first} differs"
            assert len(found) == len(expected)
            deduplicated(self.read(SHARDS, shard))
            deduplicated(self.read(NOTICES, shard))
        deduplicated(self.read("facts"))

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """The last lines of every worker's log."""
        return {f"{at} {process.part}": process.log()[-5:] for at, process in enumerate(self.processes)}


# Reading.


def wait_until(true: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Until a condition holds."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"after {timeout} s: {what}"
        time.sleep(0.02)


def read_topic(address: str, topic: str, partition: int = 0) -> list[Stored]:
    """All records of a partition."""
    with closing(PartitionReader(address, topic, partition)) as reader:
        return list(reader.read(0, reader.end()))


def deduplicated(records: Iterable[Stored]) -> dict[int, bytes]:
    """By the n in their key, ascending: each n not above the last is a repeat, and must be equal to what it repeats."""
    kept: dict[int, bytes] = {}
    last = -1
    for record in records:
        n = number_of(record.key or key_of(0))
        value = record.value or b""
        if n in kept:
            assert kept[n] == value, f"offset {record.offset} repeats n {n} with other bytes"
        else:
            assert n > last, f"offset {record.offset}: n {n} comes first after n {last}"
            kept[n], last = value, n
    return kept


def entries_once(entries: Sequence[bytes]) -> list[bytes]:
    """The journal's entries without repeats of a source's sequence number; a repeat must be equal."""
    kept: dict[tuple[int, int], bytes] = {}
    for entry in entries:
        header = header_of(entry)
        there = kept.setdefault((header["source"], header["sequence"]), entry)
        assert there == entry, f"source {header['source']} says {header['sequence']} twice in other words"
    return list(kept.values())


def outcomes_numbers(records: Iterable[bytes]) -> list[int]:
    """The n of each outcome."""
    return [decode_header(one, OutcomeHeader)[0]["n"] for one in records]

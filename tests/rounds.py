"""Rounds of faults: a steady load on the running system, parts that die at drawn moments, and the counting of both.

One seed draws the whole plan: what dies in which round, when, and at which point of its work. A plan is a deck of cards
that is shuffled, so that every seed has every fault; NOVATE_FAULT_SEED takes another one.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import crash
from workers import ANSWERING, ROOT, Process, Reference, System, header_of, role_of

from ledger.journal import JournalFull, JournalUnreachable
from ledger.journal.kafka import KafkaPublisher, Record
from ledger.journal.topics import JOURNAL
from schemas.events import EVENTS, Deposited, Mark, Trade
from schemas.sources import Role, source
from schemas.wire import EntryHeader, Run, decode, encode_entry, runs_of
from services.broker import Broker
from services.client import AGAIN, GatewayRefused, GatewayUnreachable
from services.client import Client as HttpClient
from services.database import Database
from services.gateway.core import Receipt
from services.gateway.keys import Key
from services.workers.parts import CLEARING, FUND, LIQUIDATOR, PRICER, PROJECTOR, SEQUENCER

SEED = int(os.environ.get("NOVATE_FAULT_SEED", "1"))
GATEWAY = "gateway"
WORKERS = {
    "sequencer a": SEQUENCER,
    "sequencer b": SEQUENCER,
    "clearing a": CLEARING,
    "clearing b": CLEARING,
    "pricer": PRICER,
    "fund": FUND,
    "liquidator": LIQUIDATOR,
    "projector": PROJECTOR,
    "gateway": GATEWAY,
}
"""who runs, and which part; the second of a part stands by or shares its shards"""
BROKER = "broker"
DATABASE = "database"


class Fault(NamedTuple):
    """What is done to whom in a round: `how` is KILL, PAUSE or a point of tests/dying.py at which it kills itself when
    it comes there for the `count`-th time; `after` and `away` are seconds, before it and until it is back."""

    whom: str
    how: str
    count: int
    after: float
    away: float


DYING = 10.0
"""seconds in which a worker must come to the point where it kills itself; else it is killed where it is"""
KILL = "kill"
PAUSE = "pause"
_DECK: Sequence[tuple[int, str, Sequence[str]]] = (
    # cards, how, one of whom
    (3, KILL, ("sequencer a", "sequencer b")),
    (4, "between writes", ("sequencer a", "sequencer b")),
    (4, KILL, ("clearing a", "clearing b")),
    (1, "before a write", ("clearing a", "clearing b")),
    (2, "between writes", ("clearing a", "clearing b")),
    (2, "unacknowledged", ("clearing a", "clearing b")),
    (1, "acknowledged", ("clearing a", "clearing b")),
    (1, "before a snapshot", ("clearing a", "clearing b")),
    (2, "in a snapshot", ("clearing a", "clearing b", "liquidator")),
    (1, "after a snapshot", ("clearing a", "clearing b", "liquidator")),
    (2, KILL, ("pricer",)),
    (1, "unacknowledged", ("pricer",)),
    (2, KILL, ("fund",)),
    (2, KILL, ("liquidator",)),
    (2, "unacknowledged", ("liquidator",)),
    (1, PAUSE, ("sequencer a", "sequencer b")),
    (2, PAUSE, ("clearing a", "clearing b")),
    (1, PAUSE, ("pricer", "liquidator")),
    (4, KILL, (BROKER,)),
    (1, PAUSE, (BROKER,)),
    (2, KILL, ("gateway",)),
    (3, "unanswered", ("gateway",)),
    (1, KILL, ("projector",)),
    (2, "uncommitted", ("projector",)),
    (2, KILL, (DATABASE,)),
    (1, PAUSE, (DATABASE,)),
)
"""50 cards"""


def plan(seed: int, rounds: int, among: Iterable[str] = (*WORKERS, BROKER, DATABASE)) -> list[Fault]:
    """The faults of so many rounds; as many as there are cards that concern those `among`, and every card is played."""
    draw = random.Random(seed)
    there = set(among)
    cards = [(how, whom) for count, how, whom in _DECK for _ in range(count) if there.issuperset(whom)]
    played: list[Fault] = []
    while len(played) < rounds:
        draw.shuffle(cards)
        for how, whom in cards:
            away = draw.uniform(2.0, 3.0) if how == PAUSE else draw.choice([0.0, draw.uniform(0, 1.0)])
            # who seldom comes to its point comes there for the first or second time
            rare = "snapshot" in how or not {"sequencer a", "clearing a"}.intersection(whom)
            count = draw.randrange(1, 3 if rare else 30)
            played.append(Fault(draw.choice(list(whom)), how, count, draw.uniform(0.1, 0.8), away))
    return played[:rounds]


# --- load -------------------------------------------------------------------------------------------------------------


def history(directory: Path, *, shards: int, snapshot_every: int, steps: int) -> Reference:
    """The small crash, with all that happens in it, as the embedded run clears it."""
    clearing = crash.clear(directory, shards=shards, snapshot_every=snapshot_every, accounts=40, steps=steps)
    told = crash.outcomes(directory, shards)
    outcomes = [[data for (_, of), data in sorted(told.items()) if of == shard] for shard in range(shards)]
    return Reference(clearing.settings, crash.entries(directory), outcomes)


def external(told: Reference) -> list[bytes]:
    """The entries that the exchange's side sends."""
    return [entry for entry in told.entries if role_of(entry) not in ANSWERING]


def setup(told: Reference) -> int:
    """How many of the external entries come before the first mark."""
    for at, entry in enumerate(told.entries):
        if any(run.message.cls is Mark for run in decode(entry, EntryHeader, EVENTS).runs):
            return sum(role_of(one) not in ANSWERING for one in told.entries[:at])
    raise AssertionError("no mark")


def small_change(told: Reference, seed: int) -> Iterator[bytes]:
    """Without end: deposits of one unit from a second custodian, and trades from a second exchange that the history
    knows already."""
    draw = random.Random(seed)
    rows: list[Run] = []
    deposits: list[Deposited] = []
    for entry in external(told):
        for run in decode(entry, EntryHeader, EVENTS).runs:
            if run.message.cls is Trade:
                rows.append(run)
            if run.message.cls is Deposited:
                deposits += [Deposited(**{name: int(row[name]) for name in run.rows.dtype.names}) for row in run.rows]
    sequences = Counter[int]()
    while True:
        if draw.random() < 0.5:
            of, runs = source(Role.EXCHANGE, 1), (draw.choice(rows),)
        else:
            like = draw.choice(deposits)
            number = 10**6 + sequences[source(Role.CUSTODIAN, 1)]
            one = Deposited(asset=like.asset, account=like.account, deposit=number, time=like.time, amount=1)
            of, runs = source(Role.CUSTODIAN, 1), runs_of(EVENTS, [one])
        sequences[of] += 1
        yield encode_entry(of, sequences[of], runs)


Append = Callable[[Sequence[bytes]], None]
"""appends entries in order and returns when they are acknowledged; raises Unanswered where that is not known"""


class Unanswered(Exception):  # noqa: N818 - named for what is found
    """No acknowledgement came: the entries may be in the journal or not."""


class ToKafka:
    """Appends as an exchange does that writes to the journal's topic itself."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._publisher: KafkaPublisher | None = None

    def __call__(self, entries: Sequence[bytes]) -> None:
        topic = self._system.topic(JOURNAL)
        try:
            if self._publisher is None:
                self._publisher = KafkaPublisher(self._system.address, timeout=4.0)
            self._publisher.publish([Record(topic, 0, None, entry) for entry in entries])
        except (JournalFull, JournalUnreachable) as error:
            self.close()
            raise Unanswered(str(error)) from error

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None


class ToGateway:
    """Appends over HTTP, with the key that speaks for everybody; keeps the receipts."""

    def __init__(self, url: str, key: Key) -> None:
        self.receipts: list[Receipt] = []
        self._client = HttpClient(url, key, patience=0.3)

    def __call__(self, entries: Sequence[bytes]) -> None:
        try:
            receipts = self._client.append_many(entries)
        except GatewayUnreachable as error:
            raise Unanswered(str(error)) from error
        except GatewayRefused as error:
            if error.status not in AGAIN:
                raise
            raise Unanswered(str(error)) from error
        asked = [header_of(entry) for entry in entries]
        assert [(one.source, one.sequence) for one in receipts] == [(one["source"], one["sequence"]) for one in asked]
        self.receipts += receipts


class Client:
    """A thread that sends entries, a few at once, and the same ones again until they are acknowledged."""

    def __init__(self, entries: Iterator[bytes], append: Append, pause: float) -> None:
        self.acknowledged: list[bytes] = []
        self.answered: list[float] = []
        """when each append was acknowledged"""
        self.again = 0
        self._entries = entries
        self._append = append
        self._pause = pause
        self._draw = random.Random(0)
        self._held = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def go(self) -> None:
        self._held.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def hold(self) -> None:
        """Pause when what is being sent is acknowledged. Raises what the client did not expect."""
        self._held.set()
        if self._thread is not None:
            self._thread.join(120)
            assert not self._thread.is_alive(), "a client still waits for an acknowledgement"
        if self._failure is not None:
            raise self._failure

    def send(self, entries: Sequence[bytes]) -> None:
        """Send them until they are acknowledged."""
        while True:
            try:
                self._append(entries)
                break
            except Unanswered:
                self.again += 1
        self.acknowledged += entries
        self.answered.append(time.monotonic())

    def _run(self) -> None:
        try:
            while not self._held.is_set():
                size = self._draw.choice((1, 1, 2, 5))
                if not (some := list(itertools.islice(self._entries, size))):
                    return
                self.send(some)
                self._held.wait(self._pause * len(some))
        except BaseException as error:
            self._failure = error


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass
class Crew:
    """The workers of a system, kept running: one that has ended is started again, as a supervisor does.

    `deaths` counts the ends that nobody asked for by what their last words name.
    """

    system: System
    database: Database | None = None
    url: str = ""
    """the store's"""
    port: int = 0
    """the gateway's"""
    running: dict[str, Process] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    """points of dying that were not come to in time"""
    away: set[str] = field(default_factory=set)
    """who is not started again for now"""

    def start(self, name: str, *dying: str) -> None:
        """Start a worker; `dying`: the point and the count at which it kills itself."""
        system = self.system
        self.starts += 1
        log_path = system.directory / f"{self.starts:03}-{name}.log"
        part = WORKERS[name]
        where = ("--kafka", system.address, "--prefix", system.prefix)
        if part == GATEWAY:
            program, options = "services.cli", ("--out", str(system.directory), "--port", str(self.port))
        else:
            program, options = "services.workers", ("--snapshots", str(system.snapshots))
        run = (str(ROOT / "tests" / "dying.py"), *dying) if dying else ("-m", program)
        command = (sys.executable, *run, part, *where, *options)
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        environment = {**os.environ, "PYTHONPATH": path, "DATABASE_URL": self.url}
        with log_path.open("wb") as log:
            popen = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=environment)  # fmt: skip
        self.running[name] = Process(WORKERS[name], popen, log_path)
        system.processes.append(self.running[name])

    def start_all(self, names: Iterable[str] = WORKERS) -> None:
        for name in names:
            self.start(name)

    def tend(self) -> None:
        """Start again who has ended."""
        for name, process in self.running.items():
            if not process.running and name not in self.away:
                self.deaths[_last_words(process)] += 1
                self.system.processes.remove(process)
                self.start(name)

    def kill(self, name: str) -> None:
        self.away.add(name)
        self.running[name].kill()

    def back(self, name: str, *dying: str) -> None:
        """Start again who was killed."""
        self.system.processes.remove(self.running[name])
        self.start(name, *dying)


def _last_words(process: Process) -> str:
    named = [f"{line['error']}: {line.get('what')}" for line in process.log() if "error" in line]
    return f"{process.part}: {named[-1] if named else f'code {process.popen.poll()}'}"


def play(fault: Fault, crew: Crew, broker: Broker, tend: Callable[[], None]) -> None:
    """Do it, and undo it."""
    _pass(fault.after, tend)
    if fault.whom == BROKER:
        (broker.kill if fault.how == KILL else broker.pause)()
        _pass(fault.away, tend)
        (broker.start if fault.how == KILL else broker.resume)()
        return
    if fault.whom == DATABASE and crew.database is not None:
        (crew.database.kill if fault.how == KILL else crew.database.pause)()
        _pass(fault.away, tend)
        (crew.database.start if fault.how == KILL else crew.database.resume)()
        return
    if fault.how == PAUSE:
        process = crew.running[fault.whom]
        process.pause()
        _pass(fault.away, tend)
        process.resume()
        return
    killed = [fault.whom]
    crew.kill(fault.whom)
    if fault.how != KILL:
        if WORKERS[fault.whom] == SEQUENCER:  # the one that stands by would have the only partition
            killed = [name for name, part in WORKERS.items() if part == SEQUENCER]
            for name in killed:
                crew.kill(name)
        crew.back(fault.whom, fault.how, str(fault.count))
        dying = crew.running[fault.whom]
        _until(lambda: not dying.running, DYING, tend)
        crew.missed[fault.how] += dying.running
        crew.kill(fault.whom)
    _pass(fault.away, tend)
    for name in killed:
        crew.back(name)
        crew.away.discard(name)


def _pass(seconds: float, tend: Callable[[], None]) -> None:
    _until(lambda: False, seconds, tend)


def _until(true: Callable[[], bool], seconds: float, tend: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while not true() and (left := deadline - time.monotonic()) > 0:
        tend()
        time.sleep(min(0.05, left))

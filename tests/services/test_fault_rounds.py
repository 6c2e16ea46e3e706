"""Rounds of faults under load: whoever is killed or hangs, nothing acknowledged is lost, repeated or reordered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from broker import running
from kafka import KafkaAdminClient
from postgres import fresh, server
from rounds import (
    BROKER,
    SEED,
    WORKERS,
    Client,
    Crew,
    Fault,
    ToGateway,
    ToKafka,
    external,
    history,
    plan,
    play,
    setup,
    small_change,
)  # fmt: skip
from storing import dump, feed, streams
from verdict import Verdict
from workers import ALL, Reference, System, wait_until

from ledger.journal.kafka import PartitionReader
from ledger.journal.topics import OUTCOMES
from ledger.store.projection import Projection
from services.broker import Broker
from services.database import Database
from services.gateway.keys import ready_keys
from services.processors.records import Topic, number_of
from services.up import free_port

ROUNDS = 50
SHARDS = 4


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return history(tmp_path_factory.mktemp("history") / "run", shards=SHARDS, snapshot_every=100, steps=156)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("mortal")) as one:
        yield one


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with server() as one:
        yield one


class Standing(NamedTuple):
    """A system that runs, its two clients, and who judges it."""

    system: System
    crew: Crew
    verdict: Verdict
    gateway: ToGateway
    clients: tuple[Client, Client]


@contextmanager
def standing(
    told: Reference, broker: Broker, database: Database, folder: Path, prefix: str, pace: float, seed: int
) -> Iterator[Standing]:
    """One exchange sends the history over HTTP, an entry each `pace` seconds, another one small change to Kafka."""
    with ExitStack() as stack:
        system = stack.enter_context(System(broker.address, prefix, told.settings, folder))
        verdict = Verdict(system)
        stack.callback(verdict.close)
        crew = Crew(system, database, fresh(database), free_port())
        gateway = ToGateway(f"http://127.0.0.1:{crew.port}", ready_keys(folder)["local"])
        crew.start_all()
        sent, first = external(told), setup(told)
        slow = Client(iter(sent[first:]), gateway, pace)
        fast = Client(small_change(told, seed), ToKafka(system), 0.015)
        slow.send(sent[:first])
        verdict.settle(crew.tend, 90.0)  # the first mark lists the instruments
        yield Standing(system, crew, verdict, gateway, (slow, fast))


def judged(one: Standing) -> None:
    """Wait until all is done that there is to do, and compare."""
    one.verdict.settle(one.crew.tend, 60.0)
    for client in one.clients:
        one.verdict.acknowledged(client.acknowledged)
    one.verdict.receipts(one.gateway.receipts)
    wait_until(lambda: one.crew.tend() or stored(one.crew.url) == one.verdict.stored(), "the store has all", 60.0)


def stored(url: str) -> dict[int, int]:
    """How far the store is, nowhere while it is away."""
    try:
        with psycopg.connect(url, connect_timeout=2) as session:
            return dict(session.execute("SELECT shard, n FROM places").fetchall())
    except psycopg.OperationalError:
        return {}


def rounds(
    told: Reference, broker: Broker, database: Database, folder: Path, prefix: str, count: int, seed: int = SEED
) -> None:
    """Play a plan of faults, settle after each, and judge."""
    deaths: Counter[str] = Counter()
    pace = 5.0 * count / len(external(told))
    with standing(told, broker, database, folder, prefix, pace, seed) as one:
        for at, fault in enumerate(plan(seed, count)):
            begun = time.monotonic()
            try:
                for client in one.clients:
                    client.go()
                play(fault, one.crew, broker, one.crew.tend)
                for client in one.clients:
                    client.hold()
                judged(one)
                unasked = one.crew.deaths - deaths
                assert not unasked or fault.whom == BROKER, f"ended unasked: {dict(unasked)}"
            except BaseException as error:
                error.add_note(f"round {at} of seed {seed}: {fault}; again: NOVATE_FAULT_SEED={seed} make faults")
                error.add_note(f"{one.system.logs()}")
                raise
            deaths = Counter(one.crew.deaths)
            print(f"{at:3} {time.monotonic() - begun:5.1f} s  {fault}", flush=True)
        rebuilt = fresh(database)
        feed(Projection(rebuilt), streams(told.settings, one.verdict.journal), 500)
        assert dump(one.crew.url) == dump(rebuilt)
        with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
            # nothing rests on transactions that may time out: no part has ever begun one
            assert "__transaction_state" not in admin.list_topics()
        verdict = one.verdict
        again = sum(client.again for client in one.clients)
        state = verdict.clearing.states[0]
        print(f"seed {seed}: {len(verdict.journal)} entries, {len(verdict.numbered)} numbered, {state.mark} marks")
        mix = Counter(f"{fault.whom.split()[0]}: {fault.how}" for fault in plan(seed, count))
        print(f"faults: {dict(sorted(mix.items()))}")
        print(f"sent again: {again}; repeats in topics: { {topic.value: n for topic, n in verdict.repeats.items()} }")
        print(f"ended unasked: {dict(deaths)}; points not come to: {dict(one.crew.missed)}")


def in_lockstep(told: Reference, broker: Broker, folder: Path, prefix: str, count: int, seed: int) -> None:
    """Each entry of the history waits until all before it are in the journal, while parts are killed one by one: the
    journal and the outcomes are the undisturbed run's, to the byte."""
    names = [name for name, part in WORKERS.items() if part in ALL]
    faults = plan(seed, count, (*names, BROKER))
    played: list[Fault] = []
    ended = threading.Event()
    with (
        System(broker.address, prefix, told.settings, folder) as system,
        closing(Verdict(system)) as verdict,
        ThreadPoolExecutor(1) as beside,
    ):
        crew = Crew(system)
        crew.start_all(names)

        def playing() -> None:
            for fault in faults:
                play(fault, crew, broker, crew.tend)
                played.append(fault)
            while not ended.wait(0.05):
                crew.tend()

        client = Client(iter(()), ToKafka(system), 0.0)
        playing_ends = beside.submit(playing)
        try:
            for at, (entry, own) in enumerate(zip(told.entries, told.own, strict=True)):
                until = time.monotonic() + 90.0
                while len(verdict.numbered) < at or len(played) < count * at // len(told.entries):
                    verdict.look()
                    assert time.monotonic() < until, f"entry {at} is not due: {verdict.waiting()}; {system.logs()}"
                    assert not playing_ends.done(), playing_ends.exception()
                if not own and len(verdict.numbered) == at:
                    client.send([entry])
            verdict.settle(lambda: None, 90.0)
        except BaseException as error:
            error.add_note(f"seed {seed}, after {played}; again: NOVATE_FAULT_SEED={seed} make faults")
            raise
        finally:
            ended.set()
        playing_ends.result()
        assert list(verdict.numbered.values()) == told.entries
        for shard, outcomes in enumerate(told.outcomes):
            assert list(verdict.expected[Topic.OUTCOMES, shard].values()) == outcomes
        print(
            f"in lockstep, seed {seed}: {len(played)} faults, {len(verdict.journal) - len(told.entries)} entries twice"
        )


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return history(tmp_path_factory.mktemp("brief") / "run", shards=2, snapshot_every=20, steps=16)


def test_in_lockstep_a_few(brief: Reference, mortal: Broker, tmp_path: Path, prefix: str) -> None:
    in_lockstep(brief, mortal, tmp_path / "system", prefix, 3, SEED)


@pytest.mark.slow
def test_in_lockstep(told: Reference, mortal: Broker, tmp_path: Path, prefix: str) -> None:
    in_lockstep(told, mortal, tmp_path / "system", prefix, 12, SEED)


@pytest.mark.slow
def test_how_soon_it_goes_on(told: Reference, mortal: Broker, database: Database, tmp_path: Path, prefix: str) -> None:
    """Seconds from kill -9 until the killed one's shards have outcomes of entries sent after it, and until a client's
    next acknowledgement where the broker is killed and started at once. Figures; the bounds are wide."""
    takeovers: list[float] = []
    returns: list[float] = []
    with standing(told, mortal, database, tmp_path / "system", prefix, 1.0, SEED) as one:
        _, fast = one.clients
        one.verdict.settle(one.crew.tend, 90.0)
        for name in ("clearing a", "clearing b", "clearing a", "clearing b"):
            fast.go()
            shards = one.crew.running[name].shards()
            readers = [PartitionReader(mortal.address, one.system.topic(OUTCOMES), shard) for shard in shards]
            begun = time.monotonic()
            one.crew.kill(name)
            sent = len(fast.acknowledged)
            wait_until(lambda sent=sent: len(fast.acknowledged) > sent + 8, "the client goes on")  # type: ignore[misc]
            later = len(one.system.journal())  # no number is higher than this one
            for reader in readers:
                _reaches(reader, later)
                reader.close()
            takeovers.append(time.monotonic() - begun)
            one.crew.back(name)
            one.crew.away.discard(name)
            fast.hold()
            judged(one)
        for _ in range(3):
            fast.go()
            wait_until(lambda: len(fast.acknowledged) > 20, "the client sends")
            begun = time.monotonic()
            mortal.kill()
            mortal.start()
            wait_until(lambda begun=begun: fast.answered[-1] > begun + 0.2, "an acknowledgement", 60.0)  # type: ignore[misc]
            returns.append(fast.answered[-1] - begun)
            fast.hold()
            judged(one)
    print(f"kill -9 of a clearing worker: its shards go on after {sorted(round(s, 2) for s in takeovers)} s")
    print(f"kill -9 of the broker, started at once: acknowledged again after {sorted(round(s, 2) for s in returns)} s")
    assert sorted(takeovers)[1] < 10.0
    assert sorted(returns)[1] < 30.0


def _reaches(reader: PartitionReader, n: int) -> None:
    """Until the partition has a record of an entry past n."""
    offset, last = max(0, reader.end() - 1), 0
    until = time.monotonic() + 60.0
    while last <= n:
        assert time.monotonic() < until, f"still at {last}, not past {n}"
        for record in reader.tail(offset, 1.0):
            offset, last = record.offset + 1, number_of(record.key or b"")


def test_a_few_rounds(told: Reference, mortal: Broker, database: Database, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, database, tmp_path / "system", prefix, 4)


@pytest.mark.slow
def test_fifty_rounds(told: Reference, mortal: Broker, database: Database, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, database, tmp_path / "system", prefix, ROUNDS)

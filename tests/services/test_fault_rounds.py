"""Rounds of faults under load: whoever is killed or hangs, nothing acknowledged is lost, repeated or reordered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from broker import running
from kafka import KafkaAdminClient
from postgres import fresh, server
from rounds import BROKER, SEED, Client, Crew, ToGateway, ToKafka, external, history, plan, play, setup, small_change
from storing import dump, feed, streams
from verdict import Verdict
from workers import Reference, System, wait_until

from ledger.store.projection import Projection
from services.broker import Broker
from services.database import Database
from services.gateway.keys import ready_keys
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
        print(f"sent again: {again}; repeats in topics: { {topic.value: n for topic, n in verdict.repeats.items()} }")
        print(f"ended unasked: {dict(deaths)}; points not come to: {dict(one.crew.missed)}")


def test_a_few_rounds(told: Reference, mortal: Broker, database: Database, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, database, tmp_path / "system", prefix, 6)


@pytest.mark.slow
def test_fifty_rounds(told: Reference, mortal: Broker, database: Database, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, database, tmp_path / "system", prefix, ROUNDS)

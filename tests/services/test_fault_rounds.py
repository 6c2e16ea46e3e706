"""Rounds of faults under load: whoever is killed or hangs, nothing acknowledged is lost, repeated or reordered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from broker import running
from rounds import BROKER, SEED, Client, Crew, ToKafka, external, history, plan, play, setup, small_change
from verdict import Verdict
from workers import Reference, System

from services.broker import Broker

ROUNDS = 50
SHARDS = 4


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return history(tmp_path_factory.mktemp("history") / "run", shards=SHARDS, snapshot_every=100, steps=156)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("mortal")) as one:
        yield one


def rounds(told: Reference, broker: Broker, folder: Path, prefix: str, count: int, seed: int = SEED) -> None:
    """Play a plan of faults, settle after each, and judge."""
    faults = plan(seed, count)
    deaths: Counter[str] = Counter()
    with ExitStack() as stack:
        system = stack.enter_context(System(broker.address, prefix, told.settings, folder))
        verdict = Verdict(system)
        stack.callback(verdict.close)
        crew = Crew(system)
        crew.start_all()
        sent = external(told)
        first = setup(told)
        slow = Client(iter(sent[first:]), ToKafka(system), 5.0 * count / len(sent))
        fast = Client(small_change(told, seed), ToKafka(system), 0.015)
        slow.send(sent[:first])
        for at, fault in enumerate(faults):
            begun = time.monotonic()
            try:
                for client in (slow, fast):
                    client.go()
                play(fault, crew, broker, crew.tend)
                for client in (slow, fast):
                    client.hold()
                verdict.settle(crew.tend, 60.0)
                for client in (slow, fast):
                    verdict.acknowledged(client.acknowledged)
                unasked = crew.deaths - deaths
                assert not unasked or fault.whom == BROKER, f"ended unasked: {dict(unasked)}"
            except BaseException as error:
                error.add_note(f"round {at} of seed {seed}: {fault}; again: NOVATE_FAULT_SEED={seed} make faults")
                error.add_note(f"{system.logs()}")
                raise
            deaths = Counter(crew.deaths)
            print(f"{at:3} {time.monotonic() - begun:5.1f} s  {fault}", flush=True)
        state = verdict.clearing.states[0]
        print(f"seed {seed}: {len(verdict.journal)} entries, {len(verdict.numbered)} numbered, {state.mark} marks")
        print(f"sent again: {slow.again + fast.again}; repeats in topics: {dict(verdict.repeats)}")
        print(f"ended unasked: {dict(crew.deaths)}; points not come to: {dict(crew.missed)}")


def test_a_few_rounds(told: Reference, mortal: Broker, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, tmp_path / "system", prefix, 6)


@pytest.mark.slow
def test_fifty_rounds(told: Reference, mortal: Broker, tmp_path: Path, prefix: str) -> None:
    rounds(told, mortal, tmp_path / "system", prefix, ROUNDS)

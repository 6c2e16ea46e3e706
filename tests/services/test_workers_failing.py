"""A worker that must not go on ends by name with status 1; what it tells over HTTP until then."""

import re
from pathlib import Path

import httpx
import pytest
from workers import Process, System, reference, wait_until

from ledger.journal.kafka import Record
from ledger.journal.topics import OUTCOMES, OWNERS, Topic, make, topic_name, topics
from ledger.sequence import ShardEntry
from ledger.shardwire import encode_shard
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import Reason, Rung
from services.broker import Broker
from services.lockstep import Settings
from services.processors.intake import MOST_HELD
from services.processors.records import key_of, number_of
from services.workers.parts import CLEARING, SEQUENCER

SETTINGS = Settings(1, 100, 0)


def parts_whose_predecessor_is_missing(system: System) -> None:
    parts = [ShardEntry(n, n - 1, 0, (), Reason.MALFORMED, 1001, 0) for n in range(2, MOST_HELD + 4)]
    put(system, [encode_shard(part) for part in parts])


def outcomes_that_the_broker_refuses(system: System) -> None:
    put(system, [encode_shard(ShardEntry(1, 0, 0, (), Reason.MALFORMED, 1001, 0))])


def put(system: System, parts: list[bytes]) -> None:
    system.publish([Record(system.topic("shards"), 0, key_of(1), part) for part in parts])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (parts_whose_predecessor_is_missing, "MissingPredecessor"),
        (outcomes_that_the_broker_refuses, "WriteFailed"),
    ],
)
def test_a_worker_that_must_not_go_on_ends_by_name(
    tmp_path: Path, broker: Broker, prefix: str, fault, error: str
) -> None:
    if error == "WriteFailed":
        (outcomes,) = (one for one in topics(prefix, 1) if one.name == topic_name(prefix, OUTCOMES))
        make(broker.address, [Topic(outcomes.name, 1, {**outcomes.settings, "max.message.bytes": "64"})])
    with System(broker.address, prefix, SETTINGS, tmp_path) as system:
        worker = system.start(CLEARING)
        fault(system)
        wait_until(lambda: not worker.running, "the worker ends")
        assert worker.popen.returncode == 1
        last = worker.log()[-1]
        assert (last["message"], last["error"]) == ("failed", error)
        assert last["what"]


def test_health_metrics_questions_and_owners(tmp_path: Path, broker: Broker, prefix: str) -> None:
    told = reference(tmp_path / "embedded", shards=2, steps=4, snapshot_every=20)
    with System(broker.address, prefix, told.settings, tmp_path / "system") as system:
        sequencer, clearing = system.start(SEQUENCER), system.start(CLEARING)
        for entry in told.entries:
            system.append(entry)
        system.check(told)

        health = clearing.health()
        assert (health["part"], health["shards"], health["last_error"]) == (CLEARING, [0, 1], None)
        last = len(told.entries)
        assert all(fold == {"live": True, "lag": 0, "n": last} | fold for fold in health["folds"].values()), health
        assert sequencer.health()["folds"]["0"]["n"] == last

        page = httpx.get(f"{clearing.url}/metrics").text
        for line in (
            'novate_lag_records{part="clearing",shard="0"} 0.0',
            f'novate_last_n{{part="clearing",shard="1"}} {last}.0',
            'novate_fold_seconds_count{part="clearing",shard="0"}',
            'novate_snapshot_time_seconds{part="clearing",shard="0"}',
            'novate_fund_balance{asset="USDC",part="clearing",shard="0"}',
        ):
            assert line in page, line
        counted = re.findall(r'^novate_accounts{part="clearing",rung="[A-Z_]+",shard="[01]"} ([0-9.]+)$', page, re.M)
        assert len(counted) == 2 * len(Rung)
        assert sum(map(float, counted)) > 0
        assert "novate_events_total" in httpx.get(f"{sequencer.url}/metrics").text

        owners = {number_of(one.key or b""): one.value for one in system.read(OWNERS)}
        assert set(owners) == {0, 1}
        assert all(clearing.url.encode() in (value or b"") for value in owners.values())
        check_questions(clearing, sequencer)


def check_questions(clearing: Process, sequencer: Process) -> None:
    def asked(worker: Process, told: object) -> httpx.Response:
        return httpx.post(f"{worker.url}/ask", json=told, timeout=5.0)

    here = {"kind": "standing", "account": FIRST_ACCOUNT}
    answers = [asked(clearing, {"shard": shard, "question": here}) for shard in (0, 1)]
    assert sorted(one.status_code for one in answers) == [200, 421]
    assert next(one.json()["account"] for one in answers if one.status_code == 200) == FIRST_ACCOUNT
    for told, status in (
        ({"shard": 7, "question": here}, 421),
        ({"shard": 0, "question": here | {"account": 9999}}, 404),
        ({"shard": 0, "question": {}}, 422),
        ({"shard": 0}, 422),
        ([], 422),
    ):
        assert asked(clearing, told).status_code == status, told
    assert asked(sequencer, {"shard": 0, "question": here}).status_code == 404

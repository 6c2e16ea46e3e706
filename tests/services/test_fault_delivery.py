"""What is sent twice, late, in another order, with odd clocks, or is poison: named, dropped, and nothing else moves."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaProducer
from rounds import external, history, setup
from verdict import Verdict
from workers import Reference, System, header_of

from ledger.journal.kafka import KafkaPublisher, KafkaReader, Record
from schemas.events import EVENTS, OraclePrice, Trade
from schemas.kinds import Reason
from schemas.sources import Role, source
from schemas.wire import EntryHeader, Run, decode, encode_entry, message_of, runs_of
from services.broker import Broker
from services.processors.records import Topic, key_of

SHARDS = 2


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return history(tmp_path_factory.mktemp("history") / "run", shards=SHARDS, snapshot_every=40, steps=12)


@contextmanager
def standing(told: Reference, broker: Broker, folder: Path, prefix: str) -> Iterator[tuple[System, Verdict]]:
    """The five parts over the real broker, and who judges them."""
    with System(broker.address, prefix, told.settings, folder) as system, closing(Verdict(system)) as verdict:
        system.start_all()
        yield system, verdict


def begun(told: Reference, system: System, verdict: Verdict) -> list[bytes]:
    """Send what comes before the first mark and wait for that: it lists the instruments. Returns the rest."""
    sent, first = external(told), setup(told)
    for entry in sent[:first]:
        system.append(entry)
    settled(system, verdict)
    return sent[first:]


def settled(system: System, verdict: Verdict) -> None:
    verdict.settle(system.check_running, 90.0)


def test_repeats_gaps_and_another_order_leave_each_source_its_own(
    told: Reference, broker: Broker, tmp_path: Path, prefix: str
) -> None:
    """Two producers send what one of them should: again, ahead of its turn, and much later once more."""
    draw = random.Random(11)
    with (
        standing(told, broker, tmp_path / "system", prefix) as (system, verdict),
        closing(KafkaPublisher(system.address)) as other,
    ):
        sent = begun(told, system, verdict)
        for at, entry in enumerate(sent):
            if draw.random() < 0.3:
                ahead = sent[min(len(sent) - 1, at + draw.randrange(1, 6))]  # a gap for its source, or its turn
                if header_of(ahead)["source"] == header_of(entry)["source"]:
                    system.append(ahead)
            system.append(entry)
            for again in draw.choices(sent[: at + 1], k=draw.choice((0, 1, 3))):
                other.publish([Record(system.topic("journal"), 0, None, again)])
        settled(system, verdict)
        verdict.acknowledged(sent)
        assert len(verdict.journal) > len(verdict.numbered) + len(sent) // 3
        by_source: defaultdict[int, list[bytes]] = defaultdict(list)
        for entry in sent:
            by_source[header_of(entry)["source"]].append(entry)
        for number, entries in by_source.items():
            assert [entry for (of, _), entry in verdict.numbered.items() if of == number][-len(entries) :] == entries


def test_a_late_price_and_clocks_that_jump_are_judged_by_the_events_own_times(
    told: Reference, broker: Broker, tmp_path: Path, prefix: str
) -> None:
    """The same history from a producer whose clock is in 1971 or in 2100: not a byte differs. A price older than its
    source's last is in the journal once and refused by name; nothing is marked by it."""
    draw = random.Random(12)
    own, at = told.own, 0
    producer = KafkaProducer(bootstrap_servers=broker.address, acks="all", enable_idempotence=True)
    with closing(producer), standing(told, broker, tmp_path / "system", prefix) as (system, verdict):
        for at, entry in enumerate(told.entries):
            system.wait_until_journal_has(at, 60.0)
            if not own[at]:
                stamp = draw.choice((31 * 10**9, 0, 4_102_444_800_000))
                producer.send(system.topic("journal"), value=entry, partition=0, timestamp_ms=stamp).get(30)
        settled(system, verdict)
        assert verdict.journal == told.entries
        before, refused = verdict.clearing.states[0].mark, verdict.rejected[Reason.ORACLE_LATE]
        late = prices(told)[0]
        oracle = source(Role.ORACLE)
        sequence = 1 + max(sequence for of, sequence in verdict.numbered if of == oracle)
        system.append(encode_entry(oracle, sequence, (late,)))
        settled(system, verdict)
        assert verdict.rejected[Reason.ORACLE_LATE] == refused + len(late.rows)
        assert verdict.clearing.states[0].mark == before


def prices(told: Reference) -> list[Run]:
    runs = [run for entry in external(told) for run in decode(entry, EntryHeader, EVENTS).runs]
    return [run for run in runs if run.message.cls is OraclePrice]


def poisons(draw: random.Random, entry: bytes, like: Trade, sequence: int) -> list[tuple[bytes | None, Reason]]:
    """Values for the journal, and the reason each is refused for. Those that can be numbered are of a source of their
    own, from `sequence` on, so that they take nobody's number."""
    stranger = source(Role.EXCHANGE, 7)
    negative, huge = (replace(like, quantity=quantity) for quantity in (-1, 2**63 - 1))
    body = encode_entry(stranger, sequence, runs_of(EVENTS, [like]))
    return [
        (draw.randbytes(draw.randrange(1, 300)), Reason.NONE),
        (b"", Reason.NONE),
        (None, Reason.NONE),
        (entry[: draw.randrange(1, 16)], Reason.NONE),
        (b"NaN" + entry, Reason.NONE),
        (json.dumps({"trade": {"price": "NaN"}}).encode(), Reason.NONE),
        (body[:-1], Reason.MALFORMED),
        (encode_entry(stranger, sequence + 1, runs_of(EVENTS, [negative])), Reason.QUANTITY_OUT_OF_RANGE),
        (encode_entry(stranger, sequence + 2, runs_of(EVENTS, [huge])), Reason.QUANTITY_OUT_OF_RANGE),
        (encode_entry(999_000 + sequence, 1, runs_of(EVENTS, [like])), Reason.UNAUTHORISED_SOURCE),
    ]


def test_poison_in_every_topic(told: Reference, broker: Broker, tmp_path: Path, prefix: str) -> None:
    """Nobody stops, each is refused by its name or quarantined, and everything else is as without it."""
    draw = random.Random(13)
    rows = [
        run for entry in told.entries for run in decode(entry, EntryHeader, EVENTS).runs if run.message.cls is Trade
    ]
    like = message_of(rows[0].message, rows[0].rows[0])
    refused: Counter[Reason] = Counter()
    others = [topic for topic in Topic if topic is not Topic.JOURNAL]
    with (
        standing(told, broker, tmp_path / "system", prefix) as (system, verdict),
        closing(KafkaPublisher(system.address)) as publisher,
    ):
        sent = begun(told, system, verdict)
        for at, entry in enumerate(sent):
            system.append(entry)
            if at % 4 or at < 3:
                continue
            for poison, reason in poisons(draw, entry, like, 1 + 3 * (refused[Reason.MALFORMED])):
                publisher.publish([Record(system.topic(Topic.JOURNAL), 0, b"poison", poison)])
                refused[reason] += 1
            for topic in others:
                partition = draw.randrange(SHARDS) if topic in (Topic.SHARDS, Topic.OUTCOMES, Topic.NOTICES) else 0
                good = system.read(topic, partition)
                whole = (draw.choice(good).value if good else None) or b"{}"
                for value in (draw.randbytes(40), whole[: len(whole) // 2], b"", b'{"shards": NaN'):
                    verdict.foreign.add(value)
                    key = key_of(draw.randrange(1, 10**6))
                    publisher.publish([Record(system.topic(topic), partition, key, value)])
        settled(system, verdict)
        system.check_running()
        verdict.acknowledged(sent)
        with closing(KafkaReader(system.address, system.topic(Topic.JOURNAL))) as reader:  # an auditor reads the same
            assert [data for _, data in reader.read(0, reader.end())] == verdict.journal
        for reason, count in refused.items():
            if reason is Reason.NONE:
                assert len(verdict.found[Topic.QUARANTINE, 0]) == count
            else:
                assert verdict.rejected[reason] >= count, (reason, verdict.rejected)


def test_a_note_in_the_quarantine_tells_what_was_found(
    told: Reference, broker: Broker, tmp_path: Path, prefix: str
) -> None:
    with standing(told, broker, tmp_path / "system", prefix) as (system, verdict):
        system.append(external(told)[0])
        with closing(KafkaPublisher(system.address)) as publisher:
            publisher.publish([Record(system.topic(Topic.JOURNAL), 0, None, b"a letter to a friend")])
        settled(system, verdict)
        (note,) = system.read(Topic.QUARANTINE)
        page = json.loads(note.value or b"")
        assert b64decode(page["bytes"]) == b"a letter to a friend"
        assert (page["offset"], page["reason"] in Reason.__members__, bool(page["what"])) == (1, True, True)

"""The gateway's core over the real broker and real workers: receipts, repeats, refusals, notices, questions, proofs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from broker import running
from simulation.course import course
from workers import ALL, Reference, System, header_of, reference

from ledger.journal.kafka import KafkaPublisher, Record
from ledger.journal.topics import HEADS as HEADS_TOPIC
from ledger.journal.topics import JOURNAL, create, topic_name
from ledger.merkle import includes
from schemas.events import EVENTS, AccountOpened
from schemas.kinds import Segregation
from schemas.outcomes import AccountRegistered
from schemas.sources import Role, source
from schemas.wire import encode_entry, runs_of
from services.asking import Kind, Question
from services.broker import Broker
from services.embedded import stored_notices
from services.explain import AccountUnknown
from services.gateway.core import (
    AccountElsewhere,
    Notice,
    Overloaded,
    ProofUnknown,
    Receipt,
    SequenceGap,
    SequenceTaken,
    Stopped,
)
from services.gateway.kafka import KafkaCore, _NoticesSeen
from services.heads import Head, read_heads
from services.lockstep import HEADS, Settings
from services.processors.records import Record as Read
from services.processors.records import Topic
from services.workers.settings import settle

WITHIN = 30.0
SHARDS = 2


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    folder = tmp_path_factory.mktemp("reference") / "run"
    return folder, reference(folder, shards=SHARDS, steps=9, accounts=24)


@contextmanager
def opened(address: str, prefix: str, settings: Settings) -> Iterator[KafkaCore]:
    with closing(KafkaCore(address, prefix, settings)) as core:
        until_ok(core)
        yield core


def eventually(what: Callable[[], bool], system: System | None = None) -> None:
    until = time.monotonic() + WITHIN
    while not what():
        assert time.monotonic() < until, system.logs() if system else "it never came"
        time.sleep(0.02)


def until_ok(core: KafkaCore) -> None:
    eventually(lambda: core.health()["ok"])


def entry(sequence: int, account: int = 16, role: Role = Role.REGISTRAR) -> bytes:
    one = AccountOpened(
        account=account, member=7, owner=7, profile=0, segregation=Segregation.HOUSE, liquidator=0, time=1, name="x"
    )
    return encode_entry(source(role), sequence, runs_of(EVENTS, [one]))


async def append(core: KafkaCore, *entries: bytes) -> Sequence[Any]:
    return await core.append(entries)


async def first(notices: AsyncIterator[Notice], count: int) -> list[Notice]:
    found = []
    async with aclosing(notices) as told:  # type: ignore[type-var]
        async for one in told:
            found.append(one)
            if len(found) == count:
                return found
    return found


def test_the_whole_system_in_lockstep(
    told: tuple[Path, Reference], broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Driven through the core, the workers write the embedded run's journal; what listeners hear is what it said."""
    directory, ran = told
    last = len(ran.entries)
    expected = [one for one in stored_notices(directory, SHARDS, 0, last, last) if one.said]
    with System(broker.address, prefix, ran.settings, tmp_path) as system:
        for part in ALL:
            system.start(part)
        with opened(broker.address, prefix, ran.settings) as core:
            for at, (data, own) in enumerate(zip(ran.entries, ran.own, strict=True)):
                eventually(lambda at=at: core.health()["offset"] >= at, system)  # type: ignore[misc]
                if not own:
                    receipt = Receipt(header_of(data)["source"], header_of(data)["sequence"], at, at + 1, False)
                    assert asyncio.run(append(core, data)) == [receipt]
            eventually(lambda: core.health()["n"] == last)
            system.check(ran)
            heard = asyncio.run(asyncio.wait_for(first(core.notices(0), len(expected)), WITHIN))
            assert plain(heard) == plain(expected)
            assert plain(core._older(0, last, 10**6)) == plain(expected)
            middle = expected[len(expected) // 2].n
            assert [one.n for one in core._older(middle, last, 5)] == [one.n for one in expected if one.n > middle][:5]
            ask_of(core)
            prove(core, broker.address, prefix, directory, ran)
        with opened(broker.address, prefix, ran.settings) as again:  # another gateway, of the whole journal
            assert again.health()["n"] == last
            own = ran.own
            mine = [(at, data) for at, data in enumerate(ran.entries) if not own[at]]
            for at, data in mine[:3]:
                assert asyncio.run(append(again, data))[0] == Receipt(*key(data), at, at + 1, repeated=True)
            for process in system.processes:
                process.stop()
            eventually(lambda: bool(again._owners))
            with pytest.raises(AccountElsewhere):
                asyncio.run(again.ask(16, Question(kind=Kind.STANDING, account=16)))


def plain(notices: Sequence[Notice]) -> list[Any]:
    return [(one.n, [(run.message.name, run.rows.tobytes()) for run in one.said]) for one in notices]


def key(data: bytes) -> tuple[int, int]:
    return header_of(data)["source"], header_of(data)["sequence"]


def ask_of(core: KafkaCore) -> None:
    eventually(lambda: len(core._owners) == SHARDS)
    for account in (16, 17):
        answer = asyncio.run(core.ask(account, Question(kind=Kind.STANDING, account=account)))
        assert answer["account"] == account and answer["n"] > 0
        assert core.member_of(account) is not None
    assert core.member_of(60_000) is None
    with pytest.raises(AccountUnknown):
        asyncio.run(core.ask(60_000, Question(kind=Kind.STANDING, account=60_000)))
    wrong = Question(kind=Kind.STANDING, account=16, member=2**31)
    with pytest.raises(AccountUnknown):
        asyncio.run(core.ask(16, wrong))


def prove(core: KafkaCore, address: str, prefix: str, directory: Path, ran: Reference) -> None:
    with pytest.raises(Stopped, match="no head"):
        asyncio.run(core.head())
    heads = list(read_heads(directory / HEADS).values())
    with closing(KafkaPublisher(address)) as publisher:
        publisher.publish(Record(topic_name(prefix, HEADS_TOPIC), 0, None, head.line().encode()) for head in heads)
    eventually(lambda: bool(core._heads) and core._heads[-1] == heads[-1])
    head = asyncio.run(core.head())
    assert head == heads[-1] and head.entries == len(ran.entries)
    proof = asyncio.run(core.proof(5))
    assert includes(bytes.fromhex(head.merkle), head.entries, 5, proof.leaf, proof.path)
    with pytest.raises(ProofUnknown):
        asyncio.run(core.proof(head.entries))


@pytest.fixture
def bare(broker: Broker, prefix: str) -> Iterator[tuple[str, str, Settings]]:
    """Topics and no workers."""
    settings = Settings(1, 100, 0)
    create(broker.address, prefix, 1)
    settle(broker.address, prefix, settings)
    yield broker.address, prefix, settings


def test_repeats_gaps_and_another_writer(bare: tuple[str, str, Settings]) -> None:
    registrar = source(Role.REGISTRAR)
    with opened(*bare) as core, opened(*bare) as other:
        one, two, three = (entry(sequence, 15 + sequence) for sequence in (1, 2, 3))
        assert asyncio.run(core.expected(registrar)) == 1
        assert asyncio.run(append(core, one, two)) == [
            Receipt(registrar, 1, 0, 1, False),
            Receipt(registrar, 2, 1, 2, False),
        ]
        assert asyncio.run(core.expected(registrar)) == 3
        assert asyncio.run(append(core, one)) == [Receipt(registrar, 1, 0, 1, True)]
        (taken,) = asyncio.run(append(core, entry(1, 99)))
        assert isinstance(taken, SequenceTaken) and taken.offset == 0
        receipt, gap = asyncio.run(append(core, two, entry(9), three))
        assert isinstance(receipt, Receipt) and isinstance(gap, SequenceGap) and gap.expected == 3
        eventually(lambda: other.health()["n"] == 2)

        async def at_once() -> tuple[Any, Any]:
            return await asyncio.gather(append(core, three), append(core, three))

        (first_told,), (second,) = asyncio.run(at_once())
        assert first_told == second and first_told[2:4] == (2, 3)
        # Two gateways for one source: the journal's order decides, and both are told the truth.
        mine, theirs = entry(4, 40), entry(4, 41)

        async def both() -> tuple[Any, Any]:
            return await asyncio.gather(append(core, mine), append(other, theirs))

        eventually(lambda: other.health()["n"] == 3)
        told = [one for (one,) in asyncio.run(both())]
        assert sorted(type(one).__name__ for one in told) == ["Receipt", "SequenceTaken"]
        assert asyncio.run(core.expected(registrar)) == 5


def test_calls_keep_their_order(bare: tuple[str, str, Settings]) -> None:
    with opened(*bare) as core:

        async def many() -> list[Any]:
            calls = [append(core, *(entry(sequence) for sequence in range(k, k + 3))) for k in range(1, 300, 3)]
            return await asyncio.gather(*[asyncio.ensure_future(one) for one in calls])

        told = [receipt for call in asyncio.run(many()) for receipt in call]
        assert [receipt.offset for receipt in told] == list(range(300))


def test_a_system_that_is_behind_takes_no_more(bare: tuple[str, str, Settings],
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("services.gateway.kafka.MOST_BEHIND", 4)
    monkeypatch.setattr("services.gateway.kafka.SILENT", 0.2)
    monkeypatch.setattr("services.gateway.kafka.LOOK", 0.05)
    with opened(*bare) as core:
        asyncio.run(append(core, *(entry(sequence) for sequence in range(1, 6))))
        eventually(lambda: core.health()["waiting"] == 5)  # there is nobody who clears
        (refused,) = asyncio.run(append(core, entry(6)))
        assert isinstance(refused, Overloaded) and refused.retry_seconds > 0
        assert asyncio.run(append(core, entry(5)))[0].repeated


def test_the_broker_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.kafka.ANSWER_WITHIN", 1.0)
    settings = Settings(1, 100, 0)
    with running(tmp_path / "broker") as one:
        create(one.address, "t", 1)
        settle(one.address, "t", settings)
        with opened(one.address, "t", settings) as core:
            asyncio.run(append(core, entry(1)))
            one.kill()
            with pytest.raises(Stopped):
                asyncio.run(append(core, entry(2), entry(3)))
            one.start()

            def again() -> bool:
                try:
                    told = asyncio.run(append(core, entry(2), entry(3)))
                except Stopped:
                    return False
                assert [(receipt.sequence, receipt.n) for receipt in told] == [(2, 2), (3, 3)]
                return True

            eventually(again)
            assert asyncio.run(append(core, entry(4)))[0].n == 4
        with pytest.raises(Stopped):
            asyncio.run(append(core, entry(5)))
        assert one.address and topic_name("t", JOURNAL)


NOWHERE = "127.0.0.1:1"
"""where no broker is: what a core makes of records is tried without one"""


def test_what_is_no_head_and_no_owner_is_passed_over_and_an_older_head_too() -> None:
    def head(entries: int) -> bytes:
        return Head(entries, entries, "00", "00", ("00",)).line().encode()

    said = [
        (Topic.OWNERS, b""), (Topic.OWNERS, b"{"), (Topic.OWNERS, b"[]"), (Topic.OWNERS, b'{"shard": 0}'),
        (Topic.OWNERS, b'{"shard": 0, "url": "http://one"}'), (Topic.HEADS, b"null"), (Topic.HEADS, b"{}"),
        *((Topic.HEADS, head(entries)) for entries in (100, 200, 300, 100, 200)),  # the archive is made again
    ]  # fmt: skip
    with closing(KafkaCore(NOWHERE, "t", Settings(1, 100, 0))) as core:
        for offset, (topic, value) in enumerate(said):
            asyncio.run(core._heard(Read(topic, 0, offset, value)))
        assert core._owners == {0: "http://one"}
        assert [one.entries for one in core._heads] == [200, 300]


def test_notices_wait_until_it_is_known_whose_the_accounts_are() -> None:
    """Else a member who listens while the gateway reads its history would not be told of its own accounts."""
    ran = course(0, 2)
    facts = ran.begun[Topic.FACTS, 0]
    with closing(KafkaCore(NOWHERE, "t", ran.settings)) as core:
        core._facts_until = len(facts)
        for shard in range(ran.settings.shards):
            for offset, value in enumerate(ran.begun[Topic.NOTICES, shard]):
                asyncio.run(core._heard(Read(Topic.NOTICES, shard, offset, value)))
        assert not core._feed._held
        for offset, value in enumerate(facts):
            asyncio.run(core._heard(Read(Topic.FACTS, 0, offset, value)))
            assert all(one.n <= core._follower.state.n for one in core._feed._held) or offset + 1 == len(facts)
        named = [
            int(row["account"]) for one in core._feed._held for run in one.said if run.message.cls is AccountRegistered
            for row in run.rows
        ]  # fmt: skip
        assert named and all(core.member_of(account) is not None for account in named)
        assert not core._untold


def test_a_call_that_is_cancelled_leaves_no_entry_that_is_said_to_be_on_its_way() -> None:
    class Waits:
        async def send(self, _writes: object) -> None:
            await asyncio.Event().wait()

    core = KafkaCore(NOWHERE, "t", Settings(1, 100, 0))
    core.close()  # its own thread would clear up behind it

    async def cancelled() -> None:
        core._output = Waits()  # type: ignore[assignment]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(core._append([entry(1)]), 0.05)

    asyncio.run(cancelled())
    assert core._expected(source(Role.REGISTRAR)) == 1
    assert not core._in_flight


def test_notices_are_put_together_in_order_also_where_a_shard_is_far_ahead() -> None:
    ran = course(0, 2)
    wanted: list[int] = []
    for ahead in (0, 1):
        seen = _NoticesSeen(2)
        said = {shard: ran.begun[Topic.NOTICES, shard] for shard in range(2)}
        for offset, value in enumerate(said[ahead]):
            assert seen.take(Read(Topic.NOTICES, 1 - ahead, offset, value)) == []  # a stray: another shard's
            assert seen.take(Read(Topic.NOTICES, ahead, offset, value)) == []
        told = [
            one.n for offset, value in enumerate(said[1 - ahead])
            for one in seen.take(Read(Topic.NOTICES, 1 - ahead, offset, value))
        ]  # fmt: skip
        assert told == sorted(told) and len(told) > 3
        assert told == (wanted := wanted or told)

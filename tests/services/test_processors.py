"""Parts by themselves: what a snapshot refuses, and what a reader makes of records that are strange or out of order."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Set
from random import Random
from typing import Any

import pytest
from simulation.course import course
from simulation.instances import makings

from ledger.shardwire import decode_shard
from ledger.snapshot import SnapshotBroken
from schemas.outcomes import OUTCOMES
from schemas.wire import OutcomeHeader, decode, encode
from services.processors import follower
from services.processors.deciders import Paying
from services.processors.follower import Follower
from services.processors.intake import Intake
from services.processors.records import Place, Record, Topic
from services.processors.service import Service
from services.workers.telling import _standing

COURSE = course(0, 2)
PARTS = ("sequencer", "shard 0", "pricer", "fund", "liquidator")


class Counting(OrderedDict[int, Any]):
    """Counts the keys that are looked at one after the other."""

    looked_at = 0

    def __iter__(self) -> Iterator[int]:
        for key in super().__iter__():
            self.looked_at += 1
            yield key


def damaged(data: bytes) -> Iterable[bytes]:
    """One bit flipped, at every byte of its beginning and at some of the rest; cut at some; and nothing at all."""
    draw = Random(0)
    for at in [*range(min(len(data), 120)), *(draw.randrange(len(data)) for _ in range(60))]:
        changed = bytearray(data)
        changed[at] ^= 1 << draw.randrange(8)
        yield bytes(changed)
    for _ in range(20):
        yield data[: draw.randrange(len(data))]
    yield b""


@pytest.mark.parametrize("part", PARTS)
def test_a_snapshot_of_which_a_byte_is_changed_is_refused(part: str) -> None:
    make = makings(COURSE.settings)[part]
    data = COURSE.kept[part][-1].data
    make(data)
    for bad in damaged(data):
        with pytest.raises(SnapshotBroken):
            make(bad)


@pytest.mark.parametrize("part", PARTS)
def test_another_parts_snapshot_is_refused(part: str) -> None:
    for other in {*PARTS} - {part}:
        with pytest.raises(SnapshotBroken):
            makings(COURSE.settings)[part](COURSE.kept[other][-1].data)


def test_another_shards_part_is_passed_over() -> None:
    intake = Intake(0, 0, 0)
    stray, mine = COURSE.begun[Topic.SHARDS, 1][0], COURSE.begun[Topic.SHARDS, 0][0]
    assert intake.arrived(0, stray) == []
    assert [(offset, entry.n) for offset, entry in intake.arrived(1, mine)] == [(1, 1)]
    assert (intake.unreadable, intake.place, intake.missing) == (1, 2, None)


def test_a_follower_reads_on_from_the_first_of_the_facts_it_has_not_given_out() -> None:
    """The third fact lies before the second; a follower that has given out the second alone needs it again."""
    facts = COURSE.begun[Topic.FACTS, 0]
    second, third = decode_shard(facts[1]).n, decode_shard(facts[2]).n
    reads = Follower(COURSE.settings)
    for offset, at in enumerate((0, 2, 1)):
        list(reads.take(Record(Topic.FACTS, 0, offset, facts[at])))
    for shard in range(COURSE.settings.shards):
        for offset, value in enumerate(COURSE.begun[Topic.NOTICES, shard][:2]):
            list(reads.take(Record(Topic.NOTICES, shard, offset, value)))
    assert (reads.state.n, third) == (second, second + 1)
    assert reads.places()[Topic.FACTS, 0] == 1


def test_a_shard_may_be_far_ahead_of_the_facts() -> None:
    """What a service does of an entry must not grow with what has been said of later ones."""
    facts = [decode_shard(one) for one in COURSE.begun[Topic.FACTS, 0]]
    reads = Follower(COURSE.settings)
    said = decode(COURSE.begun[Topic.NOTICES, 0][0], OutcomeHeader, OUTCOMES)
    counted = Counting()
    reads._notices[0] = counted
    for shard in range(COURSE.settings.shards):
        for offset, value in enumerate(COURSE.begun[Topic.NOTICES, shard]):
            list(reads.take(Record(Topic.NOTICES, shard, offset, value)))
    for n in range(facts[-1].n + 1, facts[-1].n + 5001):
        far = encode(OutcomeHeader(**(said.header | {"n": n, "outcomes": 0})), ())
        list(reads.take(Record(Topic.NOTICES, 0, n, far)))
    for offset, value in enumerate(COURSE.begun[Topic.FACTS, 0]):
        list(reads.take(Record(Topic.FACTS, 0, offset, value)))
    assert reads.state.n > 0 and len(counted) >= 5000
    assert counted.looked_at < 4 * len(facts) + len(COURSE.begun[Topic.NOTICES, 0])


def test_what_a_follower_holds_is_bounded_while_one_shard_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MOST_AHEAD", 4)
    records = {
        place: deque(Record(*place, offset, value) for offset, value in enumerate(COURSE.begun[place]))
        for place in [(Topic.FACTS, 0), *((Topic.NOTICES, shard) for shard in range(COURSE.settings.shards))]
    }
    last = decode_shard(COURSE.begun[Topic.FACTS, 0][-1]).n
    reads = Follower(COURSE.settings)

    def behind() -> set[Place]:
        return {place for place, left in records.items() if left}

    def read_all(places: Set[Place]) -> None:
        """Whatever may be read, until nothing may be read any more."""
        while ready := [place for place in behind() & places if place not in reads.full(behind())]:
            list(reads.take(records[max(ready)].popleft()))  # notices first

    still = (Topic.NOTICES, 0)
    read_all({*records} - {still})
    assert reads.state.n < last and len(reads._waiting) == len(reads._notices[1]) == 4
    assert all(records.values()), "there is more"
    read_all({*records})
    assert reads.state.n == last and not any(records.values())


def test_a_service_whose_facts_lack_one_says_so_and_is_not_quiet() -> None:
    facts = COURSE.begun[Topic.FACTS, 0]
    fund = Service(COURSE.settings, Paying(COURSE.settings.shards))
    for offset, value in enumerate([facts[0], b"?", *facts[2:4]]):
        fund.take(Record(Topic.FACTS, 0, offset, value))
    for shard in range(COURSE.settings.shards):
        for offset, value in enumerate(COURSE.begun[Topic.NOTICES, shard]):
            fund.take(Record(Topic.NOTICES, shard, offset, value))
    first, lost = (decode_shard(one).n for one in facts[:2])
    assert (fund.state.n, fund.missing, fund.quiet) == (first, (first, lost), False)
    assert _standing(fund)["missing"] == (first, lost)

"""Whole topologies under seeded faults. Every rule holds; where the code is broken on purpose, some rule does not."""

import os
import pickle
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from random import SystemRandom
from typing import Any

import pytest
from simulation.__main__ import REPLAY, many
from simulation.course import COURSES, SHARDS, course
from simulation.instances import Instance
from simulation.mix import FAULTS
from simulation.rules import Broken
from simulation.simulator import simulate

from ledger import notices
from ledger.sequence import ShardEntry, ShardIntake
from schemas.kinds import Rung
from schemas.outcomes import (
    OUTCOMES,
    AuctionOpened,
    BackerStands,
    BreakerSwitched,
    CloseOutDue,
    DeficitCovered,
    DeleveragingCandidate,
    LossBorne,
    PortfolioBidReserved,
    RungChanged,
    WithdrawalsHold,
)
from schemas.wire import OutcomeHeader, decode
from services.processors import clearing, follower, intake, sealing
from services.processors.follower import Follower
from services.processors.intake import Intake
from services.processors.records import Topic
from services.processors.sequencer import Sequencer
from services.processors.service import Service

FEW = 100
"""seeds of the ordinary suite"""
SECONDS = 120.0
"""how long the long run takes, on every processor"""
SOON = 120
"""within so many seeds a broken rule must show"""


def _replays(failed: dict[int, Broken]) -> str:
    return "\n".join(f"{found}\n    {REPLAY.format(seed=seed)}" for seed, found in failed.items())


def test_every_rule_holds_under_every_fault() -> None:
    counts, failed, _ = many(0, FEW, 1e9)
    assert not failed, _replays(failed)
    assert {name for name in FAULTS if counts[name] < FEW / 20} == set(), counts


def test_every_rule_holds_where_nothing_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that wants no more as soon as one thing waits still gets everything."""
    monkeypatch.setattr(follower, "MOST_AHEAD", 1)
    _, failed, ran = many(0, FEW // 2, 1e9)
    assert not failed and ran == FEW // 2, _replays(failed)


def test_a_seed_says_the_same_again() -> None:
    one: list[str] = []
    again: list[str] = []
    assert simulate(7, trace=one) == simulate(7, trace=again)
    assert one == again


@pytest.mark.slow
def test_every_rule_holds_for_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    first = SystemRandom().randrange(10**9)
    firsts = [first + process * 10**6 for process in range(os.cpu_count() or 1)]
    counts, failed, ran = Counter[str](), dict[int, Broken](), 0
    with ProcessPoolExecutor(len(firsts), get_context("spawn")) as processes:
        for told in processes.map(many, firsts, repeat(10**6), repeat(SECONDS)):
            counts += told[0]
            failed |= told[1]
            ran += told[2]
    with capsys.disabled():
        print(f"\n{ran} seeds from {firsts} on in {SECONDS:.0f} s: {dict(sorted(counts.items()))}")
    assert not failed, _replays(failed)


def test_what_was_found_comes_back_from_another_process() -> None:
    found = pickle.loads(pickle.dumps(Broken("a rule", "what was found")))
    assert (found.rule, found.found, str(found)) == ("a rule", "what was found", "a rule: what was found")


SEEDS_THAT_FAILED = {
    212678348: "a gap told from margins that a shard begun from a snapshot does not have",
}


@pytest.mark.parametrize("seed", SEEDS_THAT_FAILED)
def test_a_seed_that_failed_once(seed: int) -> None:
    simulate(seed)


def test_the_courses_hold_what_clearing_is_for() -> None:
    """Accounts are liquidated, auctioned, deleveraged and paid for by the fund, in some course or other."""
    found: set[type[Any]] = set()
    worst = 0
    for number in range(COURSES):
        for outcomes in (data for shard in course(number, 2).outcomes for data in shard):
            for run in decode(outcomes, OutcomeHeader, OUTCOMES).runs:
                found.add(run.message.cls)
                if run.message.cls is RungChanged:
                    worst = max(worst, int(run.rows["after"].max()))
    assert {AuctionOpened, DeficitCovered, DeleveragingCandidate} <= found
    assert {PortfolioBidReserved, LossBorne, CloseOutDue, BreakerSwitched, WithdrawalsHold, BackerStands} <= found
    assert worst > Rung.HEALTHY


# --- what is broken on purpose must be found --------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def _released_early(patch: Patch) -> None:
    """A follower gives an entry out when one of its shards has answered."""
    concerned = Follower._concerned

    def answered(self: Any, entry: ShardEntry) -> list[int]:
        every = concerned(self, entry)
        return [shard for shard in every if entry.n in self._notices[shard]] or every

    patch.setattr(Follower, "_concerned", answered)


def _kept_early(patch: Patch) -> None:
    """A snapshot is kept before what was written before it is acknowledged."""
    patch.setattr(Instance, "keepable", property(lambda self: bool(self.due)))


def _repeats_folded(patch: Patch) -> None:
    """A part that came before is folded again."""

    def taken(held: ShardIntake, entry: ShardEntry) -> bool:
        if entry.n > held.last + 1 and entry.previous > held.last:
            raise intake.MissingPredecessor(held.shard, held.last, entry.previous)
        held.last = max(held.last, entry.n)
        return True

    patch.setattr(intake, "taken", taken)


def _holes_passed_over(patch: Patch) -> None:
    """A part is folded although its predecessor is missing."""

    def taken(held: ShardIntake, entry: ShardEntry) -> bool:
        new, held.last = entry.n > held.last, max(held.last, entry.n)
        return new

    patch.setattr(intake, "taken", taken)


def _decided_again(patch: Patch) -> None:
    """A service sends what it decided although the journal shows it, under the next number."""
    hear = Service._hear

    def forgetful(self: Any, told: Any) -> None:
        mine = told.source == self._decider.source
        before = deque(self._decided)
        hear(self, told)
        if mine and not before and self._seen > 1:
            self._seen -= 1

    patch.setattr(Service, "_hear", forgetful)


def _numbered_otherwise(patch: Patch) -> None:
    """A sequencer begun again gives other numbers."""
    restore = Sequencer._restore

    def wrong(self: Any, data: bytes) -> None:
        restore(self, data)
        self._sequence.n += 1

    patch.setattr(Sequencer, "_restore", wrong)


def _sent_forgotten(patch: Patch) -> None:
    """A sequencer begun again does not know what was sent to the shards before."""
    restore = Sequencer._restore

    def wrong(self: Any, data: bytes) -> None:
        restore(self, data)
        self._splitting.sent = [0] * len(self._splitting.sent)

    patch.setattr(Sequencer, "_restore", wrong)


def _seal_unread(patch: Patch) -> None:
    """Nobody compares the hash of a snapshot's beginning."""

    class Blind:
        @staticmethod
        def sha256(_data: bytes = b"") -> Any:
            class Any32:
                digest_size = 32

                @staticmethod
                def digest() -> Any:
                    class Equal(bytes):
                        def __ne__(self, _other: object) -> bool:
                            return False

                    return Equal(32)

            return Any32

    patch.setattr(sealing, "hashlib", Blind)


def _silent_when_nothing_happened(patch: Patch) -> None:
    """A shard that has nothing to tell says nothing, though it is waited for."""

    def told(outcomes: bytes, *, awaited: bool) -> bytes | None:
        return notices.notice_of(outcomes, awaited=False)

    patch.setattr(clearing, "notice_of", told)


def _never_again(patch: Patch) -> None:
    """A service begun again does not send what it had decided and is not in the journal."""
    begin = Service.__init__

    def begun(self: Any, settings: Any, decider: Any, snapshot: bytes | None = None) -> None:
        begin(self, settings, decider, snapshot)
        self._sent = max([self._sent, *(sequence for sequence, _ in self._decided)])

    patch.setattr(Service, "__init__", begun)


def _stray_stops(patch: Patch) -> None:
    """Another shard's part in a shard's partition stops it."""
    arrived = Intake.arrived

    def strict(self: Any, offset: int, value: bytes) -> list[tuple[int, ShardEntry]]:
        before = self.unreadable
        found = arrived(self, offset, value)
        if self.unreadable > before and value[2:4] == b"\x03\x00" and len(value) > 60:
            raise ValueError("another shard's")
        return found

    patch.setattr(Intake, "arrived", strict)


def _full_of_what_is_awaited(patch: Patch) -> None:
    """A follower wants no more of a shard that is ahead of the facts, though the next entry may be the shard's."""

    def full(self: Any, _behind: Any) -> set[Any]:
        return {(Topic.NOTICES, shard) for shard, held in enumerate(self._notices) if held}

    patch.setattr(Follower, "full", full)


BREAKS: tuple[tuple[Callable[[Patch], None], tuple[str, ...]], ...] = (
    (_released_early, ()),
    (_kept_early, ()),
    (_repeats_folded, ()),
    (_holes_passed_over, ()),
    (_decided_again, ()),
    (_numbered_otherwise, ()),
    (_sent_forgotten, ()),
    (_seal_unread, ()),
    (_silent_when_nothing_happened, ()),
    (_never_again, ("crash",)),
    (_stray_stops, ()),
    (_full_of_what_is_awaited, ()),
)
"""what is broken, and the faults by which it shows where the seeds' own mixes take too long"""


@pytest.mark.parametrize(("broken", "faults"), BREAKS, ids=[one.__name__[1:] for one, _ in BREAKS])
def test_what_is_broken_on_purpose_is_found(
    broken: Callable[[Patch], None], faults: tuple[str, ...], monkeypatch: Patch
) -> None:
    for shards in SHARDS:
        for number in range(COURSES):
            course(number, shards)  # undisturbed runs are of the whole code
    broken(monkeypatch)
    for seed in range(SOON):
        try:
            simulate(seed, only=faults)
        except Broken:
            return
    pytest.fail(f"{broken.__doc__} In {SOON} seeds nothing was found.")

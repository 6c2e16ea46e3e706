"""Resharding: the same journal over other shards leaves the same books, proved; a lost position is told."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import crash
import numpy as np
import pytest
from histories import as_cluster, history_of

from ledger.conservation import ConservationBroken
from ledger.journal.sqlite import SqliteJournal
from ledger.sequence import ShardEntry
from ledger.state import Order, State
from ledger.wholebooks import FactsDiffer, KeptTwice, first_difference, whole_books
from services import resharding
from services.archiver import archive_directory
from services.auditor import audit
from services.broker import Broker
from services.heads import HeadDiffers
from services.lockstep import HEADS, JOURNAL, SETTINGS, Clearing, Settings
from services.processors.archiving import Archiving
from services.resharding import (
    PROOF,
    BooksDiffer,
    MoveUnknown,
    Proof,
    ProofBroken,
    TargetThere,
    checked,
    import_archive,
    reshard,
    reshard_cluster,
)
from services.sources import ClusterSource


@pytest.fixture(scope="module")
def cleared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crash in one shard, long enough for auctions with bids. Not to be written to."""
    directory = tmp_path_factory.mktemp("one") / "run"
    crash.clear(directory, shards=1, snapshot_every=150, steps=80, accounts=60)
    return directory


def folded(settings: Settings, entries: list[bytes]) -> Clearing:
    clearing = Clearing(settings)
    for offset, data in enumerate(entries):
        clearing.take(offset, data)
    return clearing


@pytest.fixture(scope="module")
def amid(cleared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """The crash's journal up to where auctions run and bids are reserved for; a member sold out, and one that bids."""
    entries = crash.entries(cleared)
    settings = Settings.read(cleared)
    clearing = Clearing(settings)
    for offset, data in enumerate(entries):
        clearing.take(offset, data)
        (state,) = clearing.states
        if state.auctions and state.reservations:
            directory = tmp_path_factory.mktemp("amid") / "run"
            directory.mkdir()
            with closing(SqliteJournal(directory / JOURNAL)) as journal:
                journal.append_many(entries[: offset + 1])
            settings.settle(directory)
            sold = next(iter(state.auctions.values())).account
            return (
                directory,
                int(state.accounts.member[sold]),
                int(state.accounts.member[next(iter(state.reservations))]),
            )
    raise AssertionError("no auction had bids: choose another seed in tests/crash.py")


def test_one_four_sixteen_three(cleared: Path, tmp_path: Path) -> None:
    directory, proofs = cleared, []
    for shards in (4, 16, 3):
        target = tmp_path / f"of{shards}"
        proofs.append(reshard(directory, target, shards))
        assert Settings.read(target) == replace(Settings.read(cleared), shards=shards)
        assert crash.entries(target) == crash.entries(cleared)
        assert Proof.read(target) == proofs[-1]
        directory = target
    assert len({(one.mark, one.books_at_mark, one.end, one.books_at_end) for one in proofs}) == 1
    assert 0 < proofs[0].mark < proofs[0].end
    assert proofs[0].books_at_mark != proofs[0].books_at_end
    verdict = audit(directory)
    assert verdict.agrees, verdict.line()
    assert verdict.snapshots > 0
    assert verdict.covered == verdict.entries


def test_a_member_is_moved_while_it_is_sold_out_and_another_while_it_bids(
    amid: tuple[Path, int, int], tmp_path: Path
) -> None:
    directory, sold, bidding = amid
    reshard(directory, tmp_path / "dealt", 4)
    proof = reshard(tmp_path / "dealt", tmp_path / "moved", moves={sold: 3, bidding: 2})
    clearing = folded(proof.new, crash.entries(directory))
    states = clearing.states
    assert {a.account for a in states[3].auctions.values()} & set(
        np.flatnonzero(states[3].accounts.member == sold).tolist()
    )
    assert states[2].reservations
    assert not any(state.reservations for state in (states[0], states[1], states[3]))
    assert audit(tmp_path / "moved").agrees
    again = reshard(tmp_path / "moved", tmp_path / "again", 3)
    assert [one[2] for one in again.new.moved] == [2] * len(again.new.moved)  # shard 3 is no more
    assert (again.books_at_end, again.books_at_mark) == (proof.books_at_end, proof.books_at_mark)


def test_the_whole_history_with_members_moved(cleared: Path, amid: tuple[Path, int, int], tmp_path: Path) -> None:
    _, sold, bidding = amid
    proof = reshard(cleared, tmp_path / "moved", 4, {sold: 3, bidding: 3})
    assert proof.new.moved
    assert audit(tmp_path / "moved").agrees


# --- what is not the same is told -------------------------------------------------------------------------------------


def lose_a_position(state: State) -> None:
    account = int(np.flatnonzero(state.pool.count)[-1])
    state.account_rows["count"][account] -= 1


@pytest.mark.parametrize("when", ["at the end", "long before"])
def test_a_lost_position_is_told(cleared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    take = Clearing.take
    last = folded(Settings.read(cleared), crash.entries(cleared)).sequence.n
    lost: list[int] = []

    def losing(self: Clearing, offset: int, data: bytes) -> list[tuple[ShardEntry, bytes]]:
        told = take(self, offset, data)
        due = last if when == "at the end" else last // 2
        if self.settings.shards == 4 and self.sequence.n >= due and not lost and self.states[1].pool.count.any():
            lost.append(self.sequence.n)
            lose_a_position(self.states[1])
        return told

    monkeypatch.setattr(resharding.Clearing, "take", losing)
    with pytest.raises((BooksDiffer, ConservationBroken)) as found:
        reshard(cleared, tmp_path / "of4", 4)
    assert lost
    if when == "at the end":
        assert isinstance(found.value, BooksDiffer)
        assert found.value.n == last
        assert found.value.what.startswith("positions: ")
    assert not list(tmp_path.iterdir())


def more_balance(state: State) -> None:
    state.balance[-1 - int(np.argmax(state.balance[::-1, 0] != 0)), 0] += 1


def invent_an_order(state: State) -> None:
    state.orders[20] = {1: Order(1, 1, 1)}


def invent_a_payment(state: State) -> None:
    state.paid_for = {20}


def forget_a_call(state: State) -> None:
    state.accounts.rung[np.flatnonzero(state.accounts.owned)[-1]] ^= 1


CHANGES: list[tuple[Callable[[State], None], str]] = [
    (more_balance, "balances: "),
    (invent_an_order, "orders: "),
    (invent_a_payment, "paid for: "),
    (forget_a_call, "accounts: "),
    (lose_a_position, "positions: "),
]


def test_any_change_of_the_books_is_named(amid: tuple[Path, int, int]) -> None:
    entries, settings = crash.entries(amid[0]), Settings.read(amid[0])
    one, other = (folded(replace(settings, shards=shards), entries) for shards in (1, 3))
    assert whole_books(other.states).digest() == whole_books(one.states).digest()
    for change, what in CHANGES:
        before = whole_books(other.states)
        change(other.states[1])
        after = whole_books(other.states)
        assert after.digest() != before.digest()
        assert str(first_difference(before, after)).startswith(what)


def test_shards_that_do_not_belong_together_are_refused(amid: tuple[Path, int, int]) -> None:
    entries, settings = crash.entries(amid[0]), Settings.read(amid[0])
    states = folded(replace(settings, shards=2), entries).states
    with pytest.raises(KeptTwice):
        whole_books([states[0], states[0]])
    states[1].facts.asset_prices[0] = 1
    with pytest.raises(FactsDiffer, match="shard 1"):
        whole_books(states)


# --- kept, checked again, refused -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resharded(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("resharded") / "run"
    reshard(short, target, 3)
    return target


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"books_at_end": "00" * 32}, "the books are not those that were proved"),
        ({"books_at_mark": "00" * 32}, "the books are not those that were proved"),
        ({"end": "x"}, ""),
        ({"old": {"shards": 0, "accounts": 1, "snapshot_every": 0}}, "is no proof of a resharding"),
        ({"more": 1}, "is no proof of a resharding"),
    ],
)
def test_the_audit_checks_the_proof_again(resharded: Path, change: dict[str, Any], what: str) -> None:
    path = resharded / PROOF
    whole = path.read_bytes()
    try:
        path.write_text(json.dumps(json.loads(whole) | change))
        if what:
            verdict = audit(resharded)
            assert verdict.where["part"] == "resharding"
            assert what in verdict.line()
        with pytest.raises((BooksDiffer, ProofBroken)):
            checked(resharded)
    finally:
        path.write_bytes(whole)
    assert checked(resharded).new.shards == 3


def test_what_cannot_be_is_refused(short: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetThere):
        reshard(short, short, 3)
    for moves in ({10**6: 0}, {1: 2}, {1: -1}):
        with pytest.raises(MoveUnknown):
            reshard(short, tmp_path / "new", moves=moves)
    with pytest.raises(FileNotFoundError):
        checked(short)
    assert not list(tmp_path.iterdir())


def test_an_archive_is_imported(short: Path, tmp_path: Path) -> None:
    archive_directory(short, tmp_path / "archive", entries=25)
    assert import_archive(tmp_path / "archive", tmp_path / "run") == len(crash.entries(short))
    held, made = (crash.contents(one, 2) for one in (short, tmp_path / "run"))
    assert {**made, "heads": b""} == {**held, "heads": b""}
    assert audit(tmp_path / "run").agrees
    assert audit(tmp_path / "run", short / HEADS).agrees
    heads = tmp_path / "archive" / HEADS
    heads.write_text(heads.read_text().replace('"n": 2', '"n": 3', 1))
    with pytest.raises(HeadDiffers):
        import_archive(tmp_path / "archive", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_cluster_gets_a_new_generation(short: Path, broker: Broker, prefix: str, tmp_path: Path) -> None:
    history = history_of(short)
    as_cluster(history, broker.address, prefix)
    proof = reshard_cluster(broker.address, prefix, f"{prefix}b", 3, {1: 2})
    embedded = reshard(short, tmp_path / "run", 3, {1: 2})
    assert proof == embedded
    found = audit(lambda: ClusterSource(broker.address, f"{prefix}b"))
    expected = audit(tmp_path / "run")
    assert found.agrees, found.line()
    assert (found.entries, found.n, found.outcomes) == (expected.entries, expected.n, expected.outcomes)
    assert audit(lambda: ClusterSource(broker.address, f"{prefix}b"), tmp_path / "run" / HEADS).agrees
    assert audit(lambda: ClusterSource(broker.address, prefix)).agrees
    with pytest.raises(TargetThere):
        reshard_cluster(broker.address, prefix, f"{prefix}b", 3)


def test_the_archiver_of_another_generation_does_not_go_on(short: Path, resharded: Path) -> None:
    assert (resharded / SETTINGS).read_bytes() != (short / SETTINGS).read_bytes()
    assert Archiving(Settings.read(resharded)).places() != Archiving(Settings.read(short)).places()

"""One, four and sixteen shards keep the same books, account by account, from the same journal to the byte."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import crash
import pytest
from world import FUT_BTC, PERP_BTC, SPOT_BTC, World

from ledger.conservation import ConservationBroken
from ledger.sequence import IndexedRun, Numbered, ShardEntry
from ledger.state import UNOPENED
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import LegKind
from schemas.outcomes import OUTCOMES, AuctionOpened, DeficitCovered, LegPosted, RungChanged
from schemas.wire import OutcomeHeader, decode, messages_of
from services.lockstep import Clearing

SHARDS = (1, 4, 16)


def account_books(clearing: Clearing) -> dict[int, Any]:
    """What each customer's account has, by number, from the shard that keeps it."""
    out: dict[int, Any] = {}
    for state in clearing.states:
        table, pool = state.accounts, state.pool
        for account in range(FIRST_ACCOUNT, len(table.status)):
            if table.status[account] == UNOPENED or not state.owns(account):
                continue
            assert account not in out, f"two shards keep account {account}"
            rows = range(int(pool.start[account]), int(pool.start[account]) + int(pool.count[account]))
            out[account] = {
                "account": [getattr(table, name)[account] for name in table._fields],
                "balances": state.balance[account].tolist(),
                "positions": [
                    [int(getattr(pool, name)[p]) for name in ("instrument", "quantity", "cost", "funding", "realised")]
                    for p in rows
                ],
                "orders": state.orders.get(account, {}),
                "reservations": state.reservations.get(account, {}),
                "auctions": {number: one for number, one in state.auctions.items() if one.account == account},
                "withdrawals": [
                    {key: one for key, one in table.items() if key[0] == account}
                    for table in (state.requested, state.approved)
                ],
            }
    return out


def house_books(clearing: Clearing) -> dict[str, Any]:
    """The house's accounts and net positions over all shards, and the auctions that run."""
    return {
        "balances": sum(state.balance[:FIRST_ACCOUNT] for state in clearing.states).tolist(),
        "net": sum(state.net for state in clearing.states).tolist(),
        "auctions": sorted(number for state in clearing.states for number in state.auctions),
    }


def facts(clearing: Clearing) -> list[Any]:
    return [
        (state.facts, state.time, state.mark, state.life.tolist(), [column.tolist() for column in state.market])
        for state in clearing.states
    ]


@pytest.fixture(scope="module")
def cleared_by(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Clearing, Path]]:
    out = {}
    for shards in SHARDS:
        directory = tmp_path_factory.mktemp(f"shards{shards}")
        out[shards] = crash.clear(directory, shards=shards), directory
    return out


def said(directory: Path, shards: int) -> dict[int, Counter[str]]:
    """What was said of each entry, less what each shard tells of itself: {n: outcomes counted}."""
    own = ("MarkDone", "HouseBalance", "NetPosition", "DeleveragingCandidate")
    out: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for (n, _), data in crash.outcomes(directory, shards).items():
        out[n].update(
            repr(one)
            for one in messages_of(decode(data, OutcomeHeader, OUTCOMES).runs)
            if type(one).__name__ not in own
        )
    return out


def test_the_crash_has_everything_in_it(cleared_by: dict[int, tuple[Clearing, Path]]) -> None:
    told: Counter[str] = Counter()
    for data in crash.outcomes(cleared_by[1][1], 1).values():
        for one in messages_of(decode(data, OutcomeHeader, OUTCOMES).runs):
            told[f"LegPosted {LegKind(one.kind).name}" if isinstance(one, LegPosted) else type(one).__name__] += 1
    needed = [RungChanged.__name__, AuctionOpened.__name__, DeficitCovered.__name__, "PositionSettled"]
    needed += [f"LegPosted {kind.name}" for kind in (LegKind.TRADE, LegKind.LIQUIDATION, LegKind.DELEVERAGING)]
    assert {name: told[name] for name in needed if not told[name]} == {}, (
        "choose another seed or fund in tests/crash.py"
    )


@pytest.mark.parametrize("shards", SHARDS[1:])
def test_the_same_books_whatever_the_shards(cleared_by: dict[int, tuple[Clearing, Path]], shards: int) -> None:
    (one, whole), (many, parts) = cleared_by[1], cleared_by[shards]
    assert crash.entries(parts) == crash.entries(whole)
    expected, found = account_books(one), account_books(many)
    assert len(found) == len(expected) > crash.ACCOUNTS - 1
    for account in expected:
        assert found[account] == expected[account], f"account {account}"
    assert house_books(many) == house_books(one)
    assert len({state.shard for state in many.states if (state.accounts.owned[FIRST_ACCOUNT:] == 1).any()}) == shards


@pytest.mark.parametrize("shards", SHARDS[1:])
def test_the_same_is_said_whatever_the_shards(cleared_by: dict[int, tuple[Clearing, Path]], shards: int) -> None:
    expected, found = (said(cleared_by[one][1], one) for one in (1, shards))
    assert found == expected


def test_every_shard_knows_the_same_facts(cleared_by: dict[int, tuple[Clearing, Path]]) -> None:
    first, *others = facts(cleared_by[4][0])
    assert [other == first for other in others] == [True] * 3
    assert first == facts(cleared_by[1][0])[0]


# --- a leg that a shard loses, doubles or changes ---------------------------------------------------------------------

BUYER, SELLER = FIRST_ACCOUNT, FIRST_ACCOUNT + 1


def dropped(run: IndexedRun) -> IndexedRun:
    return IndexedRun(run.message, run.rows[1:], run.index[1:])


def doubled(run: IndexedRun) -> IndexedRun:
    return IndexedRun(
        run.message, run.rows.repeat([2] + [1] * (len(run.rows) - 1)), run.index.repeat([2] + [1] * (len(run.rows) - 1))
    )


def other(**values: int) -> Any:
    def change(run: IndexedRun) -> IndexedRun:
        rows = run.rows.copy()
        for name, more in values.items():
            rows[name][0] += more
        return IndexedRun(run.message, rows, run.index)

    return change


CASES = [
    # what the shard does with its first leg, of which instrument, what the check says
    (dropped, PERP_BTC, r"instrument 3: the clearinghouse holds -?2, 0 are in flight"),
    (dropped, FUT_BTC, r"instrument 5: the clearinghouse holds -?2, 0 are in flight"),
    (doubled, PERP_BTC, r"instrument 3: the clearinghouse holds -?2, 0 are in flight"),
    (other(quantity=1), PERP_BTC, r"instrument 3: the clearinghouse holds -?1, 0 are in flight"),
    (other(price=1), PERP_BTC, r"asset 0: the clearinghouse has -?\d+, open positions cost -?\d+"),
    (dropped, SPOT_BTC, r"asset 2: the clearinghouse has -?200000, open positions cost 0"),
    (other(price=1), SPOT_BTC, r"asset 0: the clearinghouse has -?20, open positions cost 0"),
    (other(instrument=FUT_BTC - PERP_BTC), PERP_BTC, r"instrument 3: .*; instrument 5: .*"),
]


@pytest.mark.parametrize("shard", [0, 1], ids=["buyer's", "seller's"])
@pytest.mark.parametrize(("fault", "instrument", "what"), CASES)
def test_a_leg_gone_wrong_in_one_shard_breaks_conservation(
    monkeypatch: pytest.MonkeyPatch, fault: Any, instrument: int, what: str, shard: int
) -> None:
    world = World(shards=4)
    world.open(BUYER, SELLER)
    for account in (BUYER, SELLER):
        world.deposit(account, 10**12)
        world.deposit(account, 10**10, asset=2)
    world.trade(BUYER, SELLER, instrument, 5, 800_000)
    world.mark()
    honest = world.clearing.parts

    def parts(told: Numbered) -> tuple[ShardEntry, ...]:
        return tuple(
            ShardEntry(p.n, p.previous, p.shard, tuple(map(fault, p.runs)), p.reason, p.source)
            if p.shard == shard
            else p
            for p in honest(told)
        )

    with monkeypatch.context() as patched:
        patched.setattr(world.clearing, "parts", parts)
        world.trade(BUYER, SELLER, instrument, 2, 800_000)
    with pytest.raises(ConservationBroken, match=what) as caught:
        world.mark()
    assert caught.value.n == world.clearing.sequence.n


def lose_a_unit(state: Any) -> None:
    state.balance[BUYER, 0] -= 1


def lose_a_posting(state: Any) -> None:
    state.total[0] += 1


def lose_a_lot(state: Any) -> None:
    state.pool.quantity[state.pool.start[BUYER]] -= 1


def lose_a_leg_of_a_write(state: Any) -> None:
    state.position_total[PERP_BTC] += 1


INSIDE = [
    (lose_a_unit, r"asset 0: balances sum to -1"),
    (lose_a_posting, r"asset 0: postings sum to 1"),
    (lose_a_lot, r"instrument 3: positions sum to -1"),
    (lose_a_leg_of_a_write, r"instrument 3: legs sum to 1"),
]


@pytest.mark.parametrize(("damage", "what"), INSIDE)
def test_what_a_shard_loses_it_finds_itself(damage: Any, what: str) -> None:
    world = World(shards=2)
    world.open(BUYER, SELLER)
    world.deposit(BUYER, 10**12)
    world.deposit(SELLER, 10**12)
    world.trade(BUYER, SELLER, PERP_BTC, 5, 800_000)
    world.mark()
    damage(world.owner(BUYER))
    with pytest.raises(ConservationBroken, match=what):
        world.mark()

"""Whatever happens, nothing appears and nothing vanishes: the fold's own checks pass, and so do plain sums over it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from happenings import Happening, founded, happen, happenings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import any_messages
from world import PERP_BTC, World

from ledger.conservation import ConservationBroken, balances_add_up, positions_add_up
from ledger.postings import moves_of, postings_of
from ledger.snapshot import dump, load
from ledger.state import live_rows
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT, House
from schemas.events import EVENTS
from schemas.kinds import Style
from schemas.outcomes import LegPosted, Rejected
from schemas.sources import ALLOWED, source
from schemas.wire import Run, encode_entry


def positions(world: World) -> dict[tuple[int, int], int]:
    """(account, instrument) -> lots, the clearinghouse's side included, over all shards."""
    out: defaultdict[tuple[int, int], int] = defaultdict(int)
    for state in world.clearing.states:
        accounts = np.repeat(np.arange(len(state.pool.count)), state.pool.count)
        rows = live_rows(state.pool)
        for account, p in zip(accounts.tolist(), rows.tolist(), strict=True):
            out[(account, int(state.pool.instrument[p]))] += int(state.pool.quantity[p])
        for instrument in np.flatnonzero(state.net).tolist():
            out[(int(House.CLEARINGHOUSE), instrument)] += int(state.net[instrument])
    return {key: lots for key, lots in out.items() if lots}


def balances(world: World) -> dict[tuple[int, int], int]:
    """(account, asset) -> smallest units, over all shards."""
    out: defaultdict[tuple[int, int], int] = defaultdict(int)
    for state in world.clearing.states:
        for account, asset in np.argwhere(state.balance).tolist():
            out[(account, asset)] += int(state.balance[account, asset])
    return {key: amount for key, amount in out.items() if amount}


def check(world: World) -> None:
    for state in world.clearing.states:
        assert balances_add_up(state) == []
        assert positions_add_up(state) == []
    # CLEARINGHOUSE has minus what open margined positions cost, and no position of its own.
    held, costs, instruments = positions(world), defaultdict(int), world.state.facts.instruments
    for state in world.clearing.states:
        for p in live_rows(state.pool).tolist():
            listed = instruments[int(state.pool.instrument[p])]
            if listed.style != Style.PREMIUM:
                costs[listed.settlement_asset] += int(state.pool.cost[p])
    for asset in world.state.facts.assets:
        assert world.balance(House.CLEARINGHOUSE, asset) == -costs[asset]
    assert not [key for key in held if key[0] == House.CLEARINGHOUSE]
    # The second way: every posting and every move that the outcomes tell, added up in plain dictionaries.
    told: defaultdict[tuple[int, int], int] = defaultdict(int)
    moved: defaultdict[tuple[int, int], int] = defaultdict(int)
    for outcome in world.said:
        postings = postings_of(outcome, instruments)
        assert sum(amount for _, _, amount in postings) == 0 or len({asset for _, asset, _ in postings}) > 1
        for account, asset, amount in postings:
            told[(account, asset)] += amount
        for account, instrument, lots in moves_of(outcome, instruments):
            moved[(account, instrument)] += lots
    assert {key: amount for key, amount in told.items() if amount} == balances(world)
    assert {key: lots for key, lots in moved.items() if lots} == held


@given(st.sampled_from([1, 3]), happenings(20))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_course_of_events_keeps_every_sum(shards: int, course: list[Happening]) -> None:
    world = founded(shards)
    happen(world, course)
    world.mark()
    check(world)


@given(st.lists(any_messages(EVENTS), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_value_of_any_field_stops_the_fold(messages: list[object]) -> None:
    # Numbers that only ask for more memory than a test should take are left out.
    messages = [m for m in messages if not isinstance(m, e.AccountOpened | e.InstrumentListed)]
    world = founded(1)
    world.send(*messages)
    if world.state.mark == world.marks:
        world.mark()
        check(world)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_bytes_of_a_row_stop_the_fold(data: st.DataObject) -> None:
    # Rows as they may come off the wire: enum numbers and texts that mean nothing included.
    kinds = [m for m in EVENTS.by_template.values() if m.cls not in (e.AccountOpened, e.InstrumentListed)]
    definition = data.draw(st.sampled_from(kinds))
    size = definition.dtype.itemsize
    row = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), definition.dtype)
    world = founded(1)
    number = source(next(role for role, may in ALLOWED.items() if definition.cls in may))
    world.sequences[number] += 1
    world.bytes(encode_entry(number, world.sequences[number], [Run(definition, row)]))
    check(world)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("buyer", "why"),
    [(22, "a number below the tables' end that no account has"), (70_000, "a number past every table")],
)
def test_a_leg_of_an_account_never_opened_lies_in_suspense(shards: int, buyer: int, why: str) -> None:
    world = founded(shards)
    said = world.trade(buyer, 17, PERP_BTC, 5, 800_000)
    assert sorted((leg.leg, leg.account, leg.reason.name) for leg in said) == [
        (0, int(House.SUSPENSE), "UNKNOWN_ACCOUNT"),
        (1, 17, "NONE"),
    ]
    world.mark()
    check(world)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_refused_trade_is_rejected_once_whoever_it_names(shards: int) -> None:
    world = founded(shards)
    for buyer, seller in ((16, 17), (22, 17), (17, 22), (70_000, 17), (5, 17), (22, 23)):
        said = world.trade(buyer, seller, 99, 5, 800_000)
        assert [type(one) for one in said] == [Rejected], (buyer, seller)


def test_a_dropped_leg_is_found_at_the_next_mark() -> None:
    world = founded(3)
    other = world.owner(18)
    before = dump(other)
    world.trade(16, 18, PERP_BTC, 5, 800_000)
    # as if 18's shard had never seen its leg: 16 has bought 5 that nobody sold
    world.clearing.states[other.shard] = load(before, other.shard_of)
    with pytest.raises(ConservationBroken, match="instrument 3: the clearinghouse holds -5, 0 are in flight"):
        world.mark()


@pytest.mark.parametrize("shards", [1, 3])
def test_a_restored_shard_takes_the_legs_of_accounts_it_never_saw(shards: int) -> None:
    world = founded(shards)
    world.clearing.states = [load(dump(state), state.shard_of) for state in world.clearing.states]
    for number in (22, 23, 24, 63, 70_000):
        said = world.trade(number, 17, PERP_BTC, 5, 800_000)
        assert sorted((leg.account, leg.reason.name) for leg in said) == [(6, "UNKNOWN_ACCOUNT"), (17, "NONE")]
        assert [type(one) for one in world.trade(number, 17, 99, 5, 800_000)] == [Rejected]
    world.mark()
    check(world)


def test_a_balance_written_alone_stops_the_fold() -> None:
    world = founded(1)
    world.state.balance[16, 0] += 1
    with pytest.raises(ConservationBroken, match="asset 0: balances sum to 1"):
        world.mark()


def test_a_fee_that_has_no_opposite_is_refused() -> None:
    # -2^63 is its own negative in 64 bits, so an absolute value says nothing about it.
    world = founded(1)
    for side in ("buyer_fee", "seller_fee"):
        said = world.trade(16, 17, PERP_BTC, 1, 800_000, **{side: -(2**63)})
        assert [(type(one), one.reason.name) for one in said] == [(Rejected, "FEE_OUT_OF_RANGE")]


def test_legs_name_who_they_were_meant_for() -> None:
    world = founded(1)
    legs = [one for one in world.trade(16, 17, PERP_BTC, 5, 800_000) if isinstance(one, LegPosted)]
    assert [(leg.leg, leg.account, leg.intended, leg.quantity) for leg in legs] == [(0, 16, 16, 5), (1, 17, 17, -5)]
    assert min(leg.account for leg in legs) >= FIRST_ACCOUNT

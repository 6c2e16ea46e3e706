"""Numbering and splitting: one line one case, then any stream cut and repeated anyhow, and any rows over any shards."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.sequence import (
    MAX_SHARDS,
    ROUTES,
    Gap,
    IndexedRun,
    MissingPredecessor,
    Numbered,
    Quarantined,
    Repeated,
    Reread,
    ShardEntry,
    ShardIntake,
    SplitState,
    UnknownShard,
    exported,
    number,
    refused,
    restored,
    split,
    taken,
)
from ledger.sequence import SequenceState as State
from schemas import events as ev
from schemas.chart import House
from schemas.kinds import Reason, WithdrawalDecision
from schemas.limits import MAX_ENTRY_BYTES
from schemas.wire import Run, encode_entry, messages_of, runs_of


def entry(source: int, sequence: int) -> bytes:
    return encode_entry(source, sequence, ())


# --- numbering --------------------------------------------------------------------------------------------------------

STREAMS: list[tuple[str, list[tuple[int, int]], list[str]]] = [
    ("one source", [(1, 1), (1, 2), (1, 3)], ["n1", "n2", "n3"]),
    ("two sources", [(1, 1), (9, 1), (1, 2), (9, 2)], ["n1", "n2", "n3", "n4"]),
    ("a repeat", [(1, 1), (1, 1), (1, 2)], ["n1", "repeat", "n2"]),
    ("an old repeat", [(1, 1), (1, 2), (1, 1)], ["n1", "n2", "repeat"]),
    ("a gap", [(1, 1), (1, 3), (1, 2), (1, 3)], ["n1", "gap 2", "n2", "n3"]),
    ("a gap at the start", [(1, 2), (1, 1), (1, 2)], ["gap 1", "n1", "n2"]),
    ("a gap holds up nobody else", [(1, 5), (2, 1), (1, 1)], ["gap 1", "n1", "n2"]),
    ("the last number there is", [(1, 2**64 - 1)], ["gap 1"]),
    ("number 0", [(1, 0), (1, 1)], ["quarantined", "n1"]),
    ("source 0 and the last one", [(0, 1), (2**32 - 1, 1)], ["n1", "n2"]),
]


@pytest.mark.parametrize(("sent", "expected"), [s[1:] for s in STREAMS], ids=[s[0] for s in STREAMS])
def test_numbering(sent: list[tuple[int, int]], expected: list[str]) -> None:
    state = State()
    told = []
    for offset, (source, sequence) in enumerate(sent):
        data = entry(source, sequence)
        match number(state, offset, data):
            case Numbered(n, at, of, which, held):
                assert (at, of, which, held) == (offset, source, sequence, data)
                told.append(f"n{n}")
            case Repeated(at, of, which):
                assert (at, of, which) == (offset, source, sequence)
                told.append("repeat")
            case Gap(at, of, which, missing):
                assert (at, of, which) == (offset, source, sequence)
                told.append(f"gap {missing}")
            case Quarantined(at, reason, position, what):
                assert (at, reason, data[position:]) == (offset, Reason.MALFORMED, bytes(8))
                assert f"source {source}" in what
                told.append("quarantined")
            case Reread():
                pytest.fail("no offset comes twice here")
    assert told == expected
    assert state.offset == len(sent)
    assert state.n == sum(one.startswith("n") for one in expected)


GOOD = entry(1, 1)
UNREADABLE = [
    ("nothing", b"", Reason.MALFORMED, 0),
    ("cut off", GOOD[:23], Reason.MALFORMED, 23),
    ("another length", b"\x11" + GOOD[1:], Reason.MALFORMED, 0),
    ("another template", GOOD[:2] + b"\x02\x00" + GOOD[4:], Reason.MALFORMED, 2),
    ("another schema", GOOD[:4] + b"\x00\x00" + GOOD[6:], Reason.MALFORMED, 4),
    ("another version", GOOD[:6] + b"\x03\x00" + GOOD[8:], Reason.UNKNOWN_VERSION, 6),
    ("too large", GOOD.ljust(MAX_ENTRY_BYTES + 1, b"\0"), Reason.MALFORMED, MAX_ENTRY_BYTES),
]


@pytest.mark.parametrize(("data", "reason", "position"), [u[1:] for u in UNREADABLE], ids=[u[0] for u in UNREADABLE])
def test_what_cannot_be_read_is_quarantined_and_moves_no_number(data: bytes, reason: Reason, position: int) -> None:
    state = State()
    number(state, 0, GOOD)
    found = number(state, 1, data)
    assert isinstance(found, Quarantined)
    assert (found.offset, found.reason, found.position) == (1, reason, position)
    assert found.what
    assert (state.n, state.last) == (1, {1: 1})
    assert isinstance(number(state, 2, entry(1, 2)), Numbered)


def test_an_entry_whose_body_cannot_be_read_is_numbered() -> None:
    found = number(State(), 0, GOOD + b"no run")
    assert isinstance(found, Numbered)
    assert found.data == GOOD + b"no run"


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """What sources sent, in the journal's order; and the same with repeats and entries past a gap put in."""
    sources = draw(st.lists(st.integers(0, 4), max_size=30))
    clean, counts = [], dict.fromkeys(range(5), 0)
    for source in sources:
        counts[source] += 1
        clean.append((source, counts[source]))
    noisy: list[tuple[int, int]] = []
    sent = dict.fromkeys(range(5), 0)
    for source, sequence in clean:
        for _ in range(draw(st.integers(0, 2))):
            other = draw(st.integers(0, 4))
            gap = draw(st.integers(2, 5))
            noisy.append((other, sent[other] + gap if draw(st.booleans()) else draw(st.integers(0, sent[other]))))
        noisy.append((source, sequence))
        sent[source] = sequence
    return clean, noisy


def test_an_offset_read_once_more_is_not_judged_again() -> None:
    state = State()
    sent = [(1, 2), (1, 1)]  # the first is refused; after the second it would be next
    assert numbered(state, 0, sent) == [(1, 1, 1)]
    assert [number(state, offset, entry(*one)) for offset, one in enumerate(sent)] == [Reread(0), Reread(1)]
    assert number(state, 1, b"noise") == Reread(1)
    assert numbered(state, 7, [(1, 2)]) == [(2, 1, 2)]
    assert state == State(2, 8, {1: 2})


def numbered(state: State, first: int, sent: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    found = [number(state, offset, entry(*one)) for offset, one in enumerate(sent, first)]
    return [(one.n, one.source, one.sequence) for one in found if isinstance(one, Numbered)]


@given(streams(), st.data())
def test_repeats_gaps_and_restarts_do_not_show(
    stream: tuple[list[tuple[int, int]], list[tuple[int, int]]], data: st.DataObject
) -> None:
    clean, noisy = stream
    expected = [(n, *one) for n, one in enumerate(clean, 1)]
    assert numbered(State(), 0, clean) == expected
    cut = data.draw(st.integers(0, len(noisy)))
    back = data.draw(st.integers(0, cut))
    state = State()
    found = numbered(state, 0, noisy[:cut])
    state = restored(exported(state))
    assert state.offset == cut
    found += numbered(state, back, noisy[back:])  # the reader went on from an older offset
    assert found == expected
    assert state.offset == len(noisy)


def test_equal_states_are_exported_alike() -> None:
    one, other = State(), State()
    numbered(one, 0, [(7, 1), (1, 1), (7, 2), (3, 1)])
    numbered(other, 0, [(3, 1), (1, 1), (7, 1), (7, 2)])
    exports = [{name: array.tobytes() for name, array in exported(state).items()} for state in (one, other)]
    assert exports[0] == exports[1]
    assert restored(exported(one)) == State(4, 4, {1: 1, 3: 1, 7: 2})


@pytest.mark.parametrize("name", ["position", "sources", "sequences"])
def test_an_export_that_does_not_belong_together_is_refused(name: str) -> None:
    state = State()
    numbered(state, 0, [(7, 1), (1, 1), (7, 2)])
    arrays = exported(state)
    arrays[name] = arrays[name][::-1]
    arrays["position"] = arrays["position"] + np.uint64(name == "sequences")
    if name == "position":
        arrays["position"][0] += 5
    with pytest.raises(ValueError, match="numbered"):
        restored(arrays)


# --- splitting --------------------------------------------------------------------------------------------------------

TABLE = np.array([0] * 16 + [account % 4 for account in range(16, 64)], np.int32)
"""Account a belongs to shard a mod 4; the house's and all from 64 on to shard 0."""
LINK = ev.LINKED


def trade(buyer: int, seller: int, flags: int = 0) -> ev.Trade:
    return ev.Trade(
        flags=flags, venue=1, instrument=1, buyer=buyer, seller=seller, time=0, trade=9, quantity=1, price=5,
        buyer_fee=0, seller_fee=0,
    )  # fmt: skip


def deposited(account: int, flags: int = 0) -> ev.Deposited:
    return ev.Deposited(flags=flags, asset=0, account=account, deposit=1, time=0, amount=10)


def awarded(account: int, bidder: int) -> ev.Awarded:
    return ev.Awarded(instrument=1, account=account, bidder=bidder, auction=1, bid=1, quantity=1, price=1)


def bid(bidder: int) -> ev.Bid:
    return ev.Bid(bidder=bidder, instrument=1, auction=1, bid=1, time=0, quantity=1, price=1)


MARK = ev.Mark(mark=1, market=1, time=0)
CAPITAL = ev.CapitalContributed(asset=0, time=0, amount=5)
BACKED = ev.FundContributed(own=0, asset=0, backer=18, time=0, amount=5)
PAID = ev.FundPaid(asset=0, account=19, mark=1, amount=1)
PAID_OUT = ev.WithdrawalDecided(decision=WithdrawalDecision(0), account=18, withdrawal=1, time=0)
CALLED = ev.DeleveragingCalled(instrument=1, account=17, call=1, quantity=1, price=1)
CLOSED = ev.Deleveraged(instrument=1, account=17, counterparty=18, call=1, quantity=1, price=1)

SPLITS: list[tuple[str, list[Any], dict[int, list[int]]]] = [
    ("nothing", [], {}),
    ("two shards of a trade", [trade(17, 18)], {1: [0], 2: [0]}),
    ("both sides in one shard", [trade(17, 21)], {1: [0]}),
    ("a house account is shard 0's", [trade(House.FUND, 18)], {0: [0], 2: [0]}),
    ("past the table is shard 0's", [trade(67, 2**32 - 1)], {0: [0]}),
    ("the last of the table", [deposited(63), deposited(64)], {3: [0], 0: [1]}),
    ("each to its own", [deposited(16), deposited(17), deposited(18), deposited(17)], {0: [0], 1: [1, 3], 2: [2]}),
    ("a mark is everyone's", [MARK], {0: [0], 1: [0], 2: [0], 3: [0]}),
    ("contributions are shard 0's", [CAPITAL, BACKED], {0: [0, 1]}),
    ("a fund payment is its account's", [PAID, PAID_OUT], {3: [0], 2: [1]}),
    ("bids and awards", [bid(19), awarded(17, 19)], {3: [0, 1], 1: [1]}),
    ("deleveraging", [CALLED, CLOSED], {0: [0], 1: [0, 1], 2: [0, 1], 3: [0]}),
    ("over runs", [deposited(17), trade(17, 18), deposited(17)], {1: [0, 1, 2], 2: [1]}),
    ("a chain goes whole", [trade(17, 17, LINK), trade(18, 18)], {1: [0, 1], 2: [0, 1]}),
    ("a chain ends", [trade(17, 17, LINK), trade(18, 18), trade(19, 19)], {1: [0, 1], 2: [0, 1], 3: [2]}),
    ("chain after chain", [trade(17, 17, LINK), trade(17, 17), trade(18, 18, LINK), trade(18, 18)],
     {1: [0, 1], 2: [2, 3]}),
    ("a chain crosses runs", [trade(17, 17, LINK), deposited(18, LINK), trade(19, 19), deposited(18)],
     {1: [0, 1, 2], 2: [0, 1, 2, 3], 3: [0, 1, 2]}),
    ("a chain left open", [deposited(16), trade(17, 17, LINK), trade(18, 18, LINK)], {0: [0], 1: [1, 2], 2: [1, 2]}),
]  # fmt: skip


def placed(part: ShardEntry) -> list[tuple[int, Any]]:
    """Every row of a part as (position, event)."""
    messages = messages_of(Run(run.message, run.rows) for run in part.runs)
    return list(zip([int(i) for run in part.runs for i in run.index], messages, strict=True))


@pytest.mark.parametrize(("messages", "expected"), [s[1:] for s in SPLITS], ids=[s[0] for s in SPLITS])
def test_splits(messages: list[Any], expected: dict[int, list[int]]) -> None:
    state = SplitState([3, 0, 6, 5])
    parts = split(state, 7, runs_of(ev.EVENTS, messages), TABLE, 8)
    assert {part.shard: [i for i, _ in placed(part)] for part in parts} == expected
    assert [part.shard for part in parts] == sorted(expected)
    assert all(message == messages[i] for part in parts for i, message in placed(part))
    heads = [(part.n, part.previous, part.source) for part in parts]
    assert heads == [(7, [3, 0, 6, 5][shard], 8) for shard in sorted(expected)]
    assert state.sent == [7 if shard in expected else n for shard, n in enumerate([3, 0, 6, 5])]
    assert all(run.index.dtype == np.uint32 and not run.rows.flags.writeable for part in parts for run in part.runs)


def test_every_event_with_an_account_column_is_routed_or_everyones() -> None:
    everyones = {ev.AccountOpened, ev.AccountChanged, ev.AccountLinked, ev.DeleveragingCalled}
    everyones |= {ev.PortfolioOffered, ev.PortfolioEnded, ev.BackstopCommitted}
    everyones |= {ev.PortingAccepted, ev.AccountPorted, ev.Assessed}
    named = {"account", "buyer", "seller", "bidder", "counterparty"}
    for cls, message in ev.EVENTS.by_class.items():
        columns = {column.name for column in message.fields} & named
        if cls in ROUTES:
            assert set(ROUTES[cls]) == columns
        else:
            assert not columns or cls in everyones, cls


accounts = st.one_of(st.integers(16, 40), st.sampled_from([0, 3, 15, 63, 64, 1000]))
flagged = st.sampled_from([0, 0, LINK])
messages_lists = st.lists(
    st.one_of(
        st.builds(trade, accounts, accounts, flagged),
        st.builds(deposited, accounts, flagged),
        st.builds(awarded, accounts, accounts),
        st.builds(bid, accounts),
        st.sampled_from([MARK, CAPITAL, PAID]),
    ),
    max_size=40,
)


def plainly(messages: list[Any], shards: int, shard_of: list[int]) -> dict[int, list[int]]:
    """The split as the rule reads, one event at a time."""
    chains: list[list[int]] = [[]]
    for i, message in enumerate(messages):
        chains[-1].append(i)
        if not message.flags & LINK:
            chains.append([])
    into: dict[int, list[int]] = {}
    for chain in chains:
        owners: set[int] = set()
        for i in chain:
            fields = ROUTES.get(type(messages[i]))
            if fields is None:
                owners |= set(range(shards))
            elif fields == ():
                owners.add(0)
            else:
                numbers = [getattr(messages[i], name) for name in fields]
                owners |= {shard_of[a] if 16 <= a < len(shard_of) else 0 for a in numbers}
        for owner in owners:
            into.setdefault(owner, []).extend(chain)
    return into


@pytest.mark.parametrize("shards", [1, 4, 16, MAX_SHARDS])
@given(messages=messages_lists, seed=st.integers(0, 9))
def test_a_split_gives_every_row_to_all_that_need_it(shards: int, messages: list[Any], seed: int) -> None:
    shard_of = np.random.default_rng(seed).integers(0, shards, 64, np.int32)
    parts = split(SplitState.of(shards), 1, runs_of(ev.EVENTS, messages), shard_of, 8)
    assert {part.shard: [i for i, _ in placed(part)] for part in parts} == plainly(messages, shards, shard_of.tolist())
    merged = dict(row for part in parts for row in placed(part))
    assert [merged[i] for i in range(len(messages))] == messages
    for part in parts:
        assert all(len(run.rows) == len(run.index) > 0 for run in part.runs)
        kinds = [message for run in part.runs for message in [type(m) for _, m in placed(only(run))]]
        assert [k for k, _ in groupby(kinds)] == [k for k, _ in groupby(type(m) for _, m in placed(part))]


def only(run: IndexedRun) -> ShardEntry:
    return ShardEntry(1, 0, 0, (run,))


def test_one_shard_copies_nothing() -> None:
    runs = runs_of(ev.EVENTS, [trade(17, 18, LINK), trade(18, 19), MARK])
    (part,) = split(SplitState.of(1), 1, runs, TABLE, 8)
    assert [run.rows is one.rows for run, one in zip(part.runs, runs, strict=True)] == [True, True]
    assert [run.index.tolist() for run in part.runs] == [[0, 1], [2]]


def test_empty_runs_are_left_out() -> None:
    runs = runs_of(ev.EVENTS, [trade(17, 18), MARK])
    hollow = [Run(run.message, run.rows[:0]) for run in runs]
    for shards in (1, 4):
        assert split(SplitState.of(shards), 1, hollow, TABLE, 8) == ()
        (part, *_) = split(SplitState.of(shards), 1, [hollow[1], runs[0], hollow[0]], TABLE, 8)
        assert [(run.message.name, len(run.rows)) for run in part.runs] == [("Trade", 1)]


def test_an_empty_table_is_one_shard_s() -> None:
    (part,) = split(SplitState.of(4), 1, runs_of(ev.EVENTS, [trade(17, 18)]), np.zeros(0, np.int32), 8)
    assert part.shard == 0


@pytest.mark.parametrize("shard", [-1, 4, 64])
def test_a_shard_that_is_not_there_is_named(shard: int) -> None:
    table = TABLE.copy()
    table[20] = shard
    state = SplitState.of(4)
    assert split(state, 1, runs_of(ev.EVENTS, [deposited(21)]), table, 8)
    with pytest.raises(UnknownShard, match=f"account 20 belongs to shard {shard} of 4"):
        split(state, 2, runs_of(ev.EVENTS, [deposited(21), deposited(20)]), table, 8)
    assert state.sent == [0, 1, 0, 0]


@pytest.mark.parametrize("shards", [0, -1, MAX_SHARDS + 1])
def test_a_number_of_shards_out_of_bounds_is_refused(shards: int) -> None:
    with pytest.raises(ValueError, match=f"{shards} shards"):
        SplitState.of(shards)


def test_an_unreadable_body_is_shard_0_s_to_reject() -> None:
    state = SplitState([4, 2])
    assert refused(state, 5, Reason.UNKNOWN_TEMPLATE, 8) == ShardEntry(5, 4, 0, (), Reason.UNKNOWN_TEMPLATE, 8)
    assert state.sent == [5, 2]


# --- intake -----------------------------------------------------------------------------------------------------------


def test_an_intake_drops_what_it_has_and_stops_where_one_is_missing() -> None:
    intake = ShardIntake(2)
    part = {n: ShardEntry(n, previous, 2, ()) for n, previous in [(3, 0), (4, 3), (9, 4), (12, 9)]}
    assert [taken(intake, part[n]) for n in (3, 3, 4, 3, 4)] == [True, False, True, False, False]
    with pytest.raises(MissingPredecessor, match="shard 2: the entry follows 9, the last one here is 4") as caught:
        taken(intake, part[12])
    assert (caught.value.shard, caught.value.expected, caught.value.found) == (2, 4, 9)
    assert intake == ShardIntake(2, 4)
    assert [taken(intake, part[n]) for n in (9, 12)] == [True, True]
    with pytest.raises(MissingPredecessor):
        taken(intake, ShardEntry(20, 11, 2, ()))
    with pytest.raises(ValueError, match="shard 1 came to shard 2"):
        taken(intake, ShardEntry(20, 12, 1, ()))
    assert intake == ShardIntake(2, 12)


@given(st.lists(messages_lists, max_size=6), st.data())
def test_every_shard_takes_in_all_it_is_sent(entries: list[list[Any]], data: st.DataObject) -> None:
    state = SplitState.of(4)
    parts = [split(state, n, runs_of(ev.EVENTS, one), TABLE, 8) for n, one in enumerate(entries, 1)]
    for shard in range(4):
        mine = [part for one in parts for part in one if part.shard == shard]
        back = data.draw(st.integers(0, len(mine)))
        intake = ShardIntake(shard)
        assert all(taken(intake, part) for part in mine[:back])
        again = data.draw(st.integers(0, back))
        kept = [part.n for part in mine[again:] if taken(intake, part)]
        assert kept == [part.n for part in mine[back:]]
        assert intake.last == state.sent[shard]
        if len(mine) > 1:
            with pytest.raises(MissingPredecessor):
                taken(ShardIntake(shard), mine[1])

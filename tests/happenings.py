"""Hypothesis strategies of what may happen to the clearinghouse of `world`: valid and invalid events of every kind,
built from small ranges so that they meet each other, and marks at random prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from world import BTC_U, EXPIRY, HOUR, ISOLATED, PERP_BTC, PERP_ETH, SPAN, START, World

from schemas import events as e
from schemas.kinds import (
    AccountStatus,
    InstrumentStatus,
    LinkKind,
    Parameter,
    Segregation,
    WithdrawalDecision,
)
from schemas.sources import Role

OPENED = (16, 17, 18, 19, 20)
ACCOUNTS = st.sampled_from([*OPENED] * 6 + [5, 22, 40, 70_000])
"""mostly open ones; a house account, two that were never opened, one past every table"""
INSTRUMENTS = st.sampled_from([*range(1, 12)] * 3 + [12, 99])
ASSETS = st.sampled_from([0, 0, 1, 2, 3, 4, 5])
NUMBERS = st.integers(1, 4)
AMOUNTS = st.one_of(st.integers(1, 10**10), st.sampled_from([0, -1, 2**60, 2**60 + 1, 2**63 - 1, -(2**63)]))
LOTS = st.one_of(st.integers(1, 400), st.sampled_from([0, -1, 2**31, -(2**63)]))
SIGNED = st.one_of(st.integers(-400, 400), st.sampled_from([2**31, -(2**63)]))
PRICES = st.one_of(
    st.sampled_from([1, 20_000, 790_000, 800_000, 810_000]), st.integers(1, 2_000_000), st.sampled_from([0, 2**41])
)
FEES = st.one_of(st.integers(-2_000, 20_000), st.sampled_from([2**61, -(2**62)]))
TIMES = st.sampled_from([0, START, START + HOUR, START + 5 * HOUR, EXPIRY, -1, 2**60])
TRADE = {
    "venue": st.just(1),
    "instrument": INSTRUMENTS,
    "buyer": ACCOUNTS,
    "seller": ACCOUNTS,
    "time": TIMES,
    "trade": NUMBERS,
    "quantity": LOTS,
    "price": PRICES,
    "buyer_fee": FEES,
    "seller_fee": FEES,
}
FLAGS = st.sampled_from([0] * 7 + [e.LINKED])

KINDS: dict[type[Any], dict[str, SearchStrategy[Any]]] = {
    e.InstrumentStatusChanged: {
        "status": st.sampled_from(InstrumentStatus), "instrument": INSTRUMENTS, "time": TIMES, "effective": TIMES,
    },
    e.IndexChanged: {
        "underlying": st.integers(0, 2), "source": NUMBERS, "weight": st.integers(0, 10_001), "time": TIMES,
        "effective": TIMES,
    },
    e.AccountOpened: {
        "segregation": st.sampled_from(Segregation), "liquidator": st.integers(0, 1), "profile": st.integers(0, 4),
        "account": st.integers(14, 24), "member": NUMBERS, "owner": NUMBERS, "time": TIMES, "name": st.just("A"),
    },
    e.AccountChanged: {
        "status": st.sampled_from(AccountStatus), "profile": st.integers(0, 4), "account": ACCOUNTS, "time": TIMES,
        "effective": TIMES,
    },
    e.AccountLinked: {
        "link": st.sampled_from(LinkKind), "removed": st.integers(0, 1), "account": ACCOUNTS, "other": ACCOUNTS,
        "time": TIMES,
    },
    e.Deposited: {"asset": ASSETS, "account": ACCOUNTS, "deposit": NUMBERS, "time": TIMES, "amount": AMOUNTS},
    e.WithdrawalRequested: {
        "asset": ASSETS, "account": ACCOUNTS, "withdrawal": NUMBERS, "time": TIMES, "amount": AMOUNTS,
    },
    e.WithdrawalDecided: {
        "decision": st.sampled_from(WithdrawalDecision), "account": ACCOUNTS, "withdrawal": NUMBERS, "time": TIMES,
    },
    e.Trade: {**TRADE, "flags": FLAGS},
    e.TradeReversed: {**TRADE, "flags": FLAGS},
    e.OrderOpened: {
        "venue": st.just(1), "instrument": INSTRUMENTS, "account": ACCOUNTS, "time": TIMES, "order": NUMBERS,
        "quantity": SIGNED, "price": PRICES,
    },
    e.OrderChanged: {"account": ACCOUNTS, "time": TIMES, "order": NUMBERS, "quantity": SIGNED, "price": PRICES},
    e.OrderCancelled: {"account": ACCOUNTS, "time": TIMES, "order": NUMBERS},
    e.FeeCharged: {"account": ACCOUNTS, "time": TIMES, "effective": TIMES, "amount": AMOUNTS},
    e.FundingRate: {
        "instrument": st.sampled_from([PERP_BTC, PERP_ETH, 7, 10, 1, 99]), "time": TIMES, "effective": TIMES,
        "rate": st.one_of(st.integers(-(10**7), 10**7), st.sampled_from([10**9 + 1, -(2**63)])),
    },
    e.SettlementPrice: {
        "final": st.integers(0, 1), "sources": st.integers(0, 3), "underlying": st.integers(0, 2),
        "instrument": st.one_of(st.just(0), INSTRUMENTS), "time": TIMES, "effective": TIMES,
        "expiry": st.sampled_from([0, EXPIRY, EXPIRY + 1, -1]), "window_start": st.just(0), "window_end": st.just(0),
        "price": PRICES,
    },
    e.ParameterChanged: {
        "parameter": st.sampled_from(Parameter), "scope": st.integers(0, 5), "time": TIMES, "effective": TIMES,
        "value": st.integers(-1, 10_001),
    },
    e.ProfileText: {
        "profile": st.integers(0, 4), "part": st.integers(0, 2), "time": TIMES, "text": st.sampled_from(["", "x = 1"]),
    },
    e.ProfilePublished: {
        "profile": st.integers(0, 4), "parts": st.integers(0, 2), "time": TIMES, "effective": TIMES,
        "digest": st.just(bytes(32)),
    },
    e.LiquidationPlanned: {
        "instrument": INSTRUMENTS, "account": ACCOUNTS, "auction": NUMBERS, "mark": NUMBERS, "quantity": SIGNED,
        "start": st.just(50), "step": st.integers(0, 50), "floor": st.just(500),
    },
    e.Bid: {
        "bidder": ACCOUNTS, "instrument": INSTRUMENTS, "auction": NUMBERS, "bid": NUMBERS, "time": TIMES,
        "quantity": SIGNED, "price": PRICES,
    },
    e.Awarded: {
        "instrument": INSTRUMENTS, "account": ACCOUNTS, "bidder": ACCOUNTS, "auction": NUMBERS, "bid": NUMBERS,
        "quantity": SIGNED, "price": PRICES,
    },
    e.AuctionEnded: {"account": ACCOUNTS, "auction": NUMBERS},
    e.DeleveragingCalled: {
        "instrument": INSTRUMENTS, "account": ACCOUNTS, "call": NUMBERS, "quantity": SIGNED, "price": PRICES,
    },
    e.Deleveraged: {
        "instrument": INSTRUMENTS, "account": ACCOUNTS, "counterparty": ACCOUNTS, "call": NUMBERS, "quantity": SIGNED,
        "price": PRICES,
    },
    e.FundContributed: {
        "own": st.integers(0, 1), "asset": ASSETS, "backer": NUMBERS, "time": TIMES, "amount": AMOUNTS,
    },
    e.FundPaid: {"asset": ASSETS, "account": ACCOUNTS, "mark": NUMBERS, "amount": st.integers(-1, 10**6)},
    e.CapitalContributed: {"asset": ASSETS, "time": TIMES, "amount": AMOUNTS},
    e.OraclePrice: {
        "underlying": st.integers(0, 2), "source": NUMBERS, "round": NUMBERS, "time": TIMES,
        "price": st.integers(-1, 10**11), "bid": st.integers(-1, 10**10), "ask": st.integers(10**10, 10**11),
    },
    e.MarketClosed: {"market": NUMBERS, "rows": NUMBERS, "digest": st.just(bytes(32))},
    e.Mark: {"mark": NUMBERS, "market": NUMBERS, "time": TIMES},
}  # fmt: skip


@dataclass(frozen=True)
class Marked:
    """A mark at these prices (dollars), so long after the last one."""

    btc: float
    eth: float
    after: int


Happening = tuple[list[Any], Role | None] | Marked

MARKS = st.builds(
    Marked, st.integers(3_000, 12_000), st.integers(80, 400), st.sampled_from([HOUR // 4, HOUR // 4, 9 * HOUR])
)


def events(*kinds: type[Any]) -> SearchStrategy[Any]:
    """An event of one of these kinds (of any, where none is named)."""
    return st.sampled_from(kinds or (*KINDS, *[e.Trade] * 12)).flatmap(lambda kind: st.builds(kind, **KINDS[kind]))


def happenings(most: int) -> SearchStrategy[list[Happening]]:
    """A course of entries, now and then from a source that may not send them, and of marks."""
    sent = st.tuples(st.lists(events(), min_size=1, max_size=5), st.sampled_from([*[None] * 12, Role.ORACLE]))
    return st.lists(st.one_of(sent, sent, sent, MARKS), max_size=most)


def founded(shards: int = 1, accounts: int = 64) -> World:
    """A world with accounts under every profile, some of everything deposited, a fund, and positions in everything."""
    world = World(shards, accounts)
    world.open(16, 17, 18, profile=SPAN)
    world.open(19, profile=ISOLATED)
    world.open(20, profile=SPAN, liquidator=1)
    for account in OPENED:
        world.deposit(account, 3_000_000_000)
        world.deposit(account, 30_000_000, asset=2)
    world.send(e.FundContributed(own=0, asset=0, backer=1, time=START, amount=10**12))
    for asset in (1, 2, 3):
        world.send(e.FundContributed(own=0, asset=asset, backer=1, time=START, amount=10**12))
    for number, instrument in enumerate(range(3, 12)):
        price = 20_000 if instrument in (PERP_ETH, 10) else 800_000 if instrument < 8 else 20_000
        world.trade(OPENED[number % 5], OPENED[(number + 2) % 5], instrument, 20, price)
    return world


def happen(world: World, course: list[Happening]) -> None:
    """Let a course of things happen."""
    for one in course:
        if isinstance(one, Marked):
            world.mark(btc=one.btc, eth=one.eth, after=one.after)
        else:
            events_sent, role = one
            world.send(*events_sent, role=role)


def is_btc(instrument: int, world: World) -> bool:
    """Whether an instrument follows BTC."""
    return world.state.facts.instruments[instrument].underlying == BTC_U

"""Hypothesis strategies of what the default of accounts and members brings: policies, portfolios, backstops, breakers,
withdrawals that wait, porting, backers, what a service would say and what it would never say; and services that crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from happenings import ACCOUNTS, AMOUNTS, ASSETS, INSTRUMENTS, NUMBERS, SIGNED, TIMES
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from managed import Managed
from world import (
    BTC,
    FUT_BTC,
    HOUR,
    ISOLATED,
    MICRO,
    PERP_BTC,
    PERP_ETH,
    SPAN,
    START,
    USD,
    listing,
    profile_events,
    shipped_profile,
)

from insurance.policy import SHIPPED, published, shipped
from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.defaults import OF_AN_UNDERLYING, OF_ANY_ASSET
from schemas.kinds import ClosingReason, Parameter, Segregation, WaterfallLayer
from schemas.outcomes import PortfolioOpened

FLAG = st.integers(0, 1)
MEMBERS = st.integers(0, 3)
UNDERLYINGS = st.integers(0, 2)
RATES = st.one_of(st.integers(0, 10_001), st.sampled_from([-1, 10**9, 10**9 + 1, 2**63 - 1, -(2**63)]))

MORE: dict[type[Any], dict[str, SearchStrategy[Any]]] = {
    e.WithdrawalsHeld: {"held": FLAG, "mark": NUMBERS},
    e.WithdrawalJudged: {"allowed": FLAG, "account": ACCOUNTS, "withdrawal": NUMBERS, "mark": NUMBERS},
    e.PortfolioLot: {"instrument": INSTRUMENTS, "auction": NUMBERS, "quantity": SIGNED},
    e.PortfolioOffered: {
        "lots": st.integers(0, 3), "account": ACCOUNTS, "auction": NUMBERS, "mark": NUMBERS, "closes": NUMBERS,
        "reserve": RATES,
    },
    e.PortfolioBid: {"bidder": ACCOUNTS, "auction": NUMBERS, "bid": NUMBERS, "time": TIMES, "discount": RATES},
    e.PortfolioAwarded: {
        "account": ACCOUNTS, "bidder": ACCOUNTS, "auction": NUMBERS, "bid": NUMBERS, "discount": RATES,
    },
    e.PortfolioEnded: {"reason": st.sampled_from(ClosingReason), "account": ACCOUNTS, "auction": NUMBERS},
    e.BackstopCommitted: {"account": ACCOUNTS, "time": TIMES, "capacity": AMOUNTS},
    e.BreakerChanged: {
        "tripped": FLAG, "underlying": UNDERLYINGS, "mark": NUMBERS, "interest": AMOUNTS, "limit": AMOUNTS,
    },
    e.OwnerLimited: {
        "limited": FLAG, "underlying": UNDERLYINGS, "owner": ACCOUNTS, "mark": NUMBERS, "interest": AMOUNTS,
        "limit": AMOUNTS,
    },
    e.OwnerAsked: {"underlying": UNDERLYINGS, "owner": ACCOUNTS, "mark": NUMBERS},
    e.MemberDefaulted: {
        "member": MEMBERS, "time": TIMES, "window": st.sampled_from([0, 1, HOUR, -1, 2**60, 2**63 - 1]),
    },
    e.PortingAccepted: {"account": ACCOUNTS, "taker": MEMBERS, "time": TIMES},
    e.AccountPorted: {"account": ACCOUNTS, "member": MEMBERS, "taker": MEMBERS},
    e.MemberResourcesTaken: {
        "asset": ASSETS, "account": ACCOUNTS, "other": ACCOUNTS, "mark": NUMBERS, "amount": AMOUNTS,
    },
    e.MemberResourcesGiven: {
        "asset": ASSETS, "account": ACCOUNTS, "other": ACCOUNTS, "mark": NUMBERS, "amount": AMOUNTS,
    },
    e.MemberSettled: {"member": MEMBERS, "mark": NUMBERS},
    e.PolicyLayer: {
        "layer": st.sampled_from(WaterfallLayer), "policy": st.integers(0, 2), "part": st.integers(0, 2),
        "time": TIMES, "share": RATES, "amount": AMOUNTS,
    },
    e.PolicyPublished: {
        "policy": st.integers(0, 2), "layers": st.integers(0, 3), "time": TIMES, "effective": TIMES,
        "digest": st.just(bytes(32)),
    },
    e.LayerDrawn: {
        "layer": st.sampled_from(WaterfallLayer), "asset": ASSETS, "member": MEMBERS, "mark": NUMBERS,
        "amount": AMOUNTS,
    },
    e.LayerPaid: {
        "layer": st.sampled_from(WaterfallLayer), "asset": ASSETS, "account": ACCOUNTS, "member": MEMBERS,
        "mark": NUMBERS, "amount": AMOUNTS,
    },
    e.Assessed: {"asset": ASSETS, "account": ACCOUNTS, "member": MEMBERS, "mark": NUMBERS, "amount": AMOUNTS},
    e.GainsHaircut: {"asset": ASSETS, "mark": NUMBERS, "rate": RATES},
    e.DefaultFundContributed: {"asset": ASSETS, "member": MEMBERS, "time": TIMES, "amount": AMOUNTS},
    e.BackerMinted: {"fresh": FLAG, "asset": ASSETS, "backer": NUMBERS, "mark": NUMBERS, "units": AMOUNTS},
    e.BackerWithdrawalRequested: {
        "asset": ASSETS, "backer": NUMBERS, "request": NUMBERS, "time": TIMES, "units": AMOUNTS,
    },
    e.BackerPaid: {
        "asset": ASSETS, "backer": NUMBERS, "request": NUMBERS, "mark": NUMBERS, "units": AMOUNTS, "amount": AMOUNTS,
    },
}  # fmt: skip
"""events of default management, from small ranges so that they meet each other; most are nothing that a service says"""

NEW = tuple(MORE)


# --- a clearinghouse with everything switched on ----------------------------------------------------------------------

HOUSE_1, ALONE, POOLED, POOLED_TOO, HOUSE_2, CLIENT_2, BIDDER, BACKSTOP = range(16, 24)
EVERYONE = tuple(range(16, 24))
WHO = {
    HOUSE_1: (1, Segregation.HOUSE), ALONE: (1, Segregation.INDIVIDUAL), POOLED: (1, Segregation.OMNIBUS),
    POOLED_TOO: (1, Segregation.OMNIBUS), HOUSE_2: (2, Segregation.HOUSE), CLIENT_2: (2, Segregation.INDIVIDUAL),
    BIDDER: (3, Segregation.HOUSE), BACKSTOP: (3, Segregation.HOUSE),
}  # fmt: skip
"""account -> its member, and whose money it holds"""
MONEY = {
    HOUSE_1: 1_250, ALONE: 1_500, POOLED: 500, POOLED_TOO: 750, HOUSE_2: 2_200, CLIENT_2: 1_400, BIDDER: 9_000,
    BACKSTOP: 9_000,
}  # fmt: skip
"""dollars at the outset"""

ON: dict[Parameter, tuple[int, ...]] = {
    Parameter.LADDER_HYSTERESIS: (0, 500),
    Parameter.LIQUIDATION_FEE: (0, 50),
    Parameter.WHOLE_LIQUIDATION_FEE: (0, 20),
    Parameter.WITHDRAWAL_HOLD: (0, 1),
    Parameter.WITHDRAWAL_RATE: (0, 300),
    Parameter.PACING: (0, 500 * MICRO, 3_000 * MICRO),
    Parameter.BREAKER_STRESS: (0, 2_000),
    Parameter.OWNER_SHARE: (0, 2_000),
    Parameter.PRICE_BREAKER: (0, 1_000),
    Parameter.PLAN_METHOD: (0, 1),
    Parameter.AUCTION_FRACTION: (10_000, 4_000),
    Parameter.AUCTION_CLEARING: (0, 300),
    Parameter.OWN_TRADES_CLIP: (0, 1),
    Parameter.UNMET_CALLS_SOLD: (0, 1),
    Parameter.PLAN_TARGET: (10_000, 15_000),
    Parameter.PORTFOLIO_AUCTION_MARKS: (0, 1, 3),
    Parameter.BUFFER_GAP: (0, 300),
    Parameter.GAP_TOLD: (0, 1),
    Parameter.HOUSE_COVERS_CLIENTS: (0, 1),
    Parameter.BACKER_NOTICE: (0, HOUR),
    Parameter.BACKERS: (0, 1),
    Parameter.GRACE: (0, 2),
    Parameter.CLOSE_DEFAULTED: (0, 1),
    Parameter.REVERSAL_KEEPS_FUND: (0, 1),
}
"""values of each parameter that are tried, the first as it is where nobody says anything"""


@dataclass(frozen=True)
class Setting:
    """What a clearinghouse is founded with."""

    parameters: tuple[tuple[Parameter, int], ...]
    policy: str
    """one of insurance.policy.SHIPPED, or none"""
    fund: int
    """dollars"""


SETTINGS = st.builds(
    Setting,
    st.tuples(*(st.tuples(st.just(which), st.sampled_from(values)) for which, values in ON.items())),
    st.sampled_from(["", *SHIPPED]),
    st.sampled_from([0, 50, 5_000]),
)


def begun(setting: Setting, shards: int) -> Managed:
    """The clearinghouse with its members, their clients, a bidder, a backstop, and positions that hang together."""
    world = Managed(shards, ready=False)
    world.send(*listing())
    for number, name in ((ISOLATED, "isolated"), (SPAN, "span")):
        world.send(*profile_events(number, shipped_profile(name)))
    scopes = {
        which: (0, 1) if which in OF_AN_UNDERLYING else (USD, BTC) for which in (*OF_AN_UNDERLYING, *OF_ANY_ASSET)
    }
    world.send(
        *(
            e.ParameterChanged(parameter=which, scope=scope, time=START, effective=START, value=value)
            for which, value in setting.parameters
            for scope in scopes.get(which, (0,))
        )
    )
    if setting.policy:
        world.send(*published(shipped(setting.policy), 1, START, START))
        world.send(e.CapitalContributed(asset=USD, time=START, amount=60 * MICRO))
    if setting.fund:
        world.send(e.FundContributed(own=0, asset=USD, backer=1, time=START, amount=setting.fund * MICRO))
        world.send(e.FundContributed(own=1, asset=USD, backer=0, time=START, amount=MICRO))
    world.mark()
    world.answer()
    world.send(
        *(
            e.AccountOpened(
                account=account, segregation=segregation, liquidator=int(account >= BIDDER), profile=SPAN,
                member=member, owner=member * 10 + account % 2, time=START, name=f"M-{account}",
            )
            for account, (member, segregation) in WHO.items()
        )
    )  # fmt: skip
    for account, dollars in MONEY.items():
        world.deposit(account, dollars * MICRO)
    world.deposit(POOLED, 5_000_000, BTC)
    for member in (1, 2, 3):
        world.send(e.DefaultFundContributed(asset=USD, member=member, time=START, amount=100 * member * MICRO))
    world.send(e.BackstopCommitted(account=BACKSTOP, time=START, capacity=4_000 * MICRO))
    for buyer, seller, instrument, lots, price in (
        (HOUSE_1, HOUSE_2, PERP_BTC, 700, 800_000), (ALONE, BACKSTOP, PERP_BTC, 900, 800_000),
        (POOLED, HOUSE_2, PERP_BTC, 500, 800_000), (CLIENT_2, POOLED_TOO, PERP_ETH, 200, 20_000),
        (ALONE, CLIENT_2, PERP_ETH, 150, 20_000), (HOUSE_1, BIDDER, FUT_BTC, 100, 800_000),
    ):  # fmt: skip
        world.trade(buyer, seller, instrument, lots, price)
    world.mark()
    world.answer()
    return world


@dataclass(frozen=True)
class Step:
    """Something that happens; what the numbers mean is told by the kind."""

    kind: str
    a: int = 0
    b: int = 0
    c: int = 0


PRICE = st.one_of(st.integers(55, 140), st.integers(85, 108))
ACCOUNT = st.integers(0, len(EVERYONE) - 1)
STEPS = st.one_of(
    st.builds(Step, st.just("mark"), PRICE, PRICE),
    *[st.builds(Step, st.just("round"), PRICE, PRICE, st.integers(0, 2))] * 4,
    st.builds(Step, st.just("answer")),
    st.builds(Step, st.just("say"), st.integers(1, 4)),
    st.builds(Step, st.just("crash")),
    st.builds(Step, st.just("trade"), ACCOUNT, ACCOUNT, st.integers(1, 300)),
    st.builds(Step, st.just("deposit"), ACCOUNT, st.integers(1, 2_000)),
    st.builds(Step, st.just("withdraw"), ACCOUNT, st.integers(1, 3_000)),
    st.builds(Step, st.just("bid"), ACCOUNT, st.integers(-3, 8), st.integers(-30, 30)),
    st.builds(Step, st.just("bid"), st.just(6), st.integers(4, 8), st.integers(-5, 30)),
    st.builds(Step, st.just("portfolio bid"), st.sampled_from([0, 6, 6, 7]), st.integers(-1, 600)),
    st.builds(Step, st.just("default"), st.integers(0, 3), st.integers(0, 2)),
    st.builds(Step, st.just("accept"), ACCOUNT, st.integers(1, 3)),
    st.builds(Step, st.just("back"), st.integers(0, 2), st.integers(1, 400)),
    st.builds(Step, st.just("unback"), st.integers(0, 2), st.integers(1, 400)),
    st.builds(Step, st.just("contribute"), st.integers(1, 3), st.integers(1, 300)),
)
"""what happens to it; prices are in hundredths of the outset's"""
COURSES = st.tuples(SETTINGS, st.lists(STEPS, min_size=3, max_size=25))


def taken(world: Managed, step: Step) -> None:
    """Let one step happen. A service's crash happens only where the world is told to let it."""
    a, b, c = step.a, step.b, step.c
    time = world.time
    match step.kind:
        case "mark":
            world.mark(btc=80.0 * a, eth=2.0 * b)
        case "round":
            world.mark(btc=80.0 * a, eth=2.0 * b)
            world.answer()
            if c:
                bids(world, EVERYONE[5 + c], 2 + 2 * c, 0)
                portfolio_bids(world, EVERYONE[5 + c], 100 * c)
                world.answer()
        case "answer":
            world.answer()
        case "say":
            for _ in range(a):
                world.say()
        case "trade":
            world.trade(
                EVERYONE[a], EVERYONE[b], PERP_ETH if c % 3 == 0 else PERP_BTC, c, 20_000 if c % 3 == 0 else 800_000
            )
        case "deposit":
            world.deposit(EVERYONE[a], b * MICRO)
        case "withdraw":
            world.deposit_number += 1
            asked = e.WithdrawalRequested(
                asset=USD, account=EVERYONE[a], withdrawal=world.deposit_number, time=time, amount=b * MICRO
            )
            world.send(asked)
        case "bid":
            bids(world, EVERYONE[a], b, c)
        case "portfolio bid":
            portfolio_bids(world, EVERYONE[a], b)
        case "default":
            world.send(e.MemberDefaulted(member=a, time=time, window=b * HOUR))
        case "accept":
            world.send(e.PortingAccepted(account=EVERYONE[a], taker=b, time=time))
        case "back":
            world.send(e.FundContributed(own=int(a == 0), asset=USD, backer=a, time=time, amount=b * MICRO))
        case "unback":
            world.deposit_number += 1
            world.send(
                e.BackerWithdrawalRequested(
                    asset=USD, backer=a, request=world.deposit_number, time=time, units=b * MICRO
                )
            )
        case "contribute":
            world.send(e.DefaultFundContributed(asset=USD, member=a, time=time, amount=b * MICRO))
        case "crash":
            pass


def bids(world: Managed, bidder: int, quarters: int, ticks: int) -> None:
    """A bid on every running auction for so many quarters of what is left (below zero: on the wrong side), so many
    hundredths of a percent above the auction's price."""
    running = {number: one for state in world.clearing.states for number, one in state.auctions.items()}
    told: list[e.Bid] = []
    for number, one in sorted(running.items()):
        mark = int(world.state.market.mark[one.instrument])
        terms = Terms(one.start, one.step, one.floor)
        price = auction.price(one.remaining, mark, auction.discount(terms, world.state.mark - one.mark))
        world.deposit_number += 1
        told.append(
            e.Bid(
                bidder=bidder, instrument=one.instrument, auction=number, bid=world.deposit_number, time=world.time,
                quantity=-one.remaining * quarters // 4, price=max(1, price + price * ticks // 10_000),
            )
        )  # fmt: skip
    if told:
        world.send(*told)


def portfolio_bids(world: Managed, bidder: int, discount: int) -> None:
    """A sealed bid on every portfolio on offer, and on one that never was."""
    world.deposit_number += 1
    offered = {one.auction for one in world.said if isinstance(one, PortfolioOpened)}
    world.send(
        *(
            e.PortfolioBid(
                bidder=bidder, auction=number, bid=world.deposit_number, time=world.time, discount=discount
            )
            for number in (*sorted(offered), 99)
        )
    )  # fmt: skip


def unfolded(course: tuple[Setting, list[Step]], shards: int, *, crashes: bool = False) -> Managed:
    """The course to its end: everything answered, and two more marks at which all comes to rest."""
    setting, steps = course
    world = begun(setting, shards)
    for step in steps:
        if crashes and step.kind in ("crash", "say", "bid"):
            world.crash()
        taken(world, step)
    for _ in range(2):
        if crashes:
            world.crash()
        world.answer()
        world.mark()
    world.answer()
    world.check()
    return world

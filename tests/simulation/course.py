"""What happens in a simulated world when nothing goes wrong: a course of entries, its journal and its outcomes.

A course is run once without faults; simulations of many seeds then send its outer entries (those of clients) again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

from topology import Topology, parts
from world import BTC, BTC_U, EXPIRY, HOUR, MICRO, SPAN, START, USD, listing, profile_events, shipped_profile

from insurance.policy import published, shipped
from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.defaults import OF_AN_UNDERLYING, OF_ANY_ASSET
from schemas.events import EVENTS
from schemas.kinds import Parameter, Segregation
from schemas.outcomes import OUTCOMES, PortfolioOpened
from schemas.sources import Role, source
from schemas.wire import OutcomeHeader, decode, encode_entry, runs_of
from services import lockstep
from services.lockstep import Settings
from services.processors.clearing import Shard
from services.processors.records import Place, Snapshot, Topic

COURSES: Final = 24
"""how many there are; a process runs each once for each number of shards that it needs"""
SHARDS: Final = (1, 2, 4)
SNAPSHOT_EVERY: Final = (2, 3, 6)
"""numbered entries between two snapshots: often, so that what one holds in the middle of something is tried"""
ACCOUNTS: Final = 32
SPOT, PERP, PERP_ETH, CALL = 1, 3, 4, 8
_LISTED: Final = {SPOT, PERP, PERP_ETH, CALL}
CUSTOMERS: Final = (16, 17, 18, 19, 20, 21)
BIDDER: Final = 22
OTHER_VENUE: Final = source(Role.EXCHANGE, 1)
BACKSTOP: Final = 23
STRICT: Final = (1, 3)
"""remainders of a course's number by five: those courses have default management with all its rules switched on"""
ON: Final[dict[Parameter, tuple[int, ...]]] = {
    Parameter.LADDER_HYSTERESIS: (0, 500),
    Parameter.LIQUIDATION_FEE: (0, 50),
    Parameter.WITHDRAWAL_HOLD: (0, 1),
    Parameter.WITHDRAWAL_RATE: (0, 500),
    Parameter.PACING: (0, 1_000 * MICRO),
    Parameter.BREAKER_STRESS: (0, 2_000),
    Parameter.OWNER_SHARE: (0, 3_000),
    Parameter.PRICE_BREAKER: (0, 1_000),
    Parameter.PLAN_METHOD: (0, 1),
    Parameter.AUCTION_FRACTION: (10_000, 4_000),
    Parameter.PORTFOLIO_AUCTION_MARKS: (0, 1, 1),
    Parameter.GAP_TOLD: (0, 1),
    Parameter.BACKERS: (0, 1),
    Parameter.BACKER_NOTICE: (0,),
}
"""values of each parameter that such a course draws from"""
WHOLE, PIECES = 1 << 19, 320
"""bytes that an entry is filled to; small, and a market is told in many entries"""


@dataclass(frozen=True)
class Outer:
    """A client's entry, and how many entries the undisturbed journal holds before it."""

    at: int
    source: int
    sequence: int
    data: bytes


@dataclass(frozen=True)
class Course:
    """An undisturbed run. `begun`: its topics and the snapshots kept when the world stood, before any of `outer`."""

    settings: Settings
    entry_bytes: int
    begun: dict[Place, list[bytes]]
    kept: dict[str, list[Snapshot]]
    journal: list[bytes]
    outcomes: list[list[bytes]]
    outer: list[Outer]


@contextmanager
def entries_of(size: int) -> Iterator[None]:
    """Within it, entries are filled to this many bytes."""
    before = lockstep.ENTRY_BYTES
    lockstep.ENTRY_BYTES = size  # type: ignore[misc]
    try:
        yield
    finally:
        lockstep.ENTRY_BYTES = before  # type: ignore[misc]


@cache
def course(number: int, shards: int) -> Course:
    """Course `number` over so many shards. Pure: the same numbers give the same bytes."""
    settings = Settings(shards=shards, accounts=ACCOUNTS, snapshot_every=SNAPSHOT_EVERY[number % 3])
    size = PIECES if number % 4 == 3 else WHOLE
    with entries_of(size):
        run = _Run(settings, Random(number), strict=number % 5 in STRICT)
        run.found()
        begun = {place: list(values) for place, values in run.system.topics.items()}
        kept = {name: snapshots[-3:] for name, snapshots in run.kept.items()}
        run.outer.clear()
        run.unfold()
    topics = run.system.topics
    return Course(
        settings,
        size,
        begun,
        kept,
        list(topics[Topic.JOURNAL, 0]),
        [list(topics[Topic.OUTCOMES, shard]) for shard in range(shards)],
        run.outer,
    )


class _Run:
    """A course while it is made."""

    def __init__(self, settings: Settings, draw: Random, *, strict: bool) -> None:
        self.settings = settings
        self.draw = draw
        self.strict = strict
        self.system = Topology(parts(settings))
        self.sequences: defaultdict[int, int] = defaultdict(int)
        self.outer: list[Outer] = []
        self.kept: defaultdict[str, list[Snapshot]] = defaultdict(list)
        self.time = START
        self.round = 0
        self.numbers = 0

    def send(self, number: int, events: Sequence[Any]) -> None:
        self.sequences[number] += 1
        data = encode_entry(number, self.sequences[number], runs_of(EVENTS, events))
        self.outer.append(Outer(len(self.system.topics[Topic.JOURNAL, 0]), number, self.sequences[number], data))
        self.system.journal(data)
        for name, part in self.system.parts.items():
            if (snapshot := part.snapshot()) is not None:
                self.kept[name].append(snapshot)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def found(self) -> None:
        """The world as every course finds it: listings, a profile, customers, a small fund, positions, a mark."""
        council, registrar = source(Role.COUNCIL), source(Role.REGISTRAR)
        listed = [one for one in listing() if not isinstance(one, e.InstrumentListed) or one.instrument in _LISTED]
        self.send(council, listed)
        self.send(council, profile_events(SPAN, shipped_profile("span")))
        if self.strict:
            self.send(council, self.rules())
        self.send(council, [e.FundContributed(own=0, asset=USD, backer=1, time=START, amount=400 * MICRO)])
        opened = [
            e.AccountOpened(
                account=a, segregation=self.segregation(a), liquidator=int(a >= BIDDER), profile=SPAN,
                member=1 + (a - 16) // 3 * self.strict, owner=a, time=START, name=f"A-{a}",
            )
            for a in (*CUSTOMERS, BIDDER, *([BACKSTOP] if self.strict else []))
        ]  # fmt: skip
        self.send(registrar, opened)
        if self.strict:
            self.send(registrar, [e.BackstopCommitted(account=BACKSTOP, time=START, capacity=3_000 * MICRO)])
            self.send(source(Role.CUSTODIAN), [self.deposit(BACKSTOP, 9_000 * MICRO)])
            self.send(council, [self.contribution(member) for member in (1, 2, 3)])
        money = {16: 2_000, 17: 30_000, 18: 1_500, 19: 30_000, 20: 900, 21: 8_000, BIDDER: 20_000}
        self.send(source(Role.CUSTODIAN), [self.deposit(a, usd * MICRO) for a, usd in money.items()])
        self.send(source(Role.CUSTODIAN), [self.deposit(18, 10_000_000, BTC)])
        self.oracle(8_000, 200)
        self.send(
            source(Role.EXCHANGE),
            [
                self.trade(16, 17, PERP, 1_400, 800_000),
                self.trade(18, 19, PERP, 1_200, 800_000),
                self.trade(20, 21, PERP_ETH, 300, 20_000),
                self.trade(17, 20, CALL, 30, 40_000),
                *([self.trade(16, 19, PERP_ETH, 150, 20_000), self.trade(18, 21, PERP_ETH, 120, 20_000)] * self.strict),
            ],
        )

    def unfold(self) -> None:
        """The course itself: trades, orders, deposits, and oracle rounds through a crash; bids on what is auctioned."""
        btc, eth = 8_000.0, 200.0
        for _ in range(self.draw.choice((2, 3, 4)) + 2 * self.strict):
            for _ in range(self.draw.randint(1, 4)):
                self.something(int(btc * 100), int(eth * 100))
            if self.strict:
                self.something_strict()
            fall = self.draw.choice((0.98, 0.9, 0.85, 0.7, 1.05))
            btc, eth = btc * fall, max(90.0, eth * self.draw.choice((fall, 0.6, 1.0)))
            self.oracle(btc, eth)
            self.bids()

    def something(self, btc: int, eth: int) -> None:
        draw = self.draw
        a, b = draw.sample(CUSTOMERS, 2)
        match draw.randrange(7):
            case 0 | 1:
                venue = draw.choice((source(Role.EXCHANGE), OTHER_VENUE))
                trades = [self.trade(a, b, PERP, draw.randint(1, 60), btc) for _ in range(draw.randint(1, 3))]
                self.send(venue, [*trades, self.trade(b, a, PERP_ETH, draw.randint(1, 40), eth)])
            case 2:
                chain = [self.trade(a, b, PERP, 5, btc, flags=e.LINKED), self.trade(b, a, draw.choice((4, 99)), 5, eth)]
                self.send(source(Role.EXCHANGE), chain)
            case 3:
                lots = draw.choice((20, -20, 2**31))
                order = e.OrderOpened(
                    venue=1, instrument=PERP, account=a, time=self.time, order=self.number(), quantity=lots, price=btc
                )  # fmt: skip
                self.send(source(Role.EXCHANGE), [order])
            case 4:
                self.send(source(Role.CUSTODIAN), [self.deposit(a, draw.randint(1, 200) * MICRO)])
            case 5:
                asked = e.WithdrawalRequested(
                    asset=USD, account=a, withdrawal=self.number(), time=self.time, amount=draw.randint(1, 900) * MICRO
                )
                self.send(source(Role.EXCHANGE), [asked])
            case _:  # a clock that jumped back: the round is late, and refused
                self.send(source(Role.ORACLE), [self.price(BTC_U, btc / 100, self.time - HOUR)])

    def something_strict(self) -> None:
        """What only default management knows: a member's default, who takes its clients over, money for the fund."""
        draw, council = self.draw, source(Role.COUNCIL)
        match draw.randrange(5):
            case 0:
                self.send(council, [e.MemberDefaulted(member=draw.randint(1, 2), time=self.time, window=HOUR // 3)])
            case 1:
                taken = [e.PortingAccepted(account=a, taker=draw.randint(1, 3), time=self.time) for a in CUSTOMERS]
                self.send(source(Role.REGISTRAR), taken)
            case 2:
                self.send(council, [self.contribution(draw.randint(1, 4))])
            case 3:
                given = e.FundContributed(
                    own=0, asset=USD, backer=draw.randint(1, 2), time=self.time, amount=draw.randint(1, 90) * MICRO
                )
                self.send(council, [given])
            case _:
                asked = e.BackerWithdrawalRequested(
                    asset=USD, backer=1, request=self.number(), time=self.time, units=draw.randint(1, 90) * MICRO
                )
                self.send(council, [asked])

    def rules(self) -> list[Any]:
        """Parameters drawn from ON, and a waterfall policy or none, in force from the first mark."""
        scopes = {
            which: (0, 1) if which in OF_AN_UNDERLYING else (USD,) for which in (*OF_AN_UNDERLYING, *OF_ANY_ASSET)
        }
        drawn = {which: self.draw.choice(values) for which, values in ON.items()}
        policy = self.draw.choice(("", "exchange", "ccp"))
        capital = e.CapitalContributed(asset=USD, time=START, amount=60 * MICRO)
        return [
            *(
                e.ParameterChanged(parameter=which, scope=scope, time=START, effective=START, value=value)
                for which, value in drawn.items()
                for scope in scopes.get(which, (0,))
            ),
            *(published(shipped(policy), 1, START, START) if policy else ()),
            capital,
        ]

    def segregation(self, account: int) -> Segregation:
        """Where the rules are strict every member has a house account; else all are alike."""
        if not self.strict:
            return Segregation.INDIVIDUAL
        return (Segregation.HOUSE, Segregation.INDIVIDUAL, Segregation.OMNIBUS)[(account - 16) % 3]

    def contribution(self, member: int) -> e.DefaultFundContributed:
        return e.DefaultFundContributed(asset=USD, member=member, time=self.time, amount=40 * MICRO)

    def oracle(self, btc: float, eth: float) -> None:
        self.time += HOUR // 4
        self.round += 1
        events: list[Any] = []
        for underlying, price in enumerate((btc, eth)):
            events.append(self.price(underlying, price, self.time))
            for expiry in (0, EXPIRY) if underlying == BTC_U else (0,):
                micro = int(price * MICRO)
                events.append(
                    e.OracleForward(underlying=underlying, round=self.round, time=self.time, expiry=expiry, price=micro)
                )
        events.append(
            e.OracleVolatility(
                underlying=BTC_U, round=self.round, time=self.time, expiry=EXPIRY, strike=8_000 * MICRO,
                volatility=800_000,
            )
        )  # fmt: skip
        for asset, price in ((1, 1.0), (BTC, btc), (3, eth), (4, 2.0)):
            events.append(e.OracleAssetPrice(asset=asset, round=self.round, time=self.time, price=int(price * MICRO)))
        self.send(source(Role.ORACLE), events)

    def price(self, underlying: int, price: float, time: int) -> e.OraclePrice:
        micro = int(price * MICRO)
        return e.OraclePrice(
            underlying=underlying, source=1, round=self.round, time=time, price=micro, bid=micro, ask=micro
        )

    def bids(self) -> None:
        """A bid for a part of every running auction, at its price."""
        bids: list[Any] = []
        for part in self.system.parts.values():
            if not isinstance(part, Shard):
                continue
            for number, one in sorted(part.state.auctions.items()):
                terms = Terms(one.start, one.step, one.floor)
                mark = int(part.state.market.mark[one.instrument])
                ticks = auction.price(one.remaining, mark, auction.discount(terms, part.state.mark - one.mark))
                lots = max(1, abs(one.remaining) * self.draw.randint(1, 4) // 4)
                bids.append(
                    e.Bid(
                        bidder=BIDDER, instrument=one.instrument, auction=number, bid=self.number(), time=self.time,
                        quantity=lots if one.remaining < 0 else -lots, price=ticks,
                    )
                )  # fmt: skip
        offered = [
            int(number)
            for shard in range(self.settings.shards)
            for data in self.system.topics[Topic.OUTCOMES, shard]
            for run in decode(data, OutcomeHeader, OUTCOMES).runs
            if self.strict and run.message.cls is PortfolioOpened
            for number in run.rows["auction"].tolist()
        ]
        for number in sorted({*offered})[-2:]:
            bids.append(
                e.PortfolioBid(
                    bidder=BIDDER, auction=number, bid=self.number(), time=self.time, discount=self.draw.randint(0, 600)
                )
            )  # fmt: skip
        if bids:
            self.send(source(Role.LIQUIDATOR), bids)

    def deposit(self, account: int, amount: int, asset: int = USD) -> e.Deposited:
        return e.Deposited(asset=asset, account=account, deposit=self.number(), time=self.time, amount=amount)

    def trade(self, buyer: int, seller: int, instrument: int, lots: int, price: int, flags: int = 0) -> e.Trade:
        return e.Trade(
            flags=flags, instrument=instrument, buyer=buyer, seller=seller, time=self.time, trade=self.number(),
            quantity=lots, price=price, buyer_fee=0, seller_fee=0, venue=1,
        )  # fmt: skip

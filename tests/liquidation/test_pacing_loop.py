"""Pacing in the running services, with the impact of forced sales fed back into the next mark's prices: on named books
what accounts and the fund lose is less with it than without, and where it is not, that is said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from managed import Managed
from world import BTC_U, MICRO, PERP_BTC, START, USD

from liquidation import auction
from liquidation.auction import Terms
from liquidation.impact import Impact, Liquidity, average_moves, lasting, moves
from schemas import events as e
from schemas.chart import House
from schemas.kinds import LegKind, Parameter
from schemas.limits import BASIS_POINTS
from schemas.outcomes import AuctionOpened, LegPosted

MAKER, BIDDER, FIRST = 16, 17, 20
CENTS: Final = 800_000
"""ticks of the perp at the outset; a lot is a thousandth of a coin, eight dollars"""
PARTS: Final = 32
"""a bidder takes so many parts of an auction, or fewer"""
LONG: Final = 48
"""marks: half a day, in which what sales did to prices is forgotten"""
IMPACT: Final = Impact(rounds=4.0)
"""what is sold is forgotten within an hour, as where other buyers come back"""
LIQUIDITY: Final = Liquidity(np.array([0.08, 0.08]), np.array([6e6, 1e9]), np.array([[1.0, 0.0], [0.0, 1.0]]))
"""of a day: 8 % and six million dollars of BTC"""


@dataclass(frozen=True)
class Named:
    """A book: (lots held of the perp, dollars put in) of each account; the maker takes the other side."""

    name: str
    accounts: tuple[tuple[int, int], ...]
    shock: float = -0.08
    fund: int = 0
    free: bool = False
    """bidders take whatever is offered, and ask nothing for what its sale will do to the price"""
    lower: bool = True
    """whether pacing lowers the loss; False: a counter-case"""


def ladder(step: int = 400, lots: int = 10_000) -> tuple[tuple[int, int], ...]:
    return tuple((lots, 14_500 + step * number) for number in range(16))


BOOKS: Final = (
    Named("a ladder of leverage", ladder()),
    Named("a large long above many", ((60_000, 90_000), *((8_000, 14_850 + 100 * n) for n in range(12)))),
    Named("shorts in a rise", ladder(600, -10_000), shock=0.08),
    Named("a gap that the fund pays for", ladder(), shock=-0.22, fund=10**6),
    Named("a small account alone", ((1_000, 1_450),), lower=False),
    Named("bidders who ask nothing for impact", ladder(), free=True, lower=False),
)


class Lost(NamedTuple):
    """Dollars."""

    accounts: float
    fund: float
    liquidated: int
    sold: float
    deepest: float
    """the lowest (highest) price that the sales made, relative to the shock's own"""

    sales: float
    """what the accounts and the fund lost more than the shock alone takes from what was held"""

    @property
    def whole(self) -> float:
        return self.accounts + self.fund

    def told(self) -> str:
        return (
            f"lost ${self.whole:,.0f}, of it by sales ${self.sales:,.0f}, fund ${self.fund:,.0f}; {self.liquidated} "
            f"liquidated, ${self.sold:,.0f} sold; prices moved by {self.deepest:.2%}"
        )


class Loop:
    """A world whose oracle's next price carries the impact of what was awarded until now."""

    def __init__(self, book: Named, pacing: int, shards: int = 1) -> None:
        self.book = book
        self.world = world = Managed(shards)
        self.flows: list[float] = []
        self.deepest = 0.0
        if pacing:
            world.send(
                e.ParameterChanged(
                    parameter=Parameter.PACING, scope=BTC_U, time=START, effective=world.time + 3_600 * MICRO,
                    value=pacing * MICRO,
                )
            )  # fmt: skip
        if book.fund:
            world.send(e.FundContributed(own=0, asset=USD, backer=1, time=START, amount=book.fund * MICRO))
        self.accounts = [FIRST + number for number in range(len(book.accounts))]
        world.open(MAKER, *self.accounts)
        world.open(BIDDER, liquidator=1)
        for account in (MAKER, BIDDER):
            world.deposit(account, 10**9 * MICRO)
        for account, (lots, dollars) in zip(self.accounts, book.accounts, strict=True):
            world.deposit(account, dollars * MICRO)
            buyer, seller = (account, MAKER) if lots > 0 else (MAKER, account)
            world.trade(buyer, seller, PERP_BTC, abs(lots), CENTS)
        for _ in range(5):  # past the notice of the parameter
            self.step(0.0)

    def step(self, shock: float) -> None:
        """A mark at the shock's price and the impact's, its answers, and bids for all that is on offer."""
        pushed = float(moves(IMPACT, LIQUIDITY, self.lasting())[0])
        self.deepest = max(self.deepest, abs(math.expm1(pushed)))
        world = self.world
        world.mark(btc=8_000.0 * (1.0 + shock) * math.exp(pushed))
        world.answer()
        said = len(world.said)
        self.bid()
        world.answer()
        self.flows.append(self.dollars(world.said[said:]))

    def bid(self) -> None:
        """The bidder sells on what it takes at once, so it takes no more of an auction than its discount pays for."""
        bids: list[e.Bid] = []
        taken = 0.0
        state = self.world.state
        running = {number: one for shard in self.world.clearing.states for number, one in shard.auctions.items()}
        for number, one in sorted(running.items()):
            mark = int(state.market.mark[one.instrument])
            discount = auction.discount(Terms(one.start, one.step, one.floor), state.mark - one.mark)
            dollars = one.remaining * mark / 100_000
            part = next(k for k in range(PARTS, -1, -1) if self.pays(taken, dollars * k / PARTS, discount))
            lots = abs(one.remaining) * part // PARTS * (1 if one.remaining < 0 else -1)
            if lots:
                taken -= lots * mark / 100_000
                bids.append(
                    e.Bid(
                        bidder=BIDDER, instrument=one.instrument, auction=number, bid=state.mark * 1_000 + number,
                        time=self.world.time, quantity=lots, price=auction.price(one.remaining, mark, discount),
                    )
                )  # fmt: skip
        if bids:
            self.world.send(*bids)

    def pays(self, taken: float, dollars: float, discount: int) -> bool:
        """Whether a discount (basis points) pays for trading so many dollars after those taken at this mark."""
        if self.book.free or not dollars:
            return True
        before = self.lasting()
        now, after = before + np.array([taken, 0.0]), before + np.array([taken + dollars, 0.0])
        slip = average_moves(IMPACT, LIQUIDITY, now, after) - moves(IMPACT, LIQUIDITY, before)
        return abs(float(slip[0])) <= discount / BASIS_POINTS

    def lasting(self) -> npt.NDArray[np.float64]:
        """The flow that still weighs on prices a mark after the last."""
        return lasting(IMPACT, np.array([[one, 0.0] for one in [0.0, *self.flows]]), 1)

    def dollars(self, said: Sequence[object]) -> float:
        """What failing accounts bought for, sales below zero."""
        legs = [one for one in said if isinstance(one, LegPosted) and one.kind == LegKind.LIQUIDATION]
        return sum(leg.quantity * leg.price / 100_000 for leg in legs if leg.account in self.accounts)

    def run(self) -> Lost:
        """The shock, and then half a day in which prices come back to where it left them."""
        for _ in range(LONG):
            self.step(self.book.shock)
        world = self.world
        world.check()
        mark = int(world.state.market.mark[PERP_BTC])
        lost, liquidated = 0.0, set()
        for account, (_, dollars) in zip(self.accounts, self.book.accounts, strict=True):
            lots, cost = world.position(account, PERP_BTC)
            worth = (world.balance(account) + lots * mark * 10 - cost) / MICRO
            lost += max(0.0, dollars - worth)
        sold = 0.0
        for one in world.said:
            if isinstance(one, LegPosted) and one.kind == LegKind.LIQUIDATION and one.account in self.accounts:
                liquidated.add(one.account)
                sold += abs(one.quantity) * one.price / 100_000
        fund = self.book.fund - world.balance(int(House.FUND)) / MICRO
        first = sum(abs(lots) * 8 for lots, _ in self.book.accounts) * abs(self.book.shock)
        return Lost(lost, fund, len(liquidated), sold, self.deepest, lost + fund - first)


PACED: Final = 20_000
"""dollars on offer at a mark: about a third of what is traded in a quarter of an hour"""


@pytest.mark.parametrize("book", BOOKS, ids=lambda one: one.name)
def test_pacing_lowers_what_is_lost(book: Named, capsys: pytest.CaptureFixture[str]) -> None:
    plain, paced = Loop(book, 0).run(), Loop(book, PACED).run()
    with capsys.disabled():
        for name, one in (("at once", plain), ("paced", paced)):
            print(f"\n{book.name}, {name}: {one.told()}", end="")
        print(f": {(plain.sales - paced.sales) / plain.sales:.0%} less by sales" if plain.sales else "")
    assert paced.deepest <= plain.deepest
    assert (paced.whole < plain.whole) == book.lower
    assert paced.liquidated <= plain.liquidated
    if not book.lower:
        assert paced.whole <= plain.whole * 1.02, "what it may cost is bounded in the counter-cases too"


def test_the_number_of_shards_does_not_show() -> None:
    book = replace(BOOKS[0], accounts=BOOKS[0].accounts[:6])
    told = [Loop(book, PACED, shards) for shards in (1, 4)]
    assert told[0].run() == told[1].run()
    assert told[0].world.entries == told[1].world.entries


def test_an_account_whose_equity_is_gone_does_not_wait() -> None:
    """A gap through four accounts' equity: all they hold is on offer at that mark, whatever the limit; the others'
    are not."""
    loop = Loop(Named("", ladder(), shock=-0.2, fund=10**7), 1)
    loop.step(-0.2)
    gone = {a for a, (_, dollars) in zip(loop.accounts, loop.book.accounts, strict=True) if dollars <= 16_000}
    planned = [one for one in loop.world.said if isinstance(one, AuctionOpened)]
    whole = {one.account for one in planned if one.quantity == -10_000}
    assert gone and whole == gone
    assert [one.account for one in planned if one.account not in gone] == []

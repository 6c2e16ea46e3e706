"""A `Managed` clearinghouse in which members fail: accounts of members, marks that are bid on and answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from managed import Managed
from world import HOUR, MICRO, PERP_BTC, SPAN, USD

from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.kinds import LinkKind, Parameter, PostingKind, Rung, Segregation
from schemas.outcomes import Posted
from services.view import StateView

FAILING, SOUND, OTHER = 1, 2, 3
"""members"""
BUYER = 60
"""an account that bids for everything"""
PRICE = 800_000
"""ticks of PERP_BTC at which the world opens: 8,000 dollars; a lot is a thousandth of a bitcoin"""
COIN = 1_000
"""lots of it that make a bitcoin"""
WINDOW = 4 * HOUR


class Defaulting(Managed):
    """Members' accounts, trades against a deep house of the sound member, and marks with bids."""

    def __init__(self, shards: int = 1, *, fund: int = 1_000_000) -> None:
        super().__init__(shards)
        self.bids = 0
        self.member(BUYER, OTHER, Segregation.INDIVIDUAL, 10_000_000, liquidator=1)
        self.send(e.FundContributed(own=0, asset=USD, backer=1, time=self.time, amount=fund * MICRO))
        self.change(Parameter.AUCTION_START, 0)  # what is sold at once is sold at the mark: losses are round

    def change(self, parameter: Parameter, value: int) -> None:
        """A parameter's new value, in force when this returns."""
        effective = self.time + HOUR
        self.send(e.ParameterChanged(parameter=parameter, scope=0, time=self.time, effective=effective, value=value))
        self.mark(after=HOUR)
        self.answer()

    def member(
        self, account: int, member: int, segregation: Segregation, dollars: float, *, liquidator: int = 0
    ) -> None:
        """Open an account of a member and put dollars in."""
        self.send(
            e.AccountOpened(
                account=account, segregation=segregation, liquidator=liquidator, profile=SPAN, member=member,
                owner=account, time=self.time, name=f"M-{account}",
            )
        )  # fmt: skip
        if dollars:
            self.deposit(account, round(dollars * MICRO))

    def tie(self, accounts: Iterable[int]) -> None:
        """Make one omnibus of accounts."""
        first, *others = accounts
        for other in others:
            self.send(e.AccountLinked(link=LinkKind.CLIENT, removed=0, account=first, other=other, time=self.time))

    def long(self, account: int, lots: int, price: int = PRICE) -> list[Any]:
        """Buy perps (sell where negative) from the buyer's own account."""
        pair = (account, BUYER) if lots > 0 else (BUYER, account)
        return self.trade(*pair, PERP_BTC, abs(lots), price)

    def default(self, member: int = FAILING, window: int = WINDOW) -> list[Any]:
        """The council puts a member in default."""
        return self.told(e.MemberDefaulted(member=member, time=self.time, window=window))

    def accept(self, account: int, taker: int = SOUND) -> list[Any]:
        """A member is willing to take a client over."""
        return self.told(e.PortingAccepted(account=account, taker=taker, time=self.time))

    def told(self, *events: Any) -> list[Any]:
        """Send events and let the services answer; everything that was said."""
        begun = len(self.said)
        self.send(*events)
        self.answer()
        return self.said[begun:]

    def step(self, *, btc: float | None = None, after: int = HOUR // 4, bid: bool = True) -> list[Any]:
        """A mark, the services' answers, bids for every auction at its price, and the answers to those."""
        begun = len(self.said)
        self.mark(btc=btc, after=after)
        self.answer()
        if bid:
            self.bid_all()
            self.answer()
        self.check()
        return self.said[begun:]

    def bid_all(self, account: int | None = None) -> None:
        """The buyer bids for what every auction has, or those of one account."""
        view = StateView(self.state)
        running = {
            number: (one, state.mark) for state in self.clearing.states for number, one in state.auctions.items()
        }
        for number, (one, now) in sorted(running.items()):
            if account not in (None, one.account):
                continue
            mark, terms = view.mark(one.instrument), Terms(one.start, one.step, one.floor)
            ticks = auction.price(one.remaining, mark, auction.discount(terms, now - one.mark))
            self.bids += 1
            self.send(
                e.Bid(bidder=BUYER, instrument=one.instrument, auction=number, bid=self.bids, time=self.time,
                      quantity=-one.remaining, price=ticks)
            )  # fmt: skip

    def settle(self, marks: int = 40, *, btc: float | None = None) -> None:
        """Marks until every default is settled."""
        for _ in range(marks):
            if all(done for _, _, done in self.state.facts.defaults.values()):
                return
            self.step(btc=btc)
        raise AssertionError(f"not settled after {marks} marks: {self.state.facts.defaults}")

    def rung(self, account: int) -> Rung:
        return Rung(int(self.owner(account).accounts.rung[account]))

    def member_of(self, account: int) -> int:
        """As every shard knows it."""
        told = {int(state.accounts.member[account]) for state in self.clearing.states}
        assert len(told) == 1, told
        return told.pop()

    def moved(self, *kinds: PostingKind) -> dict[tuple[int, int], int]:
        """(debit, credit) -> amount, over all postings of these kinds."""
        sums: dict[tuple[int, int], int] = {}
        for one in self.said:
            if isinstance(one, Posted) and one.kind in kinds:
                sums[one.debit, one.credit] = sums.get((one.debit, one.credit), 0) + one.amount
        return sums

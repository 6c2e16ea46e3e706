"""Call auctions through the whole fold: what bidders compete for the account keeps, and the fund is nobody's prize."""

from __future__ import annotations

import pytest
from managed import Managed
from world import BTC, HOUR, INV_BTC, MICRO, PERP_BTC

from ledger.margining import margins_of
from liquidation import auction
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, Rung
from schemas.outcomes import AuctionOpened, DeficitFound, LegPosted

ALICE, BOB, ONE, OTHER = 16, 17, 18, 19
LOTS = 1_000
RULES = {
    Parameter.AUCTION_CLEARING: 2_500,
    Parameter.AUCTION_FLOOR: 5_000,
    Parameter.AUCTION_STEP: 1_000,
}
FUND = 5_000 * MICRO


def failing(shards: int, btc: float, rules: dict[Parameter, int]) -> tuple[Managed, AuctionOpened]:
    """Alice, long 1,000 lots from 8,000, is in liquidation with equity of her own; the fund could pay much."""
    w = Managed(shards)
    w.open(ALICE, BOB)
    w.open(ONE, OTHER, liquidator=1)
    for account, dollars in ((ALICE, 1_500), (BOB, 900_000), (ONE, 900_000), (OTHER, 900_000)):
        w.deposit(account, dollars * MICRO)
    w.send(e.FundContributed(own=0, asset=0, backer=1, time=w.time, amount=FUND))
    begins = w.time + HOUR
    w.send(
        *(
            e.ParameterChanged(parameter=which, scope=0, time=w.time, effective=begins, value=value)
            for which, value in rules.items()
        )
    )
    w.trade(ALICE, BOB, PERP_BTC, LOTS, 800_000)
    w.mark(after=HOUR)
    w.answer()
    w.mark(btc=btc)
    w.answer()
    assert w.owner(ALICE).accounts.rung[ALICE] == Rung.LIQUIDATING
    assert margins_of(w.owner(ALICE), ALICE).equity > 0
    (opened,) = (one for one in w.said if isinstance(one, AuctionOpened))
    return w, opened


def bid(w: Managed, opened: AuctionOpened, *offers: tuple[int, int]) -> list[LegPosted]:
    """Bids (bidder, price in ticks) for all of it in one entry; what was posted for Alice."""
    before = len(w.said)
    w.send(
        *(
            e.Bid(
                bidder=bidder,
                instrument=PERP_BTC,
                auction=opened.auction,
                bid=number,
                time=w.time,
                quantity=-opened.quantity,
                price=price,
            )
            for number, (bidder, price) in enumerate(offers, 1)
        )
    )
    w.answer()
    return [one for one in w.said[before:] if isinstance(one, LegPosted) and one.account == ALICE]


def lowest(w: Managed, opened: AuctionOpened) -> int:
    """The lowest price, ticks, that the auction takes at its first mark."""
    return auction.price(opened.quantity, int(w.state.market.mark[PERP_BTC]), opened.start)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("btc", [7_300.0, 7_000.0, 6_800.0, 6_600.0])
def test_who_is_his_own_only_bidder_gains_nothing_of_the_fund(shards: int, btc: float) -> None:
    w, opened = failing(shards, btc, RULES)
    assert opened.start > 50, "bids are taken lower than a falling price would begin"
    (leg,) = bid(w, opened, (ONE, lowest(w, opened)))
    assert leg.quantity == opened.quantity
    w.mark(btc=btc)
    w.answer()
    assert not [one for one in w.said if isinstance(one, DeficitFound)]
    assert w.balance(House.FUND) == FUND
    assert margins_of(w.owner(ALICE), ALICE).equity >= 0
    w.check()


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("btc", [6_800.0, 6_600.0, 6_400.0])
def test_the_bound_is_drawn_anew_at_every_mark(shards: int, btc: float) -> None:
    rules = {Parameter.AUCTION_CLEARING: 2_500, Parameter.AUCTION_FLOOR: 5_000, Parameter.AUCTION_STEP: 1}
    w, opened = failing(shards, 7_000.0, rules)
    w.mark(btc=btc)
    w.answer()
    assert bid(w, opened, (ONE, lowest(w, opened))) == [], "what equity bore at the last mark it does not any more"
    falling = auction.price(opened.quantity, int(w.state.market.mark[PERP_BTC]), 51)
    assert bid(w, opened, (OTHER, falling)), "the falling price is taken at any mark"
    assert not any(state.reservations for state in w.clearing.states)
    w.check()


def test_without_that_bound_the_fund_would_have_paid_him() -> None:
    """The same auction opened by a falling price alone at 25 %: the counter-case."""
    rules = {Parameter.AUCTION_START: 2_500, Parameter.AUCTION_FLOOR: 5_000}
    w, opened = failing(1, 6_800.0, rules)
    bid(w, opened, (ONE, lowest(w, opened)))
    w.mark(btc=6_800.0)
    w.answer()
    assert [one for one in w.said if isinstance(one, DeficitFound)]
    assert w.balance(House.FUND) < FUND


@pytest.mark.parametrize("shards", [1, 4])
def test_what_a_second_bidder_offers_is_the_accounts(shards: int) -> None:
    alone, opened = failing(shards, 7_000.0, RULES)
    (leg,) = bid(alone, opened, (ONE, lowest(alone, opened)))
    assert leg.price == lowest(alone, opened)
    two, opened = failing(shards, 7_000.0, RULES)
    (leg,) = bid(two, opened, (ONE, lowest(two, opened)), (OTHER, 698_000))
    assert leg.price == 698_000
    assert margins_of(two.owner(ALICE), ALICE).equity > margins_of(alone.owner(ALICE), ALICE).equity


def test_a_price_above_the_mark_hands_nobody_any_equity() -> None:
    w, opened = failing(1, 7_000.0, RULES)
    (leg,) = bid(w, opened, (ONE, 1_400_000))
    assert leg.price == int(w.state.market.mark[PERP_BTC])


@pytest.mark.parametrize("restarted", [False, True])
def test_an_auction_ends_by_the_rule_it_opened_under(restarted: bool) -> None:
    """Switched off while it runs, it is still open lower than a falling price would be: its bidders go on competing."""
    w, opened = failing(1, 7_000.0, RULES)
    ends = w.time + HOUR
    w.send(
        e.ParameterChanged(parameter=Parameter.AUCTION_CLEARING, scope=0, time=w.time, effective=ends, value=0),
    )
    w.mark(after=HOUR, btc=7_000.0)
    w.answer()
    if restarted:
        w.crash()
    (leg,) = bid(w, opened, (ONE, 698_000), (OTHER, 698_000))
    assert leg.price == 698_000
    assert margins_of(w.owner(ALICE), ALICE).equity > 0


@pytest.mark.parametrize("btc", [7_400.0, 7_200.0, 7_000.0])
def test_what_is_settled_in_coins_is_sold_no_lower_than_its_equity_bears(btc: float) -> None:
    """A long inverse position loses in coins more than the discount off its mark: 10 % less is a ninth more coins."""
    w = Managed()
    w.open(ALICE, BOB)
    w.open(ONE, liquidator=1)
    w.deposit(ALICE, 900 * MICRO)
    for account in (BOB, ONE):
        w.deposit(account, 100 * 10**8, BTC)
    w.send(e.FundContributed(own=0, asset=0, backer=1, time=w.time, amount=FUND))
    begins = w.time + HOUR
    w.send(
        *(
            e.ParameterChanged(parameter=which, scope=0, time=w.time, effective=begins, value=value)
            for which, value in (RULES | {Parameter.PLAN_TARGET: 50_000}).items()
        )
    )
    w.trade(ALICE, BOB, INV_BTC, 500, 800_000)
    w.mark(after=HOUR)
    w.answer()
    w.mark(btc=btc)
    w.answer()
    (opened,) = (one for one in w.said if isinstance(one, AuctionOpened))
    assert opened.start > 50 and opened.quantity == -500
    price = auction.price(opened.quantity, int(w.state.market.mark[INV_BTC]), opened.start)
    bought = e.Bid(
        bidder=ONE, instrument=INV_BTC, auction=opened.auction, bid=1, time=w.time, quantity=500, price=price
    )
    w.send(bought)
    w.answer()
    assert [one.price for one in w.said if isinstance(one, LegPosted) and one.account == ALICE][-1] == price
    assert margins_of(w.owner(ALICE), ALICE).equity >= 0
    w.check()

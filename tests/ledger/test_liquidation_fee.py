"""The liquidation fee through the fold, and that nobody is better off for having had himself liquidated."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import assume, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import BTC, BTC_U, CALL_BTC, HOUR, INV_BTC, MICRO, PERP_BTC, PERP_ETH, SPOT_BTC, USD, World, reasons

from ledger.margining import margins_of
from liquidation.fees import affordable, fee
from risk.valuation import asset_value, contract_value
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, Rung, Segregation, Style
from schemas.outcomes import LegPosted
from schemas.sources import Role

scenarios("features/liquidation_fee.feature")

ALICE, BOB, TAKER = 16, 17, 18


@dataclass
class Scene:
    """The clearinghouse of a scenario."""

    world: World = field(default_factory=World)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def set_fee(w: World, basis_points: int) -> None:
    at = w.time + HOUR
    w.send(
        e.ParameterChanged(parameter=Parameter.LIQUIDATION_FEE, scope=0, time=w.time, effective=at, value=basis_points)
    )
    w.mark(after=HOUR)


def awarded(w: World, account: int, taker: int, instrument: int, lots: int, price: int) -> list[LegPosted]:
    """Lots, signed as the account's leg, sold to a bidder at a price in ticks: plan, bid and award as events."""
    number = w.deposit_number = w.deposit_number + 1
    said = w.send(
        e.LiquidationPlanned(
            instrument=instrument, account=account, auction=number, mark=w.marks, quantity=lots, start=0, step=1,
            floor=10_000,
        ),
        e.Bid(bidder=taker, instrument=instrument, auction=number, bid=1, time=w.time, quantity=-lots, price=price),
        e.Awarded(
            instrument=instrument, account=account, bidder=taker, auction=number, bid=1, quantity=-lots, price=price
        ),
        e.AuctionEnded(account=account, auction=number),
    )  # fmt: skip
    return [one for one in said if isinstance(one, LegPosted)]


@given(parsers.parse("a liquidation fee of {percent:d} %"))
def fee_is(scene: Scene, percent: int) -> None:
    set_fee(scene.world, percent * 100)


@given("Alice is in liquidation with 120 dollars")
def in_liquidation(scene: Scene) -> None:
    w = scene.world
    w.open(ALICE, BOB)
    w.open(TAKER, liquidator=1)
    for account, dollars in ((ALICE, 150), (BOB, 50_000), (TAKER, 50_000)):
        w.deposit(account, dollars * MICRO)
    w.trade(ALICE, BOB, PERP_BTC, 100, 800_000)
    w.mark(btc=7_700.0)
    assert w.state.accounts.rung[ALICE] == Rung.LIQUIDATING
    assert margins_of(w.state, ALICE).equity == 120 * MICRO


@when(parsers.parse("{lots:d} lots of hers are awarded at {dollars:d}"))
def award(scene: Scene, lots: int, dollars: int) -> None:
    assert len(awarded(scene.world, ALICE, TAKER, PERP_BTC, -lots, dollars * 100)) == 2


@when(parsers.parse("Alice sells {lots:d} lots to Bob at {dollars:d}"))
def sells(scene: Scene, lots: int, dollars: int) -> None:
    assert reasons(scene.world.trade(BOB, ALICE, PERP_BTC, lots, dollars * 100)) == []


@when("the mark is made")
def mark(scene: Scene) -> None:
    scene.world.mark()


@then(parsers.parse("she has paid the fund {dollars} dollars"))
def paid(scene: Scene, dollars: str) -> None:
    wanted = int(Decimal(dollars) * MICRO)
    assert scene.world.balance(House.FUND) == wanted
    legs = [one for one in scene.world.said if isinstance(one, LegPosted)]
    assert sum(one.fee for one in legs if one.account == ALICE) == wanted
    assert sum(one.fund_share for one in legs if one.account == ALICE) == wanted
    assert not any(one.fee for one in legs if one.account != ALICE)


@then(parsers.parse("her equity is {dollars} dollars"))
def equity(scene: Scene, dollars: str) -> None:
    assert margins_of(scene.world.state, ALICE).equity == int(Decimal(dollars) * MICRO)


@then("the other fees are 0 dollars")
def other_fees(scene: Scene) -> None:
    assert scene.world.balance(House.FEES) == 0


@then(parsers.parse("Alice is {rung:w}"))
def alice_is(scene: Scene, rung: str) -> None:
    assert Rung(int(scene.world.state.accounts.rung[ALICE])).name == rung


# --- rules ------------------------------------------------------------------------------------------------------------


@hypothesis_given(
    st.integers(0, 2**60),
    st.integers(-(2**52), 2**52),
    st.integers(0, 10_000),
    st.integers(0, 2**46),
    st.integers(0, 8),
)
def test_what_a_fee_takes_is_a_part_of_the_value_and_of_the_equity(
    value: int, equity: int, rate: int, price: int, decimals: int
) -> None:
    scale = 10**decimals
    taken = fee(value, affordable(equity, price, scale), rate)
    assert 0 <= taken * 10_000 <= value * rate
    assert -int(asset_value(-taken, price, scale)) <= max(equity, 0)
    if equity > 0 and price and value * rate // 10_000 < affordable(equity, price, scale):
        assert taken == value * rate // 10_000


MARKED = {PERP_BTC: 800_000, INV_BTC: 800_000, SPOT_BTC: 800_000, CALL_BTC: 0}
"""ticks at which positions are opened; a call's is its mark"""


def wealth(w: World, accounts: tuple[int, ...]) -> dict[int, int]:
    """What accounts of one owner have together at the marks, smallest units by asset: no haircut, no margin."""
    m, found = w.state.market, defaultdict[int, int](int)
    for account in accounts:
        for asset in (USD, BTC):
            found[asset] += w.balance(account, asset)
        for i in (PERP_BTC, INV_BTC, CALL_BTC):
            lots, cost = w.position(account, i)
            terms = int(m.mark[i]), int(m.tick_value[i]), int(m.contract_value[i])
            worth = int(contract_value(int(m.payoff[i]), lots, *terms)) if lots else 0
            found[int(m.settlement[i])] += worth - (cost if m.style[i] != Style.PREMIUM else 0)
    # a coin is worth its mark: what moved between coins and dollars is told in dollars
    found[USD] += int(asset_value(found.pop(BTC), int(m.asset_price[BTC]), int(m.asset_scale[BTC])))
    return dict(found)


@settings(max_examples=40, deadline=None)
@hypothesis_given(
    st.sampled_from(sorted(MARKED)),
    st.sampled_from([1, -1]),
    st.integers(1, 100),
    st.integers(0, 900),
    st.integers(0, 1_000),
    st.booleans(),
)
def test_provoking_ones_own_liquidation_never_pays(
    instrument: int, side: int, part: int, discount: int, rate: int, halved: bool
) -> None:
    """One owner has the failing account and the liquidator. Whatever the book, the discount and the fee: together they
    have what they had at the marks, less the fee, to the rounding of a coin's last unit; and while the failing account
    is solvent nobody else pays anything."""
    w = World()
    set_fee(w, rate)
    for account, liquidator in ((ALICE, 0), (TAKER, 1), (BOB, 0)):
        w.send(
            e.AccountOpened(
                account=account, segregation=Segregation.INDIVIDUAL, liquidator=liquidator, profile=3, member=1,
                owner=7 if account != BOB else 8, time=w.time, name="one owner" if account != BOB else "other",
            )
        )  # fmt: skip
        w.deposit(account, 100_000 * MICRO)
        w.deposit(account, 10**8, asset=BTC)
    lots = 30 * part * (8 if instrument == INV_BTC else 1)
    price = MARKED[instrument] or int(w.state.market.mark[instrument])
    buyer, seller = (ALICE, BOB) if side > 0 else (BOB, ALICE)
    assert reasons(w.trade(buyer, seller, instrument, lots, price)) == []
    # brought down to where it fails by taking its own money out through a fee that falls due
    short = margins_of(w.state, ALICE)
    taken = short.equity - short.maintenance - short.buffer + 1
    assume(taken > 0)
    w.send(e.FeeCharged(account=ALICE, time=w.time, effective=w.time, amount=taken))
    w.mark(btc=w.prices[BTC_U])
    assume(w.state.accounts.rung[ALICE] == Rung.LIQUIDATING)
    before, fund = wealth(w, (ALICE, TAKER)), w.balance(House.FUND)
    mark_ = int(w.state.market.mark[instrument])
    held = w.position(ALICE, instrument)[0]
    if instrument == SPOT_BTC:
        held = w.balance(ALICE, BTC) // 100_000
    sold = -held // 2 if halved else -held
    assume(sold)
    ticks = max(1, mark_ * (10_000 + (discount if sold > 0 else -discount)) // 10_000)
    legs = awarded(w, ALICE, TAKER, instrument, sold, ticks)
    assert sum(one.account == ALICE for one in legs) == 1
    after = wealth(w, (ALICE, TAKER))
    asset = int(w.state.market.settlement[instrument])
    paid = w.balance(House.FUND, asset) - (fund if asset == USD else 0)
    m = w.state.market
    dollars = int(asset_value(paid, int(m.asset_price[asset]), int(m.asset_scale[asset])))
    assert paid == sum(one.fee for one in legs if one.account == ALICE) >= 0
    assert abs(after[USD] - (before[USD] - dollars)) <= 1
    assert after[USD] <= before[USD]
    if paid:
        assert margins_of(w.state, ALICE).equity >= 0


@pytest.mark.parametrize(
    ("fall", "fund", "gained"),
    [
        (7_700, 500, 0),  # solvent after the sale: the discount is the owner's own money
        (6_900, 500, 0),  # 40 dollars left at the mark, more than the discount of 3.45
        (6_510, 500, 2),  # 1 dollar left: the rest of the discount is the fund's, and no more than that
        (6_000, 500, 53),  # a gap through bankruptcy is a loss to the fund, whoever the liquidator is
    ],
)
def test_only_a_gap_past_the_margin_costs_the_fund_and_never_more_than_it_pays(
    fall: int, fund: int, gained: int
) -> None:
    w = Managed()
    set_fee(w, 100)
    w.answer()
    w.open(ALICE, BOB)
    w.open(TAKER, liquidator=1)
    for account, dollars in ((ALICE, 150), (BOB, 50_000), (TAKER, 50_000)):
        w.deposit(account, dollars * MICRO)
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=fund * MICRO))
    w.trade(ALICE, BOB, PERP_BTC, 100, 800_000)
    w.mark(btc=float(fall))
    w.answer()
    before = wealth(w, (ALICE, TAKER))[USD]
    for number, auction in sorted(w.state.auctions.items()):
        lots = -auction.remaining
        w.send(
            e.Bid(
                bidder=TAKER, instrument=PERP_BTC, auction=number, bid=1, time=w.time, quantity=lots, price=fall * 100
            ),
            role=Role.LIQUIDATOR,
        )
        w.answer()
    w.mark()
    w.answer()
    w.mark()
    w.answer()
    spent = fund * MICRO - w.balance(House.FUND)
    after = wealth(w, (ALICE, TAKER))[USD]
    assert after - before == spent
    assert round(max(spent, 0) / MICRO) == gained


@pytest.mark.parametrize(("rate", "planned"), [(0, -25), (100, -50)])
def test_a_plan_counts_the_fee_among_its_costs(rate: int, planned: int) -> None:
    """106 dollars for 100 lots at 7,700: 75 lots need 103.95, which 25 lots sold a per cent below the mark leave, and a
    fee of one per cent more does not."""
    w = Managed()
    set_fee(w, rate)
    w.answer()
    w.open(ALICE, BOB)
    for account, dollars in ((ALICE, 136), (BOB, 50_000)):
        w.deposit(account, dollars * MICRO)
    w.trade(ALICE, BOB, PERP_BTC, 100, 800_000)
    w.mark(btc=7_700.0)
    w.answer()
    assert [one.remaining for one in w.state.auctions.values()] == [planned]


def test_a_whole_portfolio_pays_its_own_fee_once_and_no_more_than_is_left() -> None:
    """Two legs in one call: 0.5 % of each, the second cut to what the first left."""
    w = World()
    at = w.time + HOUR
    w.send(
        e.ParameterChanged(parameter=Parameter.LIQUIDATION_FEE, scope=0, time=w.time, effective=at, value=1_000),
        e.ParameterChanged(parameter=Parameter.WHOLE_LIQUIDATION_FEE, scope=0, time=w.time, effective=at, value=50),
    )
    w.mark(after=HOUR)
    w.open(ALICE, BOB)
    w.open(TAKER, liquidator=1)
    for account, dollars in ((ALICE, 300), (BOB, 50_000), (TAKER, 50_000)):
        w.deposit(account, dollars * MICRO)
    w.trade(ALICE, BOB, PERP_BTC, 100, 800_000)
    w.trade(ALICE, BOB, PERP_ETH, 400, 20_000)
    w.mark(btc=6_700.0, eth=169.0)
    assert margins_of(w.state, ALICE).equity == 46 * MICRO
    discount = 300
    w.send(
        e.PortfolioLot(auction=1, instrument=PERP_BTC, quantity=-100),
        e.PortfolioLot(auction=1, instrument=PERP_ETH, quantity=-400),
        e.PortfolioOffered(account=ALICE, auction=1, mark=w.marks, closes=w.marks + 1, lots=2, reserve=1_000),
    )
    w.send(e.PortfolioBid(bidder=TAKER, auction=1, bid=1, time=w.time, discount=discount))
    w.mark()
    said = w.send(e.PortfolioAwarded(account=ALICE, auction=1, bidder=TAKER, bid=1, discount=discount))
    fees = [one.fee for one in said if isinstance(one, LegPosted) and one.account == ALICE]
    # 670 and 676 dollars at 3 % less: of 46 dollars 5.62 are left, 3.2495 for the first leg and the rest of it
    got = [100 * 649_900 * 10, 400 * 16_393 * 100]
    left = 46 * MICRO - (670 + 676) * MICRO + sum(got)
    assert fees == [got[0] * 50 // 10_000, min(got[1] * 50 // 10_000, left - got[0] * 50 // 10_000)]
    assert w.balance(House.FUND) == sum(fees)
    assert margins_of(w.state, ALICE).equity == left - sum(fees) == 0

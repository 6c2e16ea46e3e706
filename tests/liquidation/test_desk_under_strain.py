"""The desk with everything on at once: pacing, parts of a plan a mark, whole portfolios, backstops, accounts that trade
by themselves. No sale but reduces, none beyond its plan or the room, nothing stays reserved, and nobody is stuck."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from managed import Managed
from world import BTC, BTC_U, ETH_U, HOUR, PERP_BTC, PERP_ETH, SPOT_BTC, USD

from ledger.wholebooks import first_difference, whole_books
from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.events import EVENTS
from schemas.kinds import LegKind, Parameter, Rung
from schemas.outcomes import AuctionOpened, LegPosted, LiquidationDue, PortfolioOpened, Rejected
from schemas.wire import EntryHeader, decode
from services.view import StateView

DOLLAR = 1_000_000
FAILING = (16, 17, 18)
RICH = (30, 31)
BIDDERS = (19, 20)
EAGER = 21
"""a bidder that could carry everything"""
PERPS = {"btc": PERP_BTC, "eth": PERP_ETH}
FORCED = (LegKind.LIQUIDATION, LegKind.BACKSTOP)
PATIENCE = 40
"""marks after which nobody who is bid for may be in liquidation any more, beside those that pacing takes"""


class Rules(NamedTuple):
    """What is switched on; PACING in dollars."""

    btc: int = 0
    eth: int = 0
    marks: int = 0
    fraction: int = 10_000
    method: int = 0
    floor: int = 150
    fund: int = 100_000
    unmet: int = 1

    def told(self, w: Managed) -> list[Any]:
        """As changes of parameters."""
        values = [
            (Parameter.PACING, BTC_U, self.btc * DOLLAR),
            (Parameter.PACING, ETH_U, self.eth * DOLLAR),
            (Parameter.PORTFOLIO_AUCTION_MARKS, 0, self.marks),
            (Parameter.AUCTION_FRACTION, 0, self.fraction),
            (Parameter.PLAN_METHOD, 0, self.method),
            (Parameter.AUCTION_FLOOR, 0, self.floor),
            (Parameter.OWN_TRADES_CLIP, 0, 1),
            (Parameter.LIQUIDATION_FEE, 0, 30),
            (Parameter.UNMET_CALLS_SOLD, 0, self.unmet),
        ]
        return [
            e.ParameterChanged(parameter=name, scope=scope, time=w.time, effective=w.time + HOUR, value=value)
            for name, scope, value in values
        ]


Step = tuple[Any, ...]
RULES = st.builds(
    Rules,
    st.sampled_from([0, 2_000, 6_000]),
    st.sampled_from([0, 300, 1_000]),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([10_000, 4_000, 2_500]),
    st.sampled_from([0, 1]),
    st.sampled_from([50, 150, 500]),
    st.sampled_from([0, 300, 100_000]),
    st.just(1),
)
STEP = st.one_of(
    st.tuples(st.just("mark"), st.integers(57, 85), st.integers(14, 21)),
    st.tuples(st.just("mark"), st.integers(57, 70), st.integers(14, 18)),
    st.tuples(st.just("sealed"), st.sampled_from(BIDDERS), st.integers(0, 500)),
    st.tuples(st.just("dutch"), st.sampled_from(BIDDERS), st.integers(1, 4)),
    st.tuples(st.just("trade"), st.sampled_from(FAILING), st.sampled_from(["btc", "eth"]), st.integers(-400, 400)),
    st.tuples(st.just("trade"), st.sampled_from(FAILING), st.just("btc"), st.integers(-900, -1)),
    st.tuples(st.just("coins"), st.sampled_from(FAILING), st.integers(1, 4)),
    st.tuples(st.just("deposit"), st.sampled_from(FAILING), st.integers(1, 2_000)),
    st.tuples(st.just("backstop"), st.sampled_from(BIDDERS), st.integers(0, 3_000)),
    st.just(("crash",)),
)


def world(shards: int, rules: Rules) -> Managed:
    """Three accounts, long BTC and short ETH, hedged or not; two small bidders and one that could carry all."""
    w = Managed(shards)
    w.open(*FAILING, *RICH)
    w.open(*BIDDERS, EAGER, liquidator=1)
    for account in RICH:
        w.deposit(account, 900_000 * DOLLAR)
    for account, dollars in ((19, 3_000), (20, 9_000), (EAGER, 1_000_000)):
        w.deposit(account, dollars * DOLLAR)
    for number, account in enumerate(FAILING):
        w.deposit(account, (950 + 250 * number) * DOLLAR)
        w.deposit(account, 2_000_000 * number, BTC)
    if rules.fund:
        w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=rules.fund * DOLLAR))
    w.send(*rules.told(w))
    for number, account in enumerate(FAILING):
        w.trade(account, RICH[0], PERP_BTC, 600 + 150 * number, 800_000)
        buyer, seller = (RICH[1], account) if number != 1 else (account, RICH[1])
        w.trade(buyer, seller, PERP_ETH, 200 + 100 * number, 20_000)
    w.mark(after=HOUR)
    w.answer()
    return w


def play(w: Managed, step: Step, number: int) -> None:
    """One step; a mark waits for the answers to the last, as the pricer's do."""
    match step:
        case ("mark", btc, eth):
            w.answer()
            w.mark(btc=btc * 100, eth=eth * 10)
        case ("sealed", bidder, discount):
            bid_sealed(w, bidder, discount, number)
        case ("dutch", bidder, part):
            bid_dutch(w, bidder, part, number)
        case ("trade", account, of, lots):
            if lots:
                price = int(w.state.market.mark[PERPS[of]])
                w.trade(*((account, RICH[0]) if lots > 0 else (RICH[0], account)), PERPS[of], abs(lots), price)
        case ("coins", account, lots):
            w.trade(RICH[0], account, SPOT_BTC, lots, int(w.state.market.mark[SPOT_BTC]))
        case ("deposit", account, dollars):
            w.deposit(account, dollars * DOLLAR)
        case ("backstop", account, dollars):
            w.send(e.BackstopCommitted(account=account, time=w.time, capacity=dollars * DOLLAR))
        case ("crash",):
            w.crash()
        case ("say",):
            w.say()


def running(w: Managed) -> list[tuple[int, Any]]:
    return sorted((n, one) for state in w.clearing.states for n, one in state.auctions.items())


def bid_sealed(w: Managed, bidder: int, discount: int, number: int) -> None:
    for offered in sorted(w.state.facts.portfolios):
        w.send(e.PortfolioBid(bidder=bidder, auction=offered, bid=number, time=w.time, discount=discount))


def bid_dutch(w: Managed, bidder: int, part: int, number: int) -> None:
    for auctioned, one in running(w):
        mark = int(w.state.market.mark[one.instrument])
        off = auction.discount(Terms(one.start, one.step, one.floor), w.state.mark - one.mark)
        lots = max(1, abs(one.remaining) // part)
        w.send(
            e.Bid(
                bidder=bidder, instrument=one.instrument, auction=auctioned, bid=number, time=w.time,
                quantity=lots if one.remaining < 0 else -lots, price=auction.price(one.remaining, mark, off),
            )
        )  # fmt: skip


# --- what must hold --------------------------------------------------------------------------------------------------


def check(w: Managed) -> None:
    """What must hold when everything is answered, as long as every step was before the next came."""
    settled(w)
    for one in w.said:
        if isinstance(one, LegPosted) and one.kind in FORCED and one.account in FAILING and one.instrument != SPOT_BTC:
            before = one.position - one.quantity
            assert before * one.quantity < 0 and abs(one.quantity) <= abs(before), f"a sale that opens: {one}"


def settled(w: Managed) -> None:
    """What must hold when everything is answered."""
    w.check()
    on_offer = w.state.facts.portfolios
    reserved = {key[0] for state in w.clearing.states for own in state.reservations.values() for key in own}
    assert reserved <= on_offer.keys(), "a bid is answered, and what it had reserved is not released"
    assert not {one.account for _, one in running(w)} & {one.account for one in on_offer.values()}, "sold twice"
    closed = {one.account for one in w.said if isinstance(one, LegPosted) and one.kind == LegKind.DELEVERAGING}
    for number, one in running(w):
        held = w.position(one.account, one.instrument)[0]
        if one.instrument != SPOT_BTC and one.account not in closed:  # there the desk knows of it, and sells less
            assert held * one.remaining < 0 and abs(one.remaining) <= abs(held), f"{number} has more than there is"


def refused_of_the_desk(w: Managed) -> list[str]:
    """What the desk said and the books refused."""
    kinds = {EVENTS.by_class[kind].template for kind in (e.Awarded, e.AuctionEnded, e.LiquidationPlanned)}
    kinds |= {EVENTS.by_class[kind].template for kind in (e.PortfolioAwarded, e.PortfolioEnded, e.PortfolioOffered)}
    return [one.reason.name for one in w.said if isinstance(one, Rejected) and one.template in kinds]


def keeps_to_the_room(w: Managed) -> None:
    """Where something was put on offer at this mark for an account that has equity, all that is on offer fits."""
    view, now = StateView(w.state), w.state.mark
    equity = {one.account: one.equity for one in w.said if isinstance(one, LiquidationDue) and one.mark == now}
    for underlying, limit in view.pacing().items():
        offers = [(one.account, {one.instrument: one.remaining}, one.mark) for _, one in running(w)]
        offers += [(one.account, one.lots, one.mark) for one in w.state.facts.portfolios.values()]
        legs = [
            (account, i, lots, mark)
            for account, whole, mark in offers
            for i, lots in whole.items()
            if view.underlying(i) == underlying
        ]
        if not any(mark == now and equity[account] > 0 for account, _, _, mark in legs):
            continue
        if len({account for account, *_ in legs}) == 1 and w.state.facts.portfolios:
            continue  # one that is larger than the limit is offered alone
        used = sum(view.value(i, lots) for account, i, lots, _ in legs if equity.get(account, 1) > 0)
        assert used <= limit + sum(view.value(i, 1) for _, i, *_ in legs), (underlying, used, limit)


def sold_no_more_than_a_part(w: Managed, fraction: int) -> None:
    """Between two marks an auction sells no more than its part of what it opened with, rounded up."""
    opened: dict[int, int] = {}
    for one in w.said:
        if isinstance(one, AuctionOpened):
            opened.setdefault(one.auction, abs(one.quantity))
    sold: dict[int, int] = {}
    for data in w.entries:
        for run in decode(data, EntryHeader, EVENTS).runs:
            if run.message.cls is e.Mark:
                sold.clear()
            if run.message.cls is e.Awarded:
                for row in run.rows[run.rows["bid"] != 0]:
                    number = int(row["auction"])
                    sold[number] = sold.get(number, 0) + abs(int(row["quantity"]))
                    assert not row["quantity"] or sold[number] <= -(-opened[number] * fraction // 10_000)


def paced_marks(w: Managed) -> int:
    """Marks that it takes to sell all that the failing hold, where PACING lets so much a mark go."""
    view, limits = StateView(w.state), StateView(w.state).pacing()
    held = [(i, abs(w.position(account, i)[0])) for account in FAILING for i in PERPS.values()]
    return sum(view.value(i, lots) // limits[of] for i, lots in held if (of := view.underlying(i)) in limits)


def nobody_is_stuck(w: Managed) -> None:
    """With prices where they are and a bidder who takes any auction at its price, nobody stays in liquidation."""
    patience = PATIENCE + 2 * paced_marks(w)
    for number in range(patience):
        rungs = [w.owner(account).accounts.rung[account] for account in FAILING]
        if Rung.LIQUIDATING not in rungs and not running(w) and not w.state.facts.portfolios:
            return
        bid_sealed(w, EAGER, 500, 10_000 + number)
        bid_dutch(w, EAGER, 1, 10_000 + number)
        w.answer()
        w.mark()
        w.answer()
        keeps_to_the_room(w)
        settled(w)
    raise AssertionError(f"after {patience} marks {rungs}, {running(w)}, {w.state.facts.portfolios}")


def run(shards: int, rules: Rules, course: list[Step]) -> Managed:
    """The course, every step answered before the next, and what follows it."""
    w = world(shards, rules)
    for number, step in enumerate(course, 1):
        play(w, step, number)
        w.answer()
        if step[0] == "mark":
            keeps_to_the_room(w)
        check(w)
    nobody_is_stuck(w)
    check(w)
    sold_no_more_than_a_part(w, rules.fraction)
    assert refused_of_the_desk(w) == []
    return w


EASE = settings(
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a course smaller takes minutes
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
FALL: Step = ("mark", 62, 16)
COURSES: dict[str, list[Step]] = {
    "nobody bids": [FALL, *[("mark", 62, 16)] * 3],
    "owners reduce": [FALL, ("trade", 16, "btc", -500), ("trade", 18, "btc", -899), ("mark", 61, 16), ("dutch", 19, 2)],
    "owners turn round": [FALL, ("trade", 17, "btc", -900), ("dutch", 20, 1), ("mark", 63, 16), ("sealed", 20, 100)],
    "backstops": [("backstop", 19, 2_000), ("backstop", 20, 3_000), FALL, ("mark", 61, 15), ("crash",), FALL, FALL],
    "on and on": [FALL, ("sealed", 20, 10), ("mark", 58, 15), ("crash",), ("dutch", 20, 3), ("mark", 57, 14), FALL],
    "coins go first": [FALL, ("coins", 17, 4), ("coins", 18, 4), ("mark", 60, 16), ("dutch", 20, 1), ("mark", 60, 16)],
}
WAYS = {
    "as it is": Rules(),
    "paced": Rules(btc=700, eth=300),
    "whole": Rules(marks=2),
    "whole and paced": Rules(btc=2_000, eth=300, marks=2, fraction=4_000),
    "little room": Rules(btc=300, marks=1, method=1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COURSES)
def test_a_course_comes_to_an_end_and_shards_do_not_show(name: str, way: str) -> None:
    calm = [step if step != ("crash",) else ("nothing",) for step in COURSES[name]]
    one, four = run(1, WAYS[way], calm), run(4, WAYS[way], COURSES[name])
    assert one.entries == four.entries
    assert first_difference(whole_books(one.clearing.states), whole_books(four.clearing.states)) is None


def test_the_courses_are_about_something() -> None:
    """Portfolios wait, auctions are told again, backstops take over."""
    told = [run(1, WAYS["whole and paced"], course) for course in COURSES.values()]
    again = [one for w in told for one in w.said if isinstance(one, AuctionOpened)]
    assert len(again) > len({id(w) for w in told})
    assert any(isinstance(one, PortfolioOpened) for w in told for one in w.said)
    assert {one.kind for w in told for one in w.said if isinstance(one, LegPosted)} >= set(FORCED)


@pytest.mark.parametrize(("unmet", "held"), [(0, (300, -300)), (1, (0, 0))])
def test_two_failing_accounts_that_face_each_other_do_not_wait_for_ever(unmet: int, held: tuple[int, int]) -> None:
    """The fund is empty, and nobody else is on the other side of what two accounts below zero hold: a call for
    deleveraging finds nobody, at every mark. Sold by auction instead it goes to who bids."""
    w = world(4, Rules(floor=50, fund=0, unmet=unmet))
    for price in ((62, 16), (57, 14), (57, 14), (57, 14)):
        play(w, ("mark", *price), 1)
        w.answer()
    if not unmet:
        with pytest.raises(AssertionError, match="after 40 marks"):
            nobody_is_stuck(w)
    else:
        w.crash()
        nobody_is_stuck(w)
    assert (w.position(17, PERP_ETH)[0], w.position(18, PERP_ETH)[0]) == held


@EASE
@given(RULES, st.lists(STEP, min_size=3, max_size=14))
@example(Rules(btc=700, marks=1), [FALL, ("trade", 16, "btc", -300), FALL])
def test_whatever_comes_nobody_is_oversold_or_stuck(rules: Rules, course: list[Step]) -> None:
    run(1, rules, [FALL, *course])


@EASE
@given(RULES, st.lists(st.one_of(STEP, st.just(("say",)), st.just(("answer",))), min_size=3, max_size=16))
def test_services_that_are_late_lose_nothing_and_come_to_the_end(rules: Rules, course: list[Step]) -> None:
    """Bids, trades and crashes come while the desk has not said all: an award on its way stands, and no more."""
    w = world(4, rules)
    for number, step in enumerate([FALL, *course], 1):
        play(w, step, number)
        if step == ("answer",):
            w.answer()
            settled(w)
    w.answer()
    nobody_is_stuck(w)
    sold_no_more_than_a_part(w, rules.fraction)

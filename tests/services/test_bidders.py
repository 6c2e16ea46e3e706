"""The liquidators' bids: who bids, how much, and what is left for the next mark."""

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.limits import MICRO
from services.bidders import (
    HIGHEST,
    LOWEST,
    SHARE,
    WIDENING,
    Offer,
    PortfolioOffer,
    appetite,
    bids,
    discount,
    own_price,
    sealed_bids,
    unwinding,
    wish,
)
from services.exchange import exchange
from services.flow import Moment
from services.markets import openings
from services.population import Strategy, population
from services.tables import read_prices

OFFER = Offer(auction=4, instrument=2, remaining=-1_000, price=9_000, mark=10_000, margin=1_000_000)
ROOM = {16: 10**12, 17: 10**12, 18: 10**12}


def test_a_discount_is_the_bidders_gain() -> None:
    assert discount(OFFER) == 1_000
    assert discount(replace(OFFER, remaining=5)) == -1_000
    assert discount(replace(OFFER, remaining=5, price=10_100)) == 100
    assert discount(replace(OFFER, mark=0)) == 0


def test_appetites_differ_and_stay_in_range() -> None:
    drawn = [appetite(1, account) for account in range(16, 216)]
    assert LOWEST <= min(drawn) < max(drawn) < HIGHEST
    assert len(set(drawn)) > 50
    assert drawn != [appetite(2, account) for account in range(16, 216)]


def test_the_least_demanding_takes_it_all_on_the_other_side() -> None:
    (bid,) = bids([OFFER], ROOM, 1, 7, 99)
    assert bid.bidder == min(ROOM, key=lambda account: wish(1, account, OFFER.auction))
    assert (bid.auction, bid.instrument, bid.quantity, bid.price, bid.time) == (4, 2, 1_000, 9_000, 99)
    (bid,) = bids([replace(OFFER, remaining=1_000, price=11_000)], ROOM, 1, 7, 99)
    assert bid.quantity == -1_000


def test_nobody_is_first_in_every_auction() -> None:
    first = {bids([replace(OFFER, auction=k)], ROOM, 1, 7, 99)[0].bidder for k in range(200)}
    assert len(first) > 1


def test_nobody_bids_at_the_mark() -> None:
    assert bids([replace(OFFER, price=10_000 - LOWEST + 11)], ROOM, 1, 7, 0) == ()


def test_bids_stay_within_what_is_left_and_within_each_bidders_room() -> None:
    room = {16: 400_000_000, 17: 0, 18: -5}
    made = bids([OFFER, replace(OFFER, auction=5)], room, 1, 7, 0)
    assert [bid.bidder for bid in made] == [16, 16]
    assert made[0].quantity == 400_000_000 // SHARE // OFFER.margin
    assert made[1].quantity == (400 - made[0].quantity) // SHARE
    assert len({bid.bid for bid in made}) == 2


@pytest.mark.parametrize(
    ("remaining", "price", "worth", "wanted", "own"),
    [
        # a sale: what it is worth to him less his discount, but where the auction asks more, that
        (-10, 900, 1_000, 250, 975),
        (-10, 980, 1_000, 250, 980),
        # a purchase: the other way round
        (10, 1_100, 1_000, 250, 1_025),
        (10, 1_010, 1_000, 250, 1_010),
    ],
)
def test_a_call_auction_is_told_ones_own_price(remaining: int, price: int, worth: int, wanted: int, own: int) -> None:
    assert own_price(Offer(1, 1, remaining, price, worth, 1, clearing=True), wanted) == own


def test_bids_in_a_call_auction_name_different_prices() -> None:
    offer = Offer(1, 1, -1_000, 1, 100_000, MICRO, clearing=True)
    made = bids([offer], dict.fromkeys((101, 102, 103), 1000 * MICRO), 1, 1, 1)
    assert len({bid.price for bid in made}) == len(made) == 3
    plain = bids([replace(offer, clearing=False)], dict.fromkeys((101, 102, 103), 1000 * MICRO), 1, 1, 1)
    assert {bid.price for bid in plain} == {1}


def test_stress_widens_what_everybody_wants() -> None:
    crowd = [replace(OFFER, auction=k, remaining=-(10**9)) for k in range(9)]
    first = min(wish(1, account, 0) for account in ROOM)
    calm = replace(OFFER, auction=0, remaining=-1, price=10_000 - first - 1)
    assert bids([calm], ROOM, 1, 7, 0)
    crowd = [replace(one, price=10_000 - min(wish(1, a, one.auction) for a in ROOM) - 1) for one in crowd]
    assert not bids(crowd, ROOM, 1, 7, 0)
    assert bids([replace(one, price=one.price - WIDENING) for one in crowd], ROOM, 1, 7, 0)


def test_the_order_that_auctions_come_in_does_not_matter() -> None:
    offers = [replace(OFFER, auction=k, remaining=-(k + 1) * 50_000) for k in range(8)]
    assert bids(offers, ROOM, 3, 7, 0) == bids(offers[::-1], ROOM, 3, 7, 0)


def test_a_sealed_bid_is_its_own_wish_where_the_reserve_and_half_its_room_allow_it() -> None:
    offers = [PortfolioOffer(auction=4, margin=10**9, reserve=500), PortfolioOffer(auction=3, margin=10**9, reserve=0)]
    room = {18: 10**9, 16: 2 * 10**9, 17: 10**12}
    made = sealed_bids(offers, room, 1, 7, 99)
    assert [(one.bidder, one.auction, one.discount, one.time) for one in made] == [
        (16, 4, wish(1, 16, 4), 99),
        (17, 4, wish(1, 17, 4), 99),
    ]
    assert len({one.bid for one in made}) == 2
    assert sealed_bids(offers[::-1], room, 1, 7, 99) == made


def test_a_part_of_every_position_is_closed_with_a_maker() -> None:
    bars = read_prices(Path(__file__).parents[2] / "services" / "data" / "crash_2020_03.csv")
    venue = exchange(openings(bars), bars[0].ts)
    people = population(venue, {}, dict.fromkeys(range(5), 10**6), 30, 1, bars[0].ts)
    names = {name: one.instrument for name, one in venue.instrument.items()}
    marks = {names["BTC-PERP"]: 600_000, names["BTC-13MAR20"]: 600_000, names["ETH-PERP"]: 13_000}
    now = Moment(220, venue.expiries[0], marks, {})
    positions = {
        (17, names["ETH-PERP"]): -9,
        (16, names["BTC-PERP"]): 8,
        (16, names["BTC-13MAR20"]): 5,
        (18, names["BTC-PERP-INV"]): 5,
        (18, names["BTC-PERP"]): 0,
    }
    first, second = unwinding(positions, people, venue, 1, now)
    makers = {one.account for one in people.of(Strategy.MARKET_MAKER)}
    assert (first.seller, first.instrument, first.quantity) == (16, names["BTC-PERP"], 2)
    assert first.price < 600_000
    assert (second.buyer, second.instrument, second.quantity) == (17, names["ETH-PERP"], 3)
    assert {first.buyer, second.seller} <= makers
    assert first.trade != second.trade

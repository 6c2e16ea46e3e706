"""The liquidators' bids: who bids, how much, and what is left for the next mark."""

from dataclasses import replace

from services.bidders import HIGHEST, LOWEST, SHARE, WIDENING, Offer, appetite, bids, discount

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
    assert bid.bidder == min(ROOM, key=lambda account: appetite(1, account))
    assert (bid.auction, bid.instrument, bid.quantity, bid.price, bid.time) == (4, 2, 1_000, 9_000, 99)
    (bid,) = bids([replace(OFFER, remaining=1_000, price=11_000)], ROOM, 1, 7, 99)
    assert bid.quantity == -1_000


def test_nobody_bids_at_the_mark() -> None:
    assert bids([replace(OFFER, price=10_000 - LOWEST + 11)], ROOM, 1, 7, 0) == ()


def test_bids_stay_within_what_is_left_and_within_each_bidders_room() -> None:
    room = {16: 400_000_000, 17: 0, 18: -5}
    made = bids([OFFER, replace(OFFER, auction=5)], room, 1, 7, 0)
    assert [bid.bidder for bid in made] == [16, 16]
    assert made[0].quantity == 400_000_000 // SHARE // OFFER.margin
    assert made[1].quantity == (400 - made[0].quantity) // SHARE
    assert len({bid.bid for bid in made}) == 2


def test_stress_widens_what_everybody_wants() -> None:
    first = min(appetite(1, account) for account in ROOM)
    calm = replace(OFFER, remaining=-1, price=10_000 - first - 1)
    assert bids([calm], ROOM, 1, 7, 0)
    crowd = [replace(calm, auction=k, remaining=-(10**9)) for k in range(9)]
    assert not bids(crowd, ROOM, 1, 7, 0)
    assert bids([replace(one, price=one.price - WIDENING) for one in crowd], ROOM, 1, 7, 0)


def test_the_order_that_auctions_come_in_does_not_matter() -> None:
    offers = [replace(OFFER, auction=k, remaining=-(k + 1) * 50_000) for k in range(8)]
    assert bids(offers, ROOM, 3, 7, 0) == bids(offers[::-1], ROOM, 3, 7, 0)

"""Discounts wider than the margin behind what is sold are told: of numbers, and of the books as they stand."""

from __future__ import annotations

import pytest
from world import BTC_U, HOUR, World

from liquidation.provoking import Naked, Wider, wider
from schemas import events as e
from schemas.kinds import Kind, Parameter
from services.explain import auction_terms

FLOOR, RESERVE = Parameter.AUCTION_FLOOR, Parameter.PORTFOLIO_RESERVE
PERP = Naked(profile=1, underlying=BTC_U, kind=Kind.PERP, worth=8_000_000, maintenance=1_200_000)  # 1,500 points


@pytest.mark.parametrize(
    ("floor", "lots", "told"),
    [
        (1_500, [PERP], []),
        (1_501, [PERP], [1_500]),
        (1_501, [PERP, PERP._replace(maintenance=2_000_000)], [1_500]),  # the smallest of a kind
        (1_501, [PERP, PERP._replace(maintenance=800_000)], [1_000]),
        (1_500, [PERP._replace(maintenance=1_199_999)], [1_499]),  # rounded down: rather told than not
        (1_501, [PERP, PERP._replace(profile=2, maintenance=0)], [1_500, 0]),
        (1_501, [PERP, PERP._replace(kind=Kind.FUTURE)], [1_500, 1_500]),
        (10_000, [PERP._replace(worth=0)], []),  # worth nothing: no discount takes anything
        (500, [], []),
    ],
)
def test_a_floor_wider_than_the_smallest_maintenance_is_told(floor: int, lots: list[Naked], told: list[int]) -> None:
    assert [one.maintenance for one in wider({FLOOR: floor}, lots)] == told


def test_each_discount_is_looked_at_by_itself() -> None:
    assert wider({RESERVE: 1_600, FLOOR: 1_500}, [PERP]) == [Wider(RESERVE, 1, BTC_U, Kind.PERP, 1_600, 1_500)]


@pytest.mark.parametrize(
    ("which", "value", "told"),
    [
        (FLOOR, 500, set()),
        (FLOOR, 1_499, set()),
        (FLOOR, 1_501, {("BTC", "perp"), ("BTC", "future")}),
        (RESERVE, 2_001, {("BTC", "perp"), ("BTC", "future"), ("ETH", "perp")}),
    ],
)
def test_explain_tells_it_of_the_books(which: Parameter, value: int, told: set[tuple[str, str]]) -> None:
    world = World()
    world.send(e.ParameterChanged(parameter=which, scope=0, time=0, effective=world.time + HOUR, value=value))
    world.mark(after=HOUR)
    terms = auction_terms(world.state)
    assert terms["discounts"][which.name.lower()] == value
    found = [one for one in terms["wider_than_maintenance"] if one["profile"] == "SPAN-shaped"]
    assert {(one["underlying"], one["kind"]) for one in found} == told
    assert {one["discount"] for one in found} <= {which.name.lower()}

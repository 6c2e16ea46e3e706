"""Sizing: members with their clients and affiliates, owners, the shock that exhausts the fund; the standard shocks."""

import numpy as np
import pytest

from insurance.shocks import SIZES, Shock, UnknownUnderlying, price_moves, scaled, standard
from insurance.sizing import Cover, Who, by_member, by_owner, smallest

WHO = {16: Who(1, 100), 17: Who(1, 101), 18: Who(2, 102), 19: Who(3, 100), 20: Who(4, 104)}
DEFICITS = {16: 10.0, 17: 5.0, 18: 12.0, 19: 4.0, 20: 0.0}


def told(cover: Cover) -> tuple[float, float, list[tuple[int, float, int]]]:
    return cover.one, cover.two, [tuple(group) for group in cover.groups]  # type: ignore[misc]


def test_a_members_clients_are_counted_with_it() -> None:
    assert told(by_member(DEFICITS, WHO)) == (15.0, 27.0, [(1, 15.0, 2), (2, 12.0, 1), (3, 4.0, 1)])


def test_a_client_tied_by_a_link_goes_to_the_member_of_the_first() -> None:
    assert told(by_member(DEFICITS, WHO, clients=[(18, 19)])) == (16.0, 31.0, [(2, 16.0, 2), (1, 15.0, 2)])


def test_affiliates_default_together_through_any_chain() -> None:
    chain = [(20, 18), (19, 20)]
    assert told(by_member(DEFICITS, WHO, affiliates=chain)) == (16.0, 31.0, [(2, 16.0, 2), (1, 15.0, 2)])
    every = [*chain, (16, 19)]
    assert told(by_member(DEFICITS, WHO, affiliates=every)) == (31.0, 31.0, [(1, 31.0, 4)])


def test_owners() -> None:
    assert told(by_owner(DEFICITS, WHO)) == (14.0, 26.0, [(100, 14.0, 2), (102, 12.0, 1), (101, 5.0, 1)])
    assert by_owner(DEFICITS, WHO, [(16, 18)]).one == 26.0


def test_nobody_in_deficit() -> None:
    assert told(by_member({16: 0.0, 17: -3.0}, WHO)) == (0.0, 0.0, [])


def test_cover_two_is_never_below_cover_one() -> None:
    draw = np.random.Generator(np.random.Philox(5))
    for _ in range(50):
        deficits = dict(zip(WHO, draw.normal(0.0, 10.0, len(WHO)).tolist(), strict=True))
        cover = by_member(deficits, WHO, affiliates=[(16, 18)])
        assert 0.0 <= cover.one <= cover.two <= sum(max(one, 0.0) for one in deficits.values()) + 1e-9


@pytest.mark.parametrize(("largest", "threshold"), [(-0.95, 0.337), (3.0, 0.337), (-0.95, 0.9499), (-0.95, 1e-6)])
def test_the_smallest_shock_that_exhausts(largest: float, threshold: float) -> None:
    found = smallest(lambda size: abs(size) >= threshold, largest, tolerance=1e-4)
    assert found is not None
    assert found * largest > 0.0
    assert threshold <= abs(found) <= threshold + 1e-4


def test_nothing_exhausts_it() -> None:
    assert smallest(lambda _: False, -0.95) is None


def test_standard_shocks_go_both_ways_alone_and_together() -> None:
    shocks = standard({0: "BTC", 1: "ETH"})
    assert {one.size for one in shocks if one.only is None} >= {-0.2, -0.3, -0.4, 0.2, 0.3, 0.4} == set(SIZES)
    for number in (0, 1):
        assert {one.size for one in shocks if one.only == number} == {-0.4, 0.4}
    assert any(one.volatility > 0.0 and one.size == 0.0 for one in shocks)
    assert len({one.name for one in shocks}) == len(shocks)


@pytest.mark.parametrize(
    ("shock", "moves"),
    [
        (Shock("all", -0.4), [-0.4, -0.48]),
        (Shock("all", -0.9), [-0.9, -0.95]),
        (Shock("one", 0.4, only=1), [0.0, 0.4]),
        (Shock("volatility", 0.0, volatility=0.5), [0.0, 0.0]),
        (scaled(Shock("one", 0.4, only=0), -0.1), [-0.1, 0.0]),
    ],
)
def test_moves(shock: Shock, moves: list[float]) -> None:
    by = price_moves(shock, 0, np.array([0.04, 0.06]), np.array([[1.0, 0.8], [0.8, 1.0]]))
    assert by.tolist() == pytest.approx(moves)


def test_a_shock_of_nothing_known() -> None:
    with pytest.raises(UnknownUnderlying, match="no underlying 7"):
        price_moves(Shock("x", 0.1, only=7), 0, np.ones(2), np.eye(2))

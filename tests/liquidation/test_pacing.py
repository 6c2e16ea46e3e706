"""Pacing: the part of a wanted flow that a round's volume allows."""

import numpy as np
import pytest

from liquidation.pacing import ALL_AT_ONCE, BadPace, Pace, allowed


@pytest.mark.parametrize(
    ("participation", "flow", "part"),
    [
        (0.1, -50.0, 1.0),
        (0.1, -100.0, 1.0),
        (0.1, -400.0, 0.25),
        (0.1, 400.0, 0.25),
        (0.1, 0.0, 1.0),
        (2.0, 400.0, 1.0),
    ],
)
def test_a_round_sells_its_part_of_volume(participation: float, flow: float, part: float) -> None:
    assert allowed(Pace("a", participation), np.array([flow]), np.array([1_000.0])).tolist() == [part]


def test_all_at_once_knows_no_limit() -> None:
    assert allowed(ALL_AT_ONCE, np.array([-1e18, 0.0]), np.array([1.0, 1.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("participation", [0.0, -1.0, float("nan")])
def test_a_pace_that_sells_nothing_is_refused(participation: float) -> None:
    with pytest.raises(BadPace):
        allowed(Pace("never", participation), np.array([1.0]), np.array([1.0]))

"""Impact: the square root, what fades, what another underlying feels."""

import numpy as np
import pytest

from liquidation.impact import Decay, Impact, Liquidity, average_moves, fading, lasting, moves

LIQUIDITY = Liquidity(np.array([0.04, 0.06]), np.array([1e8, 5e7]), np.array([[1.0, 0.8], [0.8, 1.0]]))
PLAIN = Impact(scale=1.0, cross=0.0, decay=Decay.NONE)


@pytest.mark.parametrize(("flow", "move"), [(0.0, 0.0), (-1e6, -0.004), (-4e6, -0.008), (1e6, 0.004), (-1e8, -0.04)])
def test_square_root(flow: float, move: float) -> None:
    assert moves(PLAIN, LIQUIDITY, np.array([flow, 0.0])).tolist() == pytest.approx([move, 0.0])


def test_another_underlying_feels_its_part_of_the_correlation() -> None:
    told = moves(PLAIN._replace(cross=0.5), LIQUIDITY, np.array([-1e6, 0.0]))
    assert told.tolist() == pytest.approx([-0.004, -0.06 * 0.5 * 0.8 * 0.1])


@pytest.mark.parametrize(
    ("impact", "age", "left"),
    [
        (PLAIN, 7.0, 1.0),
        (PLAIN._replace(decay=Decay.EXPONENTIAL, rounds=10.0), 10.0, np.exp(-1)),
        (PLAIN._replace(decay=Decay.POWER, rounds=1.0, power=0.5), 3.0, 0.5),
        (PLAIN._replace(decay=Decay.POWER, rounds=1.0, power=0.5), 0.0, 1.0),
    ],
)
def test_fading(impact: Impact, age: float, left: float) -> None:
    assert fading(impact, np.array([age]))[0] == pytest.approx(left)


def test_a_sale_in_pieces_moves_as_far_as_the_whole_without_decay_and_less_with_it() -> None:
    pieces, whole = np.full((4, 2), -1e6), np.full((1, 2), -4e6)
    assert lasting(PLAIN, pieces).tolist() == lasting(PLAIN, whole).tolist()
    fades = PLAIN._replace(decay=Decay.EXPONENTIAL, rounds=5.0)
    assert np.all(np.abs(lasting(fades, pieces)) < np.abs(lasting(fades, whole)))


def test_the_mean_on_the_way_is_two_thirds_of_the_end_from_nothing_and_agrees_with_a_sum() -> None:
    nothing, there = np.zeros(2), np.array([-4e6, 2e6])
    end = moves(PLAIN, LIQUIDITY, there)
    assert average_moves(PLAIN, LIQUIDITY, nothing, there).tolist() == pytest.approx((end * 2 / 3).tolist())
    a, b = np.array([3e6, -1e6]), np.array([-5e6, 2e6])
    steps = (np.arange(20_000) + 0.5) / 20_000
    summed = np.mean([moves(PLAIN, LIQUIDITY, a + (b - a) * step) for step in steps], axis=0)
    assert average_moves(PLAIN, LIQUIDITY, a, b) == pytest.approx(summed, rel=1e-4)


def test_no_flow_trades_at_what_weighs_already() -> None:
    weighing = np.array([-4e6, 1e6])
    assert average_moves(PLAIN, LIQUIDITY, weighing, weighing) == pytest.approx(moves(PLAIN, LIQUIDITY, weighing))

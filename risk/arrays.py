"""Risk arrays: every instrument revalued in every scenario, as whole quanta of loss for one long lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.pricing import LARGEST, QUANTUM, Priced
from risk.scenarios import Scenario
from risk.tables import I64Array
from risk.volatility import YEAR

FloatArray = npt.NDArray[np.float64]

_MONTH: Final = 30 / 365
"""years"""
_DAY: Final = 1 / 365
_CELLS: Final = 1 << 14
"""options x scenarios revalued at once: what fits the cache with its temporaries"""


@dataclass(frozen=True, slots=True)
class Ranges:
    """One underlying's scan ranges, as parts: a price range of 0.15 is 15 %, a volatility range of 0.25 is x 1.25."""

    price: float
    volatility: float = 0.0
    short_power: float = 0.0
    """up to 30 days: the volatility range is multiplied by (30 days / time to expiry)^power, time at least a day"""
    long_power: float = 0.0
    """the same past 30 days; 0 leaves the range as it is, 0.3 and 0.13 are venues' usual values"""


class NoRangesError(ValueError):
    """An underlying without scan ranges."""

    def __init__(self, underlying: int) -> None:
        super().__init__(f"underlying {underlying} has no scan ranges")


class MoveOutOfRangeError(ValueError):
    """A scenario that takes a price to nothing or below."""

    def __init__(self, scenario: str, underlying: int, move: float) -> None:
        super().__init__(f"scenario {scenario} moves underlying {underlying} by {move:+g}: must stay above -1")


class LossTooLargeError(ValueError):
    """A loss past what an array can tell."""

    def __init__(self, instrument: int, scenario: str, dollars: float) -> None:
        most = LARGEST / QUANTUM
        super().__init__(
            f"instrument {instrument} loses {dollars:.6g} dollars a lot in {scenario}: arrays hold {most:.6g}"
        )


def risk_arrays(priced: Priced, scenarios: Sequence[Scenario], ranges: Mapping[int, Ranges], step: int = 0) -> I64Array:
    """Losses [instruments, scenarios] of one long lot in quanta of 2^-ARRAY_EXPONENT micro-dollars, positive = loss.

    In a scenario every price of an underlying (spot, forwards, its own coin) moves by the same part. An option is
    revalued by Black-76 on the moved forward, `step` microseconds nearer to expiry (SPAN looks a day ahead), at its
    strike's volatility x (1 + move), not below zero, the volatility staying with the strike. The loss is measured from
    the quantised mark, so that mark less loss is the scenario's value to half a quantum.

    What is paid in a coin that is the underlying's own is worth the coin's moved price: an INVERSE long, which gains
    contract / mark - contract / moved price coins, so gains in dollars exactly in proportion to the move. Any other
    settlement asset (a QUANTO's) keeps its price. Of a margined instrument the gain is converted so, of a premium style
    option, which is held, the whole value. The whole row entry is multiplied by its scenario's weight.

    Raises NoRangesError, MoveOutOfRangeError, LossTooLargeError.
    """
    moves, row = _moves(priced, scenarios, ranges)
    weights = np.array([one.weight for one in scenarios])
    losses = np.empty((len(priced.instrument), len(scenarios)), np.int64)
    straight = np.flatnonzero(~priced.option)
    for part in _parts(straight, len(scenarios)):
        losses[part] = _quanta(_straight(priced, part, moves[row[part]]) * weights, priced.instrument[part], scenarios)
    shifts = np.array([one.volatility for one in scenarios])
    spreads = _volatility_ranges(priced, ranges)
    for part in _parts(np.flatnonzero(priced.option), len(scenarios)):
        volatility = priced.volatility[part, None] * np.maximum(1.0 + spreads[part, None] * shifts, 0.0)
        loss = _options(priced, part, moves[row[part]], volatility, step)
        losses[part] = _quanta(loss * weights, priced.instrument[part], scenarios)
    return losses


def delta_rows(priced: Priced, scenarios: Sequence[Scenario], ranges: Mapping[int, Ranges]) -> I64Array:
    """Losses as in `risk_arrays`, along today's slope alone: -delta x price move x weight, no volatility, no time.

    Raises NoRangesError, MoveOutOfRangeError, LossTooLargeError.
    """
    moves, row = _moves(priced, scenarios, ranges)
    weights = np.array([one.weight for one in scenarios])
    return _quanta(-priced.delta[:, None] * (moves * weights)[row], priced.instrument, scenarios)


def _moves(priced: Priced, scenarios: Sequence[Scenario], ranges: Mapping[int, Ranges]) -> tuple[FloatArray, I64Array]:
    """Relative price moves [underlyings met, scenarios], and each instrument's row in them."""
    met, row = np.unique(priced.underlying, return_inverse=True)
    for number in met:
        if int(number) not in ranges:
            raise NoRangesError(int(number))
    scans = np.array([one.scans for one in scenarios])
    moves = np.array([ranges[int(number)].price for number in met])[:, None] * scans
    moves = moves + np.array([one.move for one in scenarios])
    if np.any(moves <= -1.0):
        u, s = (int(i) for i in np.argwhere(moves <= -1.0)[0])
        raise MoveOutOfRangeError(scenarios[s].id, int(met[u]), float(moves[u, s]))
    return moves, row.astype(np.int64)


def _volatility_ranges(priced: Priced, ranges: Mapping[int, Ranges]) -> FloatArray:
    """[n] relative volatility move of one scan range."""
    met, row = np.unique(priced.underlying, return_inverse=True)
    per = np.array([(r.volatility, r.short_power, r.long_power) for r in (ranges[int(u)] for u in met)])
    base, short, long = per.reshape(-1, 3)[row].T
    years = np.maximum((priced.expiry - priced.time) / YEAR, _DAY)
    spread: FloatArray = base * (_MONTH / years) ** np.where(years <= _MONTH, short, long)
    return spread


def _parts(rows: npt.NDArray[np.int64], scenarios: int) -> list[npt.NDArray[np.int64]]:
    most = max(1, _CELLS // scenarios)
    return [rows[first : first + most] for first in range(0, len(rows), most)]


def _straight(priced: Priced, part: npt.NDArray[np.int64], moves: FloatArray) -> FloatArray:
    """Losses of what has no right: in proportion to the price, or to one over it."""
    reference, value = priced.reference[part, None], priced.value[part, None]
    after = (priced.forward * priced.scale)[part, None] * (1.0 + moves)
    coin = np.where(priced.moved[part, None], 1.0 + moves, 1.0)
    change = np.where(priced.inverse[part, None], 1.0 / after - 1.0 / reference, reference - after)
    loss: FloatArray = change * value * coin
    return loss


def _options(
    priced: Priced, part: npt.NDArray[np.int64], moves: FloatArray, volatility: FloatArray, step: int
) -> FloatArray:
    years = np.maximum(priced.expiry[part] - priced.time - step, 0) / YEAR
    deviation = volatility * np.sqrt(years)[:, None]
    forward = priced.forward[part, None] * (1.0 + moves)
    price = black76.undiscounted(priced.call[part, None], forward, priced.strike[part, None], deviation)
    coin = np.where(priced.moved[part, None], 1.0 + moves, 1.0)
    held = np.where(priced.paid[part, None], 1.0, coin)
    change = priced.reference[part, None] * held - price * priced.scale[part, None] * coin
    loss: FloatArray = change * priced.value[part, None]
    return loss


def _quanta(losses: FloatArray, instruments: I64Array, scenarios: Sequence[Scenario]) -> I64Array:
    if losses.size and (np.max(losses) > LARGEST or np.min(losses) < -LARGEST or np.isnan(np.max(losses))):
        i, s = (int(x) for x in np.argwhere(~(np.abs(losses) <= LARGEST))[0])
        raise LossTooLargeError(int(instruments[i]), scenarios[s].id, float(losses[i, s]) / QUANTUM)
    return np.rint(losses).astype(np.int64)

"""The standard shocks: named moves of prices and volatilities that the book is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LOWEST: Final = -0.95
"""a price falls no further in any shock"""


@dataclass(frozen=True, slots=True)
class Shock:
    """A move over a day, as parts: -0.3 is down by three tenths."""

    name: str
    size: float
    """of the underlying that leads, or of the only one"""
    only: int | None = None
    """an underlying that moves alone; None: all move with the leader, by correlation"""
    volatility: float = 0.0
    """of all implied volatilities, relative"""


class UnknownUnderlying(ValueError):  # noqa: N818 - named for what is wrong
    """A shock of an underlying that is not there."""

    def __init__(self, shock: str, underlying: int) -> None:
        super().__init__(f"{shock}: no underlying {underlying}")


SIZES: Final = (-0.4, -0.3, -0.2, 0.2, 0.3, 0.4)
"""daily moves: 12 March 2020 took bitcoin down by some 40 %, May 2021 and November 2022 by 20 to 30 % in a day"""
SINGLE: Final = (-0.4, 0.4)
CRASH: Final = Shock("all -40 %, vol x2", -0.4, volatility=1.0)
VOLATILITY: Final = Shock("vol x1.5", 0.0, volatility=0.5)


def standard(symbols: Mapping[int, str]) -> tuple[Shock, ...]:
    """The standard shocks for these underlyings: number -> symbol."""
    alike = [Shock(f"all {size:+.0%}".replace("%", " %"), size) for size in SIZES]
    alone = [
        Shock(f"{symbol} {size:+.0%}".replace("%", " %"), size, only=number)
        for number, symbol in sorted(symbols.items())
        for size in SINGLE
    ]
    return (*alike, CRASH, *alone, VOLATILITY)


def scaled(shock: Shock, size: float) -> Shock:
    """The same direction by another size."""
    return replace(shock, name=f"{shock.name} at {size:+.1%}".replace("%", " %"), size=size)


def price_moves(shock: Shock, leader: int, volatility: FloatArray, correlation: FloatArray) -> FloatArray:
    """Relative moves [underlyings] in a shock.

    The leader moves by the shock's size, every other by its size x correlation x its volatility over the leader's: what
    it is expected to do. Raises UnknownUnderlying.
    """
    moved = shock.only if shock.only is not None else leader
    if not 0 <= moved < len(volatility):
        raise UnknownUnderlying(shock.name, moved)
    if shock.only is not None:
        by = np.zeros(len(volatility))
        by[moved] = shock.size
    else:
        by = shock.size * correlation[leader] * volatility / volatility[leader]
    bounded: FloatArray = np.maximum(by, LOWEST)
    return bounded

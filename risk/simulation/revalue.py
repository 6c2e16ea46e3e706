"""Full revaluation in bulk: every option in every state by Black-76, as a compiled loop that fills vector units.

The normal distribution and the exponential are written out, without branches and without a library: so the loop is done
eight numbers at a time, and one machine's bytes are another's.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.simulation.draws import I64Array
from schemas.compiled import compiled, inlined

FloatArray = npt.NDArray[np.float64]

LARGEST: Final = 2.0**62
"""quanta: no unit loss is larger"""

_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.693147180369123816490
_LN2_LOW: Final = 1.90821492927058770002e-10
_ROOT_HALF: Final = 0.70710678118654752440
_LEAST_DEVIATION: Final = 1e-10
_int: Any = np.int64


class Contracts(NamedTuple):
    """Options to revalue, one a row."""

    price_row: npt.NDArray[np.int64]
    """whose prices move them: a row of `prices`"""
    volatility_row: npt.NDArray[np.int64]
    """a row of `volatilities`"""
    call: npt.NDArray[np.bool_]
    forward: FloatArray
    log_moneyness: FloatArray
    """log(forward / strike)"""
    strike: FloatArray
    volatility: FloatArray
    root_years: FloatArray
    """[steps, rows]: square root of the time left at each step; 0 is expired"""
    discount: FloatArray
    """[steps, rows]"""
    mark: FloatArray
    """dollars, now"""


class UnitLossTooLarge(ValueError):  # noqa: N818 - named for what is found
    """A unit's loss past what a matrix can hold, or no number: which row and path."""


@inlined
def _exp(x: float) -> float:
    """exp on [-700, 700] to 2e-16 relative; below, exp(-700): nothing."""
    x = min(max(x, -700.0), 700.0)
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = (p * r + 1.0) * r + 1.0
    power: Any = _int((_int(n) + _int(1023)) << _int(52)).view(np.float64)
    scaled: float = p * power
    return scaled


@inlined
def _mills(a: float) -> float:
    """Upper tail of the standard normal at a >= 0, over exp(-a^2 / 2), to 3e-16 relative.

    With x = a / root 2 it is erfcx(x) / 2; (1 + 2 x) erfcx(x) is smooth in t = (x - 3.75) / (x + 3.75) over the whole
    half line (Shepherd and Laframboise, Mathematics of Computation 36, 1981), here to the 22nd degree.
    """
    x = a * _ROOT_HALF
    inverse = 1.0 / ((x + 3.75) * (1.0 + 2.0 * x))
    t = (x - 3.75) * (1.0 + 2.0 * x) * inverse
    p = -2.623107347133476e-09 * t - 1.9551358868985616e-09
    p = p * t + 3.197926671666804e-08
    p = p * t + 1.879082322370048e-08
    p = p * t - 2.4857126248016745e-07
    p = p * t - 5.084465378687302e-08
    p = p * t + 1.7419821586224816e-06
    p = p * t - 9.792625707303523e-07
    p = p * t - 1.1438048033346894e-05
    p = p * t + 2.2387565714911816e-05
    p = p * t + 5.164652974177416e-05
    p = p * t - 0.00029015535246077655
    p = p * t + 0.000293714378044958
    p = p * t + 0.0017556261651970652
    p = p * t - 0.009746579683265262
    p = p * t + 0.02836227737211114
    p = p * t - 0.05869339857664934
    p = p * t + 0.09230432116428125
    p = p * t - 0.10880393014244462
    p = p * t + 0.08227673848999506
    p = p * t + 0.0035854154854790257
    p = p * t - 0.14024059858554525
    p = p * t + 1.2375126308378275
    return 0.5 * p * (x + 3.75) * inverse


@inlined
def _put(forward: float, strike: float, log_moneyness: float, deviation: float) -> float:
    """An undiscounted put. The density at d2 is that at d1 times forward / strike, so one exponential serves both."""
    d1 = log_moneyness / deviation + 0.5 * deviation
    d2 = d1 - deviation
    density = _exp(-0.5 * d1 * d1) * forward
    first = _mills(abs(d1)) * density
    second = _mills(abs(d2)) * density
    # N(-d) is the tail itself where d is positive and one less the tail where it is not
    return (second if d2 > 0.0 else strike - second) - (first if d1 > 0.0 else forward - first)


@compiled
def option_losses(
    contracts: Contracts,
    prices: FloatArray,
    logarithms: FloatArray,
    volatilities: FloatArray,
    money: FloatArray,
    now: float,
    first: int,
    out: FloatArray,
) -> None:
    """Losses of a unit of rows `first` ... into `out` [rows, steps, paths], in the settlement asset.

    `prices` [underlyings, steps, paths] are relative to now, `logarithms` are theirs, `volatilities` [rows, steps,
    paths] are relative to now; a dollar is worth `now` and then `money` [steps, paths] of the settlement asset.
    """
    for row in range(out.shape[0]):
        at = first + row
        on, smile = contracts.price_row[at], contracts.volatility_row[at]
        forward, strike, start = contracts.forward[at], contracts.strike[at], contracts.log_moneyness[at]
        mark = contracts.mark[at] * now
        parity = 1.0 if contracts.call[at] else 0.0
        for step in range(out.shape[1]):
            left, discount = contracts.volatility[at] * contracts.root_years[step, at], contracts.discount[step, at]
            price, logarithm, wide = prices[on, step], logarithms[on, step], volatilities[smile, step]
            dollar, losses = money[step], out[row, step]
            for path in range(out.shape[2]):
                there = forward * price[path]
                deviation = max(left * wide[path], _LEAST_DEVIATION)
                value = _put(there, strike, start + logarithm[path], deviation) + parity * (there - strike)
                losses[path] = mark - discount * value * dollar[path]


@compiled
def quantised(losses: FloatArray, quantum: float, out: I64Array) -> bool:
    """Whether all of `losses` x `quantum`, rounded to whole numbers into `out`, are below LARGEST; NaN is not."""
    fine = True
    for path in range(losses.shape[0]):
        value = np.floor(losses[path] * quantum + 0.5)
        fine &= abs(value) < LARGEST
        out[path] = _int(value)
    return fine


@compiled
def quantised_option_losses(
    contracts: Contracts,
    prices: FloatArray,
    logarithms: FloatArray,
    volatilities: FloatArray,
    money: FloatArray,
    now: float,
    quantum: float,
    first: int,
    out: I64Array,
) -> int:
    """`option_losses` as whole quanta, a row at a time while it lies in the cache: `out` [rows, steps, paths].

    Returns the first row that `quantised` refuses, -1 where there is none. Needs no interpreter lock.
    """
    scratch = np.empty((1, out.shape[1], out.shape[2]))
    for row in range(out.shape[0]):
        option_losses(contracts, prices, logarithms, volatilities, money, now, first + row, scratch)
        for step in range(out.shape[1]):
            if not quantised(scratch[0, step], quantum, out[row, step]):
                return row
    return -1

"""Black's formula as native loops: prices with six greeks, and the piece that other kernels revalue with.

The same numbers as `risk.black76` to a few units in the last place (`tests/risk/test_black76_kernel.py` says how many)
for callers who made its checks: volatility and years may be zero, forward and strike are positive, all is finite.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.compiled import compiled, inlined

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

OUTPUTS: Final = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna")
"""the rows of what `price_and_greeks` writes; units as in risk.greeks"""

# (1 + 2x) exp(x^2) erfc(x) = sum c_n t^n, t = (x - 3.75) / (x + 3.75): M. Shepherd and J. Laframboise, "Chebyshev
# approximation of (1 + 2x) exp(x^2) erfc(x) in 0 <= x < infinity", Mathematics of Computation 36 (1981). Fitted anew
# with fifty digits; the relative error of the sum in doubles is below 1.5e-15.
_EVEN: Final = (
    1.2375126308378275,
    0.0035854154854644315,
    -0.10880393014174897,
    -0.05869339858963465,
    -0.009746579558051154,
    0.00029371366572375767,
    5.164909838647079e-05,
    -1.1444144967797133e-05,
    1.7516355296864375e-06,
    -2.5866617731821935e-07,
    3.867371358427655e-08,
    -5.173343948093028e-09,
    4.2503460959176697e-10,
)
_ODD: Final = (
    -0.14024059858554697,
    0.08227673849014519,
    0.09230432116037791,
    0.028362277418950855,
    0.0017556258529348152,
    -0.0002901540807120678,
    2.2384239629836235e-05,
    -9.735607568827693e-07,
    -5.7217217410144757e-08,
    2.3262761218910088e-08,
    -3.743896458483955e-09,
    3.1108624512225397e-10,
)
_FARTHEST: Final = 60.0
"""deviations at which the density is nothing in doubles; past it only infinities would come"""
_ROOT_HALF: Final = math.sqrt(0.5)
_TWO_OVER_ROOT_2_PI: Final = 2.0 / math.sqrt(2.0 * math.pi)


@inlined
def scaled_tail(x: float) -> float:
    """exp(x^2) erfc(x) for x not negative."""
    t = (x - 3.75) / (x + 3.75)
    u = t * t
    even = _EVEN[12]
    odd = _ODD[11]
    for i in range(11, -1, -1):
        even = even * u + _EVEN[i]
    for i in range(10, -1, -1):
        odd = odd * u + _ODD[i]
    return (even + t * odd) / (1.0 + 2.0 * x)


@compiled
def price_and_greeks(
    call: BoolArray,
    forward: FloatArray,
    strike: FloatArray,
    volatility: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    out: FloatArray,
) -> None:
    """Write OUTPUTS x options to `out`; all other arguments are one-dimensional and of one length."""
    for i in range(len(forward)):
        f, k, v, t, r = forward[i], strike[i], volatility[i], years[i], rate[i]
        root = math.sqrt(t)
        deviation = v * root
        discount = 1.0 if r == 0.0 else math.exp(-r * t)
        low, high = min(f, k), max(f, k)
        gap = math.log1p((high - low) / low)
        away = min(gap / deviation, _FARTHEST) if gap > 0.0 else 0.0
        first, second = 0.5 * deviation - away, 0.5 * deviation + away
        half = 0.5 * math.exp(-0.5 * first * first)
        tail = half * scaled_tail(abs(first) * _ROOT_HALF)
        paid = half * scaled_tail(second * _ROOT_HALF)
        reach, rest = (tail, 1.0 - tail) if first <= 0.0 else (1.0 - tail, tail)
        value = tail - paid if first <= 0.0 else 1.0 - tail - paid
        if f > k:
            # low is the strike: the option out of the money is the put, and its second term is what the call exercises
            rest = paid * (k / f)
            reach = 1.0 - rest
        itm = high - low if call[i] == (f > k) else 0.0
        price = discount * (itm + low * value)
        density = discount * low * _TWO_OVER_ROOT_2_PI * half
        d2 = away - 0.5 * deviation if f > k else -second
        lives = half > 0.0
        out[0, i] = price
        out[1, i] = discount * reach if call[i] else -discount * rest
        out[2, i] = density / (f * f * deviation) if lives else 0.0
        out[3, i] = density * root
        decay = density * v / (2.0 * root) if lives and v > 0.0 else 0.0
        out[4, i] = r * price - decay
        out[5, i] = -t * price
        tilt = d2 / v if gap > 0.0 else -0.5 * root
        out[6, i] = -density / f * tilt if lives else 0.0

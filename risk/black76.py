"""Black's 1976 formula on arrays: price, greeks and implied volatility of European options on a forward.

F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976). Prices and strikes in one unit
(dollars here), volatility as a fraction a year, time in years, rate continuously compounded.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, ndtr

FloatArray = npt.NDArray[np.float64]

_ROOT_2: Final = float(np.sqrt(2.0))
_ROOT_2_PI: Final = float(np.sqrt(2.0 * np.pi))
_CANCELS: Final = 1e-4
"""a time value below this part of the smaller of forward and strike loses too many digits as a plain difference"""
_WIDEST: Final = 40.0
"""a deviation at which no double is left between the time value and its bound"""
_CLOSE: Final = 1e-12
"""a step this small, relative: Newton's error is its square"""
_MOST_STEPS: Final = 100


class OutOfDomainError(ValueError):
    """An input no option has: its name, where in the array it stands, and its value."""

    def __init__(self, name: str, position: tuple[int, ...], value: float, needed: str) -> None:
        super().__init__(f"{name}{list(position) if position else ''} = {value}: must be {needed}")
        self.name = name
        self.position = position
        self.value = value


class PremiumOutOfBoundsError(ValueError):
    """A premium no volatility explains: at or past what the option can cost, or below what exercise would bring."""

    def __init__(self, position: tuple[int, ...], premium: float, lowest: float, highest: float) -> None:
        where = f" at {list(position)}" if position else ""
        bounds = f"{lowest} (included) to {highest} (excluded)"
        super().__init__(f"premium {premium}{where}: no-arbitrage bounds are {bounds}")
        self.position = position
        self.premium = premium
        self.lowest = lowest
        self.highest = highest


class Greeks(NamedTuple):
    """An option's value and its sensitivities, each of the broadcast shape of the inputs."""

    price: FloatArray
    """dollars"""
    delta: FloatArray
    """dV/dF: dollars per dollar of the forward, discounted (the forward delta, not premium-adjusted)"""
    gamma: FloatArray
    """d2V/dF2: per dollar; infinite at the money where volatility or time is zero"""
    vega: FloatArray
    """dV/dvolatility: dollars per 1.00 of volatility (divide by 100 for a point)"""
    theta: FloatArray
    """-dV/dT with the forward held: dollars per year that passes (divide by 365 for a day)"""
    rho: FloatArray
    """dV/dr with the forward held, which is -T V: dollars per 1.00 of rate"""


def price(
    call: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
) -> FloatArray:
    """Dollars an option costs; inputs broadcast. `call` is true for calls, false for puts.

    The out-of-the-money side is computed to full relative precision and the other follows by put-call parity, so parity
    holds to the last bits. Zero volatility or time gives the discounted intrinsic value.
    Raises OutOfDomainError: forward or strike not positive, volatility or years negative, anything not finite.
    """
    is_call, f, k, v, t, r = _inputs(call, forward, strike, volatility, years, rate)
    return _price(is_call, f, k, v * np.sqrt(t), np.exp(-r * t))


def undiscounted(
    is_call: npt.NDArray[np.bool_], forward: FloatArray, strike: FloatArray, deviation: FloatArray
) -> FloatArray:
    """`price` at rate zero without its checks, for a caller who made them: deviation is volatility x sqrt(years)."""
    low, high = np.minimum(forward, strike), np.maximum(forward, strike)
    intrinsic = np.where(is_call == (forward > strike), high - low, 0.0)
    value: FloatArray = intrinsic + low * _time_value((high - low) / low, deviation)
    return value


def greeks(
    call: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
) -> Greeks:
    """Price and sensitivities; inputs, units and errors as in `price`.

    At zero volatility or time the limits are given: delta steps from 0 to 1 through one half at the money, vega is zero
    away from the money, gamma and theta are infinite at it (theta only where volatility is not zero).
    """
    is_call, f, k, v, t, r = np.broadcast_arrays(*_inputs(call, forward, strike, volatility, years, rate))
    discount = np.exp(-r * t)
    deviation = v * np.sqrt(t)
    value = _price(is_call, f, k, deviation, discount)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = np.where(f == k, 0.0, log_ratio(f, k) / deviation) + 0.5 * deviation
        density = np.exp(-0.5 * steps * steps) / _ROOT_2_PI
        gamma = np.where(density > 0.0, discount * density / (f * deviation), 0.0)
        decay = np.where((density > 0.0) & (v > 0.0), discount * f * density * v / (2.0 * np.sqrt(t)), 0.0)
    delta = np.where(is_call, discount * ndtr(steps), -discount * ndtr(-steps))
    return Greeks(value, delta, gamma, discount * f * density * np.sqrt(t), r * value - decay, -t * value)


def implied_volatility(
    call: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    premium: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
) -> FloatArray:
    """The volatility at which `price` gives the premium; inputs broadcast. 0 where the premium is the intrinsic value.

    Newton's steps on a logarithm of the time value, kept inside a bracket that shrinks at every step. What is not in
    the premium's digits is not in the answer: deep in the money the time value may be lost in rounding.
    Raises OutOfDomainError as `price` does (years must be positive here), PremiumOutOfBoundsError naming the first
    premium outside [discounted intrinsic value, discounted forward (call) or strike (put)).
    """
    is_call, f, k, p, t, r = _inputs(call, forward, strike, premium, years, rate, "premium")
    if np.any(t == 0.0):
        raise OutOfDomainError("years", _first(t == 0.0), 0.0, "positive where a volatility is asked for")
    discount = np.exp(-r * t)
    is_call, f, k, p, t, discount = np.broadcast_arrays(is_call, f, k, p, t, discount)
    intrinsic = np.maximum(np.where(is_call, f - k, k - f), 0.0)
    low, high = np.minimum(f, k), np.maximum(f, k)
    value = p / discount - intrinsic
    noise = 4.0 * np.finfo(np.float64).eps * high
    outside = (value < -noise) | (value >= low)
    if np.any(outside):
        at = _first(outside)
        most = discount * np.where(is_call, f, k)
        raise PremiumOutOfBoundsError(at, float(p[at]), float((discount * intrinsic)[at]), float(most[at]))
    deviation = np.zeros(value.shape)
    sought = value > 0.0
    deviation[sought] = _deviation(value[sought] / low[sought], ((high - low) / low)[sought])
    volatility: FloatArray = deviation / np.sqrt(t)
    return volatility


def _inputs(
    call: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    fourth: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    fourth_name: str = "volatility",
) -> tuple[npt.NDArray[np.bool_], FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    return (
        np.asarray(call, np.bool_),
        _checked("forward", forward, positive=True),
        _checked("strike", strike, positive=True),
        _checked(fourth_name, fourth),
        _checked("years", years),
        _checked("rate", rate, signed=True),
    )


def _checked(name: str, values: npt.ArrayLike, *, positive: bool = False, signed: bool = False) -> FloatArray:
    array = np.asarray(values, np.float64)
    bad = ~np.isfinite(array)
    needed = "finite"
    if positive:
        bad |= array <= 0.0
        needed = "positive and finite"
    elif not signed:
        bad |= array < 0.0
        needed = "finite and not negative"
    if np.any(bad):
        at = _first(bad)
        raise OutOfDomainError(name, at, float(array[at]), needed)
    return array


def _first(bad: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def log_ratio(over: FloatArray, under: FloatArray) -> FloatArray:
    """ln(over / under) of positive numbers, exact to the last bits where they are close."""
    # the difference of two close doubles is exact, their quotient is not: log1p keeps what log would lose at the money
    low, high = np.minimum(over, under), np.maximum(over, under)
    ratio: FloatArray = np.copysign(np.log1p((high - low) / low), over - under)
    return ratio


def _price(
    is_call: npt.NDArray[np.bool_], f: FloatArray, k: FloatArray, deviation: FloatArray, discount: FloatArray
) -> FloatArray:
    value: FloatArray = discount * undiscounted(is_call, f, k, deviation)
    return value


def _time_value(excess: FloatArray, deviation: FloatArray) -> FloatArray:
    """A call on 1 struck at 1 + excess, which is also the put on 1 + excess struck at 1 (excess not negative).

    N(d1) - (1 + excess) N(d2), where the difference keeps its digits. Far out of the money nearly all of it cancels:
    n(d1) = (1 + excess) n(d2) gives exp(-d1^2 / 2) (erfcx(-d1 / root 2) - erfcx(-d2 / root 2)) / 2, in which the small
    exponential stands outside of the difference.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        away = np.where(excess > 0.0, np.log1p(excess) / deviation, 0.0)
        half = 0.5 * deviation
        first, second = half - away, -half - away
        value = np.asarray(ndtr(first) - (1.0 + excess) * ndtr(second))
        small = value < _CANCELS
        if np.any(small):
            # a value this small has d1 below 0.001, so neither erfcx nor exp can overflow
            d1, d2 = first[small], second[small]
            value[small] = 0.5 * np.exp(-0.5 * d1 * d1) * (erfcx(-d1 / _ROOT_2) - erfcx(-d2 / _ROOT_2))
    return value


def _deviation(value: FloatArray, excess: FloatArray) -> FloatArray:
    """The deviation at which `_time_value` is `value`, both one-dimensional, value in (0, 1).

    The value is convex in the deviation up to sqrt(2 log(1 + excess)) and concave from there. Below, its logarithm is
    nearly linear in 1 / deviation^2; above, log(1 - value) bends least. Each side is solved in its own coordinate.
    """
    gap = np.log1p(excess)
    turn = np.sqrt(2.0 * gap)
    at_turn = _time_value(excess, turn)
    convex = value < at_turn
    lower, upper = np.where(convex, 0.0, turn), np.where(convex, turn, _WIDEST + 2.0 * turn)
    guess = np.where(convex, gap / np.sqrt(-2.0 * np.log(value)), turn + _ROOT_2_PI * (value - at_turn))
    guess = np.where((guess > lower) & (guess < upper), guess, 0.5 * (lower + upper))
    for _ in range(_MOST_STEPS):
        now = _time_value(excess, guess)
        lower, upper = np.where(now < value, guess, lower), np.where(now > value, guess, upper)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = np.exp(-0.5 * (0.5 * guess - gap / guess) ** 2) / _ROOT_2_PI
            bent = 1.0 + 2.0 * np.log(now / value) * now / (slope * guess)
            straight = np.log((1.0 - now) / (1.0 - value)) * (1.0 - now) / slope
            step = np.where(convex, guess / np.sqrt(bent), guess + straight)
        # within the bracket, its ends included: at the root the step stays where it is
        step = np.where((step >= lower) & (step <= upper), step, 0.5 * (lower + upper))
        still = np.abs(step - guess) > _CLOSE * guess
        guess = step
        if not np.any(still):
            break
    return guess

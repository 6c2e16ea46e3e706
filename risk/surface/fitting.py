"""Calibration of one expiry's SVI slice to bids and asks, with walls against both kinds of arbitrage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from risk import black76
from risk.margin.book import Svi
from risk.surface.arbitrage import far_out, grid
from risk.surface.svi import density, variance

FloatArray = npt.NDArray[np.float64]

FEWEST: Final = 5
"""strikes a slice is fitted to: as many as it has parameters"""
_SLOPE: Final = 1.98
"""the steepest wing, just below Lee's bound of 2"""
_STIFF: Final = 300.0
"""weight of a broken wall against quotes counted in half spreads"""
_LEAST_LEFT: Final = 0.05
"""part of a reference's weight that is left however far out it stands"""
_WITHIN: Final = 0.25
"""weight of a distance within the spread: what counts is to be within, not where"""
_EDGE: Final = 0.85
"""half spreads from the middle past which a distance counts in full"""
_WALLS: Final = 161
"""points of the grid on which the walls stand"""
_TRIED: Final = 3
"""starts from which the fit is carried to its end"""
_ANCHOR: Final = 0.05
"""weight of a reference (its distance in points) against a quote's in half spreads, where both sides are quoted"""
_ALONE: Final = 0.2
"""the same at a strike that is not quoted on both sides: there the venue's volatility keeps the skew"""


class Quote(NamedTuple):
    """One option's market. Prices are dollars, undiscounted (a price in coin times its forward is)."""

    instrument: str
    call: bool
    forward: float
    strike: float
    bid: float
    """0 where there is none"""
    ask: float
    """0 where there is none"""
    reference: float
    """the venue's own volatility, which counts where nobody quotes; 0 where there is none"""

    @property
    def two_sided(self) -> bool:
        """Whether it has both a bid and an ask, not crossed."""
        return 0.0 < self.bid <= self.ask


class TooFewQuotes(ValueError):  # noqa: N818 - named for what is found
    """A smile of less quotes than it has parameters: how many there are."""


class Data(NamedTuple):
    """An expiry's quotes as arrays: the two-sided ones, and where the venue's own volatilities stand."""

    call: npt.NDArray[np.bool_]
    forward: FloatArray
    strike: FloatArray
    k: FloatArray
    middle: FloatArray
    half: FloatArray
    weight: FloatArray
    anchor_k: FloatArray
    anchor: FloatArray
    anchor_weight: FloatArray
    years: float


def fit(
    data: Data,
    forward: float,
    quoted: float,
    below: Svi | None = None,
    room: float = 1e-5,
    start: Svi | None = None,
) -> Svi:
    """The slice nearest to these quotes of one expiry.

    A quote counts by its distance from the middle in half spreads, near ones by the square and far ones linearly, so
    that a few wild quotes move nothing; a wide quote weighs little, and one of low vega cannot bend the smile. Two
    walls stand in the fit: no butterfly (density not negative), and no calendar spread against `below`, the one before
    (variance not less at any k); `room` is how far off it is kept from both, relative, and `quoted` the widest |k| of
    the whole surface. `start` replaces the fit's own search of where to begin. The walls are not proof: check with
    `risk.surface.arbitrage`. Raises TooFewQuotes.
    """
    years = data.years
    if len(data.k) + len(data.anchor_k) < FEWEST:
        raise TooFewQuotes(f"{len(data.k)} quotes and {len(data.anchor_k)} references, {FEWEST} are needed")
    spread = np.concatenate([data.k, data.anchor_k])
    walls = grid(far_out(years, quoted), _WALLS)
    floor = None if below is None else variance(below, walls)
    low, high = float(spread.min()), float(spread.max())
    wide = max(high - low, 0.02)
    bounds = (
        np.array([1e-9, 1e-6, -0.995, low - wide, wide * 5e-3]),
        np.array([16.0, _SLOPE, 0.995, high + wide, wide * 4.0]),
    )

    def residuals(x: FloatArray) -> FloatArray:
        svi = _slice(x, forward, years)
        slope = svi.b * np.array([1.0 - svi.rho, 1.0 + svi.rho])
        parts = [
            distances(data, svi),
            _STIFF * np.minimum(density(svi, walls) - room, 0.0),
            100.0 * _STIFF * np.minimum(_SLOPE - slope, 0.0),
        ]
        if below is not None and floor is not None:
            before = below.b * np.array([1.0 - below.rho, 1.0 + below.rho])
            parts.append(_STIFF * np.minimum(variance(svi, walls) / floor - 1.0 - room, 0.0))
            parts.append(100.0 * _STIFF * np.minimum(slope - before * (1.0 + room), 0.0))
        return np.concatenate(parts)

    starts = _starts(data, low, high) if start is None else [_parameters(start)]
    if below is not None:
        starts.append(_parameters(below) * np.array([1.0 + room, 1.0 + room, 1.0, 1.0, 1.0]))
    starts = [np.clip(one, bounds[0] * (1.0 + 1e-7) + 1e-12, bounds[1] * (1.0 - 1e-7)) for one in starts]
    starts.sort(key=lambda one: float(np.sum(residuals(one) ** 2)))
    tried = []
    for begin in starts[:_TRIED]:
        scale = np.array([max(begin[0], 1e-6), max(begin[1], 1e-5), 0.3, wide * 0.1, max(begin[4], wide * 0.05)])
        tried.append(least_squares(residuals, begin, bounds=bounds, x_scale=scale, max_nfev=150, xtol=1e-9, ftol=1e-9))
    return _slice(min(tried, key=lambda one: float(one.cost)).x, forward, years)


def _slice(x: FloatArray, forward: float, years: float) -> Svi:
    """A slice of (least variance, b, rho, m, sigma): the least variance is bounded below, a is not."""
    least, b, rho, m, sigma = (float(one) for one in x)
    return Svi(least - b * sigma * float(np.sqrt(1.0 - rho * rho)), b, rho, m, sigma, forward, years)


def lifted(svi: Svi, by: float) -> Svi:
    """The slice with `by` more total variance at every strike."""
    return Svi(svi.a + by, svi.b, svi.rho, svi.m, svi.sigma, svi.forward, svi.tau)


def _parameters(svi: Svi) -> FloatArray:
    least = svi.a + svi.b * svi.sigma * float(np.sqrt(1.0 - svi.rho * svi.rho))
    return np.array([least, svi.b, svi.rho, svi.m, svi.sigma])


def distances(data: Data, svi: Svi) -> FloatArray:
    """What a fit makes small: each quote's distance from its middle in half spreads, drawn in where it is large, and
    the references' in points, at their small weight."""
    near = np.sqrt(np.maximum(variance(svi, data.k), 1e-12))
    distance = (black76.undiscounted(data.call, data.forward, data.strike, near) - data.middle) / data.half
    pulled = _WITHIN * distance + np.copysign(np.maximum(np.abs(distance) - _EDGE, 0.0), distance)
    quoted = data.weight * np.sign(pulled) * np.sqrt(2.0 * (np.sqrt(1.0 + pulled * pulled) - 1.0))
    points = 100.0 * (np.sqrt(np.maximum(variance(svi, data.anchor_k), 1e-12) / data.years) - data.anchor)
    return np.concatenate([quoted, data.anchor_weight * points])


def data_of(quotes: Sequence[Quote], years: float) -> Data:
    """The quotes of one expiry, `years` ahead, as `fit` takes them."""
    both = [one for one in quotes if one.two_sided]
    call = np.array([one.call for one in both], np.bool_)
    forward, strike, bid, ask = (
        np.array([(one.forward, one.strike, one.bid, one.ask) for one in both], np.float64).reshape(-1, 4).T
    )
    # what a locked market leaves open is a basis point of a hundredth of the forward
    half = np.maximum(0.5 * (ask - bid), 2.5e-5 * forward)
    told = [one for one in quotes if one.reference > 0.0]
    met = {one.strike for one in both}
    # the side in the money says the same with a wider spread and a forward's age in it
    out = np.where(call, strike >= forward, strike <= forward)
    return Data(
        call,
        forward,
        strike,
        np.log(strike / forward),
        0.5 * (bid + ask),
        half,
        np.where(out, 1.0, 0.5),
        np.array([np.log(one.strike / one.forward) for one in told]),
        np.array([one.reference for one in told]),
        np.array([(_ANCHOR if one.strike in met else _ALONE) * _vega_left(one, years) for one in told]),
        years,
    )


def _vega_left(quote: Quote, years: float) -> float:
    """How much of a reference counts: less far out, where a point of volatility moves no price."""
    deviations = float(np.log(quote.strike / quote.forward)) / (quote.reference * float(np.sqrt(years)))
    return max(float(np.exp(-deviations * deviations / 8.0)), _LEAST_LEFT)


def _starts(data: Data, low: float, high: float) -> list[FloatArray]:
    """Where to begin: for a few (m, sigma) the best (a, b, rho) of the references is a linear problem.

    S. De Marco and C. Martini, "Quasi-explicit calibration of Gatheral's SVI model" (2009).
    """
    k, wanted = data.anchor_k, data.anchor**2 * data.years
    if len(k) < FEWEST:
        k = data.k
        wanted = np.full(len(k), 0.36 * data.years)
    wide = max(high - low, 0.02)
    found: list[FloatArray] = []
    for m in np.linspace(low, high, 9) * 0.5:
        for sigma in wide * np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8]):
            y = (k - m) / sigma
            columns = np.stack([np.ones(len(k)), y, np.sqrt(y * y + 1.0)], axis=1)
            a, d, c = np.linalg.lstsq(columns / wanted[:, None], np.ones(len(k)), rcond=None)[0]
            c = max(float(c), 1e-9)
            rho = float(np.clip(d / c, -0.95, 0.95))
            found.append(np.array([a + c * np.sqrt(1.0 - rho * rho), c / sigma, rho, m, sigma]))
    return found

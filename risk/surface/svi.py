"""Raw SVI, one expiry's smile: its total variance and the density that follows from it.

J. Gatheral, A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014). A slice is
`risk.margin.book.Svi`; k is ln(strike / forward).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from risk.margin.book import Svi

FloatArray = npt.NDArray[np.float64]


def variance(svi: Svi, k: FloatArray) -> FloatArray:
    """Total variance at log-moneyness k."""
    across = k - svi.m
    total: FloatArray = svi.a + svi.b * (svi.rho * across + np.sqrt(across * across + svi.sigma * svi.sigma))
    return total


def density(svi: Svi, k: FloatArray) -> FloatArray:
    """Gatheral's g(k): the risk-neutral density over the lognormal one of the same variance; negative is arbitrage."""
    across = k - svi.m
    root = np.sqrt(across * across + svi.sigma * svi.sigma)
    w = np.maximum(svi.a + svi.b * (svi.rho * across + root), 1e-14)
    first = svi.b * (svi.rho + across / root)
    second = svi.b * svi.sigma * svi.sigma / (root * root * root)
    bent = 1.0 - k * first / (2.0 * w)
    g: FloatArray = bent * bent - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second
    return g

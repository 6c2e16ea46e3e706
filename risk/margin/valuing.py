"""Marks and revaluation of one contract: forward, time, volatility and discount of each position's instrument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from risk.margin.book import Expiry, Instrument, Kind, Market, Svi
from risk.volatility import YEAR


class NotInMarket(ValueError):  # noqa: N818 - named for what is found
    """The market has no price for what the portfolio holds: says which, and where it was looked for."""


class Expired(ValueError):  # noqa: N818
    """An instrument whose expiry is not after the market's time."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """An instrument with what it is priced by. Prices in dollars."""

    instrument: Instrument
    spot: float
    forward: float
    """of its expiry; a perp's price"""
    years: float
    rate: float
    volatility: float
    """at its strike; 0 for futures and perps"""


def quoted(instrument: Instrument, market: Market) -> Quoted:
    """What the market says of an instrument. Raises NotInMarket, Expired."""
    one = market.underlyings.get(instrument.underlying)
    if one is None:
        raise NotInMarket(f"underlyings.{instrument.underlying} is not in the market")
    if instrument.kind == Kind.PERP:
        return Quoted(instrument, one.spot, one.spot if one.perp is None else one.perp, 0.0, 0.0, 0.0)
    if instrument.expiry <= market.time:
        raise Expired(
            f"{instrument.underlying} {instrument.kind} of {instrument.expiry} expired at or before {market.time}"
        )
    expiry = one.expiries.get(instrument.expiry)
    if expiry is None:
        raise NotInMarket(f"underlyings.{instrument.underlying}.expiries has no {instrument.expiry}")
    years = (instrument.expiry - market.time) / YEAR
    volatility = smile_volatility(expiry, instrument.strike) if instrument.kind == Kind.OPTION else 0.0
    return Quoted(instrument, one.spot, expiry.forward, years, expiry.rate, volatility)


def smile_volatility(expiry: Expiry, strike: float) -> float:
    """The volatility at a strike. SVI as venues publish it: log-moneyness is held within 4 deviations at the money
    and total variance below 144. By strike: variance linear in log-strike, flat outside. Raises NotInMarket.
    """
    if isinstance(expiry.smile, Svi):
        return svi_volatility(expiry.smile, strike)
    if not expiry.smile:
        raise NotInMarket(f"expiry {expiry.time} has neither svi nor volatilities")
    return _between(expiry.smile, strike)


def svi_volatility(svi: Svi, strike: float) -> float:
    """The volatility of a raw SVI slice at a strike."""
    wing = 4.0 * math.sqrt(svi.a + svi.b * svi.sigma)
    k = min(max(math.log(strike / svi.forward), -wing), wing)
    across = k - svi.m
    variance = svi.a + svi.b * (math.sqrt(across * across + svi.sigma * svi.sigma) + svi.rho * across)
    return math.sqrt(min(variance, 144.0) / svi.tau)


def _between(volatilities: Mapping[float, float], strike: float) -> float:
    strikes = sorted(volatilities)
    squares = [volatilities[one] ** 2 for one in strikes]
    return math.sqrt(float(np.interp(math.log(strike), [math.log(one) for one in strikes], squares)))

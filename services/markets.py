"""What the oracles say at each step: prices from bars, and forwards, volatility and a token's price from formulas.

A bar becomes four prices a quarter of its length apart: opening, then the low and the high (high first where the bar
fell), then the close. March 2020 has no implied volatility to read, so it is a PROXY: an exponentially weighted mean of
the bars' range (Parkinson 1980), carried to each expiry as a mean-reverting variance is, with a smile in standardised
log-moneyness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.events import (
    FundingRate,
    InstrumentListed,
    OracleAssetPrice,
    OracleForward,
    OraclePrice,
    OracleVolatility,
    SettlementPrice,
)
from schemas.kinds import Kind, Settling
from schemas.limits import BASIS_POINTS, MICRO
from services.exchange import GOVERNANCE_PRICE, HOUR, SOURCES, Exchange, coin_of
from services.tables import Bar, FundingRow

POINTS: Final = 4
"""steps that a bar becomes"""
DAY: Final = 24 * HOUR
SETTLEMENT_HOUR: Final = 8 * HOUR
WINDOW: Final = HOUR
"""what a final settlement price is averaged over, microseconds"""
YEAR: Final = 365 * DAY

_HALF_LIFE: Final = 24 * HOUR
_LONG_RUN: Final = 0.75
"""volatility that the proxy starts from and that distant expiries return to"""
_REVERSION: Final = 365.0 / 2.0
"""a year's speed of that return: two days"""
_FLOOR, _CEILING = 0.30, 4.0
_SKEW, _SMILE = -0.05, 0.025
"""change of volatility per standard deviation of log-moneyness, and per its square"""
_CARRY, _CARRY_LOST = 0.06, 0.40
"""a year's carry at the opening, and how much of it a drawdown of one half takes away"""
_GOVERNANCE_BETA: Final = 1.3


class PricesUnusableError(ValueError):
    """Bars that no path of prices can be made of: what is missing."""


@dataclass(frozen=True)
class Path:
    """Prices by step: `times` [steps] microseconds, `prices` [steps, underlyings] micro-dollars (columns are underlying
    numbers), `variance` [steps, underlyings] a year's variance as the proxy estimates it from that step and before.
    """

    times: npt.NDArray[np.int64]
    prices: npt.NDArray[np.int64]
    variance: npt.NDArray[np.float64]
    stable: npt.NDArray[np.int64] | None = None
    """[steps] what USDC costs, micro-dollars; None: a dollar throughout"""

    def __len__(self) -> int:
        return len(self.times)


def openings(bars: Sequence[Bar]) -> dict[str, int]:
    """The first bar's opening of each symbol, in order of symbol, micro-dollars."""
    first: dict[str, int] = {}
    for bar in bars:
        first.setdefault(bar.symbol, bar.open)
    return dict(sorted(first.items()))


def path(bars: Sequence[Bar], venue: Exchange, stable: Sequence[Bar] = ()) -> Path:
    """The steps that bars become; `stable` are bars of USDC at the same times, or none.

    Raises PricesUnusableError where bars are too few or lie unevenly close.
    """
    by_symbol: dict[str, list[Bar]] = {one.symbol: [] for one in venue.underlyings}
    for bar in bars:
        if bar.symbol not in by_symbol:
            raise PricesUnusableError(f"{bar.symbol} is no underlying of the exchange")
        by_symbol[bar.symbol].append(bar)
    starts = [bar.ts for bar in next(iter(by_symbol.values()))]
    if len(starts) < 2 or any([bar.ts for bar in column] != starts for column in by_symbol.values()):
        raise PricesUnusableError("every underlying needs at least two bars, all at the same times")
    width = min(after - before for before, after in pairwise(starts))
    times = np.array([start + width * point // POINTS for start in starts for point in range(POINTS)], np.int64)
    prices = np.array([[point for bar in column for point in points(bar)] for column in by_symbol.values()], np.int64)
    columns = [_variance(column, width) for column in by_symbol.values()]
    if stable and [bar.ts for bar in stable] != starts:
        raise PricesUnusableError("the bars of USDC are not at the times of the others")
    dollars = np.array([point for bar in stable for point in points(bar)], np.int64) if stable else None
    return Path(times, np.ascontiguousarray(prices.T), np.ascontiguousarray(np.array(columns).T), dollars)


def points(bar: Bar) -> tuple[int, int, int, int]:
    """A bar's four prices in the order that its direction suggests."""
    if bar.close < bar.open:
        return bar.open, bar.high, bar.low, bar.close
    return bar.open, bar.low, bar.high, bar.close


def _variance(bars: Sequence[Bar], width: int) -> list[float]:
    weight = 1.0 - 0.5 ** (width / _HALF_LIFE)
    scale = YEAR / width / (4.0 * math.log(2.0))
    running = _LONG_RUN**2
    answer: list[float] = []
    for bar in bars:
        told = points(bar)
        estimate = running
        for point in range(POINTS):
            span = math.log(max(told[: point + 1]) / min(told[: point + 1]))
            estimate = running + weight * (span * span * scale - running)
            # an unfinished bar has shown only a part of its range: it may raise the estimate and not lower it
            answer.append(max(running, estimate))
        running = estimate
        answer[-1] = running
    return answer


def oracle_events(track: Path, venue: Exchange, funding: Sequence[FundingRow], step: int) -> tuple[Any, ...]:
    """Everything the oracles say at a step, in the order it enters the journal. The round's number is step + 1."""
    rates = {(row.ts, row.symbol): row.rate for row in funding}
    return (
        *_index_prices(track, venue, step),
        *_asset_prices(track, venue, step),
        *_forwards(track, venue, rates, step),
        *_volatilities(track, venue, step),
        *_funding(track, venue, rates, step),
        *_settlements(track, venue, step),
    )


def _index_prices(track: Path, venue: Exchange, step: int) -> list[OraclePrice]:
    events: list[OraclePrice] = []
    for one in venue.underlyings:
        price = int(track.prices[step, one.underlying])
        # sources agree to a basis point in a calm hour and to ten in a wild one; the last one lies between the others
        spread = max(1, price * min(20, int(math.sqrt(track.variance[step, one.underlying]) * 4)) // BASIS_POINTS // 2)
        for place, source in enumerate(SOURCES):
            told = price + (spread if (place + step) % 2 else -spread) * (place < len(SOURCES) - 1)
            events.append(
                OraclePrice(
                    underlying=one.underlying,
                    source=source,
                    round=step + 1,
                    time=int(track.times[step]),
                    price=told,
                    bid=told - spread,
                    ask=told + spread,
                )
            )
    return events


def governance_price(track: Path, step: int) -> int:
    """The governance token's price, micro-dollars: PROXY, it follows the last underlying with a beta of 1.3."""
    ratio = float(track.prices[step, -1] / track.prices[0, -1])
    return max(1, round(GOVERNANCE_PRICE * math.pow(ratio, _GOVERNANCE_BETA)))


def asset_prices(track: Path, venue: Exchange, step: int) -> dict[int, int]:
    """What one whole unit of each asset costs, micro-dollars, by asset number; USDC stands at one dollar
    where the path does not tell its price."""
    coins = {coin_of(one.underlying): int(track.prices[step, one.underlying]) for one in venue.underlyings}
    usdc = MICRO if track.stable is None else int(track.stable[step])
    stable = {venue.asset["USD"].asset: MICRO, venue.asset["USDC"].asset: usdc}
    return {**stable, **coins, venue.asset["GOV"].asset: governance_price(track, step)}


def _asset_prices(track: Path, venue: Exchange, step: int) -> list[OracleAssetPrice]:
    time = int(track.times[step])
    # the dollar is what prices are told in: nobody tells its own
    told = list(asset_prices(track, venue, step).items())[1:]
    return [OracleAssetPrice(asset=asset, round=step + 1, time=time, price=price) for asset, price in told]


def forward(track: Path, step: int, underlying: int, expiry: int) -> int:
    """An underlying's forward for an expiry, micro-dollars: PROXY, a carry that falls with the drawdown."""
    spot = float(track.prices[step, underlying])
    drawdown = min(0.5, max(0.0, 1.0 - spot / float(track.prices[0, underlying])))
    years = max(0, expiry - int(track.times[step])) / YEAR
    return round(spot * math.exp((_CARRY - _CARRY_LOST * drawdown) * years))


def perp_forward(track: Path, step: int, underlying: int, symbol: str, rates: Mapping[tuple[int, str], int]) -> int:
    """Where a perp stands, micro-dollars: PROXY, off the index by the funding rate of the interval it lies in."""
    time = int(track.times[step])
    ahead = [at for at, name in rates if name == symbol and at > time]
    rate = rates[min(ahead), symbol] if ahead else 0
    return int(track.prices[step, underlying]) * (10**9 + rate) // 10**9


def _forwards(track: Path, venue: Exchange, rates: Mapping[tuple[int, str], int], step: int) -> list[OracleForward]:
    time = int(track.times[step])
    events: list[OracleForward] = []
    for one in venue.underlyings:
        perp = perp_forward(track, step, one.underlying, one.symbol, rates)
        dated = [(expiry, forward(track, step, one.underlying, expiry)) for expiry in venue.expiries if expiry > time]
        events += [
            OracleForward(underlying=one.underlying, round=step + 1, time=time, expiry=expiry, price=price)
            for expiry, price in [(0, perp), *dated]
        ]
    return events


def volatility(track: Path, step: int, underlying: int, expiry: int, strike: int) -> int:
    """The proxy's volatility at a strike (micro-dollars) of an expiry, millionths of a year's."""
    years = max(HOUR, expiry - int(track.times[step])) / YEAR
    now, settled = float(track.variance[step, underlying]), _LONG_RUN**2
    mean = settled + (now - settled) * -math.expm1(-_REVERSION * years) / (_REVERSION * years)
    level = math.sqrt(mean)
    moneyness = math.log(strike / forward(track, step, underlying, expiry)) / (level * math.sqrt(years))
    moneyness = min(3.0, max(-3.0, moneyness))
    level *= 1.0 + _SKEW * moneyness + _SMILE * moneyness * moneyness
    return round(min(_CEILING, max(_FLOOR, level)) * MICRO)


def _volatilities(track: Path, venue: Exchange, step: int) -> list[OracleVolatility]:
    time = int(track.times[step])
    surface = sorted(
        {
            (one.underlying, one.expiry, one.strike * MICRO // one.price_scale)
            for one in venue.instruments
            if one.kind == Kind.OPTION and one.expiry > time
        }
    )
    return [
        OracleVolatility(
            underlying=underlying,
            round=step + 1,
            time=time,
            expiry=expiry,
            strike=strike,
            volatility=volatility(track, step, underlying, expiry, strike),
        )
        for underlying, expiry, strike in surface
    ]


def _funding(track: Path, venue: Exchange, rates: Mapping[tuple[int, str], int], step: int) -> list[FundingRate]:
    if step == 0:
        return []
    now, before = int(track.times[step]), int(track.times[step - 1])
    symbols = {one.underlying: one.symbol for one in venue.underlyings}
    return [
        FundingRate(instrument=one.instrument, time=now, effective=at, rate=rate)
        for (at, symbol), rate in rates.items()
        if before < at <= now
        for one in venue.instruments
        if one.kind == Kind.PERP and symbols[one.underlying] == symbol
    ]


def _settlements(track: Path, venue: Exchange, step: int) -> list[SettlementPrice]:
    if step == 0:
        return []
    now, before = int(track.times[step]), int(track.times[step - 1])
    daily = now - (now - SETTLEMENT_HOUR) % DAY
    events: list[SettlementPrice] = []
    if before < daily <= now:
        events += [
            _variation(track, one, step, daily)
            for one in venue.instruments
            if one.settling == Settling.SETTLED_TO_MARKET and one.expiry > now
        ]
    for expiry in venue.expiries:
        if before < expiry <= now:
            events += [
                _final(track, one.underlying, _price_scale(venue, one.underlying), step, expiry)
                for one in venue.underlyings
            ]
    return events


def _price_scale(venue: Exchange, underlying: int) -> int:
    return next(one.price_scale for one in venue.instruments if one.underlying == underlying and one.expiry)


def _variation(track: Path, one: InstrumentListed, step: int, at: int) -> SettlementPrice:
    return SettlementPrice(
        final=0,
        sources=len(SOURCES),
        underlying=one.underlying,
        instrument=one.instrument,
        time=int(track.times[step]),
        effective=at,
        expiry=one.expiry,
        window_start=int(track.times[step]),
        window_end=int(track.times[step]),
        price=max(1, forward(track, step, one.underlying, one.expiry) * one.price_scale // MICRO),
    )


def _final(track: Path, underlying: int, price_scale: int, step: int, expiry: int) -> SettlementPrice:
    window = (track.times > expiry - WINDOW) & (track.times <= expiry)
    if not window.any():
        window[step] = True
    mean = int(track.prices[window, underlying].sum()) * price_scale // (MICRO * int(window.sum()))
    return SettlementPrice(
        final=1,
        sources=len(SOURCES),
        underlying=underlying,
        instrument=0,
        time=int(track.times[step]),
        effective=expiry,
        expiry=expiry,
        window_start=expiry - WINDOW,
        window_end=expiry,
        price=max(1, mean),
    )

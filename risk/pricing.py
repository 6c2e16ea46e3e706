"""Marks and deltas of listed instruments: from curves in floats to columns that scenarios can be run over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.tables import I64Array
from risk.volatility import YEAR, NoForwardError, Point, surface, volatility
from schemas.events import AssetListed, InstrumentListed, UnderlyingListed
from schemas.kinds import Kind, Payoff, Right, Style
from schemas.limits import ARRAY_EXPONENT, MAX_PRICE, MICRO

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

QUANTUM: Final = MICRO << ARRAY_EXPONENT
"""quanta in a dollar: arrays and deltas count 2^-ARRAY_EXPONENT micro-dollars"""
SMALLEST_NOTIONAL: Final = 0.5e9
"""quanta: rounding is wrong by half a quantum, which must stay below 1e-9 of the notional"""
LARGEST: Final = 2**52
"""quanta: a double still tells half a quantum here, and 4.4 million dollars a lot are no lot"""
PERP: Final = 0
"""the key of the perp's forward"""


@dataclass(frozen=True, slots=True)
class Curve:
    """An underlying's market."""

    forwards: Mapping[int, float]
    """dollars by expiry (microseconds); the perp's under PERP"""
    volatilities: Sequence[Point] = ()
    """by expiry, then strike; none are needed where no option is listed"""


@dataclass(frozen=True, slots=True)
class Asset:
    """What an asset is worth and what moves it."""

    price: float
    """dollars for one whole unit"""
    decimals: int
    underlying: int | None = None
    """the underlying whose scenarios move it: an asset whose symbol is an underlying's"""


class Priced(NamedTuple):
    """Instruments priced at one time, one row each."""

    instrument: I64Array
    """[n] number"""
    underlying: I64Array
    """[n]"""
    mark: I64Array
    """[n] ticks"""
    delta: I64Array
    """[n] dollar delta per lot, quanta: the gain if the price doubled along its slope today"""
    option: BoolArray
    inverse: BoolArray
    paid: BoolArray
    """[n] a premium style option: all of it is held, not only its gain"""
    moved: BoolArray
    """[n] the settlement asset moves with the underlying"""
    scale: FloatArray
    """[n] ticks in a dollar"""
    reference: FloatArray
    """[n] ticks: what losses are measured from"""
    value: FloatArray
    """[n] quanta: what a tick is worth now (LINEAR, QUANTO, SPOT), or the contract at a price of one tick (INVERSE)"""
    forward: FloatArray
    """[n] dollars"""
    call: BoolArray
    strike: FloatArray
    """[n] dollars; 1 for what is no option"""
    expiry: I64Array
    """[n] microseconds"""
    volatility: FloatArray
    """[n] 0 for what is no option"""
    time: int
    """microseconds"""


class NoCurveError(ValueError):
    """An instrument whose underlying has no curve."""

    def __init__(self, symbol: str, underlying: int) -> None:
        super().__init__(f"{symbol}: underlying {underlying} has no curve")


class NoAssetError(ValueError):
    """An instrument settled in, or moving, an asset without a price."""

    def __init__(self, symbol: str, asset: int) -> None:
        super().__init__(f"{symbol}: asset {asset} has no price")


class NotPositiveError(ValueError):
    """A price that is zero, negative or not finite."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"{what} is {value}: must be positive and finite")


class InverseOptionError(ValueError):
    """An option with the INVERSE payoff: its price is no divisor."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol}: an option cannot be INVERSE")


class MarkOutOfRangeError(ValueError):
    """A mark below one tick or above MAX_PRICE."""

    def __init__(self, symbol: str, ticks: float) -> None:
        super().__init__(f"{symbol}: a mark of {ticks} ticks, 1 to {MAX_PRICE} can be told")
        self.symbol = symbol


class LotTooSmallError(ValueError):
    """A lot worth so little that half a quantum is more than 1e-9 of it."""

    def __init__(self, symbol: str, dollars: float) -> None:
        least = SMALLEST_NOTIONAL / QUANTUM
        super().__init__(f"{symbol}: a lot is worth {dollars:.6g} dollars, arrays need at least {least:.6g}")
        self.symbol = symbol


class LotTooLargeError(ValueError):
    """A lot worth more than an array can tell."""

    def __init__(self, symbol: str, dollars: float) -> None:
        super().__init__(f"{symbol}: a lot is worth {dollars:.6g} dollars, arrays hold {LARGEST / QUANTUM:.6g}")
        self.symbol = symbol


def assets_of(
    assets: Iterable[AssetListed], underlyings: Iterable[UnderlyingListed], prices: Mapping[int, float]
) -> dict[int, Asset]:
    """Listed assets with their prices (dollars by asset number); those with an underlying's symbol move with it.

    An asset without a price is left out: what needs it is refused by name in `price`.
    """
    moves = {one.symbol: one.underlying for one in underlyings}
    return {
        one.asset: Asset(prices[one.asset], one.decimals, moves.get(one.symbol))
        for one in assets
        if one.asset in prices
    }


def price(
    instruments: Sequence[InstrumentListed], curves: Mapping[int, Curve], assets: Mapping[int, Asset], time: int
) -> Priced:
    """Marks, deltas and what scenarios need, in the instruments' order; `curves` by underlying, `assets` by number.

    The price of a SPOT is its base asset's, a PERP's and FUTURE's its forward, an OPTION's Black-76 on the forward of
    its expiry at the surface's volatility of its strike, undiscounted (margined in the asset it settles in).

    A mark is rounded half to even. An option's is its time value so rounded, at least one tick, plus its intrinsic
    value against the rounded forward: so put-call parity holds between marks exactly, no combination of call, put and
    future has a value of its own, and the mark lies within a tick of the model. One tick at least, because a mark of
    nothing could be neither auctioned nor deleveraged at (a price of zero is refused); losses are measured from the
    mark, so a long one's tick is taken back in every scenario.

    Raises NoCurveError, NoForwardError, NoAssetError, NotPositiveError, InverseOptionError, MarkOutOfRangeError,
    LotTooSmallError, LotTooLargeError and, for options, what `risk.volatility.surface` raises.
    """
    for one in instruments:
        _complete(one, curves, assets)
    kind = np.array([one.kind for one in instruments], np.int64)
    option, spot = kind == Kind.OPTION, kind == Kind.SPOT
    inverse = np.array([one.payoff == Payoff.INVERSE for one in instruments], np.bool_)
    scale = np.array([one.price_scale for one in instruments], np.float64)
    forward = np.array([_forward(one, curves, assets) for one in instruments], np.float64)
    expiry = np.array([one.expiry for one in instruments], np.int64)
    strike_ticks = np.array([one.strike for one in instruments], np.int64)
    strike = np.where(option, strike_ticks / scale, 1.0)
    call = np.array([one.right == Right.CALL for one in instruments], np.bool_)
    value = np.array([_value(one, assets) * QUANTUM for one in instruments], np.float64)
    settled = [assets[one.settlement_asset].underlying == one.underlying for one in instruments]
    moved = np.array(settled, np.bool_) & ~spot
    paid = np.array([one.kind == Kind.OPTION and one.style == Style.PREMIUM for one in instruments], np.bool_)
    underlying = np.array([one.underlying for one in instruments], np.int64)

    years = np.maximum(expiry - time, 0) / YEAR
    volatilities = np.zeros(len(instruments))
    for number in np.unique(underlying[option]):
        curve, rows = curves[int(number)], option & (underlying == number)
        points = surface(curve.volatilities, curve.forwards, time)
        volatilities[rows] = volatility(points, years[rows], np.log(strike[rows] / forward[rows]))

    whole = np.rint(forward * scale)
    mark, slope = whole.copy(), forward * scale
    if np.any(option):
        f, k, v, t, s = (column[option] for column in (forward, strike, volatilities, years, scale))
        greeks = black76.greeks(call[option], f, k, v, t)
        intrinsic = np.maximum(np.where(call[option], f - k, k - f), 0.0)
        ahead = np.where(call[option], 1.0, -1.0) * (whole[option] - strike_ticks[option])
        mark[option] = np.maximum(np.rint((greeks.price - intrinsic) * s), 1.0) + np.maximum(ahead, 0.0)
        # a premium held in a coin that moves along gains the coin's move too
        slope[option] = s * (greeks.delta * f + np.where(paid & moved, 1.0, 0.0)[option] * greeks.price)
    exposure = np.where(inverse, value / np.maximum(whole, 1.0), forward * scale * value)
    delta = np.where(inverse, exposure, slope * value)

    for bad, error, figure in (
        ((mark < 1) | (mark > MAX_PRICE), MarkOutOfRangeError, mark),
        (exposure < SMALLEST_NOTIONAL, LotTooSmallError, exposure / QUANTUM),
        (np.maximum(np.abs(delta), exposure) > LARGEST, LotTooLargeError, exposure / QUANTUM),
    ):
        if np.any(bad):
            first = int(np.argmax(bad))
            raise error(instruments[first].symbol, float(figure[first]))

    # collateral is valued at its asset's recorded price, micro-dollars a unit, so a SPOT's loss is measured from that
    reference = np.where(spot, np.rint(forward * MICRO) / MICRO * scale, mark)
    return Priced(
        np.array([one.instrument for one in instruments], np.int64),
        underlying,
        mark.astype(np.int64),
        np.rint(delta).astype(np.int64),
        option,
        inverse,
        paid,
        moved,
        scale,
        reference,
        value,
        forward,
        call,
        strike,
        expiry,
        volatilities,
        time,
    )


def _complete(one: InstrumentListed, curves: Mapping[int, Curve], assets: Mapping[int, Asset]) -> None:
    if one.underlying not in curves:
        raise NoCurveError(one.symbol, one.underlying)
    for asset in (one.settlement_asset, one.base_asset) if one.kind == Kind.SPOT else (one.settlement_asset,):
        if asset not in assets:
            raise NoAssetError(one.symbol, asset)
        if not (math.isfinite(assets[asset].price) and assets[asset].price > 0.0):
            raise NotPositiveError(f"{one.symbol}: the price of asset {asset}", assets[asset].price)
    if one.kind == Kind.OPTION and one.payoff == Payoff.INVERSE:
        raise InverseOptionError(one.symbol)


def _forward(one: InstrumentListed, curves: Mapping[int, Curve], assets: Mapping[int, Asset]) -> float:
    if one.kind == Kind.SPOT:
        return assets[one.base_asset].price
    key = PERP if one.kind == Kind.PERP else one.expiry
    forwards = curves[one.underlying].forwards
    if key not in forwards:
        raise NoForwardError(key)
    if not (math.isfinite(forwards[key]) and forwards[key] > 0.0):
        raise NotPositiveError(f"{one.symbol}: the forward", forwards[key])
    return forwards[key]


def _value(one: InstrumentListed, assets: Mapping[int, Asset]) -> float:
    """Dollars: of a tick of a lot, or of an INVERSE lot's contract at a price of one tick."""
    if one.kind == Kind.SPOT:
        # a lot moves base units, so its worth is theirs times the price, whatever the settlement asset
        return one.lot_size / float(10 ** assets[one.base_asset].decimals) / one.price_scale
    asset = assets[one.settlement_asset]
    units = one.contract_value if one.payoff == Payoff.INVERSE else one.tick_value
    return units / float(10**asset.decimals) * asset.price

"""A priced market as events: marks of assets, underlyings and instruments, risk arrays, and the row closing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from risk.market_digest import market_digest
from risk.pricing import Priced
from risk.tables import I64Array
from schemas.events import EVENTS, AssetMark, InstrumentMark, MarketClosed, RiskArray, UnderlyingMark
from schemas.limits import MAX_ASSET_PRICE, MAX_ENTRY_BYTES, MAX_RUN_ROWS, MAX_SCENARIOS, MICRO
from schemas.wire import Run, runs_of

WIDTH: Final = 16
"""scenarios in one RiskArray row"""
_ROOM: Final = 1024
"""bytes of an entry kept for headers"""


class ProfileArrays(NamedTuple):
    """The risk arrays of one profile."""

    profile: int
    instrument: I64Array
    """[n] number"""
    losses: I64Array
    """[n, scenarios] quanta, as `risk.arrays.risk_arrays` gives them"""


class FactOutOfRangeError(ValueError):
    """A figure that no market fact can carry: which, of what, and its value."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"{what} = {value} is out of range")


def market_facts(
    market: int,
    assets: Mapping[int, float],
    underlyings: Mapping[int, float],
    priced: Priced,
    arrays: Sequence[ProfileArrays],
) -> tuple[Run, ...]:
    """Market number `market` as runs: AssetMark, UnderlyingMark, InstrumentMark, RiskArray, MarketClosed last.

    Array rows go by profile, instrument, first scenario; an instrument's last row is padded with zeros. Prices are
    dollars by number, of a whole unit, rounded half to even to micro-dollars. Each run fits an entry of its own; an
    entry may hold several.

    Raises FactOutOfRangeError: a price outside [1 micro-dollar, MAX_ASSET_PRICE], arrays without scenarios or with more
    than MAX_SCENARIOS.
    """
    facts = [
        *_chunked(AssetMark, _prices(AssetMark, "asset", market, assets)),
        *_chunked(UnderlyingMark, _prices(UnderlyingMark, "underlying", market, underlyings)),
    ]
    marks = _rows(InstrumentMark, len(priced.instrument), market)
    marks["instrument"], marks["mark"], marks["delta"] = priced.instrument, priced.mark, priced.delta
    facts += _chunked(InstrumentMark, marks)
    for one in arrays:
        facts += _chunked(RiskArray, _array_rows(market, one))
    closed = MarketClosed(market=market, rows=sum(len(run.rows) for run in facts), digest=market_digest(facts))
    return (*facts, *runs_of(EVENTS, [closed]))


def _rows(kind: type[Any], count: int, market: int) -> np.ndarray[Any, np.dtype[Any]]:
    rows = np.zeros(count, EVENTS.by_class[kind].dtype)
    rows["market"] = market
    return rows


def _prices(kind: type[Any], key: str, market: int, prices: Mapping[int, float]) -> np.ndarray[Any, np.dtype[Any]]:
    rows = _rows(kind, len(prices), market)
    rows[key] = sorted(prices)
    for row, number in zip(rows, sorted(prices), strict=True):
        micro = np.rint(prices[number] * MICRO)
        if not 1 <= micro <= MAX_ASSET_PRICE:
            raise FactOutOfRangeError(f"price of {key} {number}", prices[number])
        row["price"] = int(micro)
    return rows


def _array_rows(market: int, one: ProfileArrays) -> np.ndarray[Any, np.dtype[Any]]:
    instruments, scenarios = one.losses.shape
    if not 0 < scenarios <= MAX_SCENARIOS:
        raise FactOutOfRangeError(f"scenarios of profile {one.profile}", scenarios)
    pieces = -(-scenarios // WIDTH)
    padded = np.zeros((instruments, pieces * WIDTH), np.int64)
    padded[:, :scenarios] = one.losses
    rows = _rows(RiskArray, instruments * pieces, market)
    rows["profile"] = one.profile
    rows["first"] = np.tile(np.arange(pieces) * WIDTH, instruments)
    rows["instrument"] = np.repeat(one.instrument, pieces)
    rows["losses"] = padded.reshape(-1, WIDTH)
    return rows


def _chunked(kind: type[Any], rows: np.ndarray[Any, np.dtype[Any]]) -> list[Run]:
    message = EVENTS.by_class[kind]
    most = min(MAX_RUN_ROWS, (MAX_ENTRY_BYTES - _ROOM) // message.dtype.itemsize)
    rows.flags.writeable = False
    return [Run(message, rows[first : first + most]) for first in range(0, len(rows), most)]

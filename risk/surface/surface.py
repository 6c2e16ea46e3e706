"""An underlying's whole surface: calibrated expiry by expiry and checked, of one piece where that fails; and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.margin.book import Svi
from risk.surface import ssvi
from risk.surface.arbitrage import Breach, alone, breaches, calendar
from risk.surface.fitting import FEWEST, Data, Quote, data_of, fit, lifted
from risk.surface.svi import variance

FloatArray = npt.NDArray[np.float64]

_ROOMS: Final = (1e-4, 1e-3, 5e-3, 2e-2, 5e-2)
"""how far the walls keep a slice off, tried in this order until its check finds nothing"""
_SMALL: Final = 2e-3
"""a dip below the slice before, as a part of the variance at the money, that is lifted away"""


class Method(StrEnum):
    """How a surface was come by."""

    SVI = "svi"
    """a slice an expiry, checked"""
    SVI_HELD = "svi, walls moved"
    """the same, where a first fit failed its check and was made again farther from the walls"""
    SSVI = "ssvi"
    """one law for all expiries, since the slices could not be made free of arbitrage"""


class Surface(NamedTuple):
    """The slices of one underlying, nearest expiry first, and what is known of them."""

    time: int
    """microseconds: the moment of the quotes"""
    expiries: tuple[int, ...]
    slices: tuple[Svi, ...]
    method: Method
    left_out: Mapping[int, str]
    """expiries without a slice, and why"""
    ssvi: ssvi.Ssvi | None = None
    """the one-piece fit beside the slices, where it was made"""


class Outside(NamedTuple):
    """A quote the surface does not meet: the model's volatility and price, and the bid and ask it lies outside of."""

    instrument: str
    volatility: float
    price: float
    bid: float
    ask: float


class Fit(NamedTuple):
    """How well a surface meets two-sided quotes."""

    quotes: int
    within: int
    outside: tuple[Outside, ...]

    @property
    def share(self) -> float:
        """The part within bid and ask; 1 where nothing is quoted."""
        return self.within / self.quotes if self.quotes else 1.0


class NoExpiries(ValueError):  # noqa: N818 - named for what is found
    """Not one expiry has quotes enough for a smile."""


class ArbitrageLeft(ValueError):  # noqa: N818
    """A surface that should be free of arbitrage and is not: what was found."""


def calibrated(quotes: Mapping[int, Sequence[Quote]], forwards: Mapping[int, float], time: int, year: int) -> Surface:
    """The surface through these quotes, by expiry (microseconds; `year` is how many of them make a year).

    Slices are fitted from the nearest expiry on, each above the one before, and checked on a dense grid. One that fails
    is fitted again farther from the walls; where that does not help the whole surface is SSVI, whose parameters leave
    no arbitrage.
    Raises NoExpiries, ArbitrageLeft (never met on real chains).
    """
    data: dict[int, Data] = {}
    left_out: dict[int, str] = {}
    for expiry in sorted(quotes):
        one = data_of(quotes[expiry], (expiry - time) / year) if expiry > time else None
        if one is None:
            left_out[expiry] = "expired"
        elif len(one.k) + len(one.anchor_k) < FEWEST:
            left_out[expiry] = f"{len(one.k)} two-sided quotes"
        else:
            data[expiry] = one
    if not data:
        raise NoExpiries(f"{len(quotes)} expiries, none with {FEWEST} quotes")
    at = [forwards[expiry] for expiry in data]
    made = _in_turn(list(data.values()), at)
    if made is not None and not breaches(made[0], _reach(list(data.values()))):
        return Surface(time, tuple(data), made[0], Method.SVI_HELD if made[1] else Method.SVI, left_out)
    return one_piece(quotes, forwards, time, year)


def one_piece(quotes: Mapping[int, Sequence[Quote]], forwards: Mapping[int, float], time: int, year: int) -> Surface:
    """The SSVI surface through these quotes; arguments and errors as in `calibrated`."""
    data = {expiry: data_of(quotes[expiry], (expiry - time) / year) for expiry in sorted(quotes) if expiry > time}
    enough = {expiry: one for expiry, one in data.items() if len(one.k) + len(one.anchor_k) >= FEWEST}
    if not enough:
        raise NoExpiries(f"{len(quotes)} expiries, none with {FEWEST} quotes")
    at = [forwards[expiry] for expiry in enough]
    level = [_at_the_money(one) for one in enough.values()]
    law = ssvi.fit(list(enough.values()), at, level)
    slices = ssvi.slices(law, at, [one.years for one in enough.values()])
    found = breaches(slices, _reach(list(enough.values())))
    if found:
        raise ArbitrageLeft(f"{law}: {found[0]}")
    short = {expiry: "too few quotes" for expiry in quotes if expiry not in enough}
    return Surface(time, tuple(enough), slices, Method.SSVI, short, law)


def checked(surface: Surface, reach: float = 0.5) -> list[Breach]:
    """The arbitrages of a surface, as `risk.surface.arbitrage.breaches` finds them; none for a calibrated one."""
    return breaches(surface.slices, reach)


def total_variance(surface: Surface, years: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
    """Total variance at times to expiry and log-moneyness (broadcast).

    Between two expiries linear in time at the same k, so it rises with time as the slices do; before the first and
    after the last the volatility at that k is theirs.
    """
    t, at = np.broadcast_arrays(np.asarray(years, np.float64), np.asarray(k, np.float64))
    ends = np.array([one.tau for one in surface.slices])
    every = np.stack([variance(one, at) for one in surface.slices])
    after = np.clip(np.searchsorted(ends, t), 0, len(ends) - 1)
    before = np.where((t < ends[after]) & (after > 0), after - 1, after)
    low = np.take_along_axis(every, before[None], 0)[0]
    high = np.take_along_axis(every, after[None], 0)[0]
    start, end = ends[before], ends[after]
    between = after > before
    part = np.divide(t - start, end - start, out=np.zeros(t.shape), where=between)
    return np.asarray(np.where(between, low + (high - low) * part, low * (t / start)))


def volatility(surface: Surface, years: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
    """Volatility at times to expiry (positive) and log-moneyness, as `total_variance` gives it."""
    return np.asarray(np.sqrt(total_variance(surface, years, k) / np.asarray(years, np.float64)))


def measured(surface: Surface, quotes: Mapping[int, Sequence[Quote]]) -> Fit:
    """How the surface's prices stand to the two-sided quotes of its expiries, the ones outside listed."""
    count = 0
    outside: list[Outside] = []
    for expiry, one in zip(surface.expiries, surface.slices, strict=True):
        both = [quote for quote in quotes[expiry] if quote.two_sided]
        for quote in both:
            total = float(variance(one, np.array([np.log(quote.strike / quote.forward)]))[0])
            price = float(black76.price(quote.call, quote.forward, quote.strike, np.sqrt(total), 1.0))
            count += 1
            if not quote.bid <= price <= quote.ask:
                outside.append(Outside(quote.instrument, float(np.sqrt(total / one.tau)), price, quote.bid, quote.ask))
    return Fit(count, count - len(outside), tuple(outside))


def _in_turn(data: Sequence[Data], forwards: Sequence[float]) -> tuple[tuple[Svi, ...], bool] | None:
    """Slices each above the one before, and whether walls had to be moved; None where one cannot be made so."""
    slices: list[Svi] = []
    quoted = _reach(data)
    moved = False
    for number, (one, forward) in enumerate(zip(data, forwards, strict=True)):
        below = slices[-1] if slices else None
        made: Svi | None = None
        for room in _ROOMS:
            made = _raised(fit(one, forward, quoted, below, room, made), below, number, quoted)
            if not _wrong(made, below, number, quoted):
                break
            moved = True
        else:
            return None
        slices.append(made)
    return tuple(slices), moved


def _raised(svi: Svi, below: Svi | None, number: int, quoted: float) -> Svi:
    """The slice lifted over the one before it where it dips below by a part of itself too small to matter."""
    dips = [one.by for one in calendar(below, svi, number, quoted) if one.kind == "calendar"] if below else []
    level = float(variance(svi, np.zeros(1))[0])
    if not dips or dips[0] > _SMALL * level:
        return svi
    # a little more: between the check's points it may dip deeper
    return lifted(svi, 1.05 * dips[0] + 1e-6 * level)


def _wrong(svi: Svi, below: Svi | None, number: int, quoted: float) -> list[Breach]:
    return alone(svi, number, quoted) + (calendar(below, svi, number, quoted) if below else [])


def _reach(data: Sequence[Data]) -> float:
    return max(float(np.max(np.abs(np.concatenate([one.k, one.anchor_k])))) for one in data)


def _at_the_money(data: Data) -> float:
    k, points = data.anchor_k, data.anchor
    if not len(k):
        return 0.36 * data.years
    return float(points[int(np.argmin(np.abs(k)))] ** 2 * data.years)

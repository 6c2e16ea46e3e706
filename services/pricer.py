"""The pricer: from oracle values that the fold accepted to a market's facts. Here floats propose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ledger.oracle import forward_age, volatility_age
from ledger.state import Life, State
from risk.arrays import Ranges, delta_rows, risk_arrays
from risk.feeds import aged
from risk.market_facts import ProfileArrays, market_facts
from risk.pricing import (
    Asset,
    Curve,
    LotTooLargeError,
    LotTooSmallError,
    MarkOutOfRangeError,
    Priced,
    assets_of,
    price,
)
from risk.profile import Profile, parse_profile
from risk.scenarios import Scenario
from risk.volatility import Point
from schemas.defaults import HOUR
from schemas.events import EVENTS, InstrumentListed, ProfilePublished
from schemas.kinds import Kind, Parameter
from schemas.limits import BASIS_POINTS, MICRO
from schemas.wire import Run, message_of


def priceable(state: State, time: int) -> list[InstrumentListed]:
    """The instruments a market at this time can price: alive, and every value they need accepted once."""
    facts = state.facts
    out = []
    for number, listed in sorted(facts.instruments.items()):
        key = (listed.underlying, listed.expiry)
        if state.life[number] in (Life.EXPIRED, Life.SETTLED) or (listed.expiry and listed.expiry <= time):
            continue
        if listed.underlying not in facts.oracle:
            continue
        if listed.kind != Kind.SPOT and key not in facts.forwards:
            continue
        if listed.kind == Kind.OPTION and key not in facts.volatilities:
            continue
        needed = {listed.settlement_asset} | ({listed.base_asset} if listed.kind == Kind.SPOT else set())
        if not needed - {0} <= facts.asset_prices.keys():
            continue
        out.append(listed)
    return out


def profiles_at(state: State, time: int) -> dict[int, Profile]:
    """The margin profiles in force at a mark of this time, those that take effect with it included."""
    profiles = dict(state.facts.profiles)
    message = EVENTS.by_class[ProfilePublished]
    ripe = sorted(
        (item for item in state.facts.scheduled if item[1] == message.template and item[0] <= time),
        key=lambda item: item[0],
    )
    for _, _, row in ripe:
        event: Any = message_of(message, np.frombuffer(row, message.dtype)[0])
        text = state.facts.profile_pending.get((event.profile, event.digest))
        if text is not None:
            profiles[event.profile] = parse_profile(text)
    return profiles


def market(state: State, number: int, time: int) -> tuple[Run, ...]:
    """The facts of market `number` at a time: marks, prices and every profile's risk arrays, closed by their hash.

    A pure function of the facts the fold knows. An instrument that has no mark or array at these prices is left out.
    Raises what else `risk.pricing` and `risk.arrays` raise where a value is impossible.
    """
    facts = state.facts
    prices = {asset: micro / MICRO for asset, micro in facts.asset_prices.items()} | {0: 1.0}
    assets = assets_of(facts.assets.values(), facts.underlyings.values(), prices)
    instruments = priceable(state, time)
    curves = {}
    for underlying in facts.underlyings:
        points = [
            Point(expiry, strike / MICRO, volatility / MICRO)
            for (u, expiry), smile in sorted(facts.volatilities.items())
            if u == underlying and expiry > time
            for strike, volatility in sorted(smile.items())
        ]
        forwards = {expiry: micro / MICRO for (u, expiry), micro in facts.forwards.items() if u == underlying}
        curves[underlying] = Curve(forwards, points)
    priced = _priced(instruments, curves, assets, time)
    symbols = {number: listed.symbol for number, listed in facts.underlyings.items()}
    arrays = []
    wider = {underlying: doubts(state, underlying, time) for underlying in symbols}
    for profile_number, profile in sorted(profiles_at(state, time).items()):
        scenarios = profile.scenarios()
        ranges = {u: _ranges(profile, symbol, wider[u], scenarios) for u, symbol in symbols.items()}
        if profile.linear:
            losses = delta_rows(priced, scenarios, ranges)
        else:
            losses = risk_arrays(priced, scenarios, ranges, profile.look_ahead * HOUR)
        arrays.append(ProfileArrays(profile_number, priced.instrument, losses))
    underlying_prices = {u: micro / MICRO for u, (micro, _) in facts.oracle.items()}
    return market_facts(number, prices, underlying_prices, priced, arrays)


def _priced(
    instruments: list[InstrumentListed], curves: Mapping[int, Curve], assets: Mapping[int, Asset], time: int
) -> Priced:
    """All that can be priced: what no mark or array can tell is left out and opens no risk, the rest must go on."""
    while True:
        try:
            return price(instruments, curves, assets, time)
        except (MarkOutOfRangeError, LotTooSmallError, LotTooLargeError) as error:
            instruments = [one for one in instruments if one.symbol != error.symbol]


class Doubts(NamedTuple):
    """What is not known of an underlying widens its scan ranges."""

    price: float
    """its price range is multiplied by this, for the age of its price and forwards"""
    volatility: float
    """its volatility range, for the age of its surface"""
    uncertainty: float
    """then added to its price range: how far from the price its feeds' quotes reach, as a part of it"""


def doubts(state: State, underlying: int, time: int) -> Doubts:
    """What widens an underlying's scan ranges at a time (microseconds): the oldest of what its instruments rest on.

    Ranges grow by ORACLE_WIDENING in proportion to age from half the age limit to the limit (`risk.feeds.aged`).
    """
    facts = state.facts
    price = (
        aged(time - facts.oracle[underlying][1], state.parameter(Parameter.ORACLE_MAX_AGE))
        if (underlying in facts.oracle)
        else 0
    )
    forwards = _oldest(facts.forwards, underlying, time, partial(forward_age, state))
    surfaces = _oldest(facts.volatilities, underlying, time, partial(volatility_age, state))
    curve = aged(forwards, state.parameter(Parameter.ORACLE_FORWARD_AGE))
    surface = aged(surfaces, state.parameter(Parameter.ORACLE_VOLATILITY_AGE))
    most = state.parameter(Parameter.ORACLE_WIDENING) / BASIS_POINTS
    doubt = facts.uncertainty.get(underlying, 0)
    return Doubts(
        1.0 + most * max(price, curve) / BASIS_POINTS,
        1.0 + most * surface / BASIS_POINTS,
        doubt / facts.oracle[underlying][0] if doubt else 0.0,
    )


def _oldest(told: Iterable[tuple[int, int]], underlying: int, time: int, age: Callable[[int, int, int], int]) -> int:
    """Of an underlying's expiries that are still to come, the undated one among them."""
    return max((age(u, expiry, time) for u, expiry in told if u == underlying and not 0 < expiry <= time), default=0)


def _ranges(profile: Profile, symbol: str, wider: Doubts, scenarios: Sequence[Scenario]) -> Ranges:
    risk = profile.underlying(symbol)
    price, volatility = risk.price_scan / BASIS_POINTS, risk.vol_scan / BASIS_POINTS
    # No doubt takes a price to nothing: a range stops where the furthest scenario leaves a hundredth of it.
    most = min(((0.99 + one.move) / -one.scans for one in scenarios if one.scans < 0.0), default=math.inf)
    wide = min(price * wider.price + wider.uncertainty, max(price, most))
    return Ranges(wide, volatility * wider.volatility)

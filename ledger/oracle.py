"""Oracle values in the fold: what is believed of a price, a forward, a volatility and an asset's worth, and what their
age, their doubt and a lost peg stop. `docs/oracle.md` says it in words.

Every guard but the first price's is off until a parameter switches it on; what only a guard needs is kept only then.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from ledger.outbox import Outbox
from ledger.state import State
from risk import feeds
from risk.feeds import Feed, Rules, Verdict, strays
from risk.oracle import Bounds, Good, Tick, guard
from schemas import events as e
from schemas.kinds import Kind, Parameter, Reason
from schemas.limits import BASIS_POINTS, MAX_ASSET_PRICE, MAX_TIME, MICRO
from schemas.outcomes import OracleAccepted

_MAX_VOLATILITY: Final = 100 * MICRO


class Told(IntEnum):
    """What an age is kept of, besides prices of underlyings."""

    FORWARD = 0
    VOLATILITY = 1
    ASSET = 2


AGES: Final = {
    Parameter.ORACLE_FORWARD_AGE: Told.FORWARD,
    Parameter.ORACLE_VOLATILITY_AGE: Told.VOLATILITY,
    Parameter.ORACLE_ASSET_AGE: Told.ASSET,
}
"""The parameter that switches each age on."""
_LIMIT: Final = {told: parameter for parameter, told in AGES.items()}


# --- what is told -----------------------------------------------------------------------------------------------------


def oracle_price(state: State, event: e.OraclePrice, out: Outbox) -> Reason:
    """Take a source's price if the guard lets it pass; else the last good one stays until its age limit.

    Where ORACLE_MIN_FEEDS is set the tick is heard as its feed's last word, and the price is what the feeds agree on.
    """
    listed = state.facts.underlyings.get(event.underlying)
    if listed is None:
        return Reason.UNKNOWN_UNDERLYING
    last = state.facts.oracle.get(event.underlying)
    if not 0 <= event.time <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    # Lateness is judged source by source, deviation against the underlying's last good price of any source.
    if event.time <= state.facts.sources.get((event.underlying, event.source), -1):
        return Reason.ORACLE_LATE
    tick = Tick(event.price, event.bid, event.ask, event.time)
    if state.parameter(Parameter.ORACLE_MIN_FEEDS, event.underlying):
        return _heard(state, event, tick, out)
    good = Good(last[0], min(last[1], event.time - 1)) if last is not None else None
    if reason := guard(good, tick, _bounds(state, event.underlying), state.time):
        return reason
    state.facts.sources[(event.underlying, event.source)] = event.time
    if last is not None and event.time < last[1]:
        return Reason.NONE  # its source is heard, but another one's price is newer
    _accept(state, event, event.price, event.time, out)
    return Reason.NONE


def _heard(state: State, event: e.OraclePrice, tick: Tick, out: Outbox) -> Reason:
    """Keep a feed's word; the price moves where the feeds agree, not back in time and not by a jump."""
    facts, underlying = state.facts, event.underlying
    if (underlying, event.source) not in facts.weights:
        return Reason.ORACLE_UNKNOWN_FEED
    if reason := guard(None, tick, _bounds(state, underlying), state.time):
        return reason
    widest = state.parameter(Parameter.ORACLE_MAX_UNCERTAINTY, underlying)
    if widest and (tick.ask - tick.bid) * BASIS_POINTS > 2 * widest * tick.price:
        return Reason.ORACLE_UNCERTAIN
    facts.sources[(underlying, event.source)] = event.time
    facts.feeds[(underlying, event.source)] = tick
    agreed = verdict(state, underlying, state.time).agreed
    last = facts.oracle.get(underlying)
    if agreed is None or (last is not None and agreed.time < last[1]) or _jumps(state, underlying, agreed):
        return Reason.NONE
    facts.uncertainty[underlying] = agreed.uncertainty
    _accept(state, event, agreed.price, agreed.time, out)
    return Reason.NONE


def verdict(state: State, underlying: int, now: int) -> Verdict:
    """What an underlying's feeds agree on at a time (microseconds), and which of them do not count and why."""
    weights = state.facts.weights
    told = {
        source: Feed(*said, weights[(number, source)])
        for (number, source), said in state.facts.feeds.items()
        if number == underlying and (number, source) in weights
    }
    rules = Rules(
        state.parameter(Parameter.ORACLE_MIN_FEEDS, underlying),
        state.parameter(Parameter.ORACLE_FEED_DEVIATION, underlying),
        state.parameter(Parameter.ORACLE_MAX_AGE),
    )
    return feeds.agree(told, rules, now)


def _bounds(state: State, underlying: int) -> Bounds:
    listed = state.facts.underlyings[underlying]
    return Bounds(
        listed.lowest,
        listed.highest,
        state.parameter(Parameter.ORACLE_MAX_DEVIATION),
        state.parameter(Parameter.ORACLE_MAX_AGE),
    )


def _jumps(state: State, underlying: int, agreed: feeds.Agreed) -> bool:
    """Whether the agreed price is further from the last good one than is believed while that is fresh."""
    last = state.facts.oracle.get(underlying)
    if last is None:
        return False
    tick = Tick(agreed.price, agreed.price, agreed.price, agreed.time)
    good = Good(last[0], min(last[1], agreed.time - 1))
    return guard(good, tick, _bounds(state, underlying), agreed.time) != Reason.NONE


def _accept(state: State, event: e.OraclePrice, price: int, time: int, out: Outbox) -> None:
    state.facts.oracle[event.underlying] = (price, time)
    if state.shard == 0:
        out.emit(OracleAccepted(index=out.index, underlying=event.underlying, round=event.round, price=price))


def oracle_volatility(state: State, event: e.OracleVolatility, out: Outbox) -> Reason:
    """Take a point of an implied volatility surface."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if not 0 < event.volatility <= _MAX_VOLATILITY or not 0 < event.strike <= MAX_ASSET_PRICE:
        return Reason.ORACLE_OUT_OF_BOUNDS
    if event.expiry <= state.time or event.expiry not in state.facts.buckets.get(event.underlying, []):
        return Reason.ORACLE_LATE
    smile = state.facts.volatilities.get((event.underlying, event.expiry), {})
    key = (Told.VOLATILITY, event.underlying, event.expiry)
    known = smile.get(event.strike)
    believed = known if _fresh(state, key) else None
    if reason := _timely(state, key, event.time, believed, event.volatility, Parameter.ORACLE_VOLATILITY_DEVIATION):
        return reason
    state.facts.volatilities.setdefault((event.underlying, event.expiry), {})[event.strike] = event.volatility
    return Reason.NONE


def oracle_forward(state: State, event: e.OracleForward, out: Outbox) -> Reason:
    """Take a forward; expiry 0 is the perp's."""
    listed = state.facts.underlyings.get(event.underlying)
    if listed is None:
        return Reason.UNKNOWN_UNDERLYING
    if not listed.lowest <= event.price <= listed.highest:
        return Reason.ORACLE_OUT_OF_BOUNDS
    if event.expiry and (
        event.expiry <= state.time or event.expiry not in state.facts.buckets.get(event.underlying, [])
    ):
        return Reason.ORACLE_LATE
    key = (Told.FORWARD, event.underlying, event.expiry)
    anchor = state.facts.oracle.get(event.underlying, (None, 0))[0]
    if reason := _timely(state, key, event.time, anchor, event.price, Parameter.ORACLE_FORWARD_DEVIATION):
        return reason
    state.facts.forwards[(event.underlying, event.expiry)] = event.price
    return Reason.NONE


def oracle_asset_price(state: State, event: e.OracleAssetPrice, out: Outbox) -> Reason:
    """Take an asset's price; the dollar's is fixed."""
    if event.asset not in state.facts.assets or event.asset == 0:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.price <= MAX_ASSET_PRICE:
        return Reason.ORACLE_OUT_OF_BOUNDS
    key = (Told.ASSET, event.asset, 0)
    anchor = _asset_anchor(state, event.asset)
    if reason := _timely(state, key, event.time, anchor, event.price, Parameter.ORACLE_ASSET_DEVIATION):
        return reason
    state.facts.asset_prices[event.asset] = event.price
    return Reason.NONE


def _asset_anchor(state: State, asset: int) -> int | None:
    """What an asset's price is measured against: its underlying's, which feeds may guard, or its own last one while
    that is fresh; None: nothing."""
    facts = state.facts
    symbol = facts.assets[asset].symbol
    for number, listed in facts.underlyings.items():
        if listed.symbol == symbol and number in facts.oracle:
            return facts.oracle[number][0]
    return facts.asset_prices.get(asset) if _fresh(state, (Told.ASSET, asset, 0)) else None


def _fresh(state: State, key: tuple[Told, int, int]) -> bool:
    """Whether a value is younger than its limit; where ages are not kept none is."""
    limit = state.parameter(_LIMIT[key[0]])
    return limit > 0 and key in state.facts.heard and state.time - state.facts.heard[key] <= limit


def _timely(
    state: State, key: tuple[Told, int, int], time: int, anchor: int | None, value: int, deviation: Parameter
) -> Reason:
    """Whether a value may be taken, by its time and by its distance from its anchor; its time is then kept."""
    limit, furthest = state.parameter(_LIMIT[key[0]]), state.parameter(deviation)
    if limit:
        if not 0 <= time <= MAX_TIME:
            return Reason.TIME_OUT_OF_RANGE
        if time < state.facts.heard.get(key, 0):
            return Reason.ORACLE_LATE
        if state.time - time > limit:
            return Reason.ORACLE_STALE
    if furthest and anchor is not None and strays(value, anchor, furthest):
        return Reason.ORACLE_OUTLYING
    if limit:
        state.facts.heard[key] = time
    return Reason.NONE


# --- what it stops ----------------------------------------------------------------------------------------------------


def guard_due(state: State, parameter: Parameter, value: int) -> None:
    """A guard is switched on or off: values told before count as told now, or their times are forgotten."""
    if parameter not in AGES:
        return
    told, heard = AGES[parameter], state.facts.heard
    if not value:
        state.facts.heard = {key: at for key, at in heard.items() if key[0] != told}
        return
    known: dict[Told, list[tuple[int, int]]] = {
        Told.FORWARD: list(state.facts.forwards),
        Told.VOLATILITY: list(state.facts.volatilities),
        Told.ASSET: [(asset, 0) for asset in state.facts.asset_prices],
    }
    for number, expiry in known[told]:
        heard.setdefault((told, number, expiry), state.time)


def own_haircut(state: State, asset: int) -> int:
    """An asset's haircut as it was set, basis points: not what age and a lost peg make of it."""
    return state.facts.parameters.get((int(Parameter.HAIRCUT), asset), state.facts.assets[asset].haircut)


def asset_age(state: State, asset: int, now: int) -> int:
    """How old an asset's price is, microseconds; 0 where ages are not kept."""
    if asset == 0 or not state.parameter(Parameter.ORACLE_ASSET_AGE) or asset not in state.facts.asset_prices:
        return 0
    return max(0, now - state.facts.heard[(Told.ASSET, asset, 0)])


def forward_age(state: State, underlying: int, expiry: int, now: int) -> int:
    """How old a forward is, microseconds; 0 where ages are not kept."""
    return _age(state, (Told.FORWARD, underlying, expiry), now)


def volatility_age(state: State, underlying: int, expiry: int, now: int) -> int:
    """How old an expiry's surface is, microseconds; 0 where ages are not kept."""
    return _age(state, (Told.VOLATILITY, underlying, expiry), now)


def _age(state: State, key: tuple[Told, int, int], now: int) -> int:
    return max(0, now - state.facts.heard.get(key, now))


def asset_stale(state: State, asset: int) -> bool:
    """Whether an asset's price is past its age limit."""
    return asset_age(state, asset, state.time) > state.parameter(Parameter.ORACLE_ASSET_AGE)


def asset_depegged(state: State, asset: int) -> bool:
    """Whether an asset that should be worth a dollar is not, at the market in force."""
    bound = state.parameter(Parameter.PEG_BOUND, asset)
    return feeds.depegged(int(state.market.asset_price[asset]), bound)


def judge_market(state: State) -> None:
    """After a market is put in force: what rests on something too old opens no risk; haircuts follow age and peg."""
    _forget(state)
    facts, marked = state.facts, state.market.marked
    facts.unproven = {asset: until for asset, until in facts.unproven.items() if until > state.time}
    blind = _blind(state)
    limits = {told: state.parameter(parameter) for parameter, told in AGES.items()}
    guarded = any(limits.values())
    for number, listed in facts.instruments.items():
        if marked[number] and (listed.underlying in blind or (guarded and _too_old(state, listed, limits))):
            marked[number] = 2
    widening, limit = state.parameter(Parameter.ORACLE_WIDENING), state.parameter(Parameter.ORACLE_ASSET_AGE)
    for asset in facts.assets:
        if asset:
            floor = state.parameter(Parameter.DEPEG_HAIRCUT, asset) if asset_depegged(state, asset) else 0
            part = feeds.aged(asset_age(state, asset, state.time), limit)
            cut = feeds.haircut(own_haircut(state, asset), widening=widening, part=part, floor=floor)
            state.market.haircut[asset] = BASIS_POINTS if asset in facts.unproven else cut


def _blind(state: State) -> set[int]:
    """Underlyings whose price is too old, or whose feeds agree on none or on one that is not believed yet."""
    now, limit = state.time, state.parameter(Parameter.ORACLE_MAX_AGE)
    found = {number for number, (_, at) in state.facts.oracle.items() if at + limit < now}
    for number in state.facts.oracle:
        if number not in found and state.parameter(Parameter.ORACLE_MIN_FEEDS, number):
            agreed = verdict(state, number, now).agreed
            if agreed is None or _jumps(state, number, agreed):
                found.add(number)
    return found


def _too_old(state: State, listed: e.InstrumentListed, limits: dict[Told, int]) -> bool:
    now, underlying, expiry = state.time, listed.underlying, listed.expiry
    forward = listed.kind != Kind.SPOT and forward_age(state, underlying, expiry, now) > limits[Told.FORWARD]
    surface = listed.kind == Kind.OPTION and volatility_age(state, underlying, expiry, now) > limits[Told.VOLATILITY]
    spot = listed.kind == Kind.SPOT and asset_stale(state, listed.base_asset)
    return forward or surface or spot or asset_stale(state, listed.settlement_asset)


def _forget(state: State) -> None:
    """Drop what no guard in force needs: feeds without a weight, times of what is gone."""
    facts = state.facts
    if facts.feeds:
        on = {number for number in facts.underlyings if state.parameter(Parameter.ORACLE_MIN_FEEDS, number)}
        facts.feeds = {key: said for key, said in facts.feeds.items() if key[0] in on and key in facts.weights}
        facts.uncertainty = {number: doubt for number, doubt in facts.uncertainty.items() if number in on}
    if facts.heard:
        there = {(Told.FORWARD, *key) for key in facts.forwards} | {
            (Told.VOLATILITY, *key) for key in facts.volatilities
        }
        facts.heard = {key: at for key, at in facts.heard.items() if key[0] == Told.ASSET or key in there}


def withdrawal_refusal(state: State, account: int, asset: int) -> Reason:
    """Why an account may take nothing of an asset out now: it has lost its peg, or what the account holds rests on a
    price that is too old. The second only where ORACLE_ASSET_AGE is set."""
    if asset_depegged(state, asset):
        return Reason.WITHDRAWAL_DEPEGGED
    if not state.parameter(Parameter.ORACLE_ASSET_AGE):
        return Reason.NONE
    start = int(state.pool.start[account])
    rows = slice(start, start + int(state.pool.count[account]))
    open_ = state.pool.instrument[rows][state.pool.quantity[rows] != 0]
    held = {asset, *np.flatnonzero(state.balance[account]).tolist()}
    if any(asset_stale(state, one) for one in held) or (state.market.marked[open_] == 2).any():
        return Reason.WITHDRAWAL_PRICE_STALE
    return Reason.NONE

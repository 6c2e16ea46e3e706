"""Circuit breakers on the books: what shards tell of open interest, what the fund's word does, and the price breaker,
which every shard decides alike. `docs/breakers.md` says it in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from insurance.breakers import Rules, owners_limit, trips
from ledger.barred import groups, joined, limited_groups, mark_limited
from ledger.orders import close_barred_orders
from ledger.outbox import Outbox
from ledger.state import State, live_rows
from risk.feeds import strays
from risk.tables import I64Array
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import BreakerCause, Kind, Parameter, Payoff, Reason
from schemas.limits import BASIS_POINTS, MAX_EXPOSURE
from schemas.outcomes import BreakerSwitched, OpenInterest, OwnerInterest

_SLACK: Final = 1 - 1e-9
"""a sum of floats is no further below the integers' than this part of it"""


# --- the fund's word --------------------------------------------------------------------------------------------------


def breaker_changed(state: State, event: e.BreakerChanged, out: Outbox) -> Reason:
    """An underlying's open interest trips its limit or is let go, or the limit moved; held to the figures it gives."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if not state.parameter(Parameter.BREAKER_STRESS, event.underlying):
        return Reason.BREAKER_OFF
    if not 0 < event.mark <= state.mark:
        return Reason.MARK_NOT_NEXT
    if not 0 <= event.interest <= MAX_EXPOSURE or not 0 <= event.limit <= MAX_EXPOSURE:
        return Reason.VALUE_OUT_OF_RANGE
    before = state.facts.breakers.get(event.underlying)
    reset = state.parameter(Parameter.BREAKER_RESET)
    if event.tripped != trips(bool(before and before[0]), event.interest, event.limit, reset):
        return Reason.BREAKER_UNFOUNDED
    if before == (event.tripped, event.limit):
        return Reason.BREAKER_UNCHANGED
    state.facts.breakers[event.underlying] = (event.tripped, event.limit)
    _say(state, out, BreakerCause.OPEN_INTEREST, event.tripped, event.underlying, event.interest, event.limit)
    if event.tripped:
        close_barred_orders(state, out)
    return Reason.NONE


def owner_limited(state: State, event: e.OwnerLimited, out: Outbox) -> Reason:
    """An owner holds too much of an underlying, or no longer does; checked against what it says."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if not _owners_limited(state, event.underlying):
        return Reason.BREAKER_OFF
    if not 0 < event.mark <= state.mark:
        return Reason.MARK_NOT_NEXT
    if not 0 <= event.interest <= MAX_EXPOSURE or not 0 <= event.limit <= MAX_EXPOSURE:
        return Reason.VALUE_OUT_OF_RANGE
    names = joined(state)
    name = names.get(event.owner, event.owner)
    before = (event.underlying, name) in limited_groups(state)
    reset = state.parameter(Parameter.BREAKER_RESET)
    if event.limited != trips(before, event.interest, event.limit, reset):
        return Reason.BREAKER_UNFOUNDED
    if event.limited == before:
        return Reason.BREAKER_UNCHANGED
    limits = state.facts.owner_limits
    if event.limited:
        limits[(event.underlying, name)] = event.mark
    else:
        for key in [key for key in limits if key[0] == event.underlying and names.get(key[1], key[1]) == name]:
            del limits[key]
    mark_limited(state)
    _say(state, out, BreakerCause.OWNER, event.limited, event.underlying, event.interest, event.limit, name)
    if event.limited:
        close_barred_orders(state, out)
    return Reason.NONE


def owner_asked(state: State, event: e.OwnerAsked, out: Outbox) -> Reason:
    """Say what this shard has of an owner's open interest."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if not _owners_limited(state, event.underlying):
        return Reason.BREAKER_OFF
    _tell_owner(state, out, event.underlying, event.owner, asked=1)
    return Reason.NONE


def rules(state: State) -> Rules:
    """What the fund's guard goes by: the parameters, what stands, and what the fund's assets count for."""
    market, on = state.market, _limited_underlyings(state)
    return Rules(
        stress={number: state.parameter(Parameter.BREAKER_STRESS, number) for number in on},
        share={number: state.parameter(Parameter.BREAKER_FUND_SHARE, number) for number in on},
        reset=state.parameter(Parameter.BREAKER_RESET),
        owner_share=state.parameter(Parameter.OWNER_SHARE),
        standing=dict(state.facts.breakers),
        limited=frozenset(limited_groups(state)),
        worth={
            asset: (int(market.asset_price[asset]), int(market.asset_scale[asset]), int(market.haircut[asset]))
            for asset in state.facts.assets
        },
    )


# --- at a mark --------------------------------------------------------------------------------------------------------


def breakers_due(state: State, out: Outbox) -> None:
    """Before accounts are judged: what was switched off is let go, and prices that moved too far let no new risk in."""
    facts = state.facts
    for number, (tripped, most) in sorted(facts.breakers.items()):
        if not state.parameter(Parameter.BREAKER_STRESS, number):
            del facts.breakers[number]
            if tripped:
                _say(state, out, BreakerCause.OPEN_INTEREST, 0, number, 0, most)
    gone = [key for key in sorted(facts.owner_limits) if not _owners_limited(state, key[0])]
    for underlying, owner in gone:
        del facts.owner_limits[(underlying, owner)]
        _say(state, out, BreakerCause.OWNER, 0, underlying, 0, 0, owner)
    if gone:
        mark_limited(state)
    if _prices_due(state, out):
        close_barred_orders(state, out)


def _prices_due(state: State, out: Outbox) -> bool:
    """Every underlying's price against the last mark's; whether any breaker tripped."""
    held, new = state.facts.price_breakers, False
    for number in sorted(state.facts.underlyings):
        most = state.parameter(Parameter.PRICE_BREAKER, number)
        marks = state.parameter(Parameter.PRICE_BREAKER_MARKS)
        last, until = held.get(number, (0, 0))
        if not most or not marks or number not in state.facts.oracle:
            if number in held:
                del held[number]
                if until >= state.mark:
                    _say(state, out, BreakerCause.PRICE, 0, number, 0, most)
            continue
        price = state.facts.oracle[number][0]
        move = abs(price - last) * BASIS_POINTS // last if last else 0
        if last and strays(price, last, most):
            held[number] = (price, state.mark + marks)
            _say(state, out, BreakerCause.PRICE, 1, number, min(move, MAX_EXPOSURE), most)
            new = True
            continue
        held[number] = (price, until if until > state.mark else 0)
        if until and until <= state.mark:
            _say(state, out, BreakerCause.PRICE, 0, number, move, most)
    return new


def tell_interest(state: State, out: Outbox) -> None:
    """After accounts were judged: what this shard's accounts hold open, and the owners that might hold too much."""
    on = _limited_underlyings(state)
    if not on:
        return
    value = _lot_values(state, on)
    rows, accounts = _own_rows(state)
    instrument, quantity = state.pool.instrument[rows], state.pool.quantity[rows]
    longs, shorts = np.zeros(len(state.life), np.int64), np.zeros(len(state.life), np.int64)
    np.add.at(longs, instrument, np.maximum(quantity, 0))
    np.add.at(shorts, instrument, np.maximum(-quantity, 0))
    underlying = state.market.underlying
    for number in on:
        mine = [i for i in value if underlying[i] == number]
        out.emit(
            OpenInterest(
                index=out.index,
                underlying=number,
                mark=state.mark,
                long=min(sum(int(longs[i]) * value[i] for i in mine), MAX_EXPOSURE),
                short=min(sum(int(shorts[i]) * value[i] for i in mine), MAX_EXPOSURE),
            )
        )
    told = limited_groups(state) | _near(state, on, value, rows, accounts)
    for number, owner in sorted(told):
        _tell_owner(state, out, number, owner, asked=0)


def _near(
    state: State, on: list[int], value: dict[int, int], rows: I64Array, accounts: I64Array
) -> set[tuple[int, int]]:
    """(underlying, owner) of owners of whom one of this shard's accounts holds more than its even part of what the
    owner may hold. Whoever holds more than that in all has such an account, whatever shards they are spread over, so
    that who is found does not depend on the number of shards."""
    limits = {n: owners_limit(state.facts.breakers[n][1], _share(state)) for n in on if _owners_limited(state, n)}
    if not limits or not len(rows):
        return set()
    every, owner = groups(state)
    size = len(state.accounts.status)
    name = np.zeros(size, np.int64)
    name[every] = owner
    numbers, counts = np.unique(owner, return_counts=True)
    instrument, quantity = state.pool.instrument[rows], state.pool.quantity[rows]
    worth = np.zeros(len(state.life))
    for i, micro in value.items():
        worth[i] = micro
    found: set[tuple[int, int]] = set()
    for number, most in limits.items():
        here = state.market.underlying[instrument] == number
        for side in (1, -1):
            held = np.maximum(side * quantity[here], 0) * worth[instrument[here]]
            amounts = np.bincount(accounts[here], held, size)
            holders = np.flatnonzero(amounts > 0)
            parts = counts[np.searchsorted(numbers, name[holders])]
            close = amounts[holders] * parts >= most * _SLACK  # in floats; the integers decide
            for account, of in zip(holders[close].tolist(), parts[close].tolist(), strict=True):
                if max(_holds(state, account, number, value)) * of > most:
                    found.add((number, int(name[account])))
    return found


def _tell_owner(state: State, out: Outbox, underlying: int, owner: int, *, asked: int) -> None:
    accounts, name = groups(state)
    mine = accounts[(name == owner) & (state.accounts.owned[accounts] == 1)]
    value = _lot_values(state, [underlying])
    held = [_holds(state, account, underlying, value) for account in mine.tolist()]
    long, short = (min(sum(sides), MAX_EXPOSURE) for sides in zip((0, 0), *held, strict=True))
    if long or short:
        out.emit(
            OwnerInterest(
                index=out.index,
                asked=asked,
                underlying=underlying,
                owner=owner,
                mark=state.mark,
                long=long,
                short=short,
            )
        )


def _holds(state: State, account: int, underlying: int, value: dict[int, int]) -> tuple[int, int]:
    """An account's long and short notional in an underlying, micro-dollars."""
    pool = state.pool
    long = short = 0
    for p in range(int(pool.start[account]), int(pool.start[account]) + int(pool.count[account])):
        instrument, quantity = int(pool.instrument[p]), int(pool.quantity[p])
        if quantity and state.market.underlying[instrument] == underlying:
            long += max(quantity, 0) * value[instrument]
            short += max(-quantity, 0) * value[instrument]
    return long, short


def _own_rows(state: State) -> tuple[I64Array, I64Array]:
    """The pool's rows of customers' open positions that this shard keeps, and whose each is."""
    rows = live_rows(state.pool)
    accounts = np.repeat(np.arange(len(state.pool.count)), state.pool.count)
    mine = (accounts >= FIRST_ACCOUNT) & (state.pool.quantity[rows] != 0)
    return rows[mine], accounts[mine]


def _lot_values(state: State, underlyings: list[int]) -> dict[int, int]:
    """Notional of one lot of every instrument of these underlyings that can be held open, micro-dollars rounded up.

    What a lot is worth at its mark; for an option, and where there is no mark, what the underlying of a lot is worth.
    By the lot, so that sums over accounts do not depend on how they are dealt to shards.
    """
    m, found = state.market, {}
    for i, listed in state.facts.instruments.items():
        if listed.underlying not in underlyings or listed.kind == Kind.SPOT:
            continue
        found[i] = int(m.notional[i])
        if listed.kind != Kind.OPTION and m.mark[i]:
            mark, asset = int(m.mark[i]), listed.settlement_asset
            inverse = listed.payoff == Payoff.INVERSE
            units = -(-listed.contract_value // mark) if inverse else mark * listed.tick_value
            found[i] = -(-units * int(m.asset_price[asset]) // int(m.asset_scale[asset]))
    return found


def _limited_underlyings(state: State) -> list[int]:
    return [number for number in sorted(state.facts.underlyings) if state.parameter(Parameter.BREAKER_STRESS, number)]


def _share(state: State) -> int:
    return state.parameter(Parameter.OWNER_SHARE)


def _owners_limited(state: State, underlying: int) -> bool:
    """Whether owners are held to a part of this underlying's limit, which has been told."""
    return bool(_share(state)) and underlying in state.facts.breakers


def _say(
    state: State,
    out: Outbox,
    cause: BreakerCause,
    tripped: int,
    underlying: int,
    interest: int,
    limit: int,
    owner: int = 0,
) -> None:
    if state.shard == 0:
        out.emit(
            BreakerSwitched(
                index=out.index,
                cause=cause,
                tripped=tripped,
                underlying=underlying,
                owner=owner,
                mark=state.mark,
                interest=interest,
                limit=limit,
            )
        )

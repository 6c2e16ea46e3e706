"""What accounts own and what they must own: equity, maintenance, buffer and initial margin in exact int64 arithmetic.

Sums are in 2^-ARRAY_EXPONENT micro-dollars and turned into micro-dollars once, at the end. Float64 is used for one
thing: to estimate whether a sum could pass its bound before any of it is trusted.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from risk.credit import (
    BOUGHT,
    COLUMNS,
    DELTA,
    KEY,
    LEG,
    ORDER,
    SCAN,
    SCAN_HIGH,
    SCAN_LOW,
    SHORTED,
    SHORTED_HIGH,
    SOLD,
    credit_of,
)
from risk.profile import Netting
from risk.tables import Holdings, I32Array, I64Array, Margins, Market, Profiles
from risk.valuation import INVERSE, asset_value, contract_value, part_down, part_up
from risk.vectors import add, add_fills, first, largest, load, on_cache_line
from schemas.compiled import inlined, kernel
from schemas.kinds import Kind, Reason, Style
from schemas.limits import (
    ARRAY_EXPONENT,
    BASIS_POINTS,
    FUNDING_SCALE,
    MAX_ASSETS,
    MAX_EXPIRIES,
    MAX_EXPOSURE,
    MAX_SCENARIOS,
    MAX_UNDERLYINGS,
    MAX_VALUE,
)

_int: Any = np.int64
_index: Any = np.uint32  # numbers of rows: never negative, which spares the kernel a test at every use

UNPAYABLE: Final = MAX_EXPOSURE >> ARRAY_EXPONENT
"""Micro-dollars: the requirement of an account whose figures pass their bounds."""

_MAX_EQUITY: Final = 2.0**61
_MAX_EXPOSURE: Final = float(MAX_EXPOSURE)
_MAX_VALUE: Final = float(MAX_VALUE)
_PRODUCT: Final = float(2**62 - 2**50)
_FUNDING: Final = float(FUNDING_SCALE)
_FINE: Final = float(1 << ARRAY_EXPONENT)
_PERP: Final = int(Kind.PERP)
_SPOT: Final = int(Kind.SPOT)
_OPTION: Final = int(Kind.OPTION)
_PREMIUM: Final = int(Style.PREMIUM)
_UNDERLYING: Final = int(Netting.UNDERLYING)
_NONE: Final = int(Reason.NONE)
_BOUND: Final = int(Reason.RISK_BOUND_EXCEEDED)
_NO_ARRAY: Final = int(Reason.NO_RISK_ARRAY)

# Columns of `legs` and of `orders`, which have one more.
_ROW: Final = 0
_LOTS: Final = 1
_NEXT: Final = 2
_CELL: Final = 3
_SLIPPAGE: Final = 4

# Rows of `vectors`.
_HIGH: Final = 0
_LOW: Final = 1
_LEGS: Final = 2


AHEAD: Final = 32
"""accounts whose memory is asked for at once"""


class Scratch(NamedTuple):
    """Working memory of one call of `margin_accounts`; every thread brings its own. Each call leaves it clean."""

    vectors: I64Array
    """[2 + MAX_UNDERLYINGS, MAX_SCENARIOS] losses of a group after the worst and after the best fills of its orders,
    then of each group's legs"""
    group: I32Array
    """[instruments or underlyings] the account's group of each, -1: none"""
    sold: I64Array
    """[instruments] lots of options that open orders sell, not above zero"""
    legs: I64Array
    """[instruments + assets, 4] positions and collateral: row, lots, next leg of the group, cell"""
    orders: I64Array
    """[orders, 5] the same of open orders, and slippage"""
    groups: I64Array
    """[instruments or underlyings, COLUMNS] see risk.credit"""
    cells: I64Array
    """[MAX_UNDERLYINGS x MAX_EXPIRIES, 3] net dollar delta of an expiry: of legs, of orders above and below zero"""
    seen: I64Array
    """[1] what reading ahead came to, never used"""


def scratch(instruments: int, orders: int) -> Scratch:
    """Working memory for tables of so many instruments and at most so many open orders of one account."""
    keys = max(instruments, MAX_UNDERLYINGS)
    return Scratch(
        vectors=on_cache_line(_LEGS + MAX_UNDERLYINGS, MAX_SCENARIOS),
        group=np.full(keys, -1, np.int32),
        sold=np.zeros(instruments, np.int64),
        legs=np.zeros((instruments + MAX_ASSETS, 4), np.int64),
        orders=np.zeros((orders, 5), np.int64),
        groups=np.zeros((keys, COLUMNS), np.int64),
        cells=np.zeros((MAX_UNDERLYINGS * MAX_EXPIRIES, 3), np.int64),
        seen=np.zeros(1, np.int64),
    )


@inlined
def _dollars(amount: int, price: int, scale: int) -> int:
    """`asset_value` with its two most frequent cases first: the dollar itself, and a product that fits."""
    if price == scale:
        return amount
    if abs(np.float64(amount)) * np.float64(price) < _PRODUCT:
        return (amount * price) // scale
    return asset_value(amount, price, scale)


@inlined
def _size(amount: int, price: int, scale: int) -> float:
    """|asset_value| as a float, never wrapping."""
    if price == scale:
        return abs(np.float64(amount))
    return abs(np.float64(amount)) * np.float64(price) / np.float64(scale)


@inlined
def _unsafe(payoff: int, quantity: int, price: int, tick_value: int, contract: int) -> bool:
    """Whether a product in `contract_value` may pass its bound."""
    if payoff == INVERSE:
        return bool(abs(np.float64(quantity)) * np.float64(contract) >= _MAX_EXPOSURE)
    return bool(abs(np.float64(quantity)) * np.float64(price) * np.float64(tick_value) >= _MAX_VALUE)


@inlined
def _balances(account: int, holdings: Holdings, market: Market) -> tuple[int, float]:
    """What the account's balances are worth after haircut, and the sum of their sizes."""
    equity = 0
    size = 0.0
    for asset in range(holdings.balance.shape[1]):
        amount = holdings.balance[account, asset]
        if amount != 0:
            price, scale = market.asset_price[asset], market.asset_scale[asset]
            size += _size(amount, price, scale)
            value = _dollars(amount, price, scale)
            cut = market.haircut[asset]
            if cut != 0 and value > 0:
                value = part_down(value, BASIS_POINTS - cut)
            equity += value
    return equity, size


@inlined
def _funding(step: int, quantity: int) -> int:
    """floor(-quantity x step of the index / FUNDING_SCALE), in two parts that fit."""
    whole = step // FUNDING_SCALE
    return -quantity * whole + (-quantity * (step - whole * FUNDING_SCALE)) // FUNDING_SCALE


@inlined
def _position(p: int, i: int, holdings: Holdings, market: Market, gain: int) -> tuple[int, float]:
    """What position p in instrument i adds to equity, and its size (infinite where a product may wrap)."""
    quantity, payoff, mark = holdings.quantity[p], market.payoff[i], market.mark[i]
    tick_value, contract = market.tick_value[i], market.contract_value[i]
    asset = _index(market.settlement[i])
    price, scale = market.asset_price[asset], market.asset_scale[asset]
    # FUTURES is 0 and PREMIUM 1; a product, as both come in an order that no processor foretells
    margined = _PREMIUM - _int(market.style[i])
    worth = contract_value(payoff, quantity, mark, tick_value, contract) - holdings.cost[p] * margined
    size = _size(worth, price, scale)
    equity = _dollars(worth, price, scale)
    if gain != BASIS_POINTS and margined == 1 and equity > 0:
        equity = part_down(equity, gain)
    if market.kind[i] == _PERP:
        step = market.funding[i] - holdings.funding[p]
        if step != 0:
            size += abs(np.float64(quantity)) * abs(np.float64(step)) * np.float64(price) / np.float64(scale) / _FUNDING
            equity += _dollars(_funding(step, quantity), price, scale)
    if _unsafe(payoff, quantity, mark, tick_value, contract):
        size = np.inf
    return equity, size


@inlined
def _collateral(amount: int, haircut: int, lot_size: int) -> int:
    """Lots of its SPOT instrument that a balance is: after haircut and rounded down, a debt in full and rounded up."""
    if amount > 0:
        return part_down(amount, BASIS_POINTS - haircut) // lot_size
    return amount // lot_size


@inlined
def _slippage(o: int, i: int, holdings: Holdings, market: Market, gain: int) -> tuple[int, float]:
    """Micro-dollars lost at once when order o is filled at its price, rounded up, and their size.

    Buying a coin also costs the haircut on it. Where gains do not count, neither does a price better than the mark.
    """
    quantity, price, mark = holdings.order_quantity[o], holdings.order_price[o], market.mark[i]
    payoff, tick_value, contract = market.payoff[i], market.tick_value[i], market.contract_value[i]
    asset_price, scale = market.asset_price[market.settlement[i]], market.asset_scale[market.settlement[i]]
    now = contract_value(payoff, quantity, mark, tick_value, contract)
    won = now - contract_value(payoff, quantity, price, tick_value, contract)
    size = _size(won, asset_price, scale)
    dollars = _dollars(won, asset_price, scale)
    if market.kind[i] == _SPOT:
        if quantity > 0:
            size += _size(now, asset_price, scale)
            dollars -= part_up(-_dollars(-now, asset_price, scale), market.haircut[market.base[i]])
    elif dollars > 0 and market.style[i] != _PREMIUM:
        dollars = part_down(dollars, gain)
    if _unsafe(payoff, quantity, mark, tick_value, contract) or _unsafe(payoff, quantity, price, tick_value, contract):
        size = np.inf
    return -dollars, size


@inlined
def _open(key: int, count: int, group: I32Array, groups: I64Array) -> int:
    """Open the group of this key unless it is open: the number of groups now."""
    if group[key] < 0:
        group[key] = count
        for column in range(COLUMNS):
            groups[count, column] = 0
        groups[count, KEY] = key
        groups[count, LEG] = -1
        groups[count, ORDER] = -1
        count += 1
    return count


@inlined
def _enter(table: I64Array, at: int, head: int, g: int, groups: I64Array, row: int, lots: int, cell: int) -> None:
    """Put a leg or an order at the head of its group's list."""
    table[at, _ROW] = row
    table[at, _LOTS] = lots
    table[at, _NEXT] = groups[g, head]
    table[at, _CELL] = cell
    groups[g, head] = at


@inlined
def _enter_orders(
    account: int, holdings: Holdings, market: Market, profiles: Profiles, scratch: Scratch
) -> tuple[int, int, bool, float, float, float]:
    """The account's orders into the tables: orders, groups, whether all could be valued, and the sizes that are
    bounded: of losses, of deltas, of short options."""
    orders, groups, cells = scratch.orders, scratch.groups, scratch.cells
    profile = holdings.profile[account]
    width, gain, offset = profiles.width[profile], profiles.gain[profile], profiles.offset[profile]
    netted = profiles.netting[profile] == _UNDERLYING
    begin = holdings.order_start[account]
    end = begin + holdings.order_count[account]
    valued = width > 0 and end - begin <= orders.shape[0]
    count, opened = 0, 0
    exposure, leaning, shorts = 0.0, 0.0, 0.0
    if not valued:
        end = begin
    for o in range(begin, end):
        i, quantity = _index(holdings.order_instrument[o]), holdings.order_quantity[o]
        # under position netting coins are not scanned, so an order for coins has its slippage only
        scans = netted or market.kind[i] != _SPOT
        if quantity == 0:
            continue
        if market.marked[i] == 0 or (scans and profiles.has_row[profile, i] == 0):
            valued = False
            continue
        slippage, size = _slippage(o, i, holdings, market, gain)
        key = _int(market.underlying[i] if netted else i)
        opened = _open(key, opened, scratch.group, groups)
        g = _int(scratch.group[key])
        delta = quantity * market.delta[i]
        groups[g, SOLD] += min(delta, 0)
        groups[g, BOUGHT] += max(delta, 0)
        cell = -1
        if netted and profiles.basis[profile, key] > 0:
            cell = key * MAX_EXPIRIES + market.bucket[i]
            cells[cell, 1] += max(delta, 0)
            cells[cell, 2] += min(delta, 0)
        lots = quantity if scans else 0
        _enter(orders, count, ORDER, g, groups, offset + (i * width if scans else 0), lots, cell)
        orders[count, _SLIPPAGE] = slippage << ARRAY_EXPONENT
        count += 1
        exposure += abs(np.float64(lots)) * np.float64(profiles.largest[profile, i]) + size * _FINE
        leaning += abs(np.float64(quantity)) * abs(np.float64(market.delta[i]))
        if market.kind[i] == _OPTION and quantity < 0 and profiles.short_option[profile, market.underlying[i]] > 0:
            scratch.sold[i] += quantity
            shorts += abs(np.float64(quantity)) * np.float64(market.notional[i]) * _FINE
    return count, opened, valued, exposure, leaning, shorts


@inlined
def _enter_positions(
    account: int, opened: int, holdings: Holdings, market: Market, profiles: Profiles, scratch: Scratch
) -> tuple[int, int, bool, int, float, float, float, float]:
    """The account's positions into the tables: legs, groups, whether each has a mark and a row; what they add to equity
    and its size; the sizes of losses, deltas and short options."""
    legs, groups, cells, group, sold = scratch.legs, scratch.groups, scratch.cells, scratch.group, scratch.sold
    profile = holdings.profile[account]
    width, gain, offset = profiles.width[profile], profiles.gain[profile], profiles.offset[profile]
    has_row, top = profiles.has_row[profile], profiles.largest[profile]
    basis, minimum = profiles.basis[profile], profiles.short_option[profile]
    netted = profiles.netting[profile] == _UNDERLYING
    begin = holdings.start[account]
    whole = True
    count, equity = 0, 0
    size, exposure, leaning, shorts = 0.0, 0.0, 0.0, 0.0
    for p in range(begin, begin + holdings.count[account]):
        i, quantity = _index(holdings.instrument[p]), holdings.quantity[p]
        if quantity == 0:
            continue
        if market.marked[i] == 0 or has_row[i] == 0:
            whole = False
        if market.mark[i] == 0:
            continue
        worth, worth_size = _position(p, i, holdings, market, gain)
        equity += worth
        size += worth_size
        if width == 0:
            whole = False
            continue
        underlying = _index(market.underlying[i])
        key = underlying if netted else i
        opened = _open(key, opened, group, groups)
        g = _int(group[key])
        lots = abs(np.float64(quantity))
        delta = quantity * market.delta[i]
        groups[g, DELTA] += delta
        exposure += lots * np.float64(top[i])
        leaning += lots * abs(np.float64(market.delta[i]))
        cell = -1
        if netted and basis[underlying] > 0:
            cell = underlying * MAX_EXPIRIES + market.bucket[i]
            cells[cell, 0] += delta
        _enter(legs, count, LEG, g, groups, offset + i * width, quantity, cell)
        count += 1
        if minimum[underlying] > 0:
            option = _int(market.kind[i]) // _OPTION  # the last kind; a test would be foretold wrong half of the time
            value = market.notional[i] * option
            groups[g, SHORTED] += max(-quantity, 0) * value
            groups[g, SHORTED_HIGH] += max(-quantity - sold[i], 0) * value
            shorts += lots * np.float64(value) * _FINE
            sold[i] = 0
    return count, opened, whole, equity, size, exposure, leaning, shorts


@inlined
def _enter_collateral(
    account: int, count: int, opened: int, holdings: Holdings, market: Market, profiles: Profiles, scratch: Scratch
) -> tuple[int, int, bool, float, float]:
    """The account's coins as legs in their SPOT instruments: legs, groups, whether each has a row, sizes of losses and
    deltas."""
    legs, groups, cells = scratch.legs, scratch.groups, scratch.cells
    profile = holdings.profile[account]
    width = profiles.width[profile]
    whole = True
    exposure, leaning = 0.0, 0.0
    assets = holdings.balance.shape[1] if width > 0 and profiles.netting[profile] == _UNDERLYING else 0
    for asset in range(assets):
        amount, spot = holdings.balance[account, asset], market.asset_spot[asset]
        if amount == 0 or spot < 0:
            continue
        i = _index(spot)
        lots = _collateral(amount, market.haircut[asset], market.lot_size[i])
        if lots == 0:
            continue
        if profiles.has_row[profile, i] == 0:
            whole = False
        key = _index(market.underlying[i])
        opened = _open(key, opened, scratch.group, groups)
        g = _int(scratch.group[key])
        delta = lots * market.delta[i]
        groups[g, DELTA] += delta
        cell = -1
        if profiles.basis[profile, key] > 0:
            cell = key * MAX_EXPIRIES + market.bucket[i]
            cells[cell, 0] += delta
        _enter(legs, count, LEG, g, groups, profiles.offset[profile] + i * width, lots, cell)
        count += 1
        exposure += abs(np.float64(lots)) * np.float64(profiles.largest[profile, i])
        leaning += abs(np.float64(lots)) * abs(np.float64(market.delta[i]))
    return count, opened, whole, exposure, leaning


@inlined
def _short_new(account: int, holdings: Holdings, market: Market, scratch: Scratch, netted: bool) -> None:
    """Count the options that orders sell and the account does not hold as short; clears `sold`."""
    begin = holdings.order_start[account]
    for o in range(begin, begin + holdings.order_count[account]):
        i = _index(holdings.order_instrument[o])
        sales = scratch.sold[i]
        if sales != 0:
            scratch.sold[i] = 0
            key = _index(market.underlying[i]) if netted else i
            scratch.groups[scratch.group[key], SHORTED_HIGH] -= sales * market.notional[i]


@inlined
def _lean(leg: int, legs: I64Array, cells: I64Array) -> tuple[int, int, int, int, int, int]:
    """What the expiries of these legs (or orders) lean long and short, now and at the most over all fills; the sum and
    the largest of what they may lean either way. Each expiry is counted once and cleared."""
    long, short, long_high, short_high, reach, widest = 0, 0, 0, 0, 0, 0
    while leg >= 0:
        cell = legs[leg, _CELL]
        net, bought, sold = cells[cell, 0], cells[cell, 1], cells[cell, 2]
        cells[cell, 0] = 0
        cells[cell, 1] = 0
        cells[cell, 2] = 0
        long += max(net, 0)
        short -= min(net, 0)
        long_high += max(net + bought, 0)
        short_high -= min(net + sold, 0)
        either = max(net + bought, -(net + sold))
        reach += either
        widest = max(widest, either)
        leg = legs[leg, _NEXT]
    return long, short, long_high, short_high, reach, widest


@inlined
def _sum(leg: int, legs: I64Array, losses: I64Array, vector: I64Array) -> int:
    """The losses of a group's legs, beginning with this one (-1: none), four rows a pass; the largest of them."""
    top = 0
    begun = False
    while leg >= 0 or not begun:
        a = b = c = d = 0
        qa = qb = qc = qd = 0
        rows = 0
        if leg >= 0:
            a, qa, leg, rows = legs[leg, _ROW], legs[leg, _LOTS], legs[leg, _NEXT], 1
        if leg >= 0:
            b, qb, leg, rows = legs[leg, _ROW], legs[leg, _LOTS], legs[leg, _NEXT], 2
        if leg >= 0:
            c, qc, leg, rows = legs[leg, _ROW], legs[leg, _LOTS], legs[leg, _NEXT], 3
        if leg >= 0:
            d, qd, leg, rows = legs[leg, _ROW], legs[leg, _LOTS], legs[leg, _NEXT], 4
        if begun:
            top = add(losses, a, qa, b, qb, c, qc, d, qd, rows, vector)
        else:
            top = load(losses, a, qa, b, qb, c, qc, d, qd, rows, vector)
        begun = True
    return top


@inlined
def _deciding(
    group: int, scan: int, groups: I64Array, legs: I64Array, losses: I64Array, vectors: I64Array, width: int
) -> int:
    """The lowest scenario in which a group loses its scan risk, which is above zero."""
    leg = groups[group, LEG]
    if legs[leg, _NEXT] < 0:
        return first(losses[legs[leg, _ROW] : legs[leg, _ROW] + width], scan // legs[leg, _LOTS])
    return first(vectors[_LEGS + group, :width], scan)


@kernel
def _scan_fills(
    group: int, groups: I64Array, orders: I64Array, losses: I64Array, vectors: I64Array, width: int
) -> None:
    """Set SCAN_HIGH and SCAN_LOW of a group that has orders, whose vector of legs has just been summed."""
    legs = vectors[_LEGS + group % MAX_UNDERLYINGS, :width]
    high, low = vectors[_HIGH, :width], vectors[_LOW, :width]
    for k in range(width):
        high[k] = legs[k]
        low[k] = legs[k]
    order = groups[group, ORDER]
    while order >= 0:
        row = orders[order, _ROW]
        add_fills(losses[row : row + width], orders[order, _LOTS], orders[order, _SLIPPAGE], high, low)
        order = orders[order, _NEXT]
    groups[group, SCAN_HIGH] = max(largest(high), 0)
    groups[group, SCAN_LOW] = max(largest(low), 0)


@inlined
def _up(fine: int) -> int:
    """2^-ARRAY_EXPONENT micro-dollars as micro-dollars, rounded up."""
    return -((-fine) >> ARRAY_EXPONENT)


@inlined
def _scattered(accounts: I64Array, first: int) -> bool:
    """Whether the next accounts lie apart: those in a row the processor fetches by itself."""
    last = min(first + AHEAD, accounts.shape[0]) - 1
    return bool(abs(accounts[last] - accounts[first]) > 2 * AHEAD)


@kernel
def _bring_near(accounts: I64Array, first: int, end: int, holdings: Holdings) -> int:
    """Read what the next accounts' margins will need, so that the waits for memory overlap instead of adding up.

    The sum has no meaning; it keeps the reads from being left out.
    """
    total = 0
    for index in range(first, end):
        account = accounts[index]
        total += holdings.start[account] + holdings.count[account] + holdings.order_start[account]
        total += holdings.balance[account, 0]
    for index in range(first, end):
        account = accounts[index]
        begin = holdings.start[account]
        stop = begin + holdings.count[account]
        p = begin
        while p < stop:
            total += holdings.quantity[p]
            p += 1
        if stop > begin:
            total += holdings.funding[stop - 1]
    return int(total)


@kernel
def margin_accounts(
    accounts: I64Array, holdings: Holdings, market: Market, profiles: Profiles, scratch: Scratch, out: Margins
) -> None:
    """Write the margins of these accounts into the rows of `out` with their numbers.

    `accounts` [n] are account numbers; no other row of `out` is touched. It runs without the interpreter's lock:
    threads take slices of the accounts, each with a scratch of its own.

    Status NO_RISK_ARRAY: a position or a coin has no mark or no risk array in the market in force; the figures are then
    from the last ones it had, if it ever had any. RISK_BOUND_EXCEEDED: the figures would pass 64 bits; maintenance is
    UNPAYABLE and equity not above zero. An order that cannot be valued makes the initial margin alone UNPAYABLE, and so
    do more orders than the scratch has room for.
    """
    losses, group, groups, legs, orders = profiles.losses, scratch.group, scratch.groups, scratch.legs, scratch.orders
    for index in range(accounts.shape[0]):
        if index % AHEAD == 0 and _scattered(accounts, index):
            scratch.seen[0] ^= _bring_near(accounts, index, min(index + AHEAD, accounts.shape[0]), holdings)
        account = _index(accounts[index])
        profile = _index(holdings.profile[account])
        width = profiles.width[profile]
        netted = profiles.netting[profile] == _UNDERLYING

        ordered, opened, valued = 0, 0, True
        order_exposure, order_leaning, order_shorts = 0.0, 0.0, 0.0
        if holdings.order_count[account] > 0:
            ordered, opened, valued, order_exposure, order_leaning, order_shorts = _enter_orders(
                account, holdings, market, profiles, scratch
            )
        equity, size = _balances(account, holdings, market)
        count, opened, whole, profit, profit_size, exposure, leaning, shorts = _enter_positions(
            account, opened, holdings, market, profiles, scratch
        )
        count, opened, coins_whole, coin_exposure, coin_leaning = _enter_collateral(
            account, count, opened, holdings, market, profiles, scratch
        )
        if ordered > 0:
            _short_new(account, holdings, market, scratch, netted)
        equity += profit - holdings.fees_due[account]
        size += profit_size + abs(np.float64(holdings.fees_due[account]))
        exposure += coin_exposure
        leaning += coin_leaning
        bounded = size < _MAX_EQUITY and max(exposure, leaning, shorts) < _MAX_EXPOSURE
        payable = valued and (
            max(exposure + order_exposure, leaning + order_leaning, shorts + order_shorts) < _MAX_EXPOSURE
        )
        status = _NONE if whole and coins_whole else _NO_ARRAY

        required, required_high, best = 0, 0, 0
        minimum, minimum_high = 0, 0
        for g in range(opened):
            if bounded:
                vector = scratch.vectors[_LEGS + g % MAX_UNDERLYINGS, :width]
                scan = max(_sum(groups[g, LEG], legs, losses, vector), 0)
                groups[g, SCAN] = scan
                groups[g, SCAN_HIGH] = scan
                groups[g, SCAN_LOW] = scan
                best = max(best, scan)
                if payable and groups[g, ORDER] >= 0:
                    _scan_fills(g, groups, orders, losses, scratch.vectors, width)
            required += groups[g, SCAN]
            required_high += groups[g, SCAN_HIGH]
            key = _index(groups[g, KEY])
            if netted and profiles.basis[profile, key] > 0:
                rate = profiles.basis[profile, key]
                long, short, long_high, short_high, reach, widest = _lean(groups[g, LEG], legs, scratch.cells)
                required += part_up(min(long, short), rate)
                if groups[g, ORDER] >= 0:
                    # expiries without legs: they hold nothing yet
                    _, _, new_long, new_short, new_reach, new_widest = _lean(groups[g, ORDER], orders, scratch.cells)
                    long_high += new_long
                    short_high += new_short
                    reach += new_reach
                    widest = max(widest, new_widest)
                # the widest expiry leans one way only: what hedges it is in the others
                required_high += part_up(min(long_high, short_high, reach - widest), rate)
            if groups[g, SHORTED_HIGH] > 0:
                rate = profiles.short_option[profile, key if netted else _index(market.underlying[key])]
                minimum += part_up(groups[g, SHORTED] << ARRAY_EXPONENT, rate)
                minimum_high += part_up(groups[g, SHORTED_HIGH] << ARRAY_EXPONENT, rate)
        worst = 0
        if best > 0:
            worst = width
            for g in range(opened):
                if groups[g, SCAN] == best:
                    worst = min(worst, _deciding(g, best, groups, legs, losses, scratch.vectors, width))
        pairs = profiles.credit_count[profile]
        if netted and pairs > 0 and opened > 1 and bounded:
            begin = profiles.credit_start[profile]
            a, b = profiles.credit_a[begin : begin + pairs], profiles.credit_b[begin : begin + pairs]
            rates, ranges = profiles.credit_rate[begin : begin + pairs], profiles.scan[profile]
            required -= credit_of(a, b, rates, ranges, group, groups[:opened], False)
            if ordered > 0 and payable:
                required_high -= credit_of(a, b, rates, ranges, group, groups[:opened], True)
        for g in range(opened):
            group[_index(groups[g, KEY])] = -1

        if bounded:
            required = max(required, minimum)
            maintenance = _up(required)
            buffer = part_up(maintenance, profiles.buffer[profile])
            if ordered > 0:
                required = max(required_high, minimum_high)
            initial = max(part_up(_up(required), profiles.initial[profile]), maintenance + buffer)
            if not payable:
                initial = UNPAYABLE
        else:
            equity = min(equity, 0) if size < _MAX_EQUITY else 0
            maintenance, buffer, initial, worst, status = UNPAYABLE, 0, UNPAYABLE, 0, _BOUND
        out.equity[account] = equity
        out.maintenance[account] = maintenance
        out.buffer[account] = buffer
        out.initial[account] = initial
        out.worst[account] = worst
        out.status[account] = status

"""The kernel that posts trades: each row is checked, novated into two legs, and each leg posted by its own shard.

A trade is a fact: it is refused only for what it says itself, or for what every shard knows alike. A leg that its
account cannot take goes to SUSPENSE with a reason; the other leg stands.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.state import UNOPENED, Accounts, Life, Pool
from risk.tables import I64Array, Market, Profiles, U8Array
from risk.valuation import contract_value, part_down, part_up
from schemas.chart import FIRST_ACCOUNT, House
from schemas.compiled import inlined, kernel
from schemas.events import LINKED
from schemas.kinds import AccountStatus, Kind, LegKind, Payoff, Reason, Style
from schemas.limits import (
    FUNDING_SCALE,
    MAX_AMOUNT,
    MAX_BALANCE,
    MAX_CHAIN,
    MAX_COST,
    MAX_EXPOSURE,
    MAX_PRICE,
    MAX_QUANTITY,
    MAX_SUSPENSE,
    MAX_VALUE,
)

USED: Final = 0
LEGS: Final = 1
REFUSED: Final = 2
TOUCHED: Final = 3
BROKEN: Final = 4
SEEN: Final = 5
COUNTERS: Final = 6
"""the kernel's counters: pool rows in use, legs written, rows refused, accounts touched, a broken invariant's code"""

_SPOT: Final = int(Kind.SPOT)
_PERP: Final = int(Kind.PERP)
_OPTION: Final = int(Kind.OPTION)
_PREMIUM: Final = int(Style.PREMIUM)
_INVERSE: Final = int(Payoff.INVERSE)
_CLEARINGHOUSE: Final = int(House.CLEARINGHOUSE)
_FEES: Final = int(House.FEES)
_FUND: Final = int(House.FUND)
_FUNDING: Final = int(House.FUNDING)
_SUSPENSE: Final = int(House.SUSPENSE)
_CLOSED: Final = int(AccountStatus.CLOSED)
_TRADE: Final = int(LegKind.TRADE)
_REVERSAL: Final = int(LegKind.REVERSAL)

_LIFE_UNLISTED: Final = int(Life.UNLISTED)
_LIFE_SETTLED: Final = int(Life.SETTLED)
_LIFE_HALTED: Final = int(Life.HALTED)
_LIFE_DELISTED: Final = int(Life.DELISTED)
_LIFE_EXPIRED: Final = int(Life.EXPIRED)
_LIFE_REDUCE_ONLY: Final = int(Life.REDUCE_ONLY)

_NONE: Final = int(Reason.NONE)
_LINKED_EVENT_FAILED: Final = int(Reason.LINKED_EVENT_FAILED)
_LINKED_CHAIN_OPEN: Final = int(Reason.LINKED_CHAIN_OPEN)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_ACCOUNT_RESERVED: Final = int(Reason.ACCOUNT_RESERVED)
_ACCOUNT_CLOSED: Final = int(Reason.ACCOUNT_CLOSED)
_SAME_ACCOUNT: Final = int(Reason.SAME_ACCOUNT)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_INSTRUMENT_HALTED: Final = int(Reason.INSTRUMENT_HALTED)
_INSTRUMENT_REDUCE_ONLY: Final = int(Reason.INSTRUMENT_REDUCE_ONLY)
_INSTRUMENT_DELISTED: Final = int(Reason.INSTRUMENT_DELISTED)
_INSTRUMENT_EXPIRED: Final = int(Reason.INSTRUMENT_EXPIRED)
_QUANTITY_OUT_OF_RANGE: Final = int(Reason.QUANTITY_OUT_OF_RANGE)
_PRICE_OUT_OF_RANGE: Final = int(Reason.PRICE_OUT_OF_RANGE)
_VALUE_OUT_OF_RANGE: Final = int(Reason.VALUE_OUT_OF_RANGE)
_FEE_OUT_OF_RANGE: Final = int(Reason.FEE_OUT_OF_RANGE)
_POSITION_LIMIT: Final = int(Reason.POSITION_LIMIT)
_BALANCE_LIMIT: Final = int(Reason.BALANCE_LIMIT)
_RISK_BOUND_EXCEEDED: Final = int(Reason.RISK_BOUND_EXCEEDED)
_OWNER_LIMITED: Final = int(Reason.OWNER_LIMITED)
_NO_RISK_ARRAY: Final = int(Reason.NO_RISK_ARRAY)
_STALE_PRICE: Final = int(Reason.STALE_PRICE)

AHEAD: Final = 16
"""rows whose memory is asked for at once"""
SMALLEST_BLOCK: Final = 4
EXPOSURE_SHARE: Final = MAX_EXPOSURE // 16
"""one position's part of MAX_EXPOSURE: 280 million dollars of worst loss; the sum over an account is bounded by the
margin kernel, which calls an account past it unpayable"""


@inlined
def find(pool: Pool, account: int, instrument: int) -> int:
    """Where the account's position in the instrument is in the pool, or -1 - (where it would be inserted)."""
    low: Any = pool.start[account]
    high: Any = low + pool.count[account]
    while low < high:
        middle = (low + high) >> 1
        if pool.instrument[middle] < instrument:
            low = middle + 1
        else:
            high = middle
    if low < pool.start[account] + pool.count[account] and pool.instrument[low] == instrument:
        return int(low)
    return int(-1 - low)


@inlined
def funding_due(quantity: int, step: int) -> int:
    """Smallest units a position is paid for a step of its funding index, rounded down (against the account)."""
    whole = step // FUNDING_SCALE
    rest = step - whole * FUNDING_SCALE
    return -quantity * whole + (-quantity * rest) // FUNDING_SCALE


@inlined
def part_of_cost(cost: int, part: int, quantity: int) -> int:
    """The cost of `part` lots of a position of `quantity` lots (both > 0), rounded down; all of it for all of it."""
    whole = cost // quantity
    return whole * part + ((cost - whole * quantity) * part) // quantity


@kernel
def insert(pool: Pool, account: int, at: int, instrument: int, funding: int, counters: I64Array) -> int:
    """Make an empty position at pool row `at` of the account's block; the block moves and doubles when it is full.

    The caller has made sure that the pool has room. Returns the row where the position is now.
    """
    start = pool.start[account]
    count = pool.count[account]
    if count == pool.capacity[account]:
        capacity = max(SMALLEST_BLOCK, 2 * count)
        fresh = counters[USED]
        counters[USED] = fresh + capacity
        for k in range(count):
            pool.instrument[fresh + k] = pool.instrument[start + k]
            pool.quantity[fresh + k] = pool.quantity[start + k]
            pool.cost[fresh + k] = pool.cost[start + k]
            pool.funding[fresh + k] = pool.funding[start + k]
            pool.realised[fresh + k] = pool.realised[start + k]
        pool.start[account] = fresh
        pool.capacity[account] = capacity
        at += fresh - start
        start = fresh
    k = start + count
    while k > at:
        pool.instrument[k] = pool.instrument[k - 1]
        pool.quantity[k] = pool.quantity[k - 1]
        pool.cost[k] = pool.cost[k - 1]
        pool.funding[k] = pool.funding[k - 1]
        pool.realised[k] = pool.realised[k - 1]
        k -= 1
    pool.instrument[at] = instrument
    pool.quantity[at] = 0
    pool.cost[at] = 0
    pool.funding[at] = funding
    pool.realised[at] = 0
    pool.count[account] = count + 1
    return at


@kernel
def refusal(row: Any, kind: int, market: Market, life: U8Array, max_fee: int) -> int:
    """Why every shard refuses a trade, or NONE: only its own numbers and what all shards know decide."""
    instrument = row.instrument
    if instrument >= len(life) or life[instrument] == _LIFE_UNLISTED:
        return _UNKNOWN_INSTRUMENT
    if row.buyer < FIRST_ACCOUNT or row.seller < FIRST_ACCOUNT:
        return _ACCOUNT_RESERVED
    if row.buyer == row.seller:
        return _SAME_ACCOUNT
    if life[instrument] == _LIFE_SETTLED:
        return _INSTRUMENT_EXPIRED
    if kind == _TRADE:
        if life[instrument] == _LIFE_HALTED:
            return _INSTRUMENT_HALTED
        if life[instrument] == _LIFE_DELISTED:
            return _INSTRUMENT_DELISTED
        if life[instrument] == _LIFE_EXPIRED:
            return _INSTRUMENT_EXPIRED
    if row.quantity < 1 or row.quantity > MAX_QUANTITY:
        return _QUANTITY_OUT_OF_RANGE
    if row.price < 1 or row.price > MAX_PRICE:
        return _PRICE_OUT_OF_RANGE
    if market.payoff[instrument] == _INVERSE:
        if float(row.quantity) * float(market.contract_value[instrument]) > MAX_VALUE:
            return _VALUE_OUT_OF_RANGE
    elif float(row.quantity) * float(row.price) * float(market.tick_value[instrument]) > MAX_VALUE:
        return _VALUE_OUT_OF_RANGE
    # Not by abs(), which leaves the lowest int64 as it is.
    if not (-MAX_AMOUNT <= row.buyer_fee <= MAX_AMOUNT and -MAX_AMOUNT <= row.seller_fee <= MAX_AMOUNT):
        return _FEE_OUT_OF_RANGE
    basis = abs(
        contract_value(
            market.payoff[instrument],
            row.quantity,
            row.price,
            market.tick_value[instrument],
            market.contract_value[instrument],
        )
    )
    if market.kind[instrument] == _OPTION:
        # A premium may be next to nothing: an option's fee is measured on the underlying it is written on.
        if float(row.quantity) * float(market.notional[instrument]) <= MAX_VALUE:
            basis = max(basis, row.quantity * market.notional[instrument])
        else:
            basis = MAX_VALUE
    cap = part_up(basis, max_fee)
    if abs(row.buyer_fee) > cap or abs(row.seller_fee) > cap:
        return _FEE_OUT_OF_RANGE
    return _NONE


@kernel
def bring_near(rows: Any, first: int, end: int, accounts: Accounts, pool: Pool, balance: I64Array) -> int:
    """Read what the rows' accounts will need, so that the waits for memory overlap instead of following one another.

    The sum has no meaning; it keeps the reads from being left out.
    """
    known = len(accounts.status)
    total: Any = np.int64(0)
    for i in range(first, end):
        for account in (rows[i].buyer, rows[i].seller):
            if account < known:
                total += (
                    pool.start[account] + pool.count[account] + accounts.status[account] + accounts.profile[account]
                )
                total += balance[account, 0]
    for i in range(first, end):
        for account in (rows[i].buyer, rows[i].seller):
            if account < known:
                start = pool.start[account]
                for p in range(start, start + pool.count[account]):
                    total += pool.cost[p]
    return int(total)


@kernel
def post_trades(
    rows: npt.NDArray[np.void],
    index: npt.NDArray[np.uint32],
    first: int,
    kind: int,
    shard: int,
    market: Market,
    profiles: Profiles,
    life: U8Array,
    accounts: Accounts,
    pool: Pool,
    balance: I64Array,
    net: I64Array,
    total: I64Array,
    position_total: I64Array,
    stamp: I64Array,
    n: int,
    touched: I64Array,
    fund_share: int,
    max_fee: int,
    legs: npt.NDArray[np.void],
    refused: npt.NDArray[np.void],
    template: int,
    reasons: I64Array,
    counters: I64Array,
) -> int:
    """Post the trades `rows[first:]` (layout of Trade); writes LegPosted rows to `legs`, Rejected rows to `refused`.

    `reasons` [MAX_CHAIN] is working memory. Returns the first row not handled: short of the end when the pool may run
    out of room, or when an invariant broke (counters[BROKEN]). Products stay below 2^62: quantities are below 2^31,
    values are checked in float first.
    """
    known = len(accounts.status)
    at = first
    near = at
    while at < len(rows):
        if at >= near:
            near = min(at + AHEAD, len(rows))
            counters[SEEN] ^= bring_near(rows, at, near, accounts, pool, balance)
        # A chain passes or fails together; an unlinked row is a chain of one.
        end = at
        while rows[end].flags & LINKED and end + 1 < len(rows):
            end += 1
        open_chain = rows[end].flags & LINKED != 0
        failed = open_chain or end - at >= MAX_CHAIN
        need = 0
        for i in range(at, end + 1):
            row = rows[i]
            if not failed or end - at < MAX_CHAIN:
                reasons[i - at] = refusal(row, kind, market, life, max_fee)
                if reasons[i - at] != _NONE:
                    failed = True
            need += 4 * SMALLEST_BLOCK + 4 * pool.capacity[_SUSPENSE]
            if row.buyer < known:
                need += 2 * pool.capacity[row.buyer]
            if row.seller < known:
                need += 2 * pool.capacity[row.seller]
        if failed:
            for i in range(at, end + 1):
                row = rows[i]
                speaker = row.buyer
                customer = FIRST_ACCOUNT <= speaker < known
                speaks = accounts.owned[speaker] != 0 if customer else shard == 0
                if speaks:
                    out = refused[counters[REFUSED]]
                    out.index = index[i]
                    out.template = template
                    if open_chain or end - at >= MAX_CHAIN:
                        out.reason = _LINKED_CHAIN_OPEN
                    elif reasons[i - at] != _NONE:
                        out.reason = reasons[i - at]
                    else:
                        out.reason = _LINKED_EVENT_FAILED
                    out.account = row.buyer
                    counters[REFUSED] += 1
            at = end + 1
            continue
        if counters[USED] + need > len(pool.quantity):
            return at
        for i in range(at, end + 1):
            row = rows[i]
            instrument = row.instrument
            spot = market.kind[instrument] == _SPOT
            asset = market.settlement[instrument]
            price = row.price
            value_bought = contract_value(
                market.payoff[instrument],
                row.quantity,
                price,
                market.tick_value[instrument],
                market.contract_value[instrument],
            )
            for side in range(2):
                if side == 0:
                    intended, quantity, value, fee = row.buyer, row.quantity, value_bought, row.buyer_fee
                else:
                    intended, quantity, value, fee = row.seller, -row.quantity, -value_bought, row.seller_fee
                if intended < known:
                    if accounts.owned[intended] == 0:
                        continue
                elif shard != 0:
                    continue
                account: Any = np.int64(intended)
                reason = _NONE
                if intended >= known or accounts.status[intended] == UNOPENED:
                    reason = _UNKNOWN_ACCOUNT
                elif accounts.status[intended] == _CLOSED:
                    reason = _ACCOUNT_CLOSED
                elif float(abs(balance[account, asset])) + abs(float(value)) + abs(float(fee)) > MAX_BALANCE:
                    reason = _BALANCE_LIMIT
                elif spot:
                    base = float(abs(balance[account, market.base[instrument]]))
                    if base + abs(float(quantity)) * float(market.lot_size[instrument]) > MAX_BALANCE:
                        reason = _BALANCE_LIMIT
                p: Any = np.int64(-1)
                if not spot and reason == _NONE:
                    p = find(pool, account, instrument)
                    held: Any = np.int64(0)
                    cost: Any = np.int64(0)
                    if p >= 0:
                        held = pool.quantity[p]
                        cost = pool.cost[p]
                    after = held + quantity
                    profile = accounts.profile[account]
                    if kind == _TRADE and (
                        abs(after) > abs(held) or (held > 0 and after < 0) or (held < 0 and after > 0)
                    ):
                        if life[instrument] == _LIFE_REDUCE_ONLY:
                            reason = _INSTRUMENT_REDUCE_ONLY
                        elif (
                            accounts.limited[account] != 0
                            and (accounts.limited_in[account] >> market.underlying[instrument]) & 1 != 0
                        ):
                            reason = _OWNER_LIMITED
                        elif market.marked[instrument] == 2:
                            reason = _STALE_PRICE
                        elif market.marked[instrument] == 0 or profiles.has_row[profile, instrument] == 0:
                            reason = _NO_RISK_ARRAY
                    if abs(after) > MAX_QUANTITY or abs(float(cost)) + abs(float(value)) > MAX_COST:
                        reason = _POSITION_LIMIT
                    elif abs(float(after)) * float(profiles.largest[profile, instrument]) > EXPOSURE_SHARE and (
                        abs(after) > abs(held)
                    ):
                        reason = _RISK_BOUND_EXCEEDED
                if reason != _NONE:
                    account = np.int64(_SUSPENSE)
                    if not spot:
                        p = find(pool, account, instrument)
                cash: Any = -value
                realised: Any = np.int64(0)
                paid: Any = np.int64(0)
                position: Any = np.int64(0)
                if spot:
                    moved = quantity * market.lot_size[instrument]
                    balance[account, market.base[instrument]] += moved
                    total[market.base[instrument]] += moved
                    balance[_CLEARINGHOUSE, market.base[instrument]] -= moved
                    total[market.base[instrument]] -= moved
                else:
                    if p < 0:
                        p = insert(pool, account, -1 - p, instrument, market.funding[instrument], counters)
                    held = pool.quantity[p]
                    cost = pool.cost[p]
                    if market.kind[instrument] == _PERP:
                        step = market.funding[instrument] - pool.funding[p]
                        if step != 0:
                            if held != 0:
                                paid = funding_due(held, step)
                                balance[account, asset] += paid
                                total[asset] += paid
                                balance[_FUNDING, asset] -= paid
                                total[asset] -= paid
                            pool.funding[p] = market.funding[instrument]
                    after = held + quantity
                    if held == 0 or (held > 0) == (quantity > 0) or account == _SUSPENSE:
                        # What lies in suspense is nobody's to close: opposite legs are added up, nothing is realised.
                        cost_after = cost + value
                    elif abs(quantity) < abs(held):
                        if held > 0:
                            cost_after = cost - part_of_cost(cost, -quantity, held)
                        else:
                            cost_after = cost - part_of_cost(cost, quantity, -held)
                    elif after == 0:
                        cost_after = np.int64(0)
                    else:
                        closing = contract_value(
                            market.payoff[instrument],
                            -held,
                            price,
                            market.tick_value[instrument],
                            market.contract_value[instrument],
                        )
                        cost_after = value - closing
                    realised = cost_after - cost - value
                    if market.style[instrument] != _PREMIUM:
                        cash = realised
                    pool.quantity[p] = after
                    pool.cost[p] = cost_after
                    pool.realised[p] += realised
                    position_total[instrument] += quantity
                    net[instrument] -= quantity
                    position_total[instrument] -= quantity
                    position = after
                    if account == _SUSPENSE and (abs(after) > MAX_SUSPENSE or abs(float(cost_after)) > MAX_COST):
                        counters[BROKEN] = _POSITION_LIMIT
                        return i
                balance[account, asset] += cash
                total[asset] += cash
                balance[_CLEARINGHOUSE, asset] -= cash
                total[asset] -= cash
                share: Any = np.int64(0)
                if fee != 0:
                    if kind == _REVERSAL:
                        # Fees come back as they went: the fund had no part in a rebate.
                        share = -part_down(-fee, fund_share) if fee < 0 else np.int64(0)
                    elif fee > 0:
                        share = part_down(fee, fund_share)
                    balance[account, asset] -= fee
                    total[asset] -= fee
                    balance[_FEES, asset] += fee - share
                    total[asset] += fee - share
                    balance[_FUND, asset] += share
                    total[asset] += share
                out = legs[counters[LEGS]]
                out.index = index[i]
                out.leg = side
                out.kind = kind
                out.reason = reason
                out.account = account
                out.intended = intended
                out.instrument = instrument
                out.quantity = quantity
                out.price = price
                out.cash = cash
                out.realised = realised
                out.fee = fee
                out.fund_share = share
                out.funding = paid
                out.position = position
                counters[LEGS] += 1
                if account >= FIRST_ACCOUNT and stamp[account] != n:
                    stamp[account] = n
                    touched[counters[TOUCHED]] = account
                    counters[TOUCHED] += 1
        at = end + 1
    return at

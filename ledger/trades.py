"""Runs of trades through the kernel, and the single legs that awards and deleveraging bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ledger.barred import lives
from ledger.charges import charge
from ledger.legs import BROKEN, COUNTERS, LEGS, REFUSED, TOUCHED, USED, post_trades, refusal
from ledger.outbox import Outbox
from ledger.room import room_for_positions
from ledger.state import Life, State
from schemas.events import EVENTS, Trade, TradeReversed
from schemas.kinds import LegKind, Parameter, Reason
from schemas.limits import MAX_CHAIN, MAX_QUANTITY
from schemas.outcomes import OUTCOMES, LegPosted, Rejected
from schemas.wire import Rows, Run

_LEG = OUTCOMES.by_class[LegPosted].dtype
_REFUSED = OUTCOMES.by_class[Rejected].dtype
_TRADE = EVENTS.by_class[Trade].dtype


class InvariantBroken(RuntimeError):  # noqa: N818 - named for what is found
    """The books contradict themselves. The shard must stop: nothing after this can be trusted."""


def post_run(
    state: State, out: Outbox, rows: Rows, index: npt.NDArray[np.uint32], kind: LegKind, template: int
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Post a run of rows laid out like Trade; returns the legs and the refusals, and leaves the accounts in
    `out.touched_rows`."""
    counters = np.zeros(COUNTERS, np.int64)
    counters[USED] = state.used
    legs = np.empty(2 * len(rows), _LEG)
    refused = np.empty(len(rows), _REFUSED)
    touched = np.empty(2 * len(rows), np.int64)
    fund_share = state.parameter(Parameter.FUND_FEE_SHARE)
    if kind == LegKind.REVERSAL and (state.facts.policy or state.parameter(Parameter.REVERSAL_KEEPS_FUND)):
        # What the fund got it may have paid out by now, and no shard knows what it holds: FEES gives the fee back.
        fund_share = 0
    max_fee = state.parameter(Parameter.MAX_FEE)
    reasons = np.zeros(MAX_CHAIN, np.int64)
    life = lives(state)
    done = 0
    while done < len(rows):
        done = post_trades(
            rows,
            index,
            done,
            int(kind),
            state.shard,
            state.market,
            state.profiles,
            life,
            state.accounts,
            state.pool,
            state.balance,
            state.net,
            state.total,
            state.position_total,
            state.accounts.stamp,
            state.n,
            touched,
            fund_share,
            max_fee,
            legs,
            refused,
            template,
            reasons,
            counters,
        )
        state.used = int(counters[USED])
        if counters[BROKEN]:
            raise InvariantBroken(
                f"n {state.n}, row {done}: {Reason(int(counters[BROKEN])).name} in the suspense account"
            )
        if done < len(rows):
            room_for_positions(state, len(state.pool.quantity) - state.used + 1)
            counters[USED] = state.used
    out.touch_rows(touched[: counters[TOUCHED]])
    posted = legs[: counters[LEGS]]
    if life is not state.life:  # the kernel knows no breakers: what stopped these legs was not the council's status
        shut = (posted["reason"] == Reason.INSTRUMENT_REDUCE_ONLY) & (
            state.life[posted["instrument"]] != Life.REDUCE_ONLY
        )
        posted["reason"][shut] = Reason.BREAKER_TRIPPED
    return posted, refused[: counters[REFUSED]]


def post_trade_run(state: State, out: Outbox, run: Run, index: npt.NDArray[np.uint32]) -> Rows:
    """Post a run of Trade or TradeReversed; returns the legs (LegPosted) in their order."""
    rows, kind = run.rows, LegKind.TRADE
    if run.message.cls is TradeReversed:
        rows, kind = _turned(rows), LegKind.REVERSAL
    legs, refused = post_run(state, out, rows, index, kind, run.message.template)
    if kind == LegKind.REVERSAL:
        legs["leg"] = 1 - legs["leg"]
        refused["account"] = run.rows["buyer"][np.searchsorted(index, refused["index"])]
    out.emit_rows(LegPosted, legs)
    out.emit_rows(Rejected, refused)
    return legs


def _turned(rows: Rows) -> Rows:
    """Reversals as the trades that undo them: sides exchanged, fees given back."""
    turned = np.zeros(len(rows), _TRADE)
    for name in ("flags", "venue", "instrument", "time", "trade", "quantity", "price"):
        turned[name] = rows[name]
    turned["buyer"], turned["seller"] = rows["seller"], rows["buyer"]
    turned["buyer_fee"], turned["seller_fee"] = -rows["seller_fee"], -rows["buyer_fee"]
    turned.flags.writeable = False
    return turned


def post_one(
    state: State,
    out: Outbox,
    kind: LegKind,
    cls: type[Any],
    *,
    instrument: int,
    account: int,
    taker: int,
    quantity: int,
    price: int,
    fee_rate: int = 0,
) -> Reason:
    """Post one trade that the clearinghouse itself brought about, `quantity` signed as the taker's leg; returns why it
    was refused, or NONE. `fee_rate`: what the account pays the fund, basis points of the value got; the taker nothing.
    """
    buyer, seller = (taker, account) if quantity > 0 else (account, taker)
    if not 0 < abs(quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    rows = np.zeros(1, _TRADE)
    rows["instrument"], rows["buyer"], rows["seller"] = instrument, buyer, seller
    rows["quantity"], rows["price"] = abs(quantity), price
    rows.flags.writeable = False
    reason = refusal(rows[0], int(kind), state.market, state.life, state.parameter(Parameter.MAX_FEE))
    if reason != Reason.NONE:
        return Reason(int(reason))
    index = np.array([out.index], np.uint32)
    legs, _ = post_run(state, out, rows, index, kind, EVENTS.by_class[cls].template)
    charge(state, legs, account, fee_rate)
    out.emit_rows(LegPosted, legs)
    return Reason.NONE

"""Whatever is wrong with an event, it is refused by name and nothing else moves. One line, one case: an event that the
busy clearinghouse below would accept, with one thing changed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from happenings import founded
from world import (
    BTC,
    BTC_U,
    EXPIRY,
    FUT_BTC,
    HOUR,
    MICRO,
    PERP_BTC,
    PUT_BTC,
    SPAN,
    SPOT_BTC,
    START,
    USD,
    World,
    listing,
    profile_events,
    reasons,
    role_of,
    shipped_profile,
)

from ledger.sequence import Quarantined, number
from schemas import events as e
from schemas.chart import House
from schemas.events import EVENTS, LINKED
from schemas.kinds import (
    AccountStatus,
    InstrumentStatus,
    Kind,
    LinkKind,
    Parameter,
    Payoff,
    Reason,
    Right,
    Rung,
    Segregation,
    Settling,
    Style,
    WithdrawalDecision,
)
from schemas.limits import MAX_CHAIN
from schemas.outcomes import LegPosted, Rejected, WithdrawalAnswered
from schemas.sources import Role, source
from schemas.wire import Run, encode_entry, rows_of, runs_of
from services.pricer import market

CLOSED, FROZEN, FAILING, OWING = 26, 27, 28, 29
HALTED, REDUCING, DELISTED, LATER, EXPIRED, SETTLED, UNPRICED = range(20, 27)
SOON = START + 2 * HOUR
ALT_U = 2
BIG = 2**63 - 1
SMALL = -(2**63)


def busy() -> World:
    """A clearinghouse with every kind of account and instrument, orders, withdrawals, an auction and a bid."""
    w = founded()
    perp = next(x for x in listing() if getattr(x, "instrument", 0) == PERP_BTC)
    w.send(
        e.UnderlyingListed(underlying=ALT_U, time=START, lowest=1, highest=MICRO, symbol="ALT"),
        *(replace(perp, instrument=i, symbol=f"X{i}") for i in (HALTED, REDUCING, DELISTED)),
        replace(perp, instrument=LATER, symbol="LATER", effective=EXPIRY),
        *(
            replace(perp, instrument=i, kind=Kind.FUTURE, symbol=f"X{i}", expiry=SOON + i - EXPIRED)
            for i in (EXPIRED, SETTLED)
        ),
        replace(perp, instrument=UNPRICED, symbol="UNPRICED", underlying=ALT_U),
    )
    w.open(CLOSED, FROZEN, FAILING, OWING)
    w.mark()
    for status, instrument in ((1, HALTED), (2, REDUCING), (3, DELISTED)):
        w.send(
            e.InstrumentStatusChanged(
                status=InstrumentStatus(status), instrument=instrument, time=w.time, effective=w.time
            )
        )
    for status, account in ((AccountStatus.CLOSED, CLOSED), (AccountStatus.FROZEN, FROZEN)):
        w.send(e.AccountChanged(status=status, profile=SPAN, account=account, time=w.time, effective=w.time))
    w.send(final_price(SETTLED, SOON + 1))
    w.deposit(FAILING, 300 * MICRO)
    w.trade(FAILING, 18, PERP_BTC, 100, 1_200_000)  # 400 dollars lost at once
    w.trade(OWING, 18, PERP_BTC, 10, 1_200_000)
    w.trade(18, OWING, PERP_BTC, 10, 800_000)  # owes 40 dollars
    w.send(withdrawal(17, 2))
    w.mark(after=4 * HOUR)
    w.send(withdrawal(16, 1))
    w.send(change(e.OrderOpened, account=16, order=1))
    w.send(change(e.LiquidationPlanned, auction=1, quantity=-10))
    w.send(change(e.Bid, bidder=20, bid=1))
    w.send(*profile_events(7, shipped_profile("span"))[:-1])
    refused = [one for one in w.said if getattr(one, "reason", Reason.NONE)]
    assert refused == [], refused
    assert w.state.accounts.rung[FAILING] == Rung.LIQUIDATING
    assert w.balance(OWING) == -40 * MICRO
    return w


def final_price(instrument: int, expiry: int) -> e.SettlementPrice:
    return change(e.SettlementPrice, instrument=instrument, expiry=expiry, effective=expiry, final=1)


def withdrawal(account: int, number_: int, amount: int = MICRO) -> e.WithdrawalRequested:
    return e.WithdrawalRequested(asset=USD, account=account, withdrawal=number_, time=START, amount=amount)


TRADE = {
    "venue": 1, "instrument": PERP_BTC, "buyer": 16, "seller": 17, "time": START, "trade": 1, "quantity": 2,
    "price": 800_000, "buyer_fee": 100, "seller_fee": -100,
}  # fmt: skip
NEXT = START + 5 * HOUR
VALID: dict[type[Any], dict[str, Any]] = {
    e.AssetListed: {"asset": 5, "decimals": 8, "time": START, "haircut": 100, "symbol": "NEW"},
    e.UnderlyingListed: {"underlying": 3, "time": START, "lowest": 1, "highest": MICRO, "symbol": "NEW"},
    e.InstrumentListed: {
        "kind": Kind.PERP, "payoff": Payoff.LINEAR, "style": Style.FUTURES, "settling": Settling.COLLATERALISED,
        "right": Right.NONE, "underlying": BTC_U, "settlement_asset": USD, "base_asset": 0, "instrument": 30,
        "time": START, "effective": START, "expiry": 0, "strike": 0, "price_scale": 100, "tick_value": 10,
        "contract_value": 0, "lot_size": 100_000, "symbol": "NEW",
    },
    e.InstrumentStatusChanged: {
        "status": InstrumentStatus.HALTED, "instrument": PERP_BTC, "time": START, "effective": NEXT,
    },
    e.IndexChanged: {"underlying": BTC_U, "source": 1, "weight": 10_000, "time": START, "effective": NEXT},
    e.AccountOpened: {
        "segregation": Segregation.OMNIBUS, "liquidator": 0, "profile": SPAN, "account": 40, "member": 1, "owner": 1,
        "time": START, "name": "new",
    },
    e.AccountChanged: {"status": AccountStatus.OPEN, "profile": SPAN, "account": 16, "time": START, "effective": NEXT},
    e.AccountLinked: {"link": LinkKind.CLIENT, "removed": 0, "account": 16, "other": 17, "time": START},
    e.Deposited: {"asset": USD, "account": 16, "deposit": 1, "time": START, "amount": MICRO},
    e.WithdrawalRequested: {"asset": USD, "account": 18, "withdrawal": 5, "time": START, "amount": MICRO},
    e.WithdrawalDecided: {"decision": WithdrawalDecision.PAID, "account": 17, "withdrawal": 2, "time": START},
    e.Trade: TRADE,
    e.TradeReversed: TRADE,
    e.OrderOpened: {
        "venue": 1, "instrument": PERP_BTC, "account": 17, "time": START, "order": 1, "quantity": 2, "price": 800_000,
    },
    e.OrderChanged: {"account": 16, "time": START, "order": 1, "quantity": 1, "price": 800_000},
    e.OrderCancelled: {"account": 16, "time": START, "order": 1},
    e.FeeCharged: {"account": 16, "time": START, "effective": NEXT, "amount": 5},
    e.OraclePrice: {
        "underlying": BTC_U, "source": 1, "round": 9, "time": NEXT, "price": 8_000 * MICRO, "bid": 7_999 * MICRO,
        "ask": 8_001 * MICRO,
    },
    e.OracleVolatility: {
        "underlying": BTC_U, "round": 9, "time": NEXT, "expiry": EXPIRY, "strike": 8_000 * MICRO, "volatility": MICRO,
    },
    e.OracleForward: {"underlying": BTC_U, "round": 9, "time": NEXT, "expiry": EXPIRY, "price": 8_001 * MICRO},
    e.OracleAssetPrice: {"asset": BTC, "round": 9, "time": NEXT, "price": 8_001 * MICRO},
    e.FundingRate: {"instrument": PERP_BTC, "time": START, "effective": NEXT, "rate": 1_000},
    e.SettlementPrice: {
        "final": 0, "sources": 3, "underlying": BTC_U, "instrument": FUT_BTC, "time": START, "effective": NEXT,
        "expiry": EXPIRY, "window_start": START, "window_end": START, "price": 800_000,
    },
    e.ParameterChanged: {
        "parameter": Parameter.HAIRCUT, "scope": BTC, "time": START, "effective": NEXT + HOUR, "value": 700,
    },
    e.ProfileText: {"profile": 6, "part": 0, "time": START, "text": "name"},
    e.ProfilePublished: {
        "profile": 7, "parts": len(profile_events(7, shipped_profile("span"))) - 1, "time": START, "effective": NEXT,
        "digest": hashlib.sha256(shipped_profile("span").encode()).digest(),
    },
    e.LiquidationPlanned: {
        "instrument": PERP_BTC, "account": FAILING, "auction": 2, "mark": 3, "quantity": -10, "start": 50, "step": 50,
        "floor": 500,
    },
    e.Bid: {
        "bidder": 20, "instrument": PERP_BTC, "auction": 1, "bid": 2, "time": START, "quantity": 5, "price": 790_000,
    },
    e.Awarded: {
        "instrument": PERP_BTC, "account": FAILING, "bidder": 20, "auction": 1, "bid": 1, "quantity": 5,
        "price": 790_000,
    },
    e.AuctionEnded: {"account": FAILING, "auction": 1},
    e.DeleveragingCalled: {
        "instrument": PERP_BTC, "account": FAILING, "call": 1, "quantity": -5, "price": 790_000,
    },
    e.Deleveraged: {
        "instrument": PERP_BTC, "account": FAILING, "counterparty": 18, "call": 1, "quantity": 5, "price": 790_000,
    },
    e.FundContributed: {"own": 0, "asset": USD, "backer": 1, "time": START, "amount": MICRO},
    e.FundPaid: {"asset": USD, "account": OWING, "mark": 3, "amount": 40 * MICRO},
    e.CapitalContributed: {"asset": USD, "time": START, "amount": MICRO},
}  # fmt: skip


def change(kind: type[Any], /, **changes: Any) -> Any:
    """A valid event of a kind with these fields changed."""
    return kind(**(VALID[kind] | changes))


R = Reason
OPTION = {"kind": Kind.OPTION, "right": Right.CALL, "strike": 800_000, "expiry": EXPIRY}
STM_PREMIUM = {"style": Style.PREMIUM, "settling": Settling.SETTLED_TO_MARKET}
SPOT = {"kind": Kind.SPOT, "base_asset": BTC}
REFUSED: list[tuple[type[Any], dict[str, Any], Reason]] = [
    (e.AssetListed, {"asset": 16}, R.TABLE_FULL),
    (e.AssetListed, {"asset": BTC}, R.ASSET_EXISTS),
    (e.AssetListed, {"decimals": 9}, R.VALUE_OUT_OF_RANGE),
    (e.AssetListed, {"haircut": 10_001}, R.VALUE_OUT_OF_RANGE),
    (e.AssetListed, {"haircut": -1}, R.VALUE_OUT_OF_RANGE),
    (e.UnderlyingListed, {"underlying": 32}, R.TABLE_FULL),
    (e.UnderlyingListed, {"underlying": BTC_U}, R.UNDERLYING_EXISTS),
    (e.UnderlyingListed, {"symbol": "BTC"}, R.UNDERLYING_EXISTS),
    (e.UnderlyingListed, {"lowest": 0}, R.PRICE_OUT_OF_RANGE),
    (e.UnderlyingListed, {"lowest": MICRO}, R.PRICE_OUT_OF_RANGE),
    (e.UnderlyingListed, {"highest": BIG}, R.PRICE_OUT_OF_RANGE),
    (e.InstrumentListed, {"instrument": 0}, R.TABLE_FULL),
    (e.InstrumentListed, {"instrument": 2**16}, R.TABLE_FULL),
    (e.InstrumentListed, {"instrument": PERP_BTC}, R.INSTRUMENT_EXISTS),
    (e.InstrumentListed, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.InstrumentListed, {"settlement_asset": 9}, R.UNKNOWN_ASSET),
    (e.InstrumentListed, {"tick_value": 0}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"tick_value": SMALL}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"lot_size": BIG}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"lot_size": 2 * 10**14, "tick_value": 2 * 10**10}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"price_scale": 0}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"price_scale": 3}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, {"contract_value": -1}, R.VALUE_OUT_OF_RANGE),
    (e.InstrumentListed, OPTION | {"strike": BIG}, R.PRICE_OUT_OF_RANGE),
    (e.InstrumentListed, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.InstrumentListed, OPTION | {"expiry": BIG}, R.TIME_OUT_OF_RANGE),
    (e.InstrumentListed, OPTION | {"expiry": START}, R.INSTRUMENT_EXPIRED),
    (e.InstrumentListed, OPTION | {"effective": EXPIRY}, R.INSTRUMENT_EXPIRED),
    (e.InstrumentListed, {"tick_value": 11}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, {"expiry": EXPIRY}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, {"kind": Kind.FUTURE}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, {"strike": 5}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, {"style": Style.PREMIUM}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, {"payoff": Payoff.INVERSE}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, OPTION | {"right": Right.NONE}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, OPTION | {"payoff": Payoff.INVERSE}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, OPTION | STM_PREMIUM, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, SPOT | {"base_asset": USD}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentListed, SPOT | {"base_asset": 9}, R.INSTRUMENT_INCONSISTENT),
    (e.InstrumentStatusChanged, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.InstrumentStatusChanged, {"instrument": EXPIRED}, R.INSTRUMENT_EXPIRED),
    (e.InstrumentStatusChanged, {"instrument": SETTLED}, R.INSTRUMENT_EXPIRED),
    (e.InstrumentStatusChanged, {"instrument": DELISTED}, R.INSTRUMENT_DELISTED),
    (e.InstrumentStatusChanged, {"instrument": LATER}, R.TIME_OUT_OF_RANGE),
    (e.InstrumentStatusChanged, {"effective": BIG}, R.TIME_OUT_OF_RANGE),
    (e.IndexChanged, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.IndexChanged, {"weight": 10_001}, R.VALUE_OUT_OF_RANGE),
    (e.IndexChanged, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.AccountOpened, {"account": 15}, R.ACCOUNT_RESERVED),
    (e.AccountOpened, {"account": 2**24}, R.TABLE_FULL),
    (e.AccountOpened, {"account": 16}, R.ACCOUNT_EXISTS),
    (e.AccountOpened, {"profile": 9}, R.UNKNOWN_PROFILE),
    (e.AccountOpened, {"profile": 32}, R.UNKNOWN_PROFILE),
    (e.AccountChanged, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.AccountChanged, {"account": House.FUND}, R.UNKNOWN_ACCOUNT),
    (e.AccountChanged, {"profile": 9}, R.UNKNOWN_PROFILE),
    (e.AccountChanged, {"profile": 1}, R.PARAMETER_TOO_SOON),
    (e.AccountChanged, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.AccountLinked, {"other": 40}, R.UNKNOWN_ACCOUNT),
    (e.AccountLinked, {"other": 16}, R.SAME_ACCOUNT),
    (e.Deposited, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.Deposited, {"account": House.OWN_CAPITAL}, R.UNKNOWN_ACCOUNT),
    (e.Deposited, {"account": 2**32 - 1}, R.UNKNOWN_ACCOUNT),
    (e.Deposited, {"account": CLOSED}, R.ACCOUNT_CLOSED),
    (e.Deposited, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.Deposited, {"asset": 2**16 - 1}, R.UNKNOWN_ASSET),
    (e.Deposited, {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    (e.Deposited, {"amount": SMALL}, R.AMOUNT_NOT_POSITIVE),
    (e.Deposited, {"amount": BIG}, R.AMOUNT_NOT_POSITIVE),
    (e.WithdrawalRequested, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.WithdrawalRequested, {"account": CLOSED}, R.ACCOUNT_CLOSED),
    (e.WithdrawalRequested, {"account": FROZEN}, R.ACCOUNT_FROZEN),
    (e.WithdrawalRequested, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.WithdrawalRequested, {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    (e.WithdrawalRequested, {"account": 16, "withdrawal": 1}, R.WITHDRAWAL_EXISTS),
    (e.WithdrawalRequested, {"account": 17, "withdrawal": 2}, R.WITHDRAWAL_EXISTS),
    (e.WithdrawalDecided, {"withdrawal": 9}, R.UNKNOWN_WITHDRAWAL),
    (e.WithdrawalDecided, {"account": 40}, R.UNKNOWN_WITHDRAWAL),
    (e.WithdrawalDecided, {"account": 16, "withdrawal": 1}, R.WITHDRAWAL_PENDING),
    *(
        (kind, changes, reason)
        for kind in (e.Trade, e.TradeReversed)
        for changes, reason in (
            ({"instrument": 99}, R.UNKNOWN_INSTRUMENT),
            ({"instrument": 2**32 - 1}, R.UNKNOWN_INSTRUMENT),
            ({"instrument": LATER}, R.UNKNOWN_INSTRUMENT),
            ({"instrument": SETTLED}, R.INSTRUMENT_EXPIRED),
            ({"buyer": House.FUND}, R.ACCOUNT_RESERVED),
            ({"seller": 15}, R.ACCOUNT_RESERVED),
            ({"buyer": 17}, R.SAME_ACCOUNT),
            ({"quantity": 0}, R.QUANTITY_OUT_OF_RANGE),
            ({"quantity": -1}, R.QUANTITY_OUT_OF_RANGE),
            ({"quantity": 2**31}, R.QUANTITY_OUT_OF_RANGE),
            ({"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
            ({"price": 0}, R.PRICE_OUT_OF_RANGE),
            ({"price": 2**40 + 1}, R.PRICE_OUT_OF_RANGE),
            ({"quantity": 2**31 - 1, "price": 2**40}, R.VALUE_OUT_OF_RANGE),
            # 1 % of 2 lots worth 16 dollars
            ({"buyer_fee": 160_001}, R.FEE_OUT_OF_RANGE),
            ({"seller_fee": -160_001}, R.FEE_OUT_OF_RANGE),
            ({"buyer_fee": BIG}, R.FEE_OUT_OF_RANGE),
            ({"buyer_fee": SMALL}, R.FEE_OUT_OF_RANGE),
            ({"seller_fee": SMALL}, R.FEE_OUT_OF_RANGE),
        )
    ),
    (e.Trade, {"instrument": HALTED}, R.INSTRUMENT_HALTED),
    (e.Trade, {"instrument": DELISTED}, R.INSTRUMENT_DELISTED),
    (e.Trade, {"instrument": EXPIRED}, R.INSTRUMENT_EXPIRED),
    (e.Trade, {"flags": LINKED}, R.LINKED_CHAIN_OPEN),
    (e.OrderOpened, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.OrderOpened, {"account": CLOSED}, R.ACCOUNT_CLOSED),
    (e.OrderOpened, {"account": FROZEN}, R.ACCOUNT_FROZEN),
    (e.OrderOpened, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.OrderOpened, {"instrument": LATER}, R.UNKNOWN_INSTRUMENT),
    (e.OrderOpened, {"instrument": HALTED}, R.INSTRUMENT_HALTED),
    (e.OrderOpened, {"instrument": REDUCING}, R.INSTRUMENT_REDUCE_ONLY),
    (e.OrderOpened, {"instrument": DELISTED}, R.INSTRUMENT_DELISTED),
    (e.OrderOpened, {"instrument": EXPIRED}, R.INSTRUMENT_EXPIRED),
    (e.OrderOpened, {"quantity": 0}, R.QUANTITY_OUT_OF_RANGE),
    (e.OrderOpened, {"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.OrderOpened, {"price": 0}, R.PRICE_OUT_OF_RANGE),
    (e.OrderOpened, {"account": 16}, R.ORDER_EXISTS),
    (e.OrderOpened, {"account": FAILING}, R.ORDER_RAISES_RISK),
    (e.OrderOpened, {"account": FAILING, "quantity": -101}, R.ORDER_RAISES_RISK),
    (e.OrderChanged, {"order": 9}, R.UNKNOWN_ORDER),
    (e.OrderChanged, {"account": 40}, R.UNKNOWN_ORDER),
    (e.OrderChanged, {"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.OrderChanged, {"quantity": -1}, R.QUANTITY_OUT_OF_RANGE),
    (e.OrderChanged, {"price": BIG}, R.PRICE_OUT_OF_RANGE),
    (e.OrderCancelled, {"order": 9}, R.UNKNOWN_ORDER),
    (e.FeeCharged, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.FeeCharged, {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    (e.FeeCharged, {"amount": BIG}, R.AMOUNT_NOT_POSITIVE),
    (e.FeeCharged, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.OraclePrice, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.OraclePrice, {"time": START}, R.ORACLE_LATE),
    (e.OraclePrice, {"source": 2, "time": START}, R.ORACLE_STALE),
    (e.OraclePrice, {"bid": 8_001 * MICRO}, R.ORACLE_CROSSED),
    (e.OraclePrice, {"ask": 7_999 * MICRO}, R.ORACLE_CROSSED),
    (e.OraclePrice, {"price": 12_001 * MICRO, "ask": 12_001 * MICRO}, R.ORACLE_OUTLYING),
    (e.OraclePrice, {"price": 3_999 * MICRO, "bid": 3_999 * MICRO}, R.ORACLE_OUTLYING),
    (e.OraclePrice, {"source": 77, "price": 12_001 * MICRO, "ask": 12_001 * MICRO}, R.ORACLE_OUTLYING),
    (e.OraclePrice, {"price": 0, "bid": 0}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OraclePrice, {"price": BIG, "ask": BIG}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OraclePrice, {"price": SMALL, "bid": SMALL}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OraclePrice, {"time": BIG}, R.TIME_OUT_OF_RANGE),
    (e.OracleVolatility, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.OracleVolatility, {"volatility": 0}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OracleVolatility, {"strike": BIG}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OracleVolatility, {"expiry": SOON}, R.ORACLE_LATE),
    (e.OracleVolatility, {"expiry": EXPIRY + 1}, R.ORACLE_LATE),
    (e.OracleForward, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.OracleForward, {"price": 0}, R.ORACLE_OUT_OF_BOUNDS),
    (e.OracleForward, {"expiry": SOON}, R.ORACLE_LATE),
    (e.OracleForward, {"expiry": -1}, R.ORACLE_LATE),
    (e.OracleAssetPrice, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.OracleAssetPrice, {"asset": USD}, R.UNKNOWN_ASSET),
    (e.OracleAssetPrice, {"price": 0}, R.ORACLE_OUT_OF_BOUNDS),
    (e.FundingRate, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.FundingRate, {"instrument": FUT_BTC}, R.NOT_A_PERP),
    (e.FundingRate, {"rate": 10**9 + 1}, R.VALUE_OUT_OF_RANGE),
    (e.FundingRate, {"rate": SMALL}, R.VALUE_OUT_OF_RANGE),
    (e.FundingRate, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.SettlementPrice, {"underlying": 9}, R.UNKNOWN_UNDERLYING),
    (e.SettlementPrice, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.SettlementPrice, {"instrument": 0, "expiry": 0}, R.UNKNOWN_INSTRUMENT),
    (e.SettlementPrice, {"instrument": 0, "expiry": EXPIRY + 5}, R.UNKNOWN_INSTRUMENT),
    (e.SettlementPrice, {"instrument": 0, "expiry": -1}, R.UNKNOWN_INSTRUMENT),
    (e.SettlementPrice, {"underlying": ALT_U, "instrument": 0, "final": 1}, R.UNKNOWN_INSTRUMENT),
    (e.SettlementPrice, {"instrument": FUT_BTC, "underlying": 1}, R.INSTRUMENT_INCONSISTENT),
    (e.SettlementPrice, {"instrument": FUT_BTC, "expiry": 0}, R.INSTRUMENT_INCONSISTENT),
    (e.SettlementPrice, {"instrument": SETTLED, "expiry": SOON + 1}, R.INSTRUMENT_EXPIRED),
    (e.SettlementPrice, {"price": 0}, R.PRICE_OUT_OF_RANGE),
    (e.SettlementPrice, {"price": BIG}, R.PRICE_OUT_OF_RANGE),
    (e.SettlementPrice, {"price": 10**8 + 100}, R.ORACLE_OUT_OF_BOUNDS),
    (e.SettlementPrice, {"price": 99, "final": 1}, R.ORACLE_OUT_OF_BOUNDS),
    (e.SettlementPrice, {"sources": 0}, R.VALUE_OUT_OF_RANGE),
    (e.SettlementPrice, {"window_start": NEXT}, R.VALUE_OUT_OF_RANGE),
    (e.SettlementPrice, {"window_end": NEXT + 1}, R.VALUE_OUT_OF_RANGE),
    (e.SettlementPrice, {"effective": BIG}, R.TIME_OUT_OF_RANGE),
    (e.ParameterChanged, {"value": 10_001}, R.PARAMETER_OUT_OF_RANGE),
    (e.ParameterChanged, {"value": SMALL}, R.PARAMETER_OUT_OF_RANGE),
    (e.ParameterChanged, {"parameter": Parameter.FOLD_VERSION, "scope": 0, "value": 2}, R.PARAMETER_OUT_OF_RANGE),
    (e.ParameterChanged, {"scope": 9}, R.UNKNOWN_ASSET),
    (e.ParameterChanged, {"scope": USD}, R.UNKNOWN_ASSET),
    (e.ParameterChanged, {"parameter": Parameter.MAX_FEE}, R.UNKNOWN_PARAMETER),
    (e.ParameterChanged, {"parameter": Parameter.ORACLE_MIN_FEEDS, "scope": 9, "value": 3}, R.UNKNOWN_UNDERLYING),
    (e.ParameterChanged, {"parameter": Parameter.ORACLE_WIDENING, "scope": 1, "value": 3}, R.UNKNOWN_PARAMETER),
    (e.ParameterChanged, {"parameter": Parameter.PEG_BOUND, "scope": USD, "value": 3}, R.UNKNOWN_ASSET),
    (e.ParameterChanged, {"effective": START}, R.PARAMETER_TOO_SOON),
    (e.ParameterChanged, {"effective": BIG}, R.TIME_OUT_OF_RANGE),
    (e.ProfileText, {"profile": 32}, R.TABLE_FULL),
    (e.ProfileText, {"part": 1}, R.NUMBER_NOT_NEXT),
    (e.ProfilePublished, {"profile": 5}, R.PROFILE_INVALID),
    (e.ProfilePublished, {"parts": 1}, R.PROFILE_INVALID),
    (e.ProfilePublished, {"digest": bytes(32)}, R.PROFILE_INVALID),
    (e.ProfilePublished, {"effective": -1}, R.TIME_OUT_OF_RANGE),
    (e.LiquidationPlanned, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.LiquidationPlanned, {"account": 16}, R.NOT_LIQUIDATING),
    (e.LiquidationPlanned, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.LiquidationPlanned, {"instrument": EXPIRED}, R.INSTRUMENT_EXPIRED),
    (e.LiquidationPlanned, {"auction": 1}, R.AUCTION_EXISTS),
    (e.LiquidationPlanned, {"start": 501}, R.VALUE_OUT_OF_RANGE),
    (e.LiquidationPlanned, {"step": 0}, R.VALUE_OUT_OF_RANGE),
    (e.LiquidationPlanned, {"floor": 10_001}, R.VALUE_OUT_OF_RANGE),
    (e.LiquidationPlanned, {"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.LiquidationPlanned, {"quantity": 10}, R.NOTHING_TO_REDUCE),
    (e.LiquidationPlanned, {"instrument": FUT_BTC}, R.NOTHING_TO_REDUCE),
    (e.Bid, {"bidder": 40}, R.UNKNOWN_ACCOUNT),
    (e.Bid, {"bidder": 16}, R.BIDDER_NOT_ALLOWED),
    (e.Bid, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.Bid, {"instrument": EXPIRED}, R.INSTRUMENT_EXPIRED),
    (e.Bid, {"quantity": 0}, R.QUANTITY_OUT_OF_RANGE),
    (e.Bid, {"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.Bid, {"price": 0}, R.PRICE_OUT_OF_RANGE),
    (e.Bid, {"bid": 1}, R.BID_EXISTS),
    (e.Bid, {"quantity": 100_000}, R.BIDDER_BELOW_MARGIN),
    (e.Bid, {"instrument": UNPRICED}, R.BIDDER_BELOW_MARGIN),
    (e.Awarded, {"bid": 7, "instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.Awarded, {"bid": 7, "instrument": SETTLED}, R.INSTRUMENT_EXPIRED),
    (e.Awarded, {"bid": 7, "account": 20}, R.SAME_ACCOUNT),
    (e.Awarded, {"bid": 7, "account": House.FUND}, R.ACCOUNT_RESERVED),
    (e.Awarded, {"bid": 7, "quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.Awarded, {"bid": 7, "price": 0}, R.PRICE_OUT_OF_RANGE),
    (e.AuctionEnded, {"auction": 9}, R.UNKNOWN_AUCTION),
    (e.AuctionEnded, {"account": 16}, R.UNKNOWN_AUCTION),
    (e.DeleveragingCalled, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.DeleveragingCalled, {"instrument": UNPRICED}, R.NO_RISK_ARRAY),
    (e.DeleveragingCalled, {"quantity": 0}, R.QUANTITY_OUT_OF_RANGE),
    (e.Deleveraged, {"instrument": 99}, R.UNKNOWN_INSTRUMENT),
    (e.Deleveraged, {"quantity": 0}, R.QUANTITY_OUT_OF_RANGE),
    (e.Deleveraged, {"quantity": SMALL}, R.QUANTITY_OUT_OF_RANGE),
    (e.Deleveraged, {"counterparty": FAILING}, R.SAME_ACCOUNT),
    (e.FundContributed, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.FundContributed, {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    (e.FundContributed, {"own": 1}, R.FUND_INSUFFICIENT),
    (e.FundPaid, {"account": 40}, R.UNKNOWN_ACCOUNT),
    (e.FundPaid, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.FundPaid, {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    (e.FundPaid, {"amount": 40 * MICRO + 1}, R.NOTHING_DUE),
    (e.FundPaid, {"account": 16}, R.NOTHING_DUE),
    (e.CapitalContributed, {"asset": 9}, R.UNKNOWN_ASSET),
    (e.CapitalContributed, {"amount": -1}, R.AMOUNT_NOT_POSITIVE),
]  # fmt: skip


def told(said: list[Any]) -> list[tuple[str, str]]:
    return [(type(one).__name__, one.reason.name) for one in said]


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_the_events_that_are_changed_below_are_accepted(kind: type[Any]) -> None:
    world = busy()
    before = world.digests()
    said = world.send(change(kind))
    assert reasons(said) == []
    assert world.digests() != before or kind is e.DeleveragingCalled


_KEPT: list[World] = []


@pytest.fixture
def kept() -> Iterator[World]:
    """The busy clearinghouse, one for all that must leave it as it was."""
    if not _KEPT:
        _KEPT.append(busy())
    world = _KEPT[0]
    before = world.digests()
    yield world
    if world.digests() != before:
        _KEPT.clear()
        pytest.fail("the books moved")


@pytest.mark.parametrize(
    ("kind", "changes", "reason"), REFUSED, ids=[f"{k.__name__}-{r.name}-{c}" for k, c, r in REFUSED]
)
def test_refused_by_name_and_nothing_moves(
    kept: World, kind: type[Any], changes: dict[str, Any], reason: Reason
) -> None:
    said = kept.send(change(kind, **changes))
    assert told(said) == [("Rejected", reason.name)]
    assert said[0].template == EVENTS.by_class[kind].template


@pytest.mark.parametrize("kind", EVENTS.by_class, ids=lambda kind: kind.__name__)
def test_an_event_of_another_role_is_refused(kept: World, kind: type[Any]) -> None:
    event = change(kind) if kind in VALID else _market_event(kind)
    for number_ in (source(Role.ORACLE if role_of(event) != Role.ORACLE else Role.EXCHANGE), 99_000, 0):
        assert told(kept.entry(number_, [event])) == [("Rejected", "UNAUTHORISED_SOURCE")], number_


def _market_event(kind: type[Any]) -> Any:
    values = {field.name: 0 for field in fields(kind)}
    forms = {"losses": (0,) * 16, "digest": bytes(32), "name": ""}
    values |= {name: form for name, form in forms.items() if name in values}
    return kind(**values)


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_what_cannot_be_linked_fails_with_what_it_is_linked_to(kept: World, kind: type[Any]) -> None:
    linked = change(kind, flags=LINKED)
    plain = change(kind)
    if EVENTS.by_class[kind].linkable:
        assert told(kept.send(linked)) == [("Rejected", "LINKED_CHAIN_OPEN")]
    else:
        said = kept.send(linked, linked, plain)
        assert told(said) == [("Rejected", name) for name in ("NOT_LINKABLE", "NOT_LINKABLE", "LINKED_EVENT_FAILED")]


# --- chains of trades -------------------------------------------------------------------------------------------------

GOOD, LINKED_GOOD = {}, {"flags": LINKED}
BAD, LINKED_BAD = {"quantity": 0}, {"quantity": 0, "flags": LINKED}


@pytest.mark.parametrize(
    ("events", "answers"),
    [
        ([(e.Trade, LINKED_GOOD), (e.Trade, BAD)], "LINKED_EVENT_FAILED QUANTITY_OUT_OF_RANGE"),
        ([(e.Trade, LINKED_BAD), (e.Trade, GOOD)], "QUANTITY_OUT_OF_RANGE LINKED_EVENT_FAILED"),
        ([(e.Trade, LINKED_GOOD)] * 2, "LINKED_CHAIN_OPEN LINKED_CHAIN_OPEN"),
        ([(e.Trade, LINKED_GOOD), (e.TradeReversed, GOOD)], "LINKED_CHAIN_OPEN LINKED_EVENT_FAILED"),
        (
            [(e.Trade, LINKED_GOOD), (e.TradeReversed, LINKED_GOOD), (e.TradeReversed, GOOD)],
            "LINKED_CHAIN_OPEN LINKED_EVENT_FAILED LINKED_EVENT_FAILED",
        ),
        (
            [(e.Trade, LINKED_GOOD), (e.TradeReversed, LINKED_GOOD), (e.Trade, GOOD)],
            "LINKED_CHAIN_OPEN LINKED_EVENT_FAILED LINKED_EVENT_FAILED",
        ),
        ([(e.FeeCharged, LINKED_GOOD), (e.Trade, GOOD)], "NOT_LINKABLE LINKED_EVENT_FAILED"),
        ([(e.Trade, LINKED_GOOD), (e.FeeCharged, GOOD)], "LINKED_CHAIN_OPEN LINKED_EVENT_FAILED"),
        ([(e.Trade, LINKED_GOOD)] * MAX_CHAIN + [(e.Trade, GOOD)], " ".join(["LINKED_CHAIN_OPEN"] * (MAX_CHAIN + 1))),
    ],
    ids=[
        "the last fails", "the first fails", "never closed", "over two runs", "over two runs and on", "over three runs",
        "begun by what cannot be linked", "ended by what cannot be linked", "too long",
    ],
)  # fmt: skip
def test_a_chain_passes_or_fails_together(
    kept: World, events: list[tuple[type[Any], dict[str, Any]]], answers: str
) -> None:
    said = kept.send(*(change(kind, **changes) for kind, changes in events))
    assert [one.reason.name for one in sorted(said, key=lambda one: one.index)] == answers.split()


def test_the_event_after_a_failed_chain_stands_for_itself() -> None:
    world = busy()
    chain = [change(e.Trade, flags=LINKED), change(e.TradeReversed), change(e.TradeReversed, quantity=1)]
    said = world.send(*chain)
    assert [(type(one).__name__, one.index) for one in said] == [
        ("Rejected", 0), ("Rejected", 1), ("LegPosted", 2), ("LegPosted", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("length", [1, 2, MAX_CHAIN])
def test_a_chain_within_its_length_is_posted(length: int) -> None:
    world = busy()
    said = world.send(*[change(e.Trade, flags=LINKED)] * (length - 1), change(e.Trade))
    assert [type(one) for one in said] == [LegPosted] * 2 * length


def test_an_option_s_fee_is_measured_on_an_underlying_of_any_size() -> None:
    # 5 BTC a lot: the largest quantity there is, at 8,000 dollars each, is past 64 bits.
    world = busy()
    put = next(x for x in listing() if getattr(x, "instrument", 0) == PUT_BTC)
    world.send(replace(put, instrument=40, symbol="BIG", lot_size=5 * 10**8, tick_value=50_000))
    world.mark()
    assert world.state.market.notional[40] == 40_000 * MICRO
    for quantity in (1, 2**31 - 1):
        said = world.trade(16, 17, 40, quantity, 1, buyer_fee=400 * MICRO)  # 1 % of 40,000 dollars
        assert "FEE_OUT_OF_RANGE" not in reasons(said), quantity
    assert reasons(world.trade(16, 17, 40, 1, 1, buyer_fee=400 * MICRO + 1)) == ["FEE_OUT_OF_RANGE"]


# --- suspense ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        (e.Trade, {"buyer": 40}, R.UNKNOWN_ACCOUNT),
        (e.Trade, {"buyer": 2**32 - 1}, R.UNKNOWN_ACCOUNT),
        (e.Trade, {"buyer": 40, "instrument": SPOT_BTC}, R.UNKNOWN_ACCOUNT),
        (e.Trade, {"buyer": CLOSED}, R.ACCOUNT_CLOSED),
        (e.TradeReversed, {"seller": CLOSED}, R.ACCOUNT_CLOSED),
        (e.Trade, {"instrument": UNPRICED}, R.NO_RISK_ARRAY),
        (e.Trade, {"instrument": REDUCING}, R.INSTRUMENT_REDUCE_ONLY),
        (e.Trade, {"instrument": PUT_BTC, "quantity": 2**31 - 1, "price": 1}, R.RISK_BOUND_EXCEEDED),
    ],
    ids=lambda value: str(value),
)
def test_a_leg_its_account_cannot_take_lies_in_suspense(
    kind: type[Any], changes: dict[str, Any], reason: Reason
) -> None:
    world = busy()
    said = world.send(change(kind, **changes))
    legs = [one for one in said if isinstance(one, LegPosted)]
    assert len(legs) == 2
    lying = next(leg for leg in legs if leg.reason == reason)
    assert lying.account == House.SUSPENSE
    assert lying.intended == (changes.get("buyer") or changes.get("seller") or lying.intended)
    world.mark()  # every sum holds


def test_a_position_and_a_balance_have_limits() -> None:
    world = busy()
    world = busy()
    whole = change(e.Awarded, bid=9, bidder=19, account=18, instrument=UNPRICED, quantity=2**31 - 1, price=1)
    assert reasons(world.send(whole)) == []
    assert reasons(world.send(replace(whole, quantity=1))) == ["POSITION_LIMIT"] * 2
    world.deposit(16, 2**60)
    assert reasons(world.deposit(16, 2**61 + world.balance(House.CUSTODY))) == []  # all that the custodian may hold
    assert reasons(world.deposit(16, 1)) == ["BALANCE_LIMIT"]
    assert reasons(world.trade(16, 17, SPOT_BTC, 200_000, 800_000)) == ["BALANCE_LIMIT"]
    assert reasons(world.trade(16, 17, PERP_BTC, 200_000, 800_000)) == ["BALANCE_LIMIT"]
    world.mark()


# --- marks and markets ------------------------------------------------------------------------------------------------


def _market(world: World, change_: Callable[[list[Run]], list[Run]]) -> list[Any]:
    runs = list(market(world.state, world.marks + 1, world.time + HOUR))
    return world.send_runs(Role.PRICER, change_(runs))


def _edit(template: type[Any], **changes: Any) -> Callable[[list[Run]], list[Run]]:
    """The market's rows with the first of this kind changed, and closed again with their own hash."""

    def edited(runs: list[Run]) -> list[Run]:
        out = []
        for run in runs:
            rows = run.rows.copy()
            if run.message.cls is template:
                for name, value in changes.items():
                    rows[name][0] = value
                changes.clear()
            out.append(Run(run.message, rows))
        body = out[:-1]
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(run.rows).tobytes() for run in body)).digest()
        out[-1].rows["digest"] = np.void(digest)
        return out

    return edited


def _without_hash(template: type[Any], **changes: Any) -> Callable[[list[Run]], list[Run]]:
    def edited(runs: list[Run]) -> list[Run]:
        again = _edit(template, **changes)(runs)
        return [*again[:-1], runs[-1]]

    return edited


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without_hash(e.RiskArray, losses=5), R.MARKET_INCOMPLETE),
        (_without_hash(e.InstrumentMark, mark=5), R.MARKET_INCOMPLETE),
        (lambda runs: runs[1:], R.MARKET_INCOMPLETE),
        (lambda runs: [runs[0], *runs], R.MARKET_INCOMPLETE),
        (lambda runs: [*runs[1:-1], runs[0], runs[-1]], R.MARKET_INCOMPLETE),
        (lambda runs: [runs[-1]], R.MARKET_INCOMPLETE),
        (_edit(e.InstrumentMark, instrument=99), R.UNKNOWN_INSTRUMENT),
        (_edit(e.InstrumentMark, mark=0), R.PRICE_OUT_OF_RANGE),
        (_edit(e.InstrumentMark, mark=-5), R.PRICE_OUT_OF_RANGE),
        (_edit(e.InstrumentMark, mark=BIG), R.PRICE_OUT_OF_RANGE),
        (_edit(e.InstrumentMark, delta=SMALL), R.PRICE_OUT_OF_RANGE),
        (_edit(e.RiskArray, instrument=99), R.UNKNOWN_INSTRUMENT),
        (_edit(e.RiskArray, profile=99), R.UNKNOWN_PROFILE),
        (_edit(e.RiskArray, losses=SMALL), R.PRICE_OUT_OF_RANGE),
        (_edit(e.AssetMark, asset=9), R.UNKNOWN_ASSET),
        (_edit(e.AssetMark, price=0), R.PRICE_OUT_OF_RANGE),
        (_edit(e.AssetMark, price=BIG), R.PRICE_OUT_OF_RANGE),
        (_edit(e.UnderlyingMark, underlying=9), R.UNKNOWN_UNDERLYING),
        (_edit(e.UnderlyingMark, price=-1), R.PRICE_OUT_OF_RANGE),
        (_edit(e.UnderlyingMark, price=10**6 * MICRO + 1), R.PRICE_OUT_OF_RANGE),
    ],
    ids=[
        "a loss changed",
        "a mark changed",
        "the first run missing",
        "the first run twice",
        "two runs exchanged",
        "nothing but the end",
        "mark of an unknown instrument",
        "mark 0",
        "mark below 0",
        "mark too large",
        "delta too large",
        "array of an unknown instrument",
        "array of an unknown profile",
        "loss too large",
        "unknown asset",
        "asset price 0",
        "asset price too large",
        "unknown underlying",
        "underlying price below 0",
        "underlying price above its bound",
    ],
)
def test_a_market_that_is_not_whole_or_not_possible_is_refused(
    kept: World, edit: Callable[[list[Run]], list[Run]], reason: Reason
) -> None:
    # Its rows are forgotten with it, so that the same market can be told again.
    assert told(_market(kept, edit)) == [("Rejected", reason.name)]
    assert told(kept.send(e.Mark(mark=kept.marks + 1, market=kept.marks + 1, time=kept.time + HOUR))) == [
        ("Rejected", "UNKNOWN_MARKET")
    ]


@pytest.mark.parametrize(
    ("mark", "market_", "later", "reason"),
    [
        (0, 0, HOUR, R.MARK_NOT_NEXT),
        (2, 0, HOUR, R.MARK_NOT_NEXT),
        (1, 0, -1, R.MARK_NOT_LATER),
        (1, 0, 2**60, R.MARK_NOT_LATER),
        (1, 1, HOUR, R.UNKNOWN_MARKET),
        (1, -1, HOUR, R.UNKNOWN_MARKET),
    ],
)
def test_marks_are_dense_and_time_never_falls(mark: int, market_: int, later: int, reason: Reason) -> None:
    world = busy()
    assert _market(world, lambda runs: runs) == []
    before = world.digests()
    said = world.send(e.Mark(mark=world.marks + mark, market=world.marks + 1 + market_, time=world.time + later))
    assert told(said) == [("Rejected", reason.name)]
    assert world.digests() == before


def test_a_market_in_force_or_closed_takes_no_more_rows() -> None:
    world = busy()
    row = e.InstrumentMark(instrument=PERP_BTC, market=world.marks, mark=5, delta=5)
    before = world.digests()
    assert told(world.send(row, row)) == [("Rejected", "MARKET_CLOSED")] * 2
    assert told(world.send(e.MarketClosed(market=world.marks, rows=1, digest=bytes(32)))) == [
        ("Rejected", "MARKET_CLOSED")
    ]
    assert world.digests() == before
    _market(world, lambda runs: runs)
    before = world.digests()
    assert told(world.send(replace(row, market=world.marks + 1))) == [("Rejected", "MARKET_CLOSED")]
    assert told(world.send(e.MarketClosed(market=world.marks + 1, rows=1, digest=bytes(32)))) == [
        ("Rejected", "MARKET_CLOSED")
    ]
    assert world.digests() == before


def test_linked_market_rows_are_refused(kept: World) -> None:
    row = e.InstrumentMark(instrument=PERP_BTC, market=kept.marks + 5, mark=5, delta=5, flags=LINKED)
    assert told(kept.send(row, row, replace(row, flags=0))) == [
        ("Rejected", name) for name in ("NOT_LINKABLE", "NOT_LINKABLE", "LINKED_EVENT_FAILED")
    ]


def _only(run: Run, instrument: int) -> Run:
    """The marks of all instruments but this one given up to it."""
    if run.message.cls is not e.InstrumentMark:
        return run
    rows = run.rows.copy()
    rows["instrument"] = instrument
    rows["mark"] = 2**40
    return Run(run.message, rows)


def test_a_funding_index_never_leaves_its_bounds() -> None:
    # The largest rate there is at the largest mark there is moves the index past any bound: it is refused when due.
    world = busy()
    for rate in (10**9, -(10**9)):
        world.send(change(e.FundingRate, rate=rate, effective=world.time))
    first = _edit(e.InstrumentMark, instrument=PERP_BTC, mark=2**40)
    assert _market(world, lambda runs: first([_only(run, PERP_BTC) for run in runs])) == []
    said = world.send(e.Mark(mark=world.marks + 1, market=world.marks + 1, time=world.time + HOUR))
    assert [one.reason.name for one in said if isinstance(one, Rejected)] == ["VALUE_OUT_OF_RANGE"] * 2
    assert world.state.market.funding[PERP_BTC] == 0


# --- rows and bytes ---------------------------------------------------------------------------------------------------


def _raw(event: Any, **changes: Any) -> Run:
    rows = rows_of(EVENTS.by_class[type(event)], [event]).copy()
    for name, value in changes.items():
        rows[name] = value
    return Run(EVENTS.by_class[type(event)], rows)


@pytest.mark.parametrize(
    ("event", "changes", "reason"),
    [
        (change(e.AccountOpened), {"segregation": 9}, R.UNKNOWN_ENUM_VALUE),
        (change(e.AccountChanged), {"status": 255}, R.UNKNOWN_ENUM_VALUE),
        (change(e.InstrumentListed), {"kind": 7}, R.UNKNOWN_ENUM_VALUE),
        (change(e.ParameterChanged), {"parameter": 200}, R.UNKNOWN_ENUM_VALUE),
        (change(e.WithdrawalDecided), {"decision": 2}, R.UNKNOWN_ENUM_VALUE),
        (change(e.AccountOpened), {"name": b"\xff\xfe"}, R.MALFORMED),
        (change(e.AccountOpened), {"name": b"a\0b"}, R.MALFORMED),
    ],
    ids=lambda value: "" if not isinstance(value, Reason) else value.name,
)
def test_a_row_that_means_nothing_is_refused(kept: World, event: Any, changes: dict[str, Any], reason: Reason) -> None:
    assert told(kept.send_runs(role_of(event), [_raw(event, **changes)])) == [("Rejected", reason.name)]


def _entry(world: World) -> tuple[int, bytes]:
    """An entry as it would come next."""
    number_ = source(Role.CUSTODIAN)
    return number_, encode_entry(number_, world.sequences[number_] + 1, runs_of(EVENTS, [change(e.Deposited)]))


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


HEADER = 8 + 16


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: d[:-1], R.MALFORMED),
        (lambda d: d + b"\0", R.MALFORMED),
        (lambda d: d[:HEADER], R.MALFORMED),
        (lambda d: _changed(d, 12, b"\7"), R.MALFORMED),
        (lambda d: _changed(d, HEADER + 2, b"\xff\xff"), R.UNKNOWN_TEMPLATE),
        (lambda d: _changed(d, HEADER + 6, b"\xff\xff"), R.UNKNOWN_VERSION),
        (lambda d: _changed(d, HEADER + 8, b"\1"), R.MALFORMED),
    ],
    ids=["cut", "longer", "no run", "another count", "another template", "another version", "another width"],
)
def test_an_entry_whose_body_cannot_be_read_is_refused_whole(
    kept: World, damage: Callable[[bytes], bytes], reason: Reason
) -> None:
    number_, data = _entry(kept)
    assert told(kept.bytes(damage(data))) == [("Rejected", reason.name)]
    kept.sequences[number_] += 1  # the source's number has moved


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: b"", R.MALFORMED),
        (lambda _: b"not an entry at all, but long enough", R.MALFORMED),
        (lambda d: d[: HEADER - 1], R.MALFORMED),
        (lambda d: _changed(d, 6, b"\xff\xff"), R.UNKNOWN_VERSION),
        (lambda d: _changed(d, 16, bytes(8)), R.MALFORMED),
    ],
    ids=["nothing", "text", "half a header", "another version", "number 0"],
)
def test_bytes_without_a_header_go_to_quarantine(kept: World, damage: Callable[[bytes], bytes], reason: Reason) -> None:
    _, data = _entry(kept)
    answer = number(copy.deepcopy(kept.clearing.sequence), kept.offset, damage(data))
    assert isinstance(answer, Quarantined)
    assert answer.reason == reason
    assert kept.bytes(damage(data)) == []


def test_a_repeat_and_a_gap_say_nothing_and_move_nothing(kept: World) -> None:
    number_, _ = _entry(kept)
    again = next(one for one in reversed(kept.entries) if int.from_bytes(one[8:12], "little") == number_)
    assert kept.bytes(again) == []
    ahead = encode_entry(number_, kept.sequences[number_] + 2, runs_of(EVENTS, [change(e.Deposited)]))
    assert kept.bytes(ahead) == []


# --- what a mark refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "amount", "reason"),
    [
        (17, 3_000 * MICRO, R.NONE),
        (24, 10 * MICRO + 1, R.WITHDRAWAL_UNCOVERED),
        (FAILING, MICRO, R.WITHDRAWAL_BELOW_MARGIN),
        (25, 900 * MICRO, R.WITHDRAWAL_BELOW_MARGIN),
        (30, MICRO, R.NO_RISK_ARRAY),
    ],
)
def test_a_withdrawal_is_refused_by_name_at_the_next_mark(account: int, amount: int, reason: Reason) -> None:
    world = busy()
    world.open(24, 25, 30)
    world.deposit(24, 10 * MICRO)
    world.deposit(25, 1_000 * MICRO)
    world.trade(25, 18, PERP_BTC, 100, 800_000)  # 800 dollars of BTC: margin of more than 100
    world.deposit(30, 1_000 * MICRO)
    world.send(change(e.Awarded, bid=9, bidder=30, instrument=UNPRICED, account=18, price=100))
    world.deposit(17, 3_000 * MICRO)
    world.send(withdrawal(account, 9, amount))
    said = [one for one in world.mark() if isinstance(one, WithdrawalAnswered) and one.withdrawal == 9]
    assert [(one.account, one.reason) for one in said] == [(account, reason)]


# --- every reason -----------------------------------------------------------------------------------------------------

HERE = {
    R.UNAUTHORISED_SOURCE: test_an_event_of_another_role_is_refused,
    R.NOT_LINKABLE: test_what_cannot_be_linked_fails_with_what_it_is_linked_to,
    R.MARKET_CLOSED: test_a_market_in_force_or_closed_takes_no_more_rows,
    R.POSITION_LIMIT: test_a_position_and_a_balance_have_limits,
    R.BALANCE_LIMIT: test_a_position_and_a_balance_have_limits,
}
"""Reasons that a test without a table provokes."""
ELSEWHERE = {
    R.NONE: "no reason at all",
    R.STALE_PRICE: "needs an oracle that has fallen silent: tests/ledger/test_marks.py",
    R.ORACLE_UNKNOWN_FEED: "needs several feeds: tests/ledger/test_oracle_feeds.py",
    R.ORACLE_UNCERTAIN: "likewise",
    R.ORACLE_FEW_FEEDS: "why feeds agree on nothing: tests/risk/test_feeds.py",
    R.WITHDRAWAL_PRICE_STALE: "needs ages of assets' prices: tests/ledger/test_oracle_feeds.py",
    R.WITHDRAWAL_DEPEGGED: "needs a peg: tests/ledger/test_oracle_feeds.py",
    R.WITHDRAWAL_HELD: "needs a deficit: tests/ledger/test_withdrawals_in_stress.py",
    R.WITHDRAWAL_RATE: "likewise",
    R.WITHDRAWAL_NOT_DUE: "likewise",
    **dict.fromkeys(
        (
            R.POLICY_INVALID,
            R.POLICY_PENDING,
            R.LAYER_NOT_IN_POLICY,
            R.LAYER_EMPTY,
            R.MARK_PASSED,
            R.NO_SUCH_MEMBER,
            R.BACKER_UNITS_SHORT,
            R.ASSESSMENT_SHORT,
            R.BACKER_REQUEST_EXISTS,
            R.UNKNOWN_BACKER_REQUEST,
        ),
        "needs a waterfall policy: tests/ledger/test_waterfall_refused.py",
    ),
    **dict.fromkeys(
        (
            R.UNKNOWN_MEMBER,
            R.MEMBER_DEFAULTED,
            R.MEMBER_NOT_DEFAULTED,
            R.SAME_MEMBER,
            R.PORTING_WINDOW_OVER,
            R.PORTING_NOT_A_CLIENT,
            R.PORTING_IN_BREACH,
            R.PORTING_TAKER_BELOW_MARGIN,
            R.SEGREGATION_FORBIDS,
        ),
        "needs a member in default: tests/ledger/test_porting.py, test_porting_features.py",
    ),
    **dict.fromkeys(
        [reason for reason in R if reason.name.startswith(("PORTFOLIO_", "ONE_BID", "BID_ABOVE"))],
        "needs a portfolio on offer: tests/liquidation/test_portfolio_auctions.py",
    ),
    **dict.fromkeys(
        [reason for reason in R if reason.name.startswith(("BREAKER_", "OWNER_"))],
        "needs a breaker: tests/ledger/test_breakers_features.py, test_breakers_over_shards.py",
    ),
    **dict.fromkeys(
        (R.STRESS_OF_NO_MARK, R.STRESS_OUT_OF_RANGE), "needs a what-if: tests/services/test_stress_events.py"
    ),
}
"""Reasons that come up in other modules' tests, and why there."""


def _named(value: Any) -> set[str]:
    """The names of reasons in a table's rows."""
    if isinstance(value, Reason):
        return {value.name}
    if isinstance(value, str):
        return set(value.split()) & set(Reason.__members__)
    return set().union(*map(_named, value)) if isinstance(value, list | tuple) else set()


def test_every_reason_has_a_case() -> None:
    tables = [mark.args[1] for test in list(globals().values()) for mark in getattr(test, "pytestmark", [])]
    cases = set().union(*map(_named, tables))
    others = {reason.name for reason in (*HERE, *ELSEWHERE)}
    assert set(Reason.__members__) - cases == others - cases
    assert cases & {reason.name for reason in ELSEWHERE} <= {"NONE"}

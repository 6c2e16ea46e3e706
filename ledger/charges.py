"""The liquidation fee on the books: what a failing account pays the fund with the legs that were sold for it."""

from __future__ import annotations

from typing import Final

from ledger.margining import margins_of
from ledger.outbox import can_take, write
from ledger.state import State
from liquidation.fees import affordable, fee
from risk.valuation import asset_value, contract_value
from schemas.chart import House
from schemas.kinds import Reason
from schemas.wire import Rows

FUND: Final = int(House.FUND)


def charge(state: State, legs: Rows, account: int, rate: int) -> None:
    """Take the fee of `rate` basis points from the account's legs among those just posted, and write it into them.

    All of it is the fund's. It is known only once the legs stand: it is cut to the equity that they left, leg by leg in
    their order. Another shard's legs, and those that lie in suspense, pay nothing.
    """
    mine = [leg for leg in legs if leg["account"] == account and leg["reason"] == Reason.NONE]
    if not rate or not mine:
        return
    m, equity = state.market, margins_of(state, account).equity
    for leg in mine:
        i = int(leg["instrument"])
        asset = int(m.settlement[i])
        price, scale = int(m.asset_price[asset]), int(m.asset_scale[asset])
        terms = int(m.tick_value[i]), int(m.contract_value[i])
        value = abs(int(contract_value(int(m.payoff[i]), int(leg["quantity"]), int(leg["price"]), *terms)))
        taken = fee(value, affordable(equity, price, scale), rate)
        if taken and can_take(state, account, asset, -taken) and can_take(state, FUND, asset, taken):
            write(state, account, asset, -taken)
            write(state, FUND, asset, taken)
            leg["fee"] = leg["fund_share"] = taken
            equity += int(asset_value(-taken, price, scale))

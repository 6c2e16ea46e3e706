"""What accounts own and what they must own: equity, maintenance, buffer and initial margin in exact int64 arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk.tables import Holdings, I32Array, I64Array, Margins, Market, Profiles
from schemas.limits import MAX_ASSETS, MAX_EXPIRIES, MAX_SCENARIOS, MAX_UNDERLYINGS


class Scratch(NamedTuple):
    """Working memory of one call of `margin_accounts`; every thread brings its own. Left clean by each call."""

    vectors: I64Array
    """[3 x MAX_SCENARIOS] a group's losses: of its legs, with the worst and with the best fills of orders"""
    slot: I32Array
    """[instruments or underlyings] the group an instrument or underlying has in this account, -1: none"""
    sold: I64Array
    """[instruments] lots of options that open orders sell"""
    legs: I64Array
    """[4, instruments + assets] by leg: first loss, quantity, next leg of its group, cell"""
    groups: I64Array
    """[10, instruments + underlyings] by group: legs, orders, deltas, scans"""
    cells: I64Array
    """[3, MAX_UNDERLYINGS x MAX_EXPIRIES] net delta by expiry: of legs, added by buys, added by sales"""
    orders: I64Array
    """[3, orders] by order of one account: slippage, next order of its group, first loss"""


def scratch(instruments: int, orders: int) -> Scratch:
    """Working memory for so many instruments and so many open orders of one account at most."""
    groups = instruments + MAX_UNDERLYINGS
    return Scratch(
        vectors=np.zeros(3 * MAX_SCENARIOS, np.int64),
        slot=np.full(groups, -1, np.int32),
        sold=np.zeros(instruments, np.int64),
        legs=np.zeros((4, instruments + MAX_ASSETS), np.int64),
        groups=np.zeros((10, groups), np.int64),
        cells=np.zeros((3, MAX_UNDERLYINGS * MAX_EXPIRIES), np.int64),
        orders=np.zeros((3, max(orders, 1)), np.int64),
    )


def margin_accounts(
    accounts: I64Array, holdings: Holdings, market: Market, profiles: Profiles, scratch: Scratch, out: Margins
) -> None:
    """Write the margins of these accounts into the rows of `out` with their numbers.

    `accounts` [n] are account numbers; nothing else of `out` is touched. Runs without the interpreter's lock: threads
    take slices of the accounts, each with its own scratch.
    """
    raise NotImplementedError

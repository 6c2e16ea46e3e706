"""The plain arrays that margin is computed from: what accounts hold, the market in force, the profiles' numbers.

Rows are dense numbers: account, instrument, underlying, asset and profile numbers of the events index them directly.
Money is int64 in smallest units, dollars are micro-dollars, risk arrays and deltas are 2^-ARRAY_EXPONENT micro-dollars.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

I64Array = npt.NDArray[np.int64]
I32Array = npt.NDArray[np.int32]
U8Array = npt.NDArray[np.uint8]


class Holdings(NamedTuple):
    """What accounts hold.

    The positions of account a are `instrument[start[a] : start[a] + count[a]]` (sorted by instrument) and the columns
    beside it; its open orders, bids' reservations among them, are `order_*[order_start[a] : order_start[a] +
    order_count[a]]`.
    """

    start: I64Array
    """[accounts]"""
    count: I64Array  # type: ignore[assignment]  # a tuple's own `count` is of no use in a table
    """[accounts]"""
    instrument: I32Array
    """[positions]"""
    quantity: I64Array
    """[positions] lots, long > 0"""
    cost: I64Array
    """[positions] settlement asset's smallest units, signed like the quantity"""
    funding: I64Array
    """[positions] the instrument's funding index when this position last settled it"""
    balance: I64Array
    """[accounts, assets]"""
    fees_due: I64Array
    """[accounts] micro-dollars"""
    profile: I64Array
    """[accounts]"""
    order_start: I64Array
    """[accounts]"""
    order_count: I64Array
    """[accounts]"""
    order_instrument: I32Array
    """[orders]"""
    order_quantity: I64Array
    """[orders] lots left, buy > 0"""
    order_price: I64Array
    """[orders] ticks"""


class Market(NamedTuple):
    """Instruments and assets as listed, with the marks in force."""

    kind: U8Array
    """[instruments] schemas.kinds.Kind"""
    payoff: U8Array
    style: U8Array
    settling: U8Array
    underlying: I32Array
    """[instruments]"""
    settlement: I32Array
    """[instruments] asset"""
    base: I32Array
    """[instruments] asset a SPOT moves"""
    bucket: I32Array
    """[instruments] which expiry of its underlying, 0 ... MAX_EXPIRIES - 1; undated instruments share bucket 0"""
    tick_value: I64Array
    contract_value: I64Array
    lot_size: I64Array
    """[instruments] 10^-8 of the underlying; for a SPOT smallest units of its base asset"""
    mark: I64Array
    """[instruments] ticks"""
    marked: U8Array
    """[instruments] 1: has a mark in the market in force"""
    delta: I64Array
    """[instruments] dollar delta per lot, 2^-ARRAY_EXPONENT micro-dollars"""
    notional: I64Array
    """[instruments] the underlying's value of one lot, micro-dollars"""
    funding: I64Array
    """[instruments] cumulative funding index, millionths of a smallest unit per lot"""
    asset_price: I64Array
    """[assets] micro-dollars per whole unit"""
    asset_scale: I64Array
    """[assets] smallest units per whole unit"""
    haircut: I64Array
    """[assets] basis points"""
    asset_spot: I32Array
    """[assets] the SPOT instrument whose risk array moves this asset as collateral, or -1"""


class Profiles(NamedTuple):
    """Margin profiles as the kernels read them; index = profile number."""

    netting: U8Array
    """[profiles] risk.profile.Netting"""
    gain: I64Array
    """[profiles] part of an unrealised gain that counts in equity, basis points"""
    initial: I64Array
    """[profiles] initial over maintenance margin, basis points, at least 10,000"""
    buffer: I64Array
    """[profiles] liquidation buffer over maintenance margin, basis points of it"""
    width: I64Array
    """[profiles] scenarios"""
    offset: I64Array
    """[profiles] where its rows begin in `losses`: row i is losses[offset + i * width : offset + (i + 1) * width]"""
    losses: I64Array
    """[pool]"""
    has_row: U8Array
    """[profiles, instruments] 1: the market in force has a risk array for it"""
    largest: I64Array
    """[profiles, instruments] largest |loss| of the row"""
    scan: I64Array
    """[profiles, underlyings] price scan range, basis points"""
    basis: I64Array
    """[profiles, underlyings] charge on deltas that lean on another expiry's, basis points of the hedged delta"""
    short_option: I64Array
    """[profiles, underlyings] minimum for each short option lot, basis points of its notional"""
    credit_start: I64Array
    """[profiles] the profile's inter-underlying credits are credit_*[start : start + count], in priority order"""
    credit_count: I64Array
    credit_a: I32Array
    """[credits] underlying"""
    credit_b: I32Array
    credit_rate: I64Array
    """[credits] basis points of the hedged price risk"""


class Margins(NamedTuple):
    """The answer, by account. Micro-dollars."""

    equity: I64Array
    maintenance: I64Array
    buffer: I64Array
    initial: I64Array
    worst: I32Array
    """[accounts] scenario that decides the maintenance scan, the lowest number on a tie"""
    status: U8Array
    """[accounts] schemas.kinds.Reason, NONE when the figures stand"""


HOLDER: Final = np.dtype(
    [(name, np.int64) for name in ("start", "count", "fees_due", "profile", "order_start", "order_count")]
)
"""what `Holdings` has of an account, in one row: what is needed together lies together"""
POSITION: Final = np.dtype(
    [("instrument", np.int32), *((name, np.int64) for name in ("quantity", "cost", "funding", "realised"))], align=True
)
"""a position, in one row"""
MARGIN: Final = np.dtype(
    [
        *((name, np.int64) for name in ("equity", "maintenance", "buffer", "initial")),
        ("worst", np.int32),
        ("status", np.uint8),
    ],
    align=True,
)

_LINE: Final = 64
"""bytes of a cache line"""


def rows(kind: np.dtype[Any], size: int) -> npt.NDArray[np.void]:
    """So many rows of zeros that begin on a cache line; at least two, so that a column of them is always strided.

    (numpy calls a column of one row contiguous, and a kernel would be compiled once more for it.)
    """
    size = max(size, 2)
    whole = np.zeros(size * kind.itemsize + _LINE, np.uint8)
    skip = -whole.ctypes.data % _LINE
    return whole[skip : skip + size * kind.itemsize].view(kind)


def margins_in(table: npt.NDArray[np.void], status: str = "status") -> Margins:
    """A table's columns as Margins; `status` is what the table calls theirs."""
    return Margins(*(table[name] for name in ("equity", "maintenance", "buffer", "initial", "worst", status)))


def margins(accounts: int) -> Margins:
    """Room for the margins of so many accounts, zeros."""
    return margins_in(rows(MARGIN, accounts))


def holdings_in(
    holders: npt.NDArray[np.void],
    positions: npt.NDArray[np.void],
    balance: I64Array,
    orders: tuple[I32Array, I64Array, I64Array] | None = None,
) -> Holdings:
    """Tables' columns as Holdings; `orders` are (instrument, quantity, price) columns, none where there are none."""
    none = (np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    instrument, quantity, price = orders or none
    return Holdings(
        start=holders["start"],
        count=holders["count"],
        instrument=positions["instrument"],
        quantity=positions["quantity"],
        cost=positions["cost"],
        funding=positions["funding"],
        balance=balance,
        fees_due=holders["fees_due"],
        profile=holders["profile"],
        order_start=holders["order_start"],
        order_count=holders["order_count"],
        order_instrument=instrument,
        order_quantity=quantity,
        order_price=price,
    )

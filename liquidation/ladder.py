"""The health ladder: on which rung an account stands at a mark, as flat rules, for one account and for all at once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from schemas.kinds import Rung
from schemas.limits import BASIS_POINTS

I64Array = npt.NDArray[np.int64]
U8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Money = TypeVar("Money", int, I64Array)


def healthy_from(initial: Money, hysteresis: int) -> Money:
    """The equity at which an account that left HEALTHY is healthy again: its initial margin and so many basis points of
    it, rounded up. Micro-dollars; initial <= 2^62, hysteresis <= 5,000, which keeps it inside 64 bits."""
    whole, rest = initial // BASIS_POINTS, initial % BASIS_POINTS
    return initial + whole * hysteresis + -(-rest * hysteresis // BASIS_POINTS)


def rung(
    previous: Rung,
    equity: int,
    maintenance: int,
    buffer: int,
    initial: int,
    called_for: int,
    grace: int,
    sellable: bool,
    hysteresis: int = 0,
) -> Rung:
    """An account's rung at a mark; the first rule that holds decides. Micro-dollars.

    `called_for` counts the marks since the account was called (0 at the mark that calls it), `grace` the marks it is
    given. `sellable`: it holds a position, or a whole lot of collateral that can be sold. An account in liquidation
    leaves it only when its equity reaches the initial margin, so that it does not flutter.

    `hysteresis` (basis points of the initial margin, 0: none) keeps it from fluttering on the other rungs too: a call
    is answered only at the initial margin, and HEALTHY is reached again only that far above it.
    """
    breached = equity < maintenance + buffer
    if equity < 0 and not sellable:
        return Rung.DEFICIT
    if previous >= Rung.LIQUIDATING and equity < initial:
        return Rung.LIQUIDATING
    if breached and called_for >= grace:
        return Rung.LIQUIDATING
    if breached:
        return Rung.CALLED
    if hysteresis and previous == Rung.CALLED and equity < initial:
        return Rung.CALLED
    if previous != Rung.HEALTHY and equity < healthy_from(initial, hysteresis):
        return Rung.REDUCE_ONLY
    if equity < initial:
        return Rung.REDUCE_ONLY
    return Rung.HEALTHY


def rungs(
    previous: U8Array,
    equity: I64Array,
    maintenance: I64Array,
    buffer: I64Array,
    initial: I64Array,
    called_for: I64Array,
    grace: int,
    sellable: BoolArray,
    hysteresis: int = 0,
) -> U8Array:
    """`rung` for every account at once, all columns [accounts].

    Requires maintenance + buffer < 2^63, which MAX_EXPOSURE gives (2^52 micro-dollars before the buffer).
    """
    breached = equity < maintenance + buffer
    below_initial = equity < initial
    rules = [
        (equity < 0) & ~sellable,
        (previous >= Rung.LIQUIDATING) & below_initial,
        breached & (called_for >= grace),
        breached,
        (previous == Rung.CALLED) & below_initial & (hysteresis > 0),
        (previous != Rung.HEALTHY) & (equity < healthy_from(initial, hysteresis)),
        below_initial,
    ]
    answers = [
        Rung.DEFICIT,
        Rung.LIQUIDATING,
        Rung.LIQUIDATING,
        Rung.CALLED,
        Rung.CALLED,
        Rung.REDUCE_ONLY,
        Rung.REDUCE_ONLY,
    ]
    return np.select(rules, [np.uint8(answer) for answer in answers], np.uint8(Rung.HEALTHY))


def called(after: U8Array, breached: BoolArray, called_for: I64Array) -> I64Array:
    """Marks since the call, after this mark: one more in a breach, none where the call is answered.

    An account that stays CALLED without a breach, as hysteresis keeps it, neither uses up its grace nor gets a new one.
    """
    stays = ~breached & (after == Rung.CALLED)
    return np.where(breached, called_for + 1, np.where(stays, called_for, 0))


def margins_in_order(maintenance: I64Array, buffer: I64Array, initial: I64Array) -> bool:
    """Whether initial >= maintenance + buffer, by which the ladder has its order, holds for every account."""
    return bool((initial >= maintenance + buffer).all())

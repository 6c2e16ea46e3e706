"""The health ladder: on which rung an account stands at a mark, as flat rules, for one account and for all at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from schemas.kinds import Rung

I64Array = npt.NDArray[np.int64]
U8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


def rung(
    previous: Rung,
    equity: int,
    maintenance: int,
    buffer: int,
    initial: int,
    called_for: int,
    grace: int,
    sellable: bool,
) -> Rung:
    """An account's rung at a mark; the first rule that holds decides. Micro-dollars.

    `called_for` counts the marks since the account was called (0 at the mark that calls it), `grace` the marks it is
    given. `sellable`: it holds a position, or a whole lot of collateral that can be sold. An account in liquidation
    leaves it only when its equity reaches the initial margin, so that it does not flutter.
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
        below_initial,
    ]
    answers = [Rung.DEFICIT, Rung.LIQUIDATING, Rung.LIQUIDATING, Rung.CALLED, Rung.REDUCE_ONLY]
    return np.select(rules, [np.uint8(answer) for answer in answers], np.uint8(Rung.HEALTHY))

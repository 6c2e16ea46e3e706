"""Loss vectors: sums of quantity x risk array row, four rows a pass so that the sum is loaded and stored less."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from risk.tables import I64Array
from schemas.compiled import inlined, kernel

_LOWEST: Final = -(2**63)
_BLOCK: Final = 128
_int: Any = np.int64

# Slices with their own bounds let the compiler see plain, never negative indices; that is what makes it use wide
# registers. One pass over four rows is twice as fast as four passes over one.


def on_cache_line(*shape: int) -> I64Array:
    """Zeros that begin on a cache line of 64 bytes. Risk arrays and sums that lie so are a tenth faster to add up: no
    wide load touches two lines."""
    size = 8 * math.prod(shape)
    whole = np.zeros(size + 64, np.uint8)
    begin = -whole.ctypes.data % 64
    return whole[begin : begin + size].view(np.int64).reshape(shape)


@inlined
def load(
    losses: I64Array, a: int, qa: int, b: int, qb: int, c: int, qc: int, d: int, qd: int, rows: int, out: I64Array
) -> int:
    """out[k] = sum of quantity x row over the first `rows` (0 ... 4) of the rows at a, b, c, d; its largest."""
    width = out.shape[0]
    top = _LOWEST
    if rows >= 4:
        r0, r1, r2, r3 = losses[a : a + width], losses[b : b + width], losses[c : c + width], losses[d : d + width]
        for k in range(width):
            out[k] = r0[k] * qa + r1[k] * qb + r2[k] * qc + r3[k] * qd
            top = max(top, out[k])
    elif rows == 3:
        r0, r1, r2 = losses[a : a + width], losses[b : b + width], losses[c : c + width]
        for k in range(width):
            out[k] = r0[k] * qa + r1[k] * qb + r2[k] * qc
            top = max(top, out[k])
    elif rows == 2:
        r0, r1 = losses[a : a + width], losses[b : b + width]
        for k in range(width):
            out[k] = r0[k] * qa + r1[k] * qb
            top = max(top, out[k])
    elif rows == 1:
        r0 = losses[a : a + width]
        for k in range(width):
            out[k] = r0[k] * qa
            top = max(top, out[k])
    else:
        for k in range(width):
            out[k] = 0
        top = 0
    return top


@inlined
def add(
    losses: I64Array, a: int, qa: int, b: int, qb: int, c: int, qc: int, d: int, qd: int, rows: int, out: I64Array
) -> int:
    """out[k] += sum of quantity x row over the first `rows` (1 ... 4) of the rows at a, b, c, d; its largest."""
    width = out.shape[0]
    top = _LOWEST
    if rows >= 4:
        r0, r1, r2, r3 = losses[a : a + width], losses[b : b + width], losses[c : c + width], losses[d : d + width]
        for k in range(width):
            out[k] += r0[k] * qa + r1[k] * qb + r2[k] * qc + r3[k] * qd
            top = max(top, out[k])
    elif rows == 3:
        r0, r1, r2 = losses[a : a + width], losses[b : b + width], losses[c : c + width]
        for k in range(width):
            out[k] += r0[k] * qa + r1[k] * qb + r2[k] * qc
            top = max(top, out[k])
    elif rows == 2:
        r0, r1 = losses[a : a + width], losses[b : b + width]
        for k in range(width):
            out[k] += r0[k] * qa + r1[k] * qb
            top = max(top, out[k])
    else:
        r0 = losses[a : a + width]
        for k in range(width):
            out[k] += r0[k] * qa
            top = max(top, out[k])
    return top


@kernel
def add_fills(row: I64Array, quantity: int, slippage: int, high: I64Array, low: I64Array) -> None:
    """Add an order to the worst (`high`) and to the best (`low`) fills: filled where it costs, or where it helps."""
    for k in range(high.shape[0]):
        loss = row[k] * quantity + slippage
        high[k] += max(loss, 0)
        low[k] += min(loss, 0)


@kernel
def largest(vector: I64Array) -> int:
    """The largest element of a vector that has one."""
    top: int = vector[0]
    for k in range(vector.shape[0]):
        top = max(top, vector[k])
    return top


@kernel
def first(vector: I64Array, value: int) -> int:
    """The lowest index with this value, or the length."""
    # A block is looked through without an exit, which keeps the search in wide registers.
    width: int = vector.shape[0]
    for begin in range(0, width, _BLOCK):
        block = vector[begin : begin + _BLOCK]
        hits = 0
        for k in range(block.shape[0]):
            hits += _int(block[k] == value)
        if hits > 0:
            for k in range(block.shape[0]):
                if block[k] == value:
                    return begin + k
    return width

"""Inter-underlying credits: what opposite dollar deltas of two underlyings take off the requirement."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from risk.tables import I32Array, I64Array
from risk.valuation import part_down
from schemas.compiled import kernel

# Columns of `groups`, one row for each netting group of an account.
KEY: Final = 0
"""underlying or instrument"""
LEG: Final = 1
"""first leg, -1: none"""
ORDER: Final = 2
"""first order, -1: none"""
DELTA: Final = 3
"""net dollar delta of the legs"""
SOLD: Final = 4
"""and the sum of the orders' deltas below zero"""
BOUGHT: Final = 5
"""and above zero"""
SCAN: Final = 6
"""scan risk of the legs"""
SCAN_HIGH: Final = 7
"""the largest over all fills"""
SCAN_LOW: Final = 8
"""at least this over all fills"""
SIGN: Final = 9
"""of the net delta; 0: zero, or not the same for all fills"""
SIZE: Final = 10
"""largest |net delta| over all fills"""
LEFT_LOW: Final = 11
"""|net delta| that no pair has used yet: at least"""
LEFT_HIGH: Final = 12
"""and at most"""
SHORTED: Final = 13
"""underlying value of the short options, micro-dollars"""
SHORTED_HIGH: Final = 14
"""the largest over all fills"""
COLUMNS: Final = 15

_int: Any = np.int64

_SURELY_MORE: Final = 1.0 - 1e-12
"""A float product and quotient are closer than this to the exact one."""


@kernel
def proportion(amount: int, part: int, whole: int) -> int:
    """floor(amount x part / whole) for 0 <= amount < 2^62 and 0 <= part <= whole < 2^62, whole > 0: exact.

    The product has up to 124 bits and is kept in two words. A float quotient, held low on purpose, is refined once;
    whole subtractions then mend the rest, so the answer does not depend on how the machine rounds.
    """
    if amount < 1 << 31 and part < 1 << 31:
        return (amount * part) // whole
    share = np.float64(part) / np.float64(whole)
    quotient = np.uint64(max(_int(np.float64(amount) * share) - 4096, 0))
    divisor = np.uint64(whole)
    high, low = _product(np.uint64(amount), np.uint64(part))
    taken_high, taken_low = _product(quotient, divisor)
    rest_low = low - taken_low
    rest_high = high - taken_high - np.uint64(low < taken_low)
    rest = np.float64(rest_high) * 18446744073709551616.0 + np.float64(rest_low)
    step = np.uint64(max(_int(rest / np.float64(whole)) - 1, 0))
    quotient += step
    rest_low -= step * divisor
    while rest_low >= divisor:
        rest_low -= divisor
        quotient += np.uint64(1)
    return _int(quotient)  # type: ignore[no-any-return]


@kernel
def _product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The high and the low word of a x b."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low = a >> half, a & mask
    b_high, b_low = b >> half, b & mask
    lows = a_low * b_low
    middle = a_high * b_low + (lows >> half)
    other = a_low * b_high + (middle & mask)
    return a_high * b_high + (middle >> half) + (other >> half), a * b


@kernel
def credit_of(
    underlying_a: I32Array,
    underlying_b: I32Array,
    rates: I64Array,
    scan_range: I64Array,
    group: I32Array,
    groups: I64Array,
    fills: bool,
) -> int:
    """The credits of an account's legs, 2^-ARRAY_EXPONENT micro-dollars; with `fills` never more than after any fills.

    The pairs come in priority order. Two underlyings whose net deltas have opposite signs hedge n = the smaller of what
    is left of both, which is then used up; each side gives rate x min(n x scan range, scan risk x n / |net delta|),
    rounded down (SPAN's weighted price risk, method SCANRANGE_CAP). With `fills` every figure is an interval over all
    fills, and the credit is its lower end: a net delta that may be zero or have either sign gives nothing and may still
    use up the other's.

    `group` is by underlying (-1: none); `groups` [groups, COLUMNS] needs DELTA and SCAN, with `fills` SOLD, BOUGHT and
    SCAN_LOW.
    """
    scan = SCAN_LOW if fills else SCAN
    for g in range(groups.shape[0]):
        low = high = groups[g, DELTA]
        if fills:
            low += groups[g, SOLD]
            high += groups[g, BOUGHT]
        groups[g, SIZE] = groups[g, LEFT_HIGH] = max(high, -low)
        groups[g, LEFT_LOW] = max(low, -high, 0)
        groups[g, SIGN] = 1 if low > 0 else (-1 if high < 0 else 0)
    total = 0
    for pair in range(rates.shape[0]):
        a, b = _int(group[underlying_a[pair]]), _int(group[underlying_b[pair]])
        if a < 0 or b < 0:
            continue
        signs = groups[a, SIGN] * groups[b, SIGN]
        if signs > 0:
            continue
        low_a, high_a = groups[a, LEFT_LOW], groups[a, LEFT_HIGH]
        low_b, high_b = groups[b, LEFT_LOW], groups[b, LEFT_HIGH]
        if signs < 0:
            hedged = min(low_a, low_b)
            if hedged > 0:
                total += part_down(
                    _risk(groups, a, hedged, scan_range, scan) + _risk(groups, b, hedged, scan_range, scan), rates[pair]
                )
            groups[a, LEFT_HIGH] = max(high_a - low_b, 0)
            groups[b, LEFT_HIGH] = max(high_b - low_a, 0)
        groups[a, LEFT_LOW] = max(low_a - high_b, 0)
        groups[b, LEFT_LOW] = max(low_b - high_a, 0)
    return total


@kernel
def _risk(groups: I64Array, g: int, hedged: int, scan_range: I64Array, scan: int) -> int:
    """The price risk of this much of a group's net delta: at most its share of the scan risk."""
    price: int = part_down(hedged, scan_range[groups[g, KEY]])
    share = np.float64(groups[g, scan]) * np.float64(hedged) / np.float64(groups[g, SIZE])
    if share * _SURELY_MORE - 1.0 > np.float64(price):
        return price
    return min(price, proportion(groups[g, scan], hedged, groups[g, SIZE]))

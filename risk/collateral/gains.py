"""What a gain that is not paid yet is worth: a stated part for initial margin, nothing where money leaves."""

from __future__ import annotations

from typing import Final

from risk.margin.exact import Number
from schemas.limits import BASIS_POINTS

FOR_WITHDRAWAL: Final = 0
"""basis points of an unrealised gain that may leave"""


def counted(unrealised: int, weight: int) -> int:
    """What counts of unrealised profit, smallest units: `weight` points of a gain, rounded down; all of a loss."""
    return unrealised if unrealised <= 0 else unrealised * weight // BASIS_POINTS


def not_counted(unrealised: Number, weight: Number) -> Number:
    """What an account whose equity has the whole gain is charged for it: the part above `weight`; of a loss nothing."""
    return max(unrealised, 0) * (1 - weight)


def withdrawable(cash: int, equity: int, unrealised: int, initial: int) -> int:
    """What may leave, smallest units: equity without unrealised gains, less initial margin; no more than the cash."""
    firm = equity - unrealised + counted(unrealised, FOR_WITHDRAWAL)
    return max(min(cash, firm - initial), 0)

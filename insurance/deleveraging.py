"""Auto-deleveraging: who on the other side is closed first, by profit and leverage, and how much of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from insurance.fund import pro_rata
from schemas.limits import MICRO

MAX_SCORE: Final = 2**62
"""scores are cut to +-this, so that they fit an int64"""


class Candidate(NamedTuple):
    """A position on the other side of a failing one: signed lots, and its rank as `score` gives it."""

    account: int
    quantity: int
    score: int


class Closing(NamedTuple):
    """A counterparty's part in a deleveraging; `quantity` is signed as the counterparty's leg."""

    account: int
    quantity: int


def score(profit: int, entry: int, notional: int, equity: int) -> int:
    """A position's deleveraging rank in millionths, rounded down; the highest is closed first.

    `profit` unrealised, `entry` |value at the average entry price|, `notional` |value at the mark|, `equity` of the
    whole account, all micro-dollars. With profit rate = profit / entry and leverage = notional / equity:

        profit > 0:  profit rate x leverage
        else:        profit rate / leverage

    as BitMEX ranks (support.bitmex.com, "What is Auto-Deleveraging"), where leverage is
    mark value / (mark value - bankruptcy value). The account is margined as one, so what lies between the mark and
    bankruptcy is its equity. Equity, entry and notional below one micro-dollar count as one.
    """
    entry, notional, equity = max(entry, 1), max(notional, 1), max(equity, 1)
    over, under = (notional, equity) if profit > 0 else (equity, notional)
    return max(-MAX_SCORE, min(MAX_SCORE, profit * over * MICRO // (entry * under)))


def prorate(quantity: int, candidates: Iterable[Candidate]) -> list[Closing]:
    """`quantity` (signed as the failing account's leg) laid on the other side by what each holds: a tear-up.

    Rounded down, the lots left over to the largest remainders and among equals to the lowest account number; none
    closes more than it holds. The sum may fall short where the candidates hold less in all. An account is named once.
    """
    held = {one.account: abs(one.quantity) for one in candidates if one.quantity * quantity > 0}
    sign = -1 if quantity > 0 else 1
    shares = pro_rata(min(abs(quantity), sum(held.values())), held)
    return [Closing(account, sign * lots) for account, lots in sorted(shares.items()) if lots > 0]


def allocate(quantity: int, candidates: Iterable[Candidate]) -> list[Closing]:
    """`quantity` (signed as the failing account's leg) laid on candidates by score, highest first, then account number.

    A failing long sells (quantity < 0) and closes shorts, so a candidate counts where its position has the sign of
    `quantity`; none closes more than it holds. The sum may fall short where the candidates hold less in all.
    """
    left = abs(quantity)
    closings: list[Closing] = []
    for candidate in sorted(candidates, key=lambda one: (-one.score, one.account)):
        taken = min(left, abs(candidate.quantity)) if candidate.quantity * quantity > 0 else 0
        if taken > 0:
            closings.append(Closing(candidate.account, -taken if quantity > 0 else taken))
            left -= taken
    return closings

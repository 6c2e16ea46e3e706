"""How much of one asset counts, and which assets an account may not back its positions with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from risk.margin.exact import Number


class Refusal(Enum):
    """Why an asset counts nothing for this account: wrong-way collateral."""

    OWN_TOKEN = "issued by the account's own owner"
    FALLS_WITH_THE_BOOK = "falls where the account's positions lose"


class Tier(NamedTuple):
    """So much of the value past the tier before it counts by this part."""

    size: Fraction
    part: Fraction
    """0 ... 1"""


class TiersRise(ValueError):  # noqa: N818 - named for what is found
    """A tier that counts for more than the one before it, or by no part at all: its number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"tier {number}: sizes are above zero, parts are 0 to 1 and do not rise")


def tiers_of(rows: Sequence[tuple[Fraction, Fraction]]) -> tuple[Tier, ...]:
    """Checked tiers. What is past the last counts nothing; no tiers: no limit. Raises TiersRise."""
    last = Fraction(1)
    for number, (size, part) in enumerate(rows):
        if size <= 0 or not 0 <= part <= last:
            raise TiersRise(number)
        last = part
    return tuple(Tier(size, part) for size, part in rows)


def counted(value: Number, tiers: Sequence[Tier]) -> Number:
    """What counts of so much of one asset, in the same unit; never less for more."""
    if not tiers:
        return value
    left: Number = max(value, 0)
    counts: Number = Fraction(0)
    for tier in tiers:
        taken = min(left, tier.size)
        left, counts = left - taken, counts + taken * tier.part
    return counts


def counted_of_house(own: Number, house: Number, tiers: Sequence[Tier]) -> Number:
    """What counts of an account's holding where all accounts together hold `house` of the asset: its share of what
    counts of all. `house` is not below `own`: where it is, it is old."""
    whole = max(house, own)
    return own * counted(whole, tiers) / whole if tiers and whole > 0 else own


def wrong_way(
    issuer: str, owner: str, leans: Mapping[str, float], correlations: Mapping[str, float], bound: float
) -> Refusal | None:
    """Whether an asset may not back this account, and why.

    `leans` is the account's dollar delta by underlying, `correlations` the asset's with each of them (none: not known).
    Collateral falls with the book where the book is long of what it is correlated with, or short of what it moves
    against, past `bound`: a short put and a long future alike. Positions that gain when the collateral falls are no
    reason: they hedge it.
    """
    if issuer and issuer == owner:
        return Refusal.OWN_TOKEN
    for symbol, lean in leans.items():
        correlation = correlations.get(symbol, 0.0)
        if lean and (correlation if lean > 0 else -correlation) > bound:
            return Refusal.FALLS_WITH_THE_BOOK
    return None

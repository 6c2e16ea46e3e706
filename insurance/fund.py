"""What the insurance fund pays: every deficit in full while it suffices, else pro rata to the last unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Owed(NamedTuple):
    """A deficit: what an account that has nothing left to sell owes of an asset, in its smallest units, positive."""

    account: int
    asset: int
    amount: int


class Payment(NamedTuple):
    """What the fund pays towards an account's deficit, in the asset's smallest units, positive."""

    account: int
    asset: int
    amount: int


class DeficitNotPositiveError(ValueError):
    """A deficit of nothing, or a negative one, was laid before the fund."""

    def __init__(self, owed: Owed) -> None:
        super().__init__(f"account {owed.account} owes {owed.amount} of asset {owed.asset}")
        self.owed = owed


def pay(fund: Mapping[int, int], deficits: Iterable[Owed]) -> list[Payment]:
    """The fund's payments, by account and asset. `fund` is its balance per asset; an asset pays its own deficits only.

    Deficits of one account in one asset count as one. The order of `deficits` does not show. Raises
    DeficitNotPositiveError.
    """
    owed: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for deficit in deficits:
        if deficit.amount <= 0:
            raise DeficitNotPositiveError(deficit)
        owed[deficit.asset][deficit.account] += deficit.amount
    payments = [
        Payment(account, asset, amount)
        for asset, accounts in owed.items()
        for account, amount in pro_rata(max(fund.get(asset, 0), 0), accounts).items()
        if amount > 0
    ]
    return sorted(payments)


def pro_rata(available: int, owed: Mapping[int, int]) -> dict[int, int]:
    """`available` shared over what each account is owed: in full where it suffices, else in proportion, rounded down,
    the units left over to the largest remainders and among equals to the lowest account number (Hamilton's method).

    Amounts are >= 0. The sum of the answer is min(available, sum of owed), and nobody gets more than is owed.
    """
    total = sum(owed.values())
    if total <= available:
        return dict(owed)
    shares = {account: available * amount // total for account, amount in owed.items()}
    by_remainder = sorted(owed, key=lambda account: (-(available * owed[account] % total), account))
    for account in by_remainder[: available - sum(shares.values())]:
        shares[account] += 1
    return shares

"""Borrowed and lent balances of one asset: a rate by utilisation, indices that carry the interest, integers throughout.

An account holds shares; what it owes is shares x index, rounded up, what it owns, rounded down. So rounding is always
the pool's, and interest paid = interest earned + reserve, to the unit, however often anybody looks. Interest accrues at
whole hours, on who stands in the pool then, at the rate of the hour's beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple

SCALE: Final = 10**9
"""rates and utilisation are parts of this"""
INDEX: Final = 10**27
"""an index of one"""
HOUR: Final = 3_600_000_000
"""microseconds"""
YEAR_HOURS: Final = 8_760


class Curve(NamedTuple):
    """The borrowing rate a year by utilisation, parts of SCALE: `base`, rising by `slope` to the kink, by `steep` from
    there to full utilisation."""

    base: int
    kink: int
    slope: int
    steep: int
    reserve: int
    """of the interest, what the house keeps"""


class Cap(NamedTuple):
    """What may be borrowed at most, smallest units."""

    account: int
    whole: int


class Refused(Enum):
    """Why a movement is refused."""

    ACCOUNT_CAP = "more than one account may owe"
    WHOLE_CAP = "more than all accounts may owe"
    NOT_LENT = "the pool does not hold so much"
    NOT_OWNED = "more than the account owns"
    NOT_OWED = "more than the account owes"
    NO_AMOUNT = "an amount of nothing"


class BalanceRefused(ValueError):  # noqa: N818 - named for what is found
    """A movement that is refused: why, of which account, and the amount."""

    def __init__(self, why: Refused, account: int, amount: int) -> None:
        super().__init__(f"account {account}, {amount}: {why.value}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Lending:
    """One asset's pool. Shares are in units at an index of one."""

    time: int
    """microseconds, the hour up to which interest stands"""
    cash: int = 0
    """smallest units in the pool"""
    debt_index: int = INDEX
    supply_index: int = INDEX
    debts: Mapping[int, int] = field(default_factory=dict)
    """shares by account"""
    supplies: Mapping[int, int] = field(default_factory=dict)

    def owed(self, account: int) -> int:
        """What the account owes."""
        return -(-self.debts.get(account, 0) * self.debt_index // INDEX)

    def owned(self, account: int) -> int:
        """What the account has lent, with its interest."""
        return self.supplies.get(account, 0) * self.supply_index // INDEX

    @property
    def lent(self) -> int:
        """What all accounts owe."""
        return sum(self.owed(account) for account in self.debts)

    @property
    def reserve(self) -> int:
        """What belongs to nobody else: the house's part of the interest, and what rounding left."""
        return self.cash + self.lent - sum(self.owned(account) for account in self.supplies)


def rate(curve: Curve, lent: int, supplied: int) -> int:
    """The borrowing rate a year, parts of SCALE, rounded up, where `lent` of `supplied` is out; past all of it, the
    rate of all."""
    used = min(-(-lent * SCALE // supplied), SCALE) if supplied > 0 else SCALE if lent else 0
    if used <= curve.kink:
        return curve.base + (-(-curve.slope * used // curve.kink) if curve.kink else 0)
    return curve.base + curve.slope + -(-curve.steep * (used - curve.kink) // (SCALE - curve.kink))


def accrued(pool: Lending, curve: Curve, now: int) -> Lending:
    """The pool with interest for every whole hour until `now`. A time before the pool's changes nothing."""
    hours = max(now - pool.time, 0) // HOUR
    for _ in range(hours):
        pool = _hour(pool, curve)
    return pool


def _hour(pool: Lending, curve: Curve) -> Lending:
    lent, shares = sum(pool.debts.values()), sum(pool.supplies.values())
    time = pool.time + HOUR
    if not lent:
        return replace(pool, time=time)
    supplied = shares * pool.supply_index // INDEX
    yearly = rate(curve, lent * pool.debt_index // INDEX, supplied)
    more = -(-pool.debt_index * yearly // (SCALE * YEAR_HOURS))
    # the interest of all debts, at the index's grain; lenders' part is rounded down twice, so that it is always covered
    passed_on = lent * more * (SCALE - curve.reserve) // SCALE
    earned = passed_on // shares if shares else 0
    return replace(pool, time=time, debt_index=pool.debt_index + more, supply_index=pool.supply_index + earned)


def lend(pool: Lending, account: int, amount: int) -> Lending:
    """An account puts `amount` in. Raises BalanceRefused."""
    _something(account, amount)
    shares = pool.supplies.get(account, 0) + amount * INDEX // pool.supply_index
    return replace(pool, cash=pool.cash + amount, supplies={**pool.supplies, account: shares})


def take_back(pool: Lending, account: int, amount: int) -> Lending:
    """An account takes `amount` of what it owns out. Raises BalanceRefused."""
    _something(account, amount)
    if amount > pool.owned(account):
        raise BalanceRefused(Refused.NOT_OWNED, account, amount)
    if amount > pool.cash:
        raise BalanceRefused(Refused.NOT_LENT, account, amount)
    shares = _less(pool.supplies[account], amount, pool.supply_index, whole=amount == pool.owned(account), up=True)
    return replace(pool, cash=pool.cash - amount, supplies=_with(pool.supplies, account, shares))


def borrow(pool: Lending, account: int, amount: int, cap: Cap) -> Lending:
    """An account's balance goes below zero by `amount` more. Raises BalanceRefused."""
    _something(account, amount)
    if pool.owed(account) + amount > cap.account:
        raise BalanceRefused(Refused.ACCOUNT_CAP, account, amount)
    if pool.lent + amount > cap.whole:
        raise BalanceRefused(Refused.WHOLE_CAP, account, amount)
    if amount > pool.cash:
        raise BalanceRefused(Refused.NOT_LENT, account, amount)
    shares = pool.debts.get(account, 0) + -(-amount * INDEX // pool.debt_index)
    return replace(pool, cash=pool.cash - amount, debts={**pool.debts, account: shares})


def repay(pool: Lending, account: int, amount: int) -> Lending:
    """An account pays `amount` of what it owes. Raises BalanceRefused."""
    _something(account, amount)
    if amount > pool.owed(account):
        raise BalanceRefused(Refused.NOT_OWED, account, amount)
    shares = _less(pool.debts[account], amount, pool.debt_index, whole=amount == pool.owed(account), up=False)
    return replace(pool, cash=pool.cash + amount, debts=_with(pool.debts, account, shares))


def _something(account: int, amount: int) -> None:
    if amount <= 0:
        raise BalanceRefused(Refused.NO_AMOUNT, account, amount)


def _less(shares: int, amount: int, index: int, *, whole: bool, up: bool) -> int:
    if whole:
        return 0
    return max(shares - (-(-amount * INDEX // index) if up else amount * INDEX // index), 0)


def _with(shares: Mapping[int, int], account: int, left: int) -> dict[int, int]:
    """A share of nothing is no entry."""
    told = {**shares, account: left}
    if not left:
        del told[account]
    return told

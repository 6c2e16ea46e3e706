"""What accounts of a member in default owe each other's: pure rules of segregation over what all shards told at a mark.

EMIR articles 39 and 48, CPMI-IOSCO principle 14 and, in outline, CFTC part 190: `docs/porting.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from insurance.fund import Owed, pro_rata
from schemas.kinds import Reason, Segregation
from schemas.outcomes import MemberStanding, PortingChecked


class Rule(NamedTuple):
    """Whose money is touched when the member of an account is in default, as told to customers."""

    first: tuple[str, ...]
    """what pays the account's loss, in this order"""
    never: tuple[str, ...]
    """what is never touched for it"""
    touched: str
    """whose losses the account's own assets may pay"""


RULES: Final[Mapping[Segregation, Rule]] = MappingProxyType(
    {
        Segregation.HOUSE: Rule(
            first=("the account's own assets", "what the member's other house accounts have left"),
            never=("assets of the member's clients",),
            touched="its own, those of the member's house accounts, then those of the member's clients",
        ),
        Segregation.OMNIBUS: Rule(
            first=(
                "the account's own assets",
                "what the member's house accounts have left",
                "what the accounts of the same omnibus have left, pro rata",
            ),
            never=("assets of the member's individual clients", "assets of another omnibus"),
            touched="its own and those of its omnibus; never the house's, an individual client's or another omnibus's",
        ),
        Segregation.INDIVIDUAL: Rule(
            first=("the account's own assets", "what the member's house accounts have left"),
            never=("assets of any other client of the member",),
            touched="its own alone; never the house's or another client's",
        ),
    }
)
"""What remains of a loss after these is borne by the waterfall, as any other account's."""


@dataclass(frozen=True, slots=True)
class Estate:
    """A member in default, as facts know it: not yet settled."""

    member: int
    over: bool
    """its porting window is over"""
    segregation: Mapping[int, Segregation]
    """of each of its accounts"""
    pool: Mapping[int, int]
    """OMNIBUS account -> the lowest account of its omnibus"""


class Transfer(NamedTuple):
    """What `source` has left pays what `account` owes: smallest units of the asset, positive."""

    source: int
    account: int
    asset: int
    amount: int


class Laid(NamedTuple):
    """The answer to a mark for all members in default."""

    transfers: tuple[Transfer, ...]
    left: tuple[Owed, ...]
    """deficits for the waterfall: of accounts of no such member, and what remains of theirs when nothing is awaited"""
    settled: tuple[int, ...]
    """members of whom nothing is open any more"""


def lay(
    estates: Iterable[Estate], standings: Iterable[MemberStanding], deficits: Iterable[Owed], *, covers: bool
) -> Laid:
    """Lay the deficits of members in default on what their own accounts have left, asset by asset.

    A member's deficits wait until all its house accounts are closed out. What those have left pays house deficits, then
    its clients' (where `covers`); what then is left of an omnibus's deficits waits until the window is over and the
    omnibus is closed out, and is paid by its accounts that have something left. Shares are pro rata with the largest
    remainder, then by account number. An account that owes anything itself gives nothing. Neither the order of what was
    told nor the number of shards shows.
    """
    told = sorted(standings, key=lambda one: (one.account, one.asset))
    owed: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for one in deficits:
        owed[one.asset][one.account] += one.amount
    transfers: list[Transfer] = []
    waiting: set[int] = set()
    settled: list[int] = []
    for estate in sorted(estates, key=lambda one: one.member):
        mine = [one for one in told if one.member == estate.member]
        still = {one.account for one in mine if not one.closed}
        free = _free(mine, still)
        if any(estate.segregation[account] == Segregation.HOUSE for account in still):
            waiting |= set(estate.segregation)
            continue
        moved = [
            one
            for asset, by_account in sorted(owed.items())
            for one in _house(estate, asset, free, by_account, covers=covers)
        ]
        for pool in sorted(set(estate.pool.values())):
            accounts = {account for account, of in estate.pool.items() if of == pool}
            if not estate.over or accounts & still:
                waiting |= accounts
                continue
            for asset, by_account in sorted(owed.items()):
                moved += _shared(asset, accounts, accounts, free, by_account)
        transfers += moved
        if estate.over and not still and not moved:
            settled.append(estate.member)
    left = [
        Owed(account, asset, amount)
        for asset, by_account in sorted(owed.items())
        for account, amount in sorted(by_account.items())
        if amount > 0 and account not in waiting
    ]
    return Laid(tuple(transfers), tuple(left), tuple(settled))


def _free(mine: Sequence[MemberStanding], still: set[int]) -> dict[tuple[int, int], int]:
    """(account, asset) -> what a closed-out account that owes nothing has left."""
    short = {one.account for one in mine if one.balance < 0}
    return {
        (one.account, one.asset): one.balance
        for one in mine
        if one.balance > 0 and one.account not in short and one.account not in still
    }


def _house(
    estate: Estate, asset: int, free: dict[tuple[int, int], int], owed: dict[int, int], *, covers: bool
) -> list[Transfer]:
    house = {account for account, kind in estate.segregation.items() if kind == Segregation.HOUSE}
    moved = _shared(asset, house, house, free, owed)
    return moved + _shared(asset, house, set(estate.segregation) - house, free, owed) if covers else moved


def _shared(
    asset: int, sources: set[int], accounts: set[int], free: dict[tuple[int, int], int], owed: dict[int, int]
) -> list[Transfer]:
    """What `accounts` owe laid on what `sources` have left, both taken off what they stand at."""
    have = {one: free[one, asset] for one in sources if free.get((one, asset), 0) > 0}
    need = {one: owed[one] for one in accounts if owed.get(one, 0) > 0}
    if not have or not need:
        return []
    gives = pro_rata(min(sum(have.values()), sum(need.values())), have)
    gets = pro_rata(sum(gives.values()), need)
    for source, amount in gives.items():
        free[source, asset] -= amount
    for account, amount in gets.items():
        owed[account] -= amount
    return _matched(asset, gives, gets)


def _matched(asset: int, gives: Mapping[int, int], gets: Mapping[int, int]) -> list[Transfer]:
    """Payments of equal sums put together in order of account numbers."""
    moved: list[Transfer] = []
    queue = [[account, amount] for account, amount in sorted(gets.items()) if amount]
    for source, amount in sorted(gives.items()):
        left = amount
        while left:
            part = min(left, queue[0][1])
            moved.append(Transfer(source, queue[0][0], asset, part))
            left -= part
            queue[0][1] -= part
            if not queue[0][1]:
                queue.pop(0)
    return moved


class Porting(NamedTuple):
    """An account that goes over to a member."""

    account: int
    taker: int


def portings(checked: Iterable[PortingChecked], whole: Mapping[int, Sequence[int]]) -> list[Porting]:
    """The accounts that go over, of those that one entry's acceptances named: an omnibus whole or not at all.

    `whole`: the accounts that go with each one named. One check that failed, of an account that would go or of one of
    the taker's own, keeps all of them. The acceptance that came first goes first.
    """
    by_acceptance: defaultdict[tuple[int, int, int], dict[int, Reason]] = defaultdict(dict)
    for one in checked:
        by_acceptance[one.index, one.head, one.taker][one.account] = one.reason
    return [
        Porting(account, taker)
        for (_, head, taker), said in sorted(by_acceptance.items())
        if set(whole[head]) <= set(said) and not any(said.values())
        for account in sorted(whole[head])
    ]

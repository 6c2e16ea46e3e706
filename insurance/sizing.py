"""How large the fund must be: the defaults of the largest members, of the largest owners, and what exhausts it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple


class Who(NamedTuple):
    """Who stands behind an account."""

    member: int
    owner: int


class Group(NamedTuple):
    """Those who default together, named by the lowest number among them, and what they leave unpaid."""

    name: int
    deficit: float
    accounts: int
    """how many of theirs are in deficit"""


class Cover(NamedTuple):
    """What a fund must hold, in the unit of the deficits."""

    one: float
    """for the group that leaves most"""
    two: float
    """for the two that leave most"""
    groups: tuple[Group, ...]
    """those in deficit, the largest first"""


def by_member(
    deficits: Mapping[int, float],
    who: Mapping[int, Who],
    clients: Iterable[tuple[int, int]] = (),
    affiliates: Iterable[tuple[int, int]] = (),
) -> Cover:
    """Deficits by account, added up over members: their own accounts', their clients', their affiliates'.

    A client's account bears its member's number; `clients` (account, client's account) ties further ones to the member
    of the first, and `affiliates` (account, account) makes one group of the members of both. A gain of one account does
    not lessen another's deficit: client assets never cover the house, nor the house's surplus what is not its own.
    """
    member = {account: one.member for account, one in who.items()}
    for account, client in clients:
        if account in member and client in member:
            member[client] = member[account]
    ties = [(member[a], member[b]) for a, b in affiliates if a in member and b in member]
    return _cover(deficits, member, ties)


def by_owner(deficits: Mapping[int, float], who: Mapping[int, Who], owners: Iterable[tuple[int, int]] = ()) -> Cover:
    """The same over owners; `owners` (account, account) makes one of the owners of both."""
    owner = {account: one.owner for account, one in who.items()}
    return _cover(deficits, owner, [(owner[a], owner[b]) for a, b in owners if a in owner and b in owner])


def smallest(
    exhausts: Callable[[float], bool], largest: float, *, steps: int = 8, tolerance: float = 0.001
) -> float | None:
    """The smallest size between 0 and `largest` (of either sign) that exhausts the fund; None where none does.

    The sizes of a grid of so many steps are tried from the smallest on, then the step in which it happens is halved
    until it is no wider than `tolerance`; the answer does exhaust the fund. What happens between two sizes of the grid
    and ends before the second goes unseen.
    """
    low = 0.0
    for step in range(1, steps + 1):
        high = largest * step / steps
        if exhausts(high):
            break
        low = high
    else:
        return None
    while abs(high - low) > tolerance:
        middle = (low + high) / 2
        if exhausts(middle):
            high = middle
        else:
            low = middle
    return high


def _cover(deficits: Mapping[int, float], group_of: Mapping[int, int], ties: Iterable[tuple[int, int]]) -> Cover:
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        while parent.get(one, one) != one:
            one = parent[one]
        return one

    for a, b in ties:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    amounts: defaultdict[int, float] = defaultdict(float)
    counts: defaultdict[int, int] = defaultdict(int)
    for account, deficit in sorted(deficits.items()):
        if deficit > 0.0:
            name = root(group_of[account])
            amounts[name] += deficit
            counts[name] += 1
    groups = tuple(Group(name, amounts[name], counts[name]) for name in sorted(amounts, key=lambda n: (-amounts[n], n)))
    return Cover(sum(group.deficit for group in groups[:1]), sum(group.deficit for group in groups[:2]), groups)

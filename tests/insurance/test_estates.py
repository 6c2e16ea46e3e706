"""What accounts of a member in default pay for each other, and who goes over: the pure rules, case by case."""

from __future__ import annotations

import random

import pytest

from insurance.fund import Owed
from insurance.porting import RULES, Estate, Porting, Transfer, lay, portings
from schemas.kinds import Reason, Segregation
from schemas.outcomes import MemberStanding, PortingChecked

H, J, X, Y, A, B, C = range(16, 23)
"""two house accounts, two individual clients, an omnibus of three"""
KINDS = {
    H: Segregation.HOUSE,
    J: Segregation.HOUSE,
    X: Segregation.INDIVIDUAL,
    Y: Segregation.INDIVIDUAL,
    **dict.fromkeys((A, B, C), Segregation.OMNIBUS),
}


def estate(*, over: bool = True) -> Estate:
    return Estate(1, over, KINDS, dict.fromkeys((A, B, C), A))


def standing(account: int, balance: int, *, closed: int = 1, asset: int = 0) -> MemberStanding:
    return MemberStanding(
        index=0, segregation=KINDS[account], closed=closed, asset=asset, account=account, member=1, mark=1,
        balance=balance,
    )  # fmt: skip


def left(*owed: tuple[int, int]) -> tuple[Owed, ...]:
    return tuple(Owed(account, 0, amount) for account, amount in owed)


@pytest.mark.parametrize(
    ("balances", "owed", "moved", "remains"),
    [
        # three owe alike and one unit is left over: the lowest account has it
        ({H: 1}, {X: 1, Y: 1}, [(H, X, 1)], {Y: 1}),
        ({H: 2}, {X: 1, Y: 1, A: 1}, [(H, X, 1), (H, Y, 1)], {A: 1}),
        # house deficits come first
        ({H: 5}, {J: 3, X: 9}, [(H, J, 3), (H, X, 2)], {X: 7}),
        # two house accounts give in proportion
        ({H: 30, J: 10}, {X: 20}, [(H, X, 15), (J, X, 5)], {}),
        # an omnibus: two give in proportion, the remainder to the larger remainder
        ({A: 2, B: 1}, {C: 2}, [(A, C, 1), (B, C, 1)], {}),
        ({A: 100, B: 50}, {C: 90}, [(A, C, 60), (B, C, 30)], {}),
        # an individual client gives nothing, and gets nothing of an omnibus
        ({X: 100}, {Y: 5, A: 5}, [], {Y: 5, A: 5}),
        ({A: 100}, {X: 5}, [], {X: 5}),
        # clients give the house nothing
        ({X: 100, A: 100}, {H: 5}, [], {H: 5}),
    ],
)
def test_who_pays(
    balances: dict[int, int], owed: dict[int, int], moved: list[tuple[int, int, int]], remains: dict[int, int]
) -> None:
    told = [standing(account, balance) for account, balance in balances.items()]
    deficits = [Owed(account, 0, amount) for account, amount in owed.items()]
    laid = lay([estate()], told, deficits, covers=True)
    assert laid.transfers == tuple(Transfer(source, account, 0, amount) for source, account, amount in moved)
    assert laid.left == left(*remains.items())
    assert laid.settled == (() if moved else (1,))
    for seed in range(5):
        random.Random(seed).shuffle(told)
        random.Random(seed).shuffle(deficits)
        assert lay([estate()], told, deficits, covers=True) == laid


def test_the_house_is_awaited_by_all_of_its_member_and_by_nobody_else() -> None:
    laid = lay([estate()], [standing(H, 0, closed=0), standing(J, 90)], left((X, 5), (A, 5), (99, 5)), covers=True)
    assert laid == ((), left((99, 5)), ())


@pytest.mark.parametrize(("over", "closed"), [(False, 1), (True, 0)])
def test_an_omnibus_waits_for_its_window_and_all_its_accounts(over: bool, closed: int) -> None:
    told = [standing(B, 0, closed=closed), standing(C, 50)]
    laid = lay([estate(over=over)], told, left((A, 5), (X, 7)), covers=True)
    assert laid == ((), left((X, 7)), ())


def test_who_owes_anything_itself_gives_nothing() -> None:
    told = [standing(H, 50), standing(H, -1, asset=1)]
    assert lay([estate()], told, left((X, 5)), covers=True).transfers == ()


def test_assets_are_apart() -> None:
    assert lay([estate()], [standing(H, 50, asset=1)], left((X, 5)), covers=True).transfers == ()


def checked(account: int, head: int, reason: Reason = Reason.NONE, taker: int = 2, index: int = 0) -> PortingChecked:
    return PortingChecked(index=index, reason=reason, account=account, head=head, taker=taker)


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ([checked(X, X)], [Porting(X, 2)]),
        ([checked(X, X, Reason.PORTING_IN_BREACH)], []),
        ([checked(C, B), checked(A, B), checked(B, B)], [Porting(A, 2), Porting(B, 2), Porting(C, 2)]),
        ([checked(C, B), checked(A, B)], []),
        ([checked(C, B), checked(A, B, Reason.PORTING_IN_BREACH), checked(B, B)], []),
        ([checked(X, X, taker=3, index=1), checked(X, X, taker=2)], [Porting(X, 2), Porting(X, 3)]),
    ],
)
def test_who_goes_over(said: list[PortingChecked], gone: list[Porting]) -> None:
    assert portings(said, {X: [X], B: [A, B, C]}) == gone


def test_every_segregation_has_its_rule() -> None:
    assert set(RULES) == set(Segregation)
    assert all(rule.first and rule.never and rule.touched for rule in RULES.values())

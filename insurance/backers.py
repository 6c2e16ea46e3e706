"""The insurance fund's backers: units of it for what they put in, and what units are worth when they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MAX_UNITS: Final = 2**62
"""units of the fund in one asset"""

CLEARINGHOUSE: Final = 0
"""the backer whose units are what the fund held before anybody had any, and what own capital put in"""


class Deposit(NamedTuple):
    """What a backer put in, smallest units."""

    backer: int
    asset: int
    amount: int


class Request(NamedTuple):
    """Units that a backer wants its money back for, the notice over."""

    backer: int
    asset: int
    request: int
    units: int


class Minted(NamedTuple):
    """Units for a backer; `fresh`: the fund was empty, all earlier units of the asset are void."""

    backer: int
    asset: int
    units: int
    fresh: bool


class Redeemed(NamedTuple):
    """What a request is paid."""

    request: Request
    amount: int


def outstanding(units: Mapping[tuple[int, int], int], asset: int) -> int:
    """All units of the fund in an asset; `units` by (backer, asset)."""
    return sum(count for (_, of), count in units.items() if of == asset)


def mint(fund: Mapping[int, int], units: Mapping[tuple[int, int], int], deposits: Sequence[Deposit]) -> list[Minted]:
    """Units for the deposits, in their order. `fund` is what it holds by asset, these deposits among it.

    The first unit costs a smallest unit, and what the fund held before goes to the clearinghouse at that price. Later
    a deposit gets units at what one is worth without the deposits that are minted now, rounded down; a deposit too
    small for a unit is a gift to those who have any. Where the fund was empty all earlier units are void.
    """
    made: list[Minted] = []
    for asset in sorted({one.asset for one in deposits}):
        mine = [one for one in deposits if one.asset == asset]
        before = fund.get(asset, 0) - sum(one.amount for one in mine)
        there = outstanding(units, asset)
        fresh = there > 0 and before <= 0
        if fresh:
            there = 0
        if there == 0 and before > 0:
            made.append(Minted(CLEARINGHOUSE, asset, before, False))
            there = before
        worth, count = (before, there) if there else (1, 1)
        for one in mine:
            minted = min(one.amount * count // worth, MAX_UNITS - there)
            if minted > 0:
                made.append(Minted(one.backer, asset, minted, fresh))
                there += minted
                fresh = False
    return made


def redeem(
    fund: Mapping[int, int],
    units: Mapping[tuple[int, int], int],
    requests: Sequence[Request],
    short: frozenset[int] = frozenset(),
) -> list[Redeemed]:
    """What the requests are paid, in their order: their units' part of the fund as it stands, rounded down.

    Nothing is paid of an asset that is still owed somewhere (`short`), nor a request that would get nothing: it waits.
    """
    left, count = dict(fund), {one.asset: outstanding(units, one.asset) for one in requests}
    paid: list[Redeemed] = []
    for one in requests:
        total = count[one.asset]
        if one.asset in short or not 0 < one.units <= total:
            continue
        amount = max(left.get(one.asset, 0), 0) * one.units // total
        if amount > 0:
            left[one.asset] -= amount
            count[one.asset] = total - one.units
            paid.append(Redeemed(one, amount))
    return paid

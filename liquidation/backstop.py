"""The committed backstop tier: how what nobody bought is laid on those who undertook to take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from insurance.fund import pro_rata
from liquidation.costs import Holding
from liquidation.greedy import Case
from liquidation.view import MarketView


class Taken(NamedTuple):
    """What a backstop takes over, signed as its own leg."""

    account: int
    instrument: int
    quantity: int


class Takeover(NamedTuple):
    """What the backstops take, by instrument and account, and what each of them has room for afterwards."""

    taken: list[Taken]
    room: dict[int, int]


def takeover(lots: Mapping[int, int], margin: int, room: Mapping[int, int]) -> Takeover:
    """Lots (signed as the failing account's legs) laid on backstops pro rata of their room.

    `margin` is what all the lots together require of a taker and `room` what each backstop has for it, micro-dollars.
    Where the room is smaller than the margin each leg is taken in that proportion, rounded down. Lots left over by the
    division go to the largest remainders, then to the lowest account number. Who has no room is passed over.
    """
    open_room = {account: free for account, free in sorted(room.items()) if free > 0}
    whole = sum(open_room.values())
    if not whole:
        return Takeover([], dict(room))
    used = min(whole, margin)
    taken: list[Taken] = []
    for instrument, quantity in sorted(lots.items()):
        share = abs(quantity) * used // margin if margin > 0 else abs(quantity)
        for account, part in sorted(pro_rata(share, open_room).items()):
            if part:
                taken.append(Taken(account, instrument, part if quantity < 0 else -part))
    spent = pro_rata(used, open_room)
    return Takeover(taken, {account: free - spent.get(account, 0) for account, free in room.items()})


def margin_of(takers: Iterable[int], lots: Mapping[int, int], view: MarketView) -> int:
    """The most that these lots (signed as the failing account's legs), with nothing beside them, require of any of the
    takers as initial margin, micro-dollars."""
    numbers = sorted(lots)
    held = np.array([[-lots[number] for number in numbers]], np.int64)
    holdings = tuple(Holding(number, -lots[number], view.value(number, lots[number])) for number in numbers)
    return max(
        int(view.required([Case(taker, 0, holdings, {})])(np.zeros(1, np.int64), held)[0]) for taker in sorted(takers)
    )

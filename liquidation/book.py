"""What a failing account holds, put in the desk's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from liquidation.costs import Holding
from liquidation.view import MarketView
from schemas.limits import BASIS_POINTS
from schemas.outcomes import LiquidationDue, LiquidationPosition


class Book(NamedTuple):
    """A failing account at a mark. Money is micro-dollars."""

    account: int
    equity: int
    """as margin counts it, haircuts taken"""
    net: int
    """what it is worth with the haircuts given back: below zero somebody else must bear it"""
    positions: tuple[Holding, ...]
    coins: tuple[Holding, ...]
    balances: Mapping[int, int]

    @property
    def worth(self) -> int:
        """Value of all positions at the mark, without signs."""
        return sum(position.worth for position in self.positions)

    def held(self) -> dict[int, int]:
        """Lots by instrument, coins included."""
        return {one.instrument: one.quantity for one in (*self.positions, *self.coins)}


def book(
    due: LiquidationDue, positions: Iterable[LiquidationPosition], balances: Mapping[int, int], view: MarketView
) -> Book:
    """The account as its shard told it, in order of instruments. `balances`: smallest units by asset."""
    held = sorted((row.instrument, row.quantity) for row in positions if row.quantity != 0)
    coins = sorted(coin for asset, balance in balances.items() for coin in _coin(asset, balance, view))
    return Book(
        account=due.account,
        equity=due.equity,
        net=due.equity + sum(coin.released for coin in coins),
        positions=tuple(Holding(number, quantity, view.value(number, quantity)) for number, quantity in held),
        coins=tuple(coins),
        balances=balances,
    )


def sellable(book: Book, view: MarketView) -> list[Holding]:
    """What a plan may touch: positions, and the coins in which no position it holds is settled.

    A loss still to be realised in a coin needs that coin; to sell it first would only mean buying it back.
    """
    settling = {view.spot(view.settlement(position.instrument)) for position in book.positions}
    return [*book.positions, *(coin for coin in book.coins if coin.instrument not in settling)]


def _coin(asset: int, balance: int, view: MarketView) -> list[Holding]:
    spot = view.spot(asset)
    if spot is None:
        return []
    lots = abs(balance) // view.lot(spot)
    if lots == 0:
        return []
    worth = view.value(spot, lots)
    if balance < 0:
        return [Holding(spot, -lots, worth, 0, True)]
    return [Holding(spot, lots, worth, worth * view.haircut(asset) // BASIS_POINTS, True)]

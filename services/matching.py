"""What the demonstration's exchange still matches where a breaker lets no new risk in: what it was told, and the orders
and trades it goes on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schemas.events import LINKED, OrderCancelled, OrderChanged, OrderOpened, Trade, TradeReversed
from schemas.kinds import BreakerCause, Kind
from schemas.outcomes import BreakerSwitched
from schemas.wire import Run, message_of
from services.exchange import Exchange

Held = Callable[[int, int], int]
"""Account, instrument -> lots it holds."""


class Matching:
    """An exchange's own memory of breakers, and of the orders it turned away for them.

    `hear` takes each entry's outcomes, `admitted` says what of a step's events comes about. While nothing is tripped,
    all of it does.
    """

    def __init__(self) -> None:
        self._tripped: set[tuple[BreakerCause, int, int]] = set()
        """cause, underlying, owner (0: everybody)"""
        self._away: set[int] = set()
        """orders that were turned away: their later change and end are nobody's"""

    def hear(self, runs: Iterable[Run]) -> None:
        """Take in outcomes; only breakers' notices are looked at."""
        for run in runs:
            if run.message.cls is BreakerSwitched:
                for row in run.rows:
                    told: BreakerSwitched = message_of(run.message, row)
                    change = self._tripped.add if told.tripped else self._tripped.discard
                    change((told.cause, told.underlying, told.owner))

    def admitted(self, events: Sequence[Any], venue: Exchange, owners: Mapping[int, int], held: Held) -> Sequence[Any]:
        """The events that come about, in their order; `owners` by account, `held` as it is before the first of them.

        Who may not open risk trades no more than reduces what he holds, so a trade of two such is cut to what reduces
        both; linked trades are matched whole or not. An order that could raise risk is turned away.
        """
        if not self._tripped and not self._away:
            return events
        moved: Counter[tuple[int, int]] = Counter()
        matched: dict[int, Trade] = {}
        going: list[Any] = []
        chain: list[Trade] = []

        def reduces(account: int, instrument: int, quantity: int) -> int:
            """How many of so many lots (bought > 0) an account may trade."""
            if not self._shut(venue, instrument, owners.get(account, account)):
                return abs(quantity)
            position = held(account, instrument) + moved[account, instrument]
            return min(abs(position), abs(quantity)) if position * quantity < 0 else 0

        for event in events:
            match event:
                case Trade():
                    chain.append(event)
                    if not event.flags & LINKED:
                        for one in _matched(chain, reduces):
                            moved[one.buyer, one.instrument] += one.quantity
                            moved[one.seller, one.instrument] -= one.quantity
                            matched[one.trade] = one
                            going.append(one)
                        chain = []
                case TradeReversed():
                    if done := matched.get(event.trade):
                        going.append(
                            replace(event, quantity=done.quantity, buyer_fee=done.buyer_fee, seller_fee=done.seller_fee)
                        )
                case OrderOpened() if reduces(event.account, event.instrument, event.quantity) < abs(event.quantity):
                    self._away.add(event.order)
                case OrderChanged() if event.order in self._away:
                    pass
                case OrderCancelled() if event.order in self._away:
                    self._away.remove(event.order)
                case _:
                    going.append(event)
        return going

    def _shut(self, venue: Exchange, instrument: int, owner: int) -> bool:
        """Whether an owner may open no risk in an instrument; spot is never shut."""
        listed = venue.number(instrument)
        return listed.kind != Kind.SPOT and any(
            underlying == listed.underlying and of in (0, owner) for _, underlying, of in self._tripped
        )


def _matched(chain: Sequence[Trade], reduces: Callable[[int, int, int], int]) -> list[Trade]:
    """What of linked trades, or of one alone, is matched. The trades of a chain are taken to be in instruments of their
    own, as a spread's are."""
    lots = [
        min(reduces(one.buyer, one.instrument, one.quantity), reduces(one.seller, one.instrument, -one.quantity))
        for one in chain
    ]
    if len(chain) > 1:
        return list(chain) if all(part == one.quantity for part, one in zip(lots, chain, strict=True)) else []
    return [_cut(one, part) for part, one in zip(lots, chain, strict=True) if part]


def _cut(one: Trade, lots: int) -> Trade:
    """A trade of fewer lots, its fees in proportion."""
    if lots == one.quantity:
        return one
    fees = {name: getattr(one, name) * lots // one.quantity for name in ("buyer_fee", "seller_fee")}
    return replace(one, quantity=lots, **fees)

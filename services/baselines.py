"""The simple baseline that liquidation is held against: at a breach the whole account at the mark less a fee, at once.

No plan, no auction, no part of an account, no pacing, no breaker, no deleveraging. Its sales find a buyer always, at a
price: the mark less the fee less what the square-root law says that so large a sale costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ledger.state import State
from liquidation import auction
from schemas.events import EVENTS, Awarded, MarkAnswered
from schemas.outcomes import LiquidationBalance, LiquidationDue, LiquidationPosition, MarkDone
from schemas.sources import Role, source
from schemas.wire import Run, runs_of
from services.pressure import Pressure, delta
from services.processors.deciders import Decision, heard
from services.view import StateView


class AtOnce:
    """Stands in for the liquidation desk (see `services.processors.deciders.Decider`).

    At a mark every position of every account in liquidation, by account then instrument, is sold to `buyer` at the mark
    less `fee` basis points of it and less its impact on top of this mark's sales before it. When an account has no
    position left its coins are sold, and bought where it owes them. What then is still owed is the fund's.
    """

    def __init__(self, buyer: int, fee: int, pressure: Pressure, shards: int = 1) -> None:
        self.source = source(Role.DESK)
        self._buyer = buyer
        self._fee = fee
        self._pressure = pressure
        self._shards = shards
        self._done = 0
        self._sales = 0
        self._due: set[int] = set()
        self._positions: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._balances: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def hear(self, _source: int, said: Iterable[Run], state: State, *, under_way: bool) -> Sequence[Decision]:
        """See Decider."""
        for one in heard(said, (LiquidationDue, LiquidationPosition, LiquidationBalance, MarkDone)):
            match one:
                case LiquidationDue():
                    self._due.add(one.account)
                case LiquidationPosition():
                    self._positions[one.account][one.instrument] = one.quantity
                case LiquidationBalance():
                    self._balances[one.account][one.asset] = one.balance
                case MarkDone():
                    self._done += 1
        if self._done == self._shards:
            sales = self._sold(state)
            self._done, self._due = 0, set()
            self._positions.clear()
            self._balances.clear()
            if sales:
                return [runs_of(EVENTS, sales)]
        if state.mark > state.answered and not under_way:
            return [runs_of(EVENTS, [MarkAnswered(mark=state.mark)])]
        return ()

    def _sold(self, state: State) -> list[Awarded]:
        view = StateView(state)
        ahead = np.zeros(len(state.facts.underlyings))
        sales: list[Awarded] = []
        for account in sorted(self._due):
            held = {i: lots for i, lots in sorted(self._positions[account].items()) if lots}
            for instrument, lots in (held or _coins(self._balances[account], view)).items():
                if not state.market.marked[instrument]:
                    continue
                self._sales += 1
                sales.append(
                    Awarded(
                        instrument=instrument,
                        account=account,
                        bidder=self._buyer,
                        auction=self._sales,
                        bid=self._sales,
                        quantity=lots,
                        price=self._price(state, view, instrument, -lots, ahead),
                    )
                )
                ahead[state.market.underlying[instrument]] += delta(state, instrument, -lots)
        return sales

    def _price(self, state: State, view: StateView, instrument: int, leg: int, ahead: Any) -> int:
        mark = view.mark(instrument)
        less = mark - auction.price(leg, mark, self._fee)
        return max(1, self._pressure.resale(state, instrument, leg, ahead) - less)

    def idle(self, _state: State) -> Sequence[Decision]:
        """See Decider."""
        return ()

    def exported(self) -> dict[str, Any]:
        """See Decider. Taken when a mark is answered: what it will say then rests on what it will hear."""
        return {"sales": self._sales}

    def restore(self, told: dict[str, Any]) -> None:
        """See Decider."""
        self._sales = told["sales"]


def _coins(balances: Mapping[int, int], view: StateView) -> dict[int, int]:
    """Whole lots by the SPOT instrument that turns them into dollars."""
    coins = {}
    for asset, amount in sorted(balances.items()):
        spot = view.spot(asset)
        if spot is not None and (lots := abs(amount) // view.lot(spot)):
            coins[spot] = lots if amount > 0 else -lots
    return coins

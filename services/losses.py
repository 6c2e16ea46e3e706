"""What defaults cost in a run, counted from its outcomes alone: who was called, what was sold how far off the mark, and
who paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ledger.state import State
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import LegKind, PostingKind, Rung, WaterfallLayer
from schemas.limits import BASIS_POINTS
from schemas.outcomes import (
    DeficitCovered,
    DeficitFound,
    HouseBalance,
    LegPosted,
    LossBorne,
    MarkDone,
    Posted,
    RungChanged,
)
from schemas.wire import Run, message_of
from services.failing import Failing
from services.figures import dollars, net_worth
from services.pressure import worth

_FUNDS: Final = frozenset({House.FUND, House.DEFAULT_FUND, House.OWN_CAPITAL})
_OF_OTHERS: Final = frozenset({WaterfallLayer.ASSESSMENT, WaterfallLayer.GAINS_HAIRCUT})
_FORCED: Final = (LegKind.LIQUIDATION, LegKind.DELEVERAGING, LegKind.BACKSTOP, LegKind.TEAR_UP)


@dataclass(frozen=True, slots=True)
class Losses:
    """What a run's defaults cost. Money in micro-dollars at the marks of the time, gaps in basis points of the mark."""

    called: int
    liquidated: int
    sales: int
    """legs by which failing accounts sold or bought back"""
    notional: int
    """value at the mark of those legs"""
    discount: int
    """what they got less than the mark: the gap, in money"""
    mean_gap: float
    worst_gap: float
    fees: int
    """that failing accounts paid on those legs"""
    deficits: int
    """accounts that owed when they had nothing more to sell"""
    fund_paid: int
    """what funds and capital paid of what they owed: all layers between the accounts' own and the counterparties"""
    withheld: int
    """of others' gains, and what members were called for"""
    fund_before: int
    """insurance fund, default fund and the clearinghouse's own capital at the first mark"""
    fund_left: int
    unpaid: int
    """what is still owed at the end"""
    deleveraged: int
    """value at the mark of what was closed against the other side"""
    counterparties: int
    """accounts that it was closed against"""
    given_up: int
    """what they got less than the mark, where they did"""
    taken: int
    """what failing accounts got less than the mark in the same, where they did: equity that was left to them"""
    failed_lost: int
    """what the liquidated accounts had lost at the end of what they brought in, and not been given by others"""
    liquidators_gained: int

    @property
    def others(self) -> int:
        """What others than the failing bore: the fund, those deleveraged, those who wait for what is unpaid."""
        return self.fund_paid + self.withheld + self.given_up + self.unpaid

    @property
    def cost(self) -> int:
        """What liquidation itself took from the failing accounts: gap, fees, and what deleveraging took besides."""
        return self.discount + self.fees + self.taken


@dataclass(slots=True)
class Tally:
    """Counts while a run's entries come by."""

    _called: set[int] = field(default_factory=set)
    _liquidated: set[int] = field(default_factory=set)
    _failing: Failing = field(default_factory=Failing)
    _sales: int = 0
    _notional: int = 0
    _discount: int = 0
    _worst: float = 0.0
    _fees: int = 0
    _deficits: set[int] = field(default_factory=set)
    _owed: dict[tuple[int, int], int] = field(default_factory=dict)
    _unpaid: int = 0
    _covered: Counter[int] = field(default_factory=Counter)
    _withheld: int = 0
    _fund: list[int] = field(default_factory=list)
    _deleveraged: int = 0
    _counterparties: set[int] = field(default_factory=set)
    _given_up: int = 0
    _taken: int = 0
    _relieved: Counter[int] = field(default_factory=Counter)
    _brought: Counter[int] = field(default_factory=Counter)

    def hear(self, runs: Sequence[Run], state: State) -> None:
        """Take in an entry's outcomes, all shards'; `state` has the market in force."""
        marked = any(run.message.cls is MarkDone for run in runs)
        if marked:
            self._owed = {}
            self._fund.append(0)
        for run in runs:
            self._failing.hear(run)
            kind = run.message.cls
            if kind is LegPosted:
                for row in run.rows[np.isin(run.rows["kind"], _FORCED)]:
                    self._leg(message_of(run.message, row), state)
            elif kind in (RungChanged, DeficitFound, DeficitCovered, LossBorne, HouseBalance, Posted):
                for row in run.rows:
                    self._one(message_of(run.message, row), state)
        self._unpaid = sum(dollars(state, asset, amount) for (_, asset), amount in self._owed.items())

    def _one(self, told: Any, state: State) -> None:
        match told:
            case RungChanged():
                if told.after >= Rung.CALLED:
                    self._called.add(told.account)
                if told.after >= Rung.LIQUIDATING:
                    self._liquidated.add(told.account)
            case DeficitFound():
                self._deficits.add(told.account)
                self._owed[told.account, told.asset] = told.amount
            case DeficitCovered() | LossBorne():
                paid = dollars(state, told.asset, told.amount)
                self._covered[told.account] += paid
                if isinstance(told, LossBorne) and told.layer in _OF_OTHERS:
                    self._withheld += paid
                self._owed[told.account, told.asset] = told.remaining
            case HouseBalance() if told.account in _FUNDS:
                self._fund[-1] += dollars(state, told.asset, told.balance)
            case Posted():
                self._posted(told, state)
            case _:
                pass

    def _posted(self, told: Posted, state: State) -> None:
        amount = dollars(state, told.asset, told.amount)
        if told.kind in (PostingKind.DEPOSIT, PostingKind.WITHDRAWAL_RETURNED):
            self._brought[told.credit] += amount
        elif told.kind == PostingKind.WITHDRAWAL:
            self._brought[told.debit] -= amount

    def _leg(self, told: LegPosted, state: State) -> None:
        mark = int(state.market.mark[told.instrument])
        value = abs(worth(state, told.instrument, told.quantity, mark))
        lost = worth(state, told.instrument, told.quantity, told.price) - worth(
            state, told.instrument, told.quantity, mark
        )
        if told.account < FIRST_ACCOUNT:
            return
        if told.kind in (LegKind.DELEVERAGING, LegKind.TEAR_UP):
            if told.account in self._failing:
                self._deleveraged += value
                self._relieved[told.account] += max(0, -lost)
                self._taken += max(0, lost)
            else:
                self._counterparties.add(told.account)
                self._given_up += max(0, lost)
        elif told.account in self._failing:
            self._sales += 1
            self._notional += value
            self._discount += lost
            self._fees += told.fee
            if value:
                self._worst = max(self._worst, lost * BASIS_POINTS / value)

    @property
    def cover(self) -> Sequence[int]:
        """[marks] what stood before losses that accounts cannot bear: funds and own capital, micro-dollars."""
        return self._fund

    def losses(self, states: Sequence[State], customers: Collection[int], liquidators: Collection[int]) -> Losses:
        """What it came to."""
        value = net_worth(states)
        profit = {
            one: int(value[one]) - self._brought[one] - self._covered[one] - self._relieved[one] for one in customers
        }
        return Losses(
            called=len(self._called),
            liquidated=len(self._liquidated),
            sales=self._sales,
            notional=self._notional,
            discount=self._discount,
            mean_gap=self._discount * BASIS_POINTS / self._notional if self._notional else 0.0,
            worst_gap=self._worst,
            fees=self._fees,
            deficits=len(self._deficits),
            fund_paid=sum(self._covered.values()) - self._withheld,
            withheld=self._withheld,
            fund_before=self._fund[0] if self._fund else 0,
            fund_left=self._fund[-1] if self._fund else 0,
            unpaid=self._unpaid,
            deleveraged=self._deleveraged,
            counterparties=len(self._counterparties),
            given_up=self._given_up,
            taken=self._taken,
            failed_lost=-sum(profit[one] for one in self._liquidated if one in profit),
            liquidators_gained=sum(profit[one] for one in liquidators),
        )

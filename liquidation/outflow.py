"""What may leave: which withdrawals wait at a mark, what is owed over all shards, and what those totals let leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.chart import House
from schemas.defaults import HOUR
from schemas.events import WithdrawalJudged, WithdrawalsHeld
from schemas.kinds import Reason
from schemas.limits import BASIS_POINTS
from schemas.outcomes import (
    DeficitFound,
    HouseBalance,
    LiquidationDue,
    MarkDone,
    WithdrawalAnswered,
    WithdrawalWaiting,
)

LISTENS: Final = (DeficitFound, LiquidationDue, HouseBalance, MarkDone, WithdrawalWaiting, WithdrawalAnswered)
"""The outcomes the gate acts on; it passes over all others."""
OWN: Final = frozenset({House.FEES, House.FUND, House.OWN_CAPITAL})
"""the house accounts that are the clearinghouse's own money: together below zero in an asset, it is in deficit"""
DAY: Final = 24 * HOUR
"""microseconds; a day begins at midnight UTC of the marks' time"""


class Rules(NamedTuple):
    """The parameters in force."""

    hold: bool
    rates: Mapping[int, int]
    """asset -> basis points of all customers' balances that may leave in a day; where there is none, no limit"""


@dataclass(slots=True)
class _Asked:
    asset: int
    amount: int
    since: int
    """the mark at which it was first told: who came first is served first"""
    mark: int
    """the last mark at which it waited"""


@dataclass(slots=True)
class _Told:
    """What the shards have said of a mark that not all of them have done."""

    short: bool = False
    own: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    house: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    done: int = 0


class Gate:
    """Withdrawals that wait, what left today, and whether anybody was in deficit at the last mark of all `shards`.

    `observe` takes outcomes, `decide` says what is to be answered at a mark, and changes nothing: what left is counted
    when the shards say so. Neither the order of outcomes nor the number of shards shows in the answer.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self._waiting: dict[tuple[int, int], _Asked] = {}
        self._told = _Told()
        self._short = False
        self._day = -1
        self._base: dict[int, int] = {}
        self._left: defaultdict[int, int] = defaultdict(int)

    def observe(self, outcomes: Iterable[object]) -> None:
        """Take in outcomes; nothing is decided before `decide`."""
        for outcome in outcomes:
            match outcome:
                case WithdrawalWaiting():
                    key = (outcome.account, outcome.withdrawal)
                    known = self._waiting.get(key)
                    since = known.since if known else outcome.mark
                    self._waiting[key] = _Asked(outcome.asset, outcome.amount, since, outcome.mark)
                case WithdrawalAnswered():
                    asked = self._waiting.pop((outcome.account, outcome.withdrawal), None)
                    if asked is not None and outcome.reason == Reason.NONE:
                        self._left[outcome.asset] += outcome.amount
                case DeficitFound():
                    self._told.short = True
                case LiquidationDue() if outcome.equity < 0:
                    self._told.short = True
                case HouseBalance():
                    self._told.house[outcome.asset] += outcome.balance
                    if outcome.account in OWN:
                        self._told.own[outcome.asset] += outcome.balance
                case MarkDone():
                    self._told.done += 1
                    if self._told.done == self._shards:
                        self._all_done(outcome.mark, outcome.time)
                case _:
                    pass

    def _all_done(self, mark: int, time: int) -> None:
        told, self._told = self._told, _Told()
        self._short = told.short or any(balance < 0 for balance in told.own.values())
        self._waiting = {key: asked for key, asked in self._waiting.items() if asked.mark == mark}
        if time // DAY != self._day:
            self._day = time // DAY
            self._left.clear()
            # all balances of an asset sum to zero: what the customers have the house owes
            self._base = {asset: -balance for asset, balance in sorted(told.house.items())}

    def decide(self, mark: int, rules: Rules, *, held: bool) -> list[WithdrawalsHeld | WithdrawalJudged]:
        """What is said at a mark before it is answered; `held`: whether withdrawals are held so far.

        In deficit nothing is judged: what waits goes on waiting. Else those who wait are served by the mark they were
        first told at, then by account and by withdrawal. What fits into the rest of the day's allowance may leave, what
        does not waits; what is more than a whole day's allowance never fits and is refused.
        """
        short = rules.hold and self._short
        events: list[WithdrawalsHeld | WithdrawalJudged] = []
        if short != held:
            events.append(WithdrawalsHeld(held=int(short), mark=mark))
        if short:
            return events
        whole = {asset: max(0, self._base.get(asset, 0)) * rate // BASIS_POINTS for asset, rate in rules.rates.items()}
        rest = {asset: allowance - self._left[asset] for asset, allowance in whole.items()}
        for (account, number), asked in sorted(self._waiting.items(), key=lambda item: (item[1].since, item[0])):
            if asked.mark != mark:
                continue
            limited = asked.asset in whole
            if limited and rest[asked.asset] < asked.amount <= whole[asked.asset]:
                continue
            allowed = not limited or asked.amount <= whole[asked.asset]
            if limited and allowed:
                rest[asked.asset] -= asked.amount
            events.append(WithdrawalJudged(allowed=int(allowed), account=account, withdrawal=number, mark=mark))
        return events

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot taken when no mark is half told."""
        return {
            "waiting": [[*key, a.asset, a.amount, a.since, a.mark] for key, a in sorted(self._waiting.items())],
            "short": self._short,
            "day": self._day,
            "base": [list(pair) for pair in sorted(self._base.items())],
            "left": [list(pair) for pair in sorted(self._left.items()) if pair[1]],
        }

    def restore(self, told: Mapping[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._waiting = {(a, n): _Asked(*rest) for a, n, *rest in told["waiting"]}
        self._short, self._day = told["short"], told["day"]
        self._base = dict(told["base"])
        self._left.clear()
        self._left.update(dict(told["left"]))

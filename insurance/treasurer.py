"""The treasurer: hears what accounts owe at a mark and what the fund holds, and answers with the fund's payments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from insurance.fund import Owed, pay
from schemas.chart import House
from schemas.events import FundPaid
from schemas.outcomes import DeficitFound, HouseBalance, MarkDone

LISTENS: Final = (DeficitFound, HouseBalance, MarkDone)
"""The outcomes the treasurer acts on; it passes over all others."""


@dataclass(slots=True)
class _Books:
    owed: list[Owed] = field(default_factory=list)
    fund: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


class Treasurer:
    """What all `shards` said of the last mark, and payments decided and not yet posted.

    `observe` takes what shards said of one entry, `decide` answers the mark when all have said MarkDone: the fund pays
    on totals, so the number of shards does not show in who is paid. `posted` is told when a decision is in the journal;
    what was decided and is not there yet is neither paid again nor promised to others.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self._mark = 0
        self._done = 0
        self._books = _Books()
        self._unposted: list[list[FundPaid]] = []

    def observe(self, outcomes: Iterable[object]) -> None:
        """Take in outcomes; nothing is decided before `decide`."""
        for outcome in outcomes:
            match outcome:
                case DeficitFound():
                    self._books.owed.append(Owed(outcome.account, outcome.asset, outcome.amount))
                case HouseBalance() if outcome.account == House.FUND:
                    self._books.fund[outcome.asset] += outcome.balance
                case MarkDone():
                    self._done = self._done + 1 if outcome.mark == self._mark else 1
                    self._mark = outcome.mark
                case _:
                    pass

    def decide(self) -> list[FundPaid]:
        """The payments that answer the mark, by account and asset; none while a shard has not said MarkDone."""
        if self._done < self._shards:
            return []
        books, self._books, self._done = self._books, _Books(), 0
        for event in (event for decision in self._unposted for event in decision):
            books.fund[event.asset] -= event.amount
        on_the_way = {(event.account, event.asset) for decision in self._unposted for event in decision}
        owed = [one for one in books.owed if (one.account, one.asset) not in on_the_way]
        events = [
            FundPaid(asset=one.asset, account=one.account, mark=self._mark, amount=one.amount)
            for one in pay(books.fund, owed)
        ]
        if events:
            self._unposted.append(events)
        return events

    def posted(self) -> None:
        """The oldest decision that was not in the journal is now."""
        if self._unposted:  # a decision too large for one entry is told in several
            self._unposted.pop(0)

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot."""
        return {
            "mark": self._mark,
            "done": self._done,
            "owed": [list(one) for one in self._books.owed],
            "fund": sorted(self._books.fund.items()),
            "unposted": [[[e.asset, e.account, e.mark, e.amount] for e in decision] for decision in self._unposted],
        }

    def restore(self, told: dict[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._mark, self._done = told["mark"], told["done"]
        self._books = _Books([Owed(*one) for one in told["owed"]])
        self._books.fund.update(dict(told["fund"]))
        self._unposted = [
            [FundPaid(asset=a, account=b, mark=m, amount=x) for a, b, m, x in decision] for decision in told["unposted"]
        ]

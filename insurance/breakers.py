"""Circuit breakers: how much open interest the fund can carry, when a limit trips and is reset, and who watches.

Limits are on totals over all shards. `docs/breakers.md` says it in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.chart import House
from schemas.events import BreakerChanged, OwnerAsked, OwnerLimited
from schemas.limits import BASIS_POINTS, MAX_EXPOSURE
from schemas.outcomes import HouseBalance, MarkDone, OpenInterest, OwnerInterest

LISTENS: Final = (OpenInterest, OwnerInterest, HouseBalance, MarkDone)
"""The outcomes the guard acts on; it passes over all others."""
TELLING: Final = 100
"""a limit is told anew when it has moved by more than this part of what was told, basis points"""

Event = BreakerChanged | OwnerLimited | OwnerAsked


def limit(fund: int, share: int, stress: int) -> int:
    """The open interest whose stress takes `share` of the fund, micro-dollars rounded down. `fund` micro-dollars (below
    zero it is nothing), `share` and `stress` > 0 basis points."""
    return min(max(fund, 0) * share // stress, MAX_EXPOSURE)


def owners_limit(whole: int, share: int) -> int:
    """What one owner may hold of an underlying's limit, micro-dollars rounded down; `share` basis points."""
    return whole * share // BASIS_POINTS


def trips(tripped: bool, interest: int, most: int, reset: int) -> bool:
    """Whether a breaker stands tripped at this interest: above its limit it trips, and it is reset only below `reset`
    basis points of the limit, so that it does not flutter between the two."""
    if tripped:
        return interest * BASIS_POINTS >= most * reset
    return interest > most


@dataclass(frozen=True, slots=True)
class Rules:
    """What every shard knows and the guard goes by. Underlyings without a stress are not limited."""

    stress: Mapping[int, int]
    """underlying -> basis points"""
    share: Mapping[int, int]
    """underlying -> basis points"""
    reset: int
    """basis points"""
    owner_share: int
    """basis points; 0: no limit"""
    standing: Mapping[int, tuple[int, int]]
    """underlying -> (1: tripped, the limit last told)"""
    limited: frozenset[tuple[int, int]]
    """(underlying, owner)"""
    worth: Mapping[int, tuple[int, int, int]]
    """asset -> (micro-dollars for a whole unit, smallest units in one, haircut in basis points)"""


class Guard:
    """What all `shards` said of the last mark. It answers with what trips, what is reset, and whom to ask about.

    `observe` takes what shards said of one entry, `decide` answers it. Nothing is remembered from one mark to the next:
    what stands is in the facts, which come with the rules.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self._mark = 0
        self._done = 0
        self._open: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._owned: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self._asked: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self._fund: defaultdict[int, int] = defaultdict(int)

    def observe(self, outcomes: Iterable[object]) -> None:
        """Take in outcomes; nothing is decided before `decide`."""
        for outcome in outcomes:
            match outcome:
                case OpenInterest():
                    _add(self._open[outcome.underlying], outcome)
                case OwnerInterest():
                    held = self._asked if outcome.asked else self._owned
                    _add(held[outcome.underlying, outcome.owner], outcome)
                case HouseBalance() if outcome.account == House.FUND:
                    self._fund[outcome.asset] += outcome.balance
                case MarkDone():
                    self._done = self._done + 1 if outcome.mark == self._mark else 1
                    self._mark = outcome.mark
                case _:
                    pass

    @property
    def waits(self) -> bool:
        """Whether something was heard that is to be decided now: every shard is done, or has said what it was asked."""
        return self._done >= self._shards or bool(self._asked)

    def decide(self, rules: Rules) -> list[Event]:
        """What answers the mark, or the asking; underlyings, then owners, ascending."""
        events: list[Event] = []
        if self._done >= self._shards:
            events += self._interest(rules)
            events += self._owners(rules)
            self.skip()
        for (underlying, owner), sides in sorted(self._asked.items()):
            events += self._owner(rules, underlying, owner, max(sides))
        self._asked.clear()
        return events

    def skip(self) -> None:
        """Leave the mark, where something said before is not in the journal yet; the next mark tells all anew."""
        self._done = 0
        for heard in (self._open, self._owned, self._fund):
            heard.clear()

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot."""
        return {
            "mark": self._mark,
            "done": self._done,
            "open": [[number, *sides] for number, sides in sorted(self._open.items())],
            "owned": [[*key, *sides] for key, sides in sorted(self._owned.items())],
            "asked": [[*key, *sides] for key, sides in sorted(self._asked.items())],
            "fund": sorted(self._fund.items()),
        }

    def restore(self, told: Mapping[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._mark, self._done = told["mark"], told["done"]
        self._open.update({number: sides for number, *sides in told["open"]})
        self._owned.update({(a, b): sides for a, b, *sides in told["owned"]})
        self._asked.update({(a, b): sides for a, b, *sides in told["asked"]})
        self._fund.update(dict(told["fund"]))

    def _interest(self, rules: Rules) -> list[Event]:
        fund = sum(_value(amount, rules.worth[asset]) for asset, amount in self._fund.items() if asset in rules.worth)
        events: list[Event] = []
        for underlying, stress in sorted(rules.stress.items()):
            most = limit(fund, rules.share[underlying], stress)
            interest = min(max(self._open[underlying]), MAX_EXPOSURE)
            before, told = rules.standing.get(underlying, (0, -1))
            after = trips(bool(before), interest, most, rules.reset)
            if after != bool(before) or told < 0 or abs(most - told) * BASIS_POINTS > told * TELLING:
                events.append(
                    BreakerChanged(
                        tripped=int(after), underlying=underlying, mark=self._mark, interest=interest, limit=most
                    )
                )
        return events

    def _owners(self, rules: Rules) -> list[Event]:
        """What is limited was told in full by all shards; who might have to be is asked about."""
        events: list[Event] = []
        for underlying, owner in sorted(rules.limited | set(self._owned)):
            if (underlying, owner) in rules.limited:
                events += self._owner(rules, underlying, owner, max(self._owned.get((underlying, owner), (0, 0))))
            else:
                events.append(OwnerAsked(underlying=underlying, owner=owner, mark=self._mark))
        return events

    def _owner(self, rules: Rules, underlying: int, owner: int, interest: int) -> list[Event]:
        standing = rules.standing.get(underlying)
        if standing is None or not rules.owner_share:
            return []
        most = owners_limit(standing[1], rules.owner_share)
        before = (underlying, owner) in rules.limited
        interest = min(interest, MAX_EXPOSURE)
        after = trips(before, interest, most, rules.reset)
        if after == before:
            return []
        return [
            OwnerLimited(
                limited=int(after),
                underlying=underlying,
                owner=owner,
                mark=self._mark,
                interest=interest,
                limit=most,
            )
        ]


def _add(sides: list[int], told: OpenInterest | OwnerInterest) -> None:
    sides[0] += told.long
    sides[1] += told.short


def _value(amount: int, worth: tuple[int, int, int]) -> int:
    """What the fund's balance in an asset counts for, micro-dollars rounded down."""
    price, scale, haircut = worth
    return max(amount, 0) * price * (BASIS_POINTS - haircut) // (scale * BASIS_POINTS)

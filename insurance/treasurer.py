"""The treasurer: hears what accounts owe at a mark and what the fund holds, and answers with the fund's payments; under
a published policy with what each layer lays out. It also mints and redeems the units of the fund's backers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from insurance import episode as episodes
from insurance.backers import Deposit, mint, redeem
from insurance.episode import Capacity, Episode, Ground
from insurance.fund import Owed, pay
from schemas.chart import House
from schemas.events import BackerMinted, BackerPaid, FundPaid, LayerDrawn
from schemas.kinds import WaterfallLayer
from schemas.outcomes import (
    AssessmentCapacity,
    BackerDeposited,
    DeficitFound,
    GainReported,
    HouseBalance,
    LaidOut,
    MarkDone,
)

LISTENS: Final = (
    DeficitFound,
    HouseBalance,
    MarkDone,
    LaidOut,
    AssessmentCapacity,
    GainReported,
    BackerDeposited,
)
"""The outcomes the treasurer acts on; it passes over all others."""

Event = episodes.Event | FundPaid | BackerMinted | BackerPaid

NOTHING_PUBLISHED: Final = Ground()
"""no policy, no backers: the fund pays what accounts owe"""


class _Out(NamedTuple):
    """What a decision takes out of the fund; account 0: not for a deficit."""

    asset: int
    account: int
    mark: int
    amount: int


@dataclass(slots=True)
class _Books:
    owed: list[Owed] = field(default_factory=list)
    held: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    """(house account, asset)"""
    capacity: list[Capacity] = field(default_factory=list)
    gains: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


class Treasurer:
    """What all `shards` said of the last mark, and payments decided and not yet posted.

    `observe` takes what shards said of one entry, `decide` answers the mark when all have said MarkDone, `proceed` goes
    on with it when what was asked of a layer is heard: everything is decided on totals, so the number of shards does
    not show in who is paid. `posted` is told when a decision is in the journal; what was decided and is not in the
    books that the mark told is neither paid again nor promised to others.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self._mark = 0
        self._done = 0
        self._books = _Books()
        self._unposted: list[list[_Out]] = []
        self._late: list[_Out] = []
        """posted since the books of the last mark were told"""
        self._deposits: list[Deposit] = []
        """in the books that the last mark told, and no units yet"""
        self._arrived: list[Deposit] = []
        """since then"""
        self._episode: Episode | None = None

    def observe(self, outcomes: Iterable[object]) -> None:
        """Take in outcomes; nothing is decided before `decide` or `proceed`.

        What was told of a mark that the next one overtook before it was decided is forgotten: the next tells it anew.
        """
        outcomes = list(outcomes)
        if any(isinstance(one, MarkDone) and one.mark != self._mark for one in outcomes):
            self._books = _Books()
        books = self._books
        for outcome in outcomes:
            match outcome:
                case DeficitFound():
                    books.owed.append(Owed(outcome.account, outcome.asset, outcome.amount))
                case HouseBalance():
                    books.held[outcome.account, outcome.asset] += outcome.balance
                case MarkDone():
                    if outcome.mark != self._mark:
                        self._deposits += self._arrived
                        self._arrived, self._late = [], []
                    self._done = self._done + 1 if outcome.mark == self._mark else 1
                    self._mark = outcome.mark
                case LaidOut():
                    if (one := self._episode) is not None and one.mark == outcome.mark:
                        one.laid[outcome.member, outcome.asset] += outcome.amount
                case AssessmentCapacity():
                    told = Capacity(outcome.asset, outcome.member, outcome.account, outcome.amount)
                    books.capacity.append(told)
                case GainReported():
                    books.gains[outcome.asset] += outcome.gains
                case BackerDeposited():
                    self._arrived.append(Deposit(outcome.backer, outcome.asset, outcome.amount))
                case _:
                    pass

    def decide(self, ground: Ground = NOTHING_PUBLISHED, *, under_way: bool = False) -> list[Event]:
        """What answers the mark; nothing while a shard has not said MarkDone.

        Under a policy, or with backers, a mark that comes while an earlier answer is not in its books is passed over
        (`under_way`: a decision is not in the journal in full); the next one finds what is still owed.
        """
        if self._done < self._shards:
            return []
        books, self._books, self._done = self._books, _Books(), 0
        settled = not (under_way or self._unposted or self._late or self._episode)
        if ground.policy is None and self._episode is None:
            events = self._fund_pays(books)
            if ground.backers and settled:
                events = [*self._minted(books, ground), *events, *self._redeemed(books, events, ground)]
            return self._decided(events)
        if not settled or ground.policy is None:
            return []
        events = self._minted(books, ground)
        owed: defaultdict[tuple[int, int], int] = defaultdict(int)
        for one in books.owed:
            owed[one.account, one.asset] += one.amount
        self._episode = Episode(
            mark=self._mark,
            since=ground.policy.since,
            owed=dict(sorted(owed.items())),
            held=dict(sorted(books.held.items())),
            capacity=sorted(books.capacity),
            gains=dict(sorted(books.gains.items())),
            failing=frozenset(ground.member_of(account) for account, _ in owed),
        )
        return self._decided([*events, *self._further(ground)])

    def proceed(self, ground: Ground = NOTHING_PUBLISHED) -> list[Event]:
        """What follows when everything decided so far is in the journal and its outcomes are observed."""
        if self._episode is None or self._unposted:
            return []
        return self._decided(self._further(ground))

    def posted(self) -> None:
        """The oldest decision that was not in the journal is now."""
        if self._unposted:  # a decision too large for one entry is told in several
            self._late += self._unposted.pop(0)

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot."""
        books = self._books
        more = {
            "held": [[*key, amount] for key, amount in sorted(books.held.items()) if key[0] != House.FUND],
            "capacity": [list(one) for one in books.capacity],
            "gains": sorted(books.gains.items()),
            "late": [list(one) for one in self._late],
            "deposits": [list(one) for one in self._deposits],
            "arrived": [list(one) for one in self._arrived],
            "episode": self._episode.exported() if self._episode is not None else [],
        }
        return {
            "mark": self._mark,
            "done": self._done,
            "owed": [list(one) for one in books.owed],
            "fund": [[asset, amount] for (house, asset), amount in sorted(books.held.items()) if house == House.FUND],
            "unposted": [[list(out) for out in decision] for decision in self._unposted],
        } | {name: told for name, told in more.items() if told}

    def restore(self, told: dict[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._mark, self._done = told["mark"], told["done"]
        books = self._books = _Books([Owed(*one) for one in told["owed"]])
        books.held.update({(int(House.FUND), asset): amount for asset, amount in told["fund"]})
        books.held.update({(house, asset): amount for house, asset, amount in told.get("held", [])})
        books.capacity = [Capacity(*one) for one in told.get("capacity", [])]
        books.gains.update(dict(told.get("gains", [])))
        self._unposted = [[_Out(*out) for out in decision] for decision in told["unposted"]]
        self._late = [_Out(*out) for out in told.get("late", [])]
        self._deposits = [Deposit(*one) for one in told.get("deposits", [])]
        self._arrived = [Deposit(*one) for one in told.get("arrived", [])]
        self._episode = episodes.restored(told["episode"]) if told.get("episode") else None

    # --- the parts of an answer --------------------------------------------------------------------------------------

    def _fund_pays(self, books: _Books) -> list[Event]:
        """Where no policy is published: the fund in full, else pro rata."""
        fund = _fund(books.held)
        gone = [*self._late, *(out for decision in self._unposted for out in decision)]
        for out in gone:
            fund[out.asset] = fund.get(out.asset, 0) - out.amount
        on_the_way = {(out.account, out.asset) for out in gone}
        owed = [one for one in books.owed if (one.account, one.asset) not in on_the_way]
        return [
            FundPaid(asset=one.asset, account=one.account, mark=self._mark, amount=one.amount)
            for one in pay(fund, owed)
        ]

    def _further(self, ground: Ground) -> list[Event]:
        """The next step of the deficits that are laid on a policy's layers; after the last the backers are paid."""
        current = self._episode
        assert current is not None
        told, ended = episodes.proceed(current, ground)
        events: list[Event] = [*told]
        if not ended:
            return events
        self._episode = None
        if ground.backers and self._mark == current.mark:
            books = _Books([Owed(account, asset, left) for (account, asset), left in current.owed.items()])
            books.held.update(current.held)
            for out in self._late:  # the fund's own part in it
                books.held[int(House.FUND), out.asset] -= out.amount
            events += self._redeemed(books, events, ground)
        return events

    def _minted(self, books: _Books, ground: Ground) -> list[Event]:
        deposits, self._deposits = self._deposits, []
        return [
            BackerMinted(fresh=int(one.fresh), asset=one.asset, backer=one.backer, mark=self._mark, units=one.units)
            for one in (mint(_fund(books.held), ground.units, deposits) if ground.backers else ())
        ]

    def _redeemed(self, books: _Books, decided: Sequence[Event], ground: Ground) -> list[Event]:
        """Backers' withdrawals, from what is left after this mark's deficits."""
        fund = _fund(books.held)
        for out in _out_of_fund(decided):
            fund[out.asset] = fund.get(out.asset, 0) - out.amount
        paid = {(event.account, event.asset): event.amount for event in decided if isinstance(event, FundPaid)}
        short = frozenset(one.asset for one in books.owed if paid.get((one.account, one.asset), 0) < one.amount)
        return [
            BackerPaid(
                asset=one.request.asset,
                backer=one.request.backer,
                request=one.request.request,
                mark=self._mark,
                units=one.request.units,
                amount=one.amount,
            )
            for one in redeem(fund, ground.units, ground.requests, short)
        ]

    def _decided(self, events: list[Event]) -> list[Event]:
        if events:
            self._unposted.append(_out_of_fund(events))
        return events


def _fund(held: dict[tuple[int, int], int]) -> dict[int, int]:
    return {asset: amount for (house, asset), amount in held.items() if house == House.FUND}


def _out_of_fund(events: Iterable[Event]) -> list[_Out]:
    out: list[_Out] = []
    for event in events:
        match event:
            case FundPaid():
                out.append(_Out(event.asset, event.account, event.mark, event.amount))
            case LayerDrawn() if event.layer == WaterfallLayer.FUND:
                out.append(_Out(event.asset, 0, event.mark, event.amount))
            case BackerPaid():
                out.append(_Out(event.asset, 0, event.mark, event.amount))
            case _:
                pass
    return out

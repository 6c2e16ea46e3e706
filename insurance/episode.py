"""One mark's deficits laid on the layers of the policy in force, a layer at a time.

A layer is asked first (events to the journal), what the shards then say was laid out is paid to the accounts, and only
what is still owed goes to the next. So nothing is promised that is not there, and the number of shards does not show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from insurance.backers import Request
from insurance.fund import pro_rata
from insurance.policy import POOLS, InForce, Rank
from insurance.waterfall import HOUSE_OF, NO_PRICE, Drawn, Price, drawn_of, room
from schemas.chart import House
from schemas.events import Assessed, GainsHaircut, LayerDrawn, LayerPaid
from schemas.kinds import WaterfallLayer
from schemas.limits import BASIS_POINTS

BILLION: Final = 10**9
"""a haircut's rate is in parts of this"""

Event = LayerDrawn | LayerPaid | Assessed | GainsHaircut


class Ground(NamedTuple):
    """What every shard knows alike, as the fund's decisions need it."""

    policy: InForce | None = None
    drawn: Drawn = MappingProxyType({})
    parts: Mapping[tuple[int, int], int] = MappingProxyType({})
    """(member, asset) -> what is left of its contribution to the default fund"""
    prices: Mapping[int, Price] = MappingProxyType({})
    member_of: Callable[[int], int] = lambda _account: 0
    """the member that stands behind an account"""
    backers: bool = False
    """whether contributions to the fund become units of it"""
    units: Mapping[tuple[int, int], int] = MappingProxyType({})
    """(backer, asset) -> units of the insurance fund"""
    requests: tuple[Request, ...] = ()
    """what backers asked for, the notice over, in the order in which they are served"""


class Capacity(NamedTuple):
    """What a member's house account can be assessed for."""

    asset: int
    member: int
    account: int
    amount: int


@dataclass(slots=True)
class Episode:
    """A mark's deficits on their way down the layers."""

    mark: int
    since: int
    """the mark at which the policy that is followed took effect"""
    owed: dict[tuple[int, int], int]
    """(account, asset) -> still unpaid"""
    held: dict[tuple[int, int], int]
    """(house account, asset) at the mark"""
    capacity: list[Capacity]
    gains: dict[int, int]
    """asset -> what accounts gained since the mark before"""
    failing: frozenset[int]
    """members with an account in deficit at the mark"""
    at: int = -1
    """the layer that was asked last; -1: none yet"""
    waiting: bool = False
    """asked, and not yet heard"""
    laid: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    """(member, asset) -> what the layer asked last has laid out"""

    def need(self, asset: int) -> int:
        """What is still owed of an asset."""
        return sum(amount for (_, of), amount in self.owed.items() if of == asset)

    def exported(self) -> list[Any]:
        """The state as plain data."""
        return [
            self.mark,
            self.since,
            [[*key, amount] for key, amount in sorted(self.owed.items())],
            [[*key, amount] for key, amount in sorted(self.held.items())],
            [list(one) for one in self.capacity],
            sorted(self.gains.items()),
            sorted(self.failing),
            self.at,
            self.waiting,
            [[*key, amount] for key, amount in sorted(self.laid.items())],
        ]


def restored(told: list[Any]) -> Episode:
    """The episode that `exported` told."""
    mark, since, owed, held, capacity, gains, failing, at, waiting, laid = told
    episode = Episode(
        mark,
        since,
        {(a, b): amount for a, b, amount in owed},
        {(a, b): amount for a, b, amount in held},
        [Capacity(*one) for one in capacity],
        dict(gains),
        frozenset(failing),
        at,
        waiting,
    )
    episode.laid.update({(a, b): amount for a, b, amount in laid})
    return episode


def proceed(episode: Episode, ground: Ground) -> tuple[list[Event], bool]:
    """Pay what the layer asked last has laid out and ask the next one that has anything; and whether that was all.

    The episode moves on in place. It ends early where another policy took effect meanwhile: the next mark finds what is
    still owed.
    """
    events: list[Event] = []
    policy = ground.policy
    if policy is None or policy.since != episode.since:
        return _paid(episode, WaterfallLayer.LAID_OUT, ground) if episode.waiting else [], True
    if episode.at < 0:
        for (house, asset), amount in episode.held.items():
            if house == House.LAID_OUT and amount > 0:
                episode.laid[0, asset] = amount
        events += _paid(episode, WaterfallLayer.LAID_OUT, ground)
        episode.at = 0
    if episode.waiting:
        events += _paid(episode, policy.ranks[episode.at].layer, ground)
        episode.waiting = False
        episode.at += 1
    while episode.owed and episode.at < len(policy.ranks):
        asked = _asked(episode, policy.ranks[episode.at], ground)
        if asked:
            episode.waiting = True
            return events + asked, False
        episode.at += 1
    return events, True


def _paid(episode: Episode, layer: WaterfallLayer, ground: Ground) -> list[Event]:
    """What was laid out, shared over those who owe: in full, or pro rata by largest remainder, then account number."""
    own = layer == WaterfallLayer.MEMBER_CONTRIBUTION
    pots: defaultdict[tuple[int, int | None], int] = defaultdict(int)
    for (member, asset), amount in sorted(episode.laid.items()):
        pots[asset, member if own else None] += amount
    episode.laid.clear()
    events: list[Event] = []
    for (asset, of), amount in pots.items():
        owing = {
            account: owed
            for (account, where), owed in episode.owed.items()
            if where == asset and (of is None or ground.member_of(account) == of)
        }
        for account, share in sorted(pro_rata(amount, owing).items()):
            if share > 0:
                member = ground.member_of(account)
                events.append(
                    LayerPaid(layer=layer, asset=asset, account=account, member=member, mark=episode.mark, amount=share)
                )
                episode.owed[account, asset] -= share
    episode.owed = {key: amount for key, amount in episode.owed.items() if amount > 0}
    return events


def _asked(episode: Episode, rank: Rank, ground: Ground) -> list[Event]:
    """What a layer is asked for, by asset; nothing where it has nothing to give."""
    events: list[Event] = []
    for asset in sorted({asset for _, asset in episode.owed}):
        match rank.layer:
            case WaterfallLayer.MEMBER_CONTRIBUTION:
                events += _drawn(episode, rank.layer, asset, _own_parts(episode, asset, ground))
            case WaterfallLayer.DEFAULT_FUND:
                events += _drawn(episode, rank.layer, asset, _mutual(episode, rank, asset, ground))
            case WaterfallLayer.ASSESSMENT:
                events += _assessed(episode, rank, asset, ground)
            case WaterfallLayer.GAINS_HAIRCUT:
                events += _haircut(episode, rank, asset)
            case layer if layer in POOLS:
                held = episode.held.get((HOUSE_OF[layer], asset), 0)
                used = drawn_of(ground.drawn, layer, asset)
                most = room(rank, held, used, ground.prices.get(asset, NO_PRICE))
                events += _drawn(episode, layer, asset, {0: min(episode.need(asset), most)})
            case _:  # own collateral is gone by now, deleveraging and tear-up are the desk's
                pass
    return events


def _drawn(episode: Episode, layer: WaterfallLayer, asset: int, amounts: Mapping[int, int]) -> Iterable[Event]:
    return [
        LayerDrawn(layer=layer, asset=asset, member=member, mark=episode.mark, amount=amount)
        for member, amount in sorted(amounts.items())
        if amount > 0
    ]


def _own_parts(episode: Episode, asset: int, ground: Ground) -> dict[int, int]:
    """What each member in deficit has left of its own contribution, up to what its accounts owe."""
    owing: defaultdict[int, int] = defaultdict(int)
    for (account, of), amount in episode.owed.items():
        if of == asset:
            owing[ground.member_of(account)] += amount
    return {member: min(amount, ground.parts.get((member, asset), 0)) for member, amount in owing.items()}


def _mutual(episode: Episode, rank: Rank, asset: int, ground: Ground) -> dict[int, int]:
    """What the default fund bears, over its members by what is left of their parts."""
    parts = {member: part for (member, of), part in ground.parts.items() if of == asset and part > 0}
    used = drawn_of(ground.drawn, rank.layer, asset)
    most = room(rank, sum(parts.values()), used, ground.prices.get(asset, NO_PRICE))
    return pro_rata(min(episode.need(asset), most), parts)


def _assessed(episode: Episode, rank: Rank, asset: int, ground: Ground) -> list[Event]:
    """Calls on members that are not in deficit, by what each may be called for and can pay; of a member's accounts the
    lowest number first."""
    able: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for one in episode.capacity:
        if one.asset == asset and one.member not in episode.failing:
            able[one.member][one.account] = one.amount
    callable_for = {
        member: max(0, min(sum(accounts.values()), _most_assessed(rank, member, asset, ground)))
        for member, accounts in able.items()
    }
    need = min(episode.need(asset), sum(callable_for.values()))
    events: list[Event] = []
    for member, share in sorted(pro_rata(need, callable_for).items()):
        left = share
        for account, amount in sorted(able[member].items()):
            taken = min(left, amount)
            if taken > 0:
                events.append(Assessed(asset=asset, account=account, member=member, mark=episode.mark, amount=taken))
                left -= taken
    return events


def _most_assessed(rank: Rank, member: int, asset: int, ground: Ground) -> int:
    """What a member may still be called for: a multiple of what it contributed, less what it was called for before."""
    used = (WaterfallLayer.MEMBER_CONTRIBUTION, WaterfallLayer.DEFAULT_FUND)
    contributed = ground.parts.get((member, asset), 0) + sum(ground.drawn.get((of, member, asset), 0) for of in used)
    called = ground.drawn.get((WaterfallLayer.ASSESSMENT, member, asset), 0)
    return contributed * rank.share // BASIS_POINTS - called


def _haircut(episode: Episode, rank: Rank, asset: int) -> list[Event]:
    """The rate at which gains are cut, rounded up, so that what each shard takes covers what is needed."""
    gains = episode.gains.get(asset, 0)
    amount = min(episode.need(asset), gains * rank.share // BASIS_POINTS)
    if amount <= 0:
        return []
    return [GainsHaircut(asset=asset, mark=episode.mark, rate=-(-amount * BILLION // gains))]

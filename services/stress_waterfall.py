"""The waterfall under a shock: what stands behind a run's book, and what each layer of a policy bears of what the shock
leaves unpaid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from insurance.adequacy import Adequacy, Resources, adequacy
from insurance.policy import SHIPPED, InForce, Policy, Rank, parse_policy, shipped
from insurance.waterfall import UNPUBLISHED
from ledger.state import State
from liquidation.contagion import Book, Cascade, Reprice, gained
from risk.requirement import margin_accounts, scratch
from risk.tables import Market, margins
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import AccountStatus, Segregation, WaterfallLayer
from schemas.limits import MICRO

FloatArray = npt.NDArray[np.float64]
Value = Callable[[int, float], float]
"""asset, dollars of it before the shock -> dollars after"""

PREFUNDED: Final = (
    WaterfallLayer.LAID_OUT,
    WaterfallLayer.MEMBER_CONTRIBUTION,
    WaterfallLayer.OWN_CAPITAL,
    WaterfallLayer.FUND,
    WaterfallLayer.DEFAULT_FUND,
)
"""layers of money that is there before anybody fails"""
NOT_PUBLISHED: Final = "no policy published"


@dataclass(frozen=True, slots=True)
class Backing:
    """What stands behind a book's deficits, dollars at the marks before the shock, and in what order it is used."""

    policy: str
    """its name; of one that is not shipped its number and the beginning of its digest"""
    ranks: tuple[Rank, ...]
    held: Mapping[tuple[int, int], float]
    """(house account, asset)"""
    parts: Mapping[tuple[int, int], float]
    """(member, asset) -> its contribution to the default fund"""
    drawn: Mapping[tuple[int, int, int], float]
    """(layer, member, asset) -> used since the policy took effect"""
    houses: Mapping[int, int]
    """open house account -> its member"""

    @property
    def last(self) -> WaterfallLayer:
        """Where what nobody pays falls: deleveraging or tear-up."""
        return self.ranks[-1].layer


class Standing(NamedTuple):
    """What the survivors of a cascade can still be asked for, dollars."""

    spare: Mapping[int, float]
    """member -> what its house accounts hold above their initial margin"""
    gains: float


class Borne(NamedTuple):
    """How the deficits of a cascade are borne, dollars."""

    deficits: float
    fund_left: float
    shortfall: float
    """past all layers of money: taken by deleveraging or tear-up"""
    deleveraged: float
    """notional to be closed against the other side: what nobody carried of what accounts in deficit sold"""


def backing_of(states: Sequence[State]) -> Backing:
    """What stands behind the book of these shards, under the policy in force."""
    state = states[0]
    facts = state.facts
    price = state.market.asset_price / np.maximum(state.market.asset_scale, 1) / MICRO
    houses: dict[int, int] = {}
    for one in states:
        mine = (one.accounts.owned == 1) & (one.accounts.status == AccountStatus.OPEN)
        mine &= one.accounts.segregation == Segregation.HOUSE
        mine[:FIRST_ACCOUNT] = False
        houses |= {account: int(one.accounts.member[account]) for account in np.flatnonzero(mine).tolist()}
    balance = np.sum([one.balance[:FIRST_ACCOUNT] for one in states], axis=0)
    return Backing(
        policy=_name(facts.policy),
        ranks=facts.policy.ranks if facts.policy else tuple(Rank(step.layer) for step in UNPUBLISHED),
        held={
            (house, asset): float(balance[house, asset] * price[asset])
            for house, asset in zip(*(index.tolist() for index in np.nonzero(balance)), strict=True)
        },
        parts={(member, asset): float(amount * price[asset]) for (member, asset), amount in facts.parts.items()},
        drawn={key: float(amount * price[key[2]]) for key, amount in facts.drawn.items()},
        houses=houses,
    )


def _name(policy: InForce | None) -> str:
    if policy is None:
        return NOT_PUBLISHED
    known = [name for name in SHIPPED if shipped(name).digest == policy.digest]
    return known[0] if known else f"policy {policy.number} ({policy.digest.hex()[:12]})"


def under(of: Backing, policy: Policy) -> Backing:
    """The same money under another policy, published now: what was used before does not count."""
    return replace(of, policy=policy.name, ranks=policy.ranks, drawn={})


def policy_named(name: str) -> Policy:
    """A shipped policy by its name, or the one that a file tells. Raises TomlError, OSError, UnicodeDecodeError."""
    return shipped(name) if name in SHIPPED else parse_policy(Path(name).read_text("utf-8"))


def standing(of: Backing, book: Book, ran: Cascade, reprice: Reprice, volatility: float) -> Standing:
    """What the survivors of a cascade over this book can be asked for; nothing where the policy asks nobody.

    An account that entered liquidation gives nothing. A gain is what positions made of the whole shock, no more than
    the account's equity.
    """
    layers = {rank.layer for rank in of.ranks}
    if not layers & {WaterfallLayer.ASSESSMENT, WaterfallLayer.GAINS_HAIRCUT}:
        return Standing({}, 0.0)
    unmoved, _ = reprice(np.zeros_like(ran.moves), 0.0)
    before = Market._make(column.copy() for column in unmoved)  # the tables may be written anew
    after, profiles = reprice(ran.moves, volatility)
    size = len(book.numbers)
    out = margins(size)
    margin_accounts(np.arange(size), ran.left.holdings, after, profiles, scratch(len(after.kind), 0), out)
    calm = ran.entered == 0
    equity = np.where(calm, np.maximum(out.equity[:size], 0), 0) / MICRO
    free = np.where(calm, np.maximum(out.equity[:size] - out.initial[:size], 0), 0) / MICRO
    price = after.asset_price / np.maximum(after.asset_scale, 1) / MICRO
    balance = ran.left.holdings.balance[:size]
    can_give = np.minimum(np.maximum(balance, 0) @ price[: balance.shape[1]], free)
    contributed = {member for member, _ in of.parts}
    spare: defaultdict[int, float] = defaultdict(float)
    for row, account in enumerate(book.numbers.tolist()):
        if of.houses.get(account) in contributed:
            spare[of.houses[account]] += float(can_give[row])
    return Standing(dict(spare), float(np.minimum(gained(book, before, after), equity).sum()))


def laid(of: Backing, deficits: Mapping[int, float], value: Value, survivors: Standing) -> Adequacy:
    """What each layer bears of these deficits, by member, with what stands behind the book at the shock's prices."""
    parts: defaultdict[int, float] = defaultdict(float)
    for (member, asset), amount in of.parts.items():
        parts[member] += value(asset, amount)
    drawn: defaultdict[tuple[WaterfallLayer, int], float] = defaultdict(float)
    for (layer, member, asset), amount in of.drawn.items():
        drawn[WaterfallLayer(layer), member] += value(asset, amount)

    def held(house: House) -> float:
        return sum(value(asset, amount) for (where, asset), amount in of.held.items() if where == house)

    there = Resources(
        own_capital=held(House.OWN_CAPITAL),
        fund=held(House.FUND),
        parts=dict(parts),
        spare=survivors.spare,
        gains=survivors.gains,
        laid_out=held(House.LAID_OUT),
        drawn=dict(drawn),
    )
    return adequacy(of.ranks, deficits, there)


def borne(ran: Cascade, fund: float, layers: Adequacy) -> Borne:
    """A cascade's deficits as the layers bear them, beside a fund of so many dollars."""
    owed = float(ran.deficits.sum())
    short = min(layers.unpaid, owed)
    left = max(fund, 0.0) - layers.borne.get(WaterfallLayer.FUND, 0.0)
    notional = float(ran.notional[ran.deficits > 0.0].sum())
    return Borne(owed, left, short, notional * short / owed if owed > 0.0 else 0.0)


def prefunded(layers: Adequacy) -> float:
    """What was there to pay before anybody had to be asked, dollars."""
    return sum(layers.room.get(layer, 0.0) for layer in PREFUNDED)

"""Is there enough: what each layer of a policy bears of a shock's deficits, in dollars, and what stays unpaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from insurance.policy import POOLS, Rank
from schemas.kinds import WaterfallLayer
from schemas.limits import BASIS_POINTS, MICRO


@dataclass(frozen=True, slots=True)
class Resources:
    """What there is to bear losses, dollars."""

    own_capital: float = 0.0
    fund: float = 0.0
    parts: Mapping[int, float] = field(default_factory=dict)
    """member -> its contribution to the default fund"""
    spare: Mapping[int, float] = field(default_factory=dict)
    """member -> what its house accounts hold above their initial margin, after the shock"""
    gains: float = 0.0
    """what accounts gain in the shock, those that lose left out"""
    laid_out: float = 0.0
    """what was laid out before and came too late: it pays first, under any policy"""
    drawn: Mapping[tuple[WaterfallLayer, int], float] = field(default_factory=dict)
    """(layer, member) -> what was used of it since the policy took effect; member 0 of what is the house's"""


class Adequacy(NamedTuple):
    """What a shock's deficits do to a policy's layers, dollars."""

    room: Mapping[WaterfallLayer, float]
    """what each layer could pay when its turn came, in the policy's order"""
    borne: Mapping[WaterfallLayer, float]
    """what it paid; deleveraging and tear-up bear nothing here, they prevent"""
    unpaid: float
    exhausted_at: WaterfallLayer | None
    """the last layer of money that was there to pay, used up; None where everything is paid"""


def adequacy(ranks: Sequence[Rank], deficits: Mapping[int, float], resources: Resources) -> Adequacy:
    """Lay a shock's deficits, by member, on the layers in order.

    A member in deficit bears with its own contribution alone and is not assessed; what others bear is theirs together.
    Amounts are not rounded and all assets are one sum, so a limit in dollars counts once: it is an estimate, the books
    decide in integers and each asset pays for itself (insurance/episode.py).
    """
    owed = {member: amount for member, amount in deficits.items() if amount > 0.0}
    left = sum(owed.values())
    parts = dict(resources.parts)
    room: dict[WaterfallLayer, float] = {}
    borne: dict[WaterfallLayer, float] = {}
    short: WaterfallLayer | None = None
    first = (Rank(WaterfallLayer.LAID_OUT),) if resources.laid_out > 0.0 else ()
    for rank in (*first, *ranks):
        if rank.layer == WaterfallLayer.MEMBER_CONTRIBUTION:
            own = {member: min(amount, parts.get(member, 0.0)) for member, amount in owed.items()}
            parts |= {member: parts[member] - amount for member, amount in own.items() if amount > 0.0}
            there = sum(own.values())
        else:
            there = _there(rank, resources, parts, owed)
        room[rank.layer] = there
        borne[rank.layer] = min(left, there)
        left -= borne[rank.layer]
        if rank.layer == WaterfallLayer.DEFAULT_FUND and (total := sum(parts.values())) > 0.0:
            parts = {member: part * (1.0 - borne[rank.layer] / total) for member, part in parts.items()}
        if borne[rank.layer] > 0.0:
            short = rank.layer
    unpaid = max(0.0, left)
    return Adequacy(room, borne, unpaid, short if unpaid > 0.0 else None)


def _there(rank: Rank, resources: Resources, parts: Mapping[int, float], owed: Mapping[int, float]) -> float:
    share = rank.share / BASIS_POINTS
    match rank.layer:
        case WaterfallLayer.LAID_OUT:
            pool = resources.laid_out
        case WaterfallLayer.OWN_CAPITAL:
            pool = resources.own_capital
        case WaterfallLayer.FUND:
            pool = resources.fund
        case WaterfallLayer.DEFAULT_FUND:
            pool = sum(parts.values())
        case WaterfallLayer.GAINS_HAIRCUT:
            return max(0.0, resources.gains) * share
        case WaterfallLayer.ASSESSMENT:
            return sum(
                max(0.0, min(_callable(resources, member) * share - _called(resources, member), spare))
                for member, spare in resources.spare.items()
                if member not in owed
            )
        case _:
            return 0.0
    pool = max(0.0, pool)
    used = sum(amount for (layer, _), amount in resources.drawn.items() if layer == rank.layer)
    most = (pool + used) * share - used
    if rank.layer in POOLS and rank.amount:
        most = min(most, rank.amount / MICRO - used)
    return max(0.0, min(pool, most))


def _callable(resources: Resources, member: int) -> float:
    """What a member contributed while the policy was in force: an assessment is a multiple of it."""
    used = (WaterfallLayer.MEMBER_CONTRIBUTION, WaterfallLayer.DEFAULT_FUND)
    return resources.parts.get(member, 0.0) + sum(resources.drawn.get((layer, member), 0.0) for layer in used)


def _called(resources: Resources, member: int) -> float:
    return resources.drawn.get((WaterfallLayer.ASSESSMENT, member), 0.0)

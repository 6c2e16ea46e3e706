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


class Adequacy(NamedTuple):
    """What a shock's deficits do to a policy's layers, dollars."""

    borne: Mapping[WaterfallLayer, float]
    """in the policy's order; deleveraging and tear-up bear nothing here, they prevent"""
    unpaid: float
    exhausted_at: WaterfallLayer | None
    """the last layer of money that was there to pay, used up; None where everything is paid"""


def adequacy(ranks: Sequence[Rank], deficits: Mapping[int, float], resources: Resources) -> Adequacy:
    """Lay a shock's deficits, by member, on the layers in order.

    A member in deficit bears with its own contribution alone and is not assessed; what others bear is theirs together.
    Amounts are not rounded: it is an estimate, the books decide in integers (insurance/episode.py).
    """
    owed = {member: amount for member, amount in deficits.items() if amount > 0.0}
    left = sum(owed.values())
    parts = dict(resources.parts)
    borne: dict[WaterfallLayer, float] = {}
    short: WaterfallLayer | None = None
    for rank in ranks:
        if rank.layer == WaterfallLayer.MEMBER_CONTRIBUTION:
            own = {member: min(amount, parts.get(member, 0.0)) for member, amount in owed.items()}
            parts |= {member: parts[member] - amount for member, amount in own.items() if amount > 0.0}
            there = sum(own.values())
        else:
            there = _there(rank, resources, parts, owed)
        borne[rank.layer] = min(left, there)
        left -= borne[rank.layer]
        if rank.layer == WaterfallLayer.DEFAULT_FUND and (total := sum(parts.values())) > 0.0:
            parts = {member: part * (1.0 - borne[rank.layer] / total) for member, part in parts.items()}
        if borne[rank.layer] > 0.0:
            short = rank.layer
    unpaid = max(0.0, left)
    return Adequacy(borne, unpaid, short if unpaid > 0.0 else None)


def _there(rank: Rank, resources: Resources, parts: Mapping[int, float], owed: Mapping[int, float]) -> float:
    share = rank.share / BASIS_POINTS
    match rank.layer:
        case WaterfallLayer.OWN_CAPITAL:
            pool = resources.own_capital
        case WaterfallLayer.FUND:
            pool = resources.fund
        case WaterfallLayer.DEFAULT_FUND:
            pool = sum(parts.values())
        case WaterfallLayer.GAINS_HAIRCUT:
            pool = resources.gains
        case WaterfallLayer.ASSESSMENT:
            return sum(
                min(part * share, max(0.0, resources.spare.get(member, 0.0)))
                for member, part in resources.parts.items()
                if member not in owed
            )
        case _:
            return 0.0
    limited = max(0.0, pool) * share
    return min(limited, rank.amount / MICRO) if rank.layer in POOLS and rank.amount else limited

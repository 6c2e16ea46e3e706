"""The waterfall: in what order a failing account's loss is borne, as the data that reports and explanations read, and
how much of it each layer of a published policy has room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from insurance.policy import InForce, Rank
from schemas.chart import House
from schemas.kinds import WaterfallLayer
from schemas.limits import BASIS_POINTS, MICRO


class Step(NamedTuple):
    """A step of the waterfall: the layer and the rule it follows, as told to customers."""

    layer: WaterfallLayer
    rule: str


UNPUBLISHED: Final = (
    Step(
        WaterfallLayer.OWN_COLLATERAL,
        "The account's own positions and collateral are sold by Dutch auction and pay first.",
    ),
    Step(WaterfallLayer.FUND, "What it still owes the insurance fund pays; where the fund falls short, pro rata."),
    Step(
        WaterfallLayer.DELEVERAGING,
        "What the fund cannot carry is closed against the other side at the bankruptcy price, the most profitable and"
        " most leveraged first.",
    ),
)
"""what holds while no policy is published"""


def steps(policy: InForce | None) -> list[str]:
    """The waterfall that holds, a line a layer, in order: the policy in force, or what holds where there is none."""
    if policy is None:
        return [f"{step.layer.name.lower()}: {step.rule}" for step in UNPUBLISHED]
    return [_limited(rank) for rank in policy.ranks]


def _limited(rank: Rank) -> str:
    limits = [f"{rank.share} basis points"] if rank.share != BASIS_POINTS else []
    limits += [f"{rank.amount / MICRO:g} dollars in each asset"] if rank.amount else []
    return rank.layer.name.lower() + (f": at most {' and '.join(limits)}" if limits else "")


HOUSE_OF: Final[Mapping[WaterfallLayer, House]] = {
    WaterfallLayer.LAID_OUT: House.LAID_OUT,
    WaterfallLayer.OWN_CAPITAL: House.OWN_CAPITAL,
    WaterfallLayer.FUND: House.FUND,
    WaterfallLayer.DEFAULT_FUND: House.DEFAULT_FUND,
}
"""The house account in which a layer's money lies."""


class Price(NamedTuple):
    """What an asset is worth: micro-dollars for one whole unit, which is `scale` smallest units."""

    price: int
    scale: int

    def units(self, dollars: int) -> int:
        """Smallest units that micro-dollars buy, rounded down; none of what has no price."""
        return dollars * self.scale // self.price if self.price > 0 else 0


Drawn = Mapping[tuple[int, int, int], int]
"""(layer, member, asset) -> smallest units used of it since the policy took effect; member 0 of what is the house's"""
Held = Mapping[tuple[int, int], int]
"""(house account, asset) -> smallest units over all shards"""
NO_PRICE: Final = Price(0, 1)


def room(rank: Rank, held: int, drawn: int, price: Price) -> int:
    """Smallest units that a pool may still pay: what it holds, within the share of all it held (`held` + `drawn`) and
    the amount that its policy lets be used. Never below zero."""
    most = (held + drawn) * rank.share // BASIS_POINTS - drawn
    if rank.amount:
        most = min(most, price.units(rank.amount) - drawn)
    return max(0, min(held, most))


def drawn_of(drawn: Drawn, layer: WaterfallLayer, asset: int) -> int:
    """What was used of a layer in an asset, over all members."""
    return sum(amount for (of, _, where), amount in drawn.items() if (of, where) == (layer, asset))


def bearable(policy: InForce | None, held: Held, drawn: Drawn, prices: Mapping[int, Price]) -> dict[int, int]:
    """By asset, what all pools that come before deleveraging can pay: what the desk may count on when marks gap.

    Without a policy it is the insurance fund. Contributions of the failing member itself, assessments and haircuts are
    not counted on.
    """
    if policy is None:
        return {asset: amount for (house, asset), amount in held.items() if house == House.FUND}
    ranks = (Rank(WaterfallLayer.LAID_OUT), *policy.ranks)
    total: dict[int, int] = {}
    for rank in ranks:
        for (house, asset), amount in held.items():
            if HOUSE_OF.get(rank.layer) == house:
                used = drawn_of(drawn, rank.layer, asset)
                total[asset] = total.get(asset, 0) + room(rank, amount, used, prices.get(asset, NO_PRICE))
    return total

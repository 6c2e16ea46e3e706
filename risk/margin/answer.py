"""What the calculator answers: the requirement and everything it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from risk.margin.exact import Number, total


@dataclass(frozen=True, slots=True)
class GroupPnl:
    """What one underlying's expiry (or its perps and collateral: expiry None) gains in a scenario."""

    underlying: str
    expiry: int | None
    pnl: Number


@dataclass(frozen=True, slots=True)
class ScenarioPnl:
    """What the portfolio gains in a scenario, after weights and dampening."""

    id: str
    pnl: Number
    groups: tuple[GroupPnl, ...] = ()


@dataclass(frozen=True, slots=True)
class LegAnswer:
    """One position: its mark (of one contract), greeks of one contract, and its gain in the worst scenario."""

    position: int
    mark: Number
    greeks: Mapping[str, float] = field(default_factory=dict)
    pnl_in_worst: Number = 0.0
    forward_in_worst: float | None = None
    volatility_in_worst: float | None = None
    """what the worst scenario revalued it at, where the model says: from these come delta risk and vega risk"""
    weight_in_worst: Number = 1.0
    """part of the gain that counts in the worst scenario"""


@dataclass(frozen=True, slots=True)
class AddOn:
    """A named charge beside the scenarios; negative where it gives back."""

    name: str
    initial: Number
    maintenance: Number


@dataclass(frozen=True, slots=True)
class CollateralAnswer:
    """One asset: its value and what of that does not count for initial margin."""

    asset: str
    value: Number
    haircut: Number
    haircut_maintenance: Number = 0.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a model says of a portfolio. Requirements and equity are in the settlement asset; equity counts collateral
    at its whole value (haircuts are add-ons), so that excess = equity - requirement."""

    initial: Number
    maintenance: Number
    equity: Number
    mark_to_market: Number
    """value of the positions: options at their marks, unrealised profit and funding of the others"""
    worst_initial: str = ""
    worst_maintenance: str = ""
    """ids of the deciding scenarios; empty where the model has none"""
    scenarios: tuple[ScenarioPnl, ...] = ()
    legs: tuple[LegAnswer, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    collateral: tuple[CollateralAnswer, ...] = ()
    step: float = 0.0
    """years that pass in every scenario"""
    notes: tuple[str, ...] = ()
    """what the reader must know: proxies used, prices that were stale"""
    new_risk: bool = True
    """False: something that the book or its orders rest on is too old for positions to be opened"""


def buffer_of(told: Assessment, part: Number) -> Number:
    """The liquidation buffer: `part` of maintenance margin without its haircuts, which are what collateral is not worth
    and no risk that a liquidation could widen. Never below zero."""
    return max(told.maintenance - total(one.haircut_maintenance for one in told.collateral), 0) * part

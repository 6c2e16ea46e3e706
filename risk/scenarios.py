"""Scenarios: by how much prices and volatilities move, and what part of the loss counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.limits import MAX_SCENARIOS


@dataclass(frozen=True, slots=True)
class Scenario:
    """One state of the market. The price moves, relative to itself, by `scans` x its price scan range + `move`."""

    id: str
    scans: float = 0.0
    """price move in price scan ranges: -1 is down by the whole range"""
    move: float = 0.0
    """price move as it stands: -0.1 is down by a tenth, whatever the scan range"""
    volatility: float = 0.0
    """volatility move in volatility scan ranges"""
    weight: float = 1.0
    """part of the loss that counts"""


class ScenarioError(ValueError):
    """A list of scenarios that cannot be used: which scenario, and why."""

    def __init__(self, scenario: str, why: str) -> None:
        super().__init__(f"scenario {scenario}: {why}")
        self.scenario = scenario


def span16(extreme_multiple: float, extreme_weight: float) -> tuple[Scenario, ...]:
    """SPAN's sixteen scenarios in their published order: thirds of the scan range with volatility up and down, and two
    extreme moves of `extreme_multiple` scan ranges of whose loss `extreme_weight` counts (CME SPAN; texts give 2 and
    0.35, or 3 and 0.30 to 0.33). Raises ScenarioError.
    """
    thirds = (0, 1, -1, 2, -2, 3, -3)
    moves = [(third / 3, volatility) for third in thirds for volatility in (1.0, -1.0)]
    ordinary = [Scenario(f"span-{i}", scans=scans, volatility=v) for i, (scans, v) in enumerate(moves, 1)]
    extreme = [
        Scenario(f"span-{i}", scans=sign * extreme_multiple, weight=extreme_weight) for i, sign in ((15, 1), (16, -1))
    ]
    return checked([*ordinary, *extreme])


def grid(prices: Sequence[float], volatilities: Sequence[float], *, scans: bool = False) -> tuple[Scenario, ...]:
    """Every price move with every volatility move, prices outermost, as portfolio margin models lay them out.

    Prices are relative moves, or price scan ranges where `scans`; volatilities are volatility scan ranges.
    Raises ScenarioError.
    """
    return checked(
        Scenario(
            f"price{price:+g}{'x' if scans else ''},vol{volatility:+g}",
            scans=price if scans else 0.0,
            move=0.0 if scans else price,
            volatility=volatility,
        )
        for price in prices
        for volatility in volatilities
    )


def linear(moves: Sequence[float], *, scans: bool = False) -> tuple[Scenario, ...]:
    """Price moves alone; units and errors as in `grid`."""
    return checked(
        Scenario(f"price{move:+g}{'x' if scans else ''}", scans=move if scans else 0.0, move=0.0 if scans else move)
        for move in moves
    )


def checked(scenarios: Iterable[Scenario]) -> tuple[Scenario, ...]:
    """The scenarios as they are. Raises ScenarioError: none at all, more than MAX_SCENARIOS, an id twice, a figure that
    is not finite, a weight outside (0, 1]."""
    whole = tuple(scenarios)
    if not 0 < len(whole) <= MAX_SCENARIOS:
        raise ScenarioError("list", f"{len(whole)} scenarios, 1 to {MAX_SCENARIOS} are needed")
    seen: set[str] = set()
    for one in whole:
        if not all(math.isfinite(figure) for figure in (one.scans, one.move, one.volatility, one.weight)):
            raise ScenarioError(one.id, "not finite")
        if not 0.0 < one.weight <= 1.0:
            raise ScenarioError(one.id, f"weight {one.weight} is not in (0, 1]")
        if one.id in seen:
            raise ScenarioError(one.id, "stands twice")
        seen.add(one.id)
    return whole

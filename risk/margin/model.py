"""What a margin model is: a reader of its own parameters, and a function from portfolio and market to an assessment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from risk.margin.answer import Assessment
from risk.margin.book import Market, Portfolio
from risk.margin.exact import Fact
from risk.strict import Table

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class MarginPeriod:
    """The margin period of risk, hours: from the last good mark to a closed position."""

    detection: float
    auction: float
    settlement_delay: float

    @property
    def days(self) -> float:
        """The whole of it."""
        return (self.detection + self.auction + self.settlement_delay) / 24.0


@dataclass(frozen=True, slots=True)
class Header:
    """What every profile states, whatever its model."""

    name: str
    published: str
    """the day its numbers were read, YYYY-MM-DD"""
    source: str
    description: str
    model: str
    confidence: float
    period: MarginPeriod
    lookback: int
    """days of history that its numbers rest on; 0: none"""
    collateral: tuple[str, ...]
    """accepted; empty: whatever the market quotes"""
    buffer: float
    """liquidation buffer, a part of maintenance"""


class Model(NamedTuple, Generic[P]):
    """A model by name; a profile is its parameters."""

    name: str
    parse: Callable[[Table, Header], P]
    """reads the profile's own keys, strictly; raises risk.profile.ProfileError with the path"""
    assess: Callable[[P, Portfolio, Market, Fact], Assessment]


@dataclass(frozen=True, slots=True)
class Calculator:
    """A profile ready to be asked."""

    header: Header
    digest: str
    """SHA-256 of the profile's text with its overrides, hex"""
    assess: Callable[[Portfolio, Market, Fact], Assessment]

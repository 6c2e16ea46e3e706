"""What a margin model is: a reader of its own parameters, and a function from portfolio and market to an assessment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from risk.margin.answer import Assessment
from risk.margin.book import Market, Portfolio
from risk.margin.exact import Fact
from schemas.strict import Table


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


Assess = Callable[[Portfolio, Market, Fact], Assessment]
Make = Callable[[Table, Header], Assess]
"""a model: reads the profile's own keys strictly (TomlError tells the path) and gives the function"""


@dataclass(frozen=True, slots=True)
class Calculator:
    """A profile ready to be asked."""

    header: Header
    digest: str
    """SHA-256 of the profile's text with its overrides, hex"""
    assess: Assess

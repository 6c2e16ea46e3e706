"""The books that margins are judged by: legs at fixed moneyness and days to expiry, laid anew at every start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from risk.margin.book import Kind

NOTIONAL: Final = 100_000.0
"""dollars that a leg of weight 1 (or -1) is on, where nothing else is said"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg. A weight of 1 is the notional in dollars of the underlying, negative is short."""

    kind: Kind
    underlying: str
    weight: float
    days: int = 0
    """to expiry; 0 for perps"""
    moneyness: float = 1.0
    """strike / forward"""
    call: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """A portfolio by its recipe."""

    name: str
    description: str
    legs: tuple[Leg, ...]
    collateral: str = ""
    """what it is funded with, worth as much as its gross notional; empty: cash"""
    hedged: bool = False
    """a perp of the first leg's underlying takes out the net delta of the legs at the start"""

    @property
    def underlyings(self) -> tuple[str, ...]:
        """All of them, the collateral's too, in alphabetical order."""
        named = {leg.underlying for leg in self.legs} | ({self.collateral} if self.collateral else set())
        return tuple(sorted(named))


def _perp(underlying: str, weight: float) -> Leg:
    return Leg(Kind.PERP, underlying, weight)


def _option(weight: float, days: int, moneyness: float, underlying: str = "BTC", *, call: bool) -> Leg:
    return Leg(Kind.OPTION, underlying, weight, days, moneyness, call)


BOOKS: Final = (
    Book("long-btc", "long the BTC perp", (_perp("BTC", 1.0),)),
    Book("short-btc", "short the BTC perp", (_perp("BTC", -1.0),)),
    Book("long-eth", "long the ETH perp", (_perp("ETH", 1.0),)),
    Book(
        "basis", "long a BTC future of 90 days, short the perp", (Leg(Kind.FUTURE, "BTC", 1.0, 90), _perp("BTC", -1.0))
    ),
    Book(
        "short-straddle",
        "short a BTC call and put at the money, 30 days",
        (_option(-1.0, 30, 1.0, call=True), _option(-1.0, 30, 1.0, call=False)),
    ),
    Book(
        "short-strangle",
        "short a BTC call 20 % and a put 15 % out of the money, 30 days",
        (_option(-1.0, 30, 1.2, call=True), _option(-1.0, 30, 0.85, call=False)),
    ),
    Book(
        "covered-call",
        "long the BTC perp, short a call 10 % out of the money, 30 days",
        (_perp("BTC", 1.0), _option(-1.0, 30, 1.1, call=True)),
    ),
    Book(
        "protective-put",
        "long the BTC perp and a put 10 % out of the money, 30 days",
        (_perp("BTC", 1.0), _option(1.0, 30, 0.9, call=False)),
    ),
    Book(
        "calendar",
        "short a BTC call at the money of 30 days, long one of 90",
        (_option(-1.0, 30, 1.0, call=True), _option(1.0, 90, 1.0, call=True)),
    ),
    Book(
        "condor",
        "an iron condor on BTC, 30 days: short 90 % put and 110 % call, long 80 % put and 120 % call",
        (
            _option(1.0, 30, 0.8, call=False),
            _option(-1.0, 30, 0.9, call=False),
            _option(-1.0, 30, 1.1, call=True),
            _option(1.0, 30, 1.2, call=True),
        ),
    ),
    Book(
        "short-gamma",
        "short a BTC straddle of 7 days, its delta taken out by the perp",
        (_option(-1.0, 7, 1.0, call=True), _option(-1.0, 7, 1.0, call=False)),
        hedged=True,
    ),
    Book("btc-eth", "long the BTC perp, short the ETH perp, as many dollars", (_perp("BTC", 1.0), _perp("ETH", -1.0))),
    Book("link-on-eth", "long the LINK perp, funded with ETH", (_perp("LINK", 1.0),), collateral="ETH"),
    Book("sol-on-eth", "long the SOL perp, funded with ETH", (_perp("SOL", 1.0),), collateral="ETH"),
)
"""the set that every profile is judged by"""

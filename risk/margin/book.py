"""What the calculator is asked about: a portfolio, and the market it stands in, as plain data.

Money is in units of the market's settlement asset unless a name says dollars. Times are microseconds since 1970.
Numbers that decide nothing by themselves (prices, volatilities) are floats; `risk.margin.exact` makes facts of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from risk.collateral.pools import Pool
from risk.collateral.staked import Bond

FloatArray = npt.NDArray[np.float64]


class Kind(StrEnum):
    """What a position is in."""

    PERP = "perp"
    FUTURE = "future"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is held: of a perp only `kind` and `underlying` matter, of a future the expiry too."""

    kind: Kind
    underlying: str
    expiry: int = 0
    strike: float = 0.0
    call: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """So much of an instrument; one contract is on one unit of the underlying. Negative is short."""

    instrument: Instrument
    quantity: Fraction
    entry_price: Fraction | None = None
    """where it is known, the unrealised profit of a future or perp is reckoned from it"""
    unrealised: Fraction = Fraction(0)
    """profit not paid yet, beside what `entry_price` gives; one of the two is used"""
    funding: Fraction = Fraction(0)
    """owed to the holder (negative: by it)"""


@dataclass(frozen=True, slots=True)
class Order:
    """What would be traded if the order filled whole."""

    instrument: Instrument
    quantity: Fraction
    price: Fraction


@dataclass(frozen=True, slots=True)
class Holding:
    """Collateral besides cash."""

    asset: str
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One account's book."""

    account: str
    cash: Fraction = Fraction(0)
    """of the settlement asset"""
    collateral: tuple[Holding, ...] = ()
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    owner: str = ""
    """whose account it is: what this owner issued is no collateral"""


@dataclass(frozen=True, slots=True)
class Svi:
    """Raw SVI: total variance a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) at k = ln(strike / forward)."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    forward: float
    tau: float
    """years"""


@dataclass(frozen=True, slots=True)
class Strike:
    """How liquid the options at one strike are."""

    open_interest: float | None = None
    """contracts"""
    spread: float = 0.0
    """between bid and ask, part of the option's price"""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One expiry's curve point and smile. Confidences are 0 to 1."""

    time: int
    forward: float
    rate: float = 0.0
    confidence: float = 1.0
    rate_confidence: float = 1.0
    volatility_confidence: float = 1.0
    smile: Svi | Mapping[float, float] = field(default_factory=dict)
    """SVI, or volatilities by strike"""
    strikes: Mapping[float, Strike] = field(default_factory=dict)
    curve_age: float = 0.0
    """seconds since forward and rate were read"""
    surface_age: float = 0.0
    """seconds since the smile was fitted"""


@dataclass(frozen=True, slots=True)
class Underlying:
    """Prices of one underlying, dollars."""

    spot: float
    confidence: float = 1.0
    perp: float | None = None
    """None: the spot"""
    perp_confidence: float = 1.0
    expiries: Mapping[int, Expiry] = field(default_factory=dict)
    age: float = 0.0
    """seconds since the oldest of its prices was made"""
    gap: float = 0.0
    """part of the mark that liquidations were seen to lose: `risk.liquidity.measured_gap`"""


@dataclass(frozen=True, slots=True)
class AssetQuote:
    """A collateral asset. The haircuts are parts of its value; None where the profile gives them."""

    price: float
    """dollars"""
    confidence: float = 1.0
    offsets: str | None = None
    """the underlying whose scenarios move it"""
    haircut_maintenance: float | None = None
    haircut_initial_extra: float | None = None
    volatility: float | None = None
    """forecast for the liquidation window, a year's"""
    depth: float | None = None
    """dollars whose sale moves its price by the profile's impact; None: any amount can be sold"""
    held: float = 0.0
    """dollars of it that all accounts hold"""
    peg: float | None = None
    """dollars that it promises to be worth"""
    issuer: str = ""
    bond: Bond | None = None
    """what stands between it and its sale, where it is staked"""
    pool: Pool | None = None
    """what its tokens are shares in; the base coin is the underlying that `offsets` names"""


@dataclass(frozen=True, slots=True)
class History:
    """Joint daily history, oldest first: what historical and simulated models draw from."""

    underlyings: tuple[str, ...]
    times: npt.NDArray[np.int64]
    returns: FloatArray
    """(days, underlyings): relative price moves over one day"""
    volatility_moves: FloatArray
    """(days, underlyings): relative moves of implied volatility over the same day; zero where none is known"""
    proxy: str = ""
    """what stands for implied volatility where none is recorded, told in every answer that rests on it"""


@dataclass(frozen=True, slots=True)
class Market:
    """One moment's market."""

    time: int
    settlement: str
    settlement_price: float
    """dollars"""
    underlyings: Mapping[str, Underlying]
    assets: Mapping[str, AssetQuote] = field(default_factory=dict)
    correlations: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """by pair of underlyings in alphabetical order"""
    history: History | None = None
    correlations_age: float = 0.0
    """seconds since they were estimated"""

"""Market facts the pricer computed, and the mark that puts them in force."""

from schemas.events.catalogue import EVENTS
from schemas.message import I64, U16, U32, U64, Bytes32, I64x16, Time, define


@define(EVENTS, 40)
class InstrumentMark:
    """An instrument's mark (ticks) and its dollar delta per lot (2^-ARRAY_EXPONENT micro-dollars) in a market."""

    flags: U16 = 0
    instrument: U32
    market: U64
    mark: I64
    delta: I64


@define(EVENTS, 41)
class AssetMark:
    """An asset's price in a market: micro-dollars for one whole unit."""

    flags: U16 = 0
    asset: U16
    market: U64
    price: I64


@define(EVENTS, 45)
class UnderlyingMark:
    """An underlying's price in a market, micro-dollars."""

    flags: U16 = 0
    underlying: U16
    market: U64
    price: I64


@define(EVENTS, 42)
class RiskArray:
    """Sixteen scenarios of one instrument's risk array under one profile.

    `losses` are per long lot, 2^-ARRAY_EXPONENT micro-dollars, positive = loss; scenarios `first` ... `first + 15`.
    """

    flags: U16 = 0
    profile: U16
    first: U16
    instrument: U32
    market: U64
    losses: I64x16


@define(EVENTS, 43)
class MarketClosed:
    """A market is whole: the number of its rows and the SHA-256 over them in order."""

    flags: U16 = 0
    market: U64
    rows: U64
    digest: Bytes32


@define(EVENTS, 44)
class Mark:
    """From here on value with this market; numbers are dense and time never falls."""

    flags: U16 = 0
    mark: U64
    market: U64
    time: Time

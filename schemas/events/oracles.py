"""What oracles and the risk council say: prices, volatilities, funding, settlements, parameters, profiles."""

from schemas.events.catalogue import EVENTS
from schemas.kinds import Parameter
from schemas.message import I64, U8, U16, U32, U64, Bytes32, Text128, Time, define


@define(EVENTS, 30)
class OraclePrice:
    """One source's price of an underlying in an oracle round, micro-dollars; half of `ask - bid` is its uncertainty."""

    flags: U16 = 0
    underlying: U16
    source: U16
    round: U64
    time: Time
    price: I64
    bid: I64
    ask: I64


@define(EVENTS, 31)
class OracleVolatility:
    """One point of an implied volatility surface: at a strike (micro-dollars) of an expiry, in millionths."""

    flags: U16 = 0
    underlying: U16
    round: U64
    time: Time
    expiry: Time
    strike: I64
    volatility: I64


@define(EVENTS, 32)
class OracleForward:
    """The forward of an underlying for an expiry, micro-dollars; expiry 0 is the perp."""

    flags: U16 = 0
    underlying: U16
    round: U64
    time: Time
    expiry: Time
    price: I64


@define(EVENTS, 33)
class OracleAssetPrice:
    """What one whole unit of an asset is worth, micro-dollars."""

    flags: U16 = 0
    asset: U16
    round: U64
    time: Time
    price: I64


@define(EVENTS, 34)
class FundingRate:
    """A perp's funding for the interval that ends at `effective`, 10^-9 of the mark; longs pay a positive rate."""

    flags: U16 = 0
    instrument: U32
    time: Time
    effective: Time
    rate: I64


@define(EVENTS, 35)
class SettlementPrice:
    """A settlement price in ticks, averaged over a window from a number of sources.

    `instrument` 0 means every instrument of `underlying` that expires at `expiry`. Final: instruments that expired are
    exercised and settled at it. Not final: settled-to-market instruments pay variation.
    """

    flags: U16 = 0
    final: U8
    sources: U8
    underlying: U16
    instrument: U32
    time: Time
    effective: Time
    expiry: Time
    window_start: Time
    window_end: Time
    price: I64


@define(EVENTS, 36)
class ParameterChanged:
    """A parameter's new value from `effective` on; earlier than the notice period allows it is refused."""

    flags: U16 = 0
    parameter: Parameter
    scope: U32
    time: Time
    effective: Time
    value: I64


@define(EVENTS, 37)
class ProfileText:
    """A piece of a margin profile's TOML text; pieces come in order."""

    flags: U16 = 0
    profile: U16
    part: U16
    time: Time
    text: Text128


@define(EVENTS, 38)
class ProfilePublished:
    """A margin profile is whole: its number of pieces and the SHA-256 of its text."""

    flags: U16 = 0
    profile: U16
    parts: U16
    time: Time
    effective: Time
    digest: Bytes32

"""What exists: assets, underlyings, instruments, accounts."""

from schemas.events.catalogue import EVENTS
from schemas.kinds import (
    AccountStatus,
    InstrumentStatus,
    Kind,
    LinkKind,
    Payoff,
    Right,
    Segregation,
    Settling,
    Style,
)
from schemas.message import I64, U8, U16, U32, Text8, Text24, Time, define


@define(EVENTS, 10)
class AssetListed:
    """An asset that may be deposited and settled in. Asset 0 is the dollar: what equity is counted in, never cut."""

    flags: U16 = 0
    asset: U16
    decimals: U8
    time: Time
    haircut: I64
    """part of its value that does not count as collateral, basis points"""
    symbol: Text8


@define(EVENTS, 11)
class UnderlyingListed:
    """A price that instruments follow, with the bounds an oracle's price must lie in (micro-dollars)."""

    flags: U16 = 0
    underlying: U16
    time: Time
    lowest: I64
    highest: I64
    symbol: Text8


@define(EVENTS, 12)
class InstrumentListed:
    """An instrument, from `effective` on.

    `price_scale` ticks make a dollar. A LINEAR or QUANTO lot gains `tick_value` smallest settlement units per tick; an
    INVERSE lot is worth `contract_value / price` smallest units of its coin. `lot_size` is in 10^-8 of the underlying.
    A SPOT lot moves `lot_size` of `base_asset` (in its smallest units). An OPTION has a right, a strike in ticks and an
    expiry; a FUTURE an expiry; a PERP and SPOT have none (0).
    """

    flags: U16 = 0
    kind: Kind
    payoff: Payoff
    style: Style
    settling: Settling
    right: Right
    underlying: U16
    settlement_asset: U16
    base_asset: U16
    instrument: U32
    time: Time
    effective: Time
    expiry: Time
    strike: I64
    price_scale: I64
    tick_value: I64
    contract_value: I64
    lot_size: I64
    symbol: Text24


@define(EVENTS, 13)
class InstrumentStatusChanged:
    """Halt, resume, reduce-only or delist an instrument, from `effective` on."""

    flags: U16 = 0
    status: InstrumentStatus
    instrument: U32
    time: Time
    effective: Time


@define(EVENTS, 14)
class IndexChanged:
    """What an underlying's index is made of, from `effective` on: one source and its weight; weight 0 removes it."""

    flags: U16 = 0
    underlying: U16
    source: U16
    weight: U16
    time: Time
    effective: Time


@define(EVENTS, 15)
class AccountOpened:
    """An account: its member, its owner, whose assets it holds, and the margin profile that judges it."""

    flags: U16 = 0
    segregation: Segregation
    liquidator: U8
    """1: may bid in auctions"""
    profile: U16
    account: U32
    member: U32
    owner: U32
    time: Time
    name: Text24


@define(EVENTS, 16)
class AccountChanged:
    """An account's status or margin profile changed by the clearinghouse, from `effective` on."""

    flags: U16 = 0
    status: AccountStatus
    profile: U16
    account: U32
    time: Time
    effective: Time


@define(EVENTS, 17)
class AccountLinked:
    """Two accounts that are looked at together; `removed` 1 ends the link."""

    flags: U16 = 0
    link: LinkKind
    removed: U8
    account: U32
    other: U32
    time: Time

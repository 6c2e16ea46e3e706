"""What stops a fire from spreading: a member's default, circuit breakers, what-ifs over the whole book."""

from schemas.events.catalogue import EVENTS
from schemas.message import I64, U8, U16, U32, U64, Text24, Time, define


@define(EVENTS, 89)
class BreakerChanged:
    """An underlying's open interest against its limit at a mark, micro-dollars: tripped 1 lets no new risk in.

    Said when it trips, when it is reset, and when the limit has moved.
    """

    flags: U16 = 0
    tripped: U8
    underlying: U16
    mark: U64
    interest: I64
    limit: I64


@define(EVENTS, 90)
class OwnerLimited:
    """An owner's open interest in an underlying against what one owner may hold of it, micro-dollars; `limited` 1: the
    owner's accounts open no new risk there."""

    flags: U16 = 0
    limited: U8
    underlying: U16
    owner: U32
    mark: U64
    interest: I64
    limit: I64


@define(EVENTS, 91)
class OwnerAsked:
    """Every shard says what it has of an owner's open interest in an underlying."""

    flags: U16 = 0
    underlying: U16
    owner: U32
    mark: U64


@define(EVENTS, 83)
class MemberDefaulted:
    """A member is in default: its house accounts are closed out, its clients' may be taken over for `window`
    microseconds from the last mark (0: PORTING_WINDOW)."""

    flags: U16 = 0
    member: U32
    time: Time
    window: I64


@define(EVENTS, 84)
class PortingAccepted:
    """A member (`taker`) is willing to take over a client account of a member in default; of an omnibus, the whole."""

    flags: U16 = 0
    account: U32
    taker: U32
    time: Time


@define(EVENTS, 85)
class AccountPorted:
    """A client account goes over from its member in default to another (`taker`), with all that is in it."""

    flags: U16 = 0
    account: U32
    member: U32
    taker: U32


@define(EVENTS, 86)
class MemberResourcesTaken:
    """What an account of a member in default has left is set aside, up to this much, for `other`, an account of the
    same member that owes it."""

    flags: U16 = 0
    asset: U16
    account: U32
    other: U32
    mark: U64
    amount: I64


@define(EVENTS, 87)
class MemberResourcesGiven:
    """What was set aside from `other` pays what `account` owes, up to this much; where both are the same account it is
    what was not needed, and goes back."""

    flags: U16 = 0
    asset: U16
    account: U32
    other: U32
    mark: U64
    amount: I64


@define(EVENTS, 88)
class MemberSettled:
    """Every account of a member in default is closed out or ported, and what they owe each other is paid."""

    flags: U16 = 0
    member: U32
    mark: U64


@define(EVENTS, 92)
class StressReported:
    """The whole book was held against shocks, as it stood after entry `position`, valued at `mark`; what was assumed.

    Its results are as many StressResult in the same entry, named by mark and position alike. Volatility (of a day),
    correlation, turnover, impact (Y of the square-root law) and cross are millionths. Money is micro-dollars. Proposed
    by floats: it is recorded, and changes nothing.
    """

    flags: U16 = 0
    decay: U8
    """0 none, 1 exponential, 2 power"""
    results: U16
    accounts: U32
    rounds: U32
    """after which a cascade was cut"""
    mark: U64
    position: U64
    time: Time
    volatility: I64
    correlation: I64
    turnover: I64
    impact: I64
    cross: I64
    fund: I64
    cover_1: I64
    """deficits of the member that leaves most, the largest over all shocks"""
    cover_2: I64


@define(EVENTS, 93)
class StressResult:
    """One shock of a StressReported. Money is micro-dollars; `size`, `volatility` and `factor` are millionths.

    `only` is the underlying that moves alone, 65535 where all do. `owed` are the deficits; the fund pays what it can,
    `fund_left` stays, `short` goes to deleveraging. `factor` is the loss over the first loss, by the shock alone.
    """

    flags: U16 = 0
    settled: U8
    """0: the cascade was cut before its fixed point"""
    shock: U16
    only: U16
    failed: U32
    rounds: U32
    mark: U64
    position: U64
    size: I64
    volatility: I64
    first_loss: I64
    loss: I64
    factor: I64
    owed: I64
    fund_left: I64
    short: I64
    cover_1: I64
    cover_2: I64
    name: Text24

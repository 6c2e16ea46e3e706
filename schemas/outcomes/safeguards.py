"""What stops a fire from spreading: a member's default, circuit breakers, what-ifs over the whole book."""

from schemas.kinds import BreakerCause, Reason, Segregation
from schemas.message import I64, U8, U16, U32, U64, Text24, define
from schemas.outcomes.catalogue import OUTCOMES


@define(OUTCOMES, 148)
class OpenInterest:
    """What a shard's accounts hold open in an underlying at a mark, each side's notional in micro-dollars.

    Told while the underlying's open interest is limited. SUSPENSE is not counted: it nets within a shard.
    """

    index: U32
    underlying: U16
    mark: U64
    long: I64
    short: I64


@define(OUTCOMES, 149)
class OwnerInterest:
    """What a shard's accounts of one owner hold open in an underlying, each side's notional in micro-dollars.

    `owner` is the lowest number of the owners that links join. Told at a mark of owners that are limited and of those
    that might have to be, and wherever it was `asked` (1).
    """

    index: U32
    asked: U8
    underlying: U16
    owner: U32
    mark: U64
    long: I64
    short: I64


@define(OUTCOMES, 150)
class BreakerSwitched:
    """New risk in an underlying is stopped (`tripped` 1) or let in again, or the limit it is held to has moved.

    OPEN_INTEREST: `interest` against `limit`, micro-dollars. OWNER: the same of one `owner`, whose accounts alone are
    meant. PRICE: the move between two marks against what is let pass, basis points.
    """

    index: U32
    cause: BreakerCause
    tripped: U8
    underlying: U16
    owner: U32
    mark: U64
    interest: I64
    limit: I64


@define(OUTCOMES, 143)
class PortingChecked:
    """Whether an account can go to the member that accepted it (`reason` NONE), told by the shard that keeps it.

    `head` is the account that was named: an omnibus is checked account by account, and goes only whole. With
    PORTING_MARGIN the taker's own house accounts are checked too.
    """

    index: U32
    reason: Reason
    account: U32
    head: U32
    taker: U32


@define(OUTCOMES, 144)
class ClientPorted:
    """A client account went over from its member in default to another, with all that is in it."""

    index: U32
    account: U32
    member: U32
    taker: U32


@define(OUTCOMES, 145)
class MemberStanding:
    """An account of a member in default at a mark. `closed` 0: it is not closed out yet; 1: what it has of an asset,
    owed where negative."""

    index: U32
    segregation: Segregation
    closed: U8
    asset: U16
    account: U32
    member: U32
    mark: U64
    balance: I64


@define(OUTCOMES, 146)
class CloseOutDue:
    """An account in liquidation because its member is in default: all its positions go, with `collateral` 1 also what
    it has of other assets."""

    index: U32
    collateral: U8
    account: U32
    member: U32
    mark: U64


@define(OUTCOMES, 147)
class ResourcesMoved:
    """An account of a member in default paid another: the amount set aside (`given` 0), and what became of it (1).

    `account` is whose books moved, `other` the account on the other side; `left` is what `account` did not need.
    """

    index: U32
    given: U8
    segregation: Segregation
    asset: U16
    account: U32
    other: U32
    mark: U64
    amount: I64
    left: I64


@define(OUTCOMES, 151)
class StressRecorded:
    """A what-if over the whole book, as it was told: see StressReported. It changed nothing."""

    index: U32
    decay: U8
    results: U16
    accounts: U32
    rounds: U32
    mark: U64
    position: U64
    volatility: I64
    correlation: I64
    turnover: I64
    impact: I64
    cross: I64
    fund: I64
    cover_1: I64
    cover_2: I64


@define(OUTCOMES, 152)
class StressResultRecorded:
    """One shock of a StressRecorded, as it was told: see StressResult."""

    index: U32
    settled: U8
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

"""Who bore a loss: the fund, the published policy's layers, contributions, backers."""

from schemas.kinds import Reason, WaterfallLayer
from schemas.message import I64, U16, U32, U64, Bytes32, define
from schemas.outcomes.catalogue import OUTCOMES


@define(OUTCOMES, 123)
class DeficitCovered:
    """The fund paid; `remaining` is what is still owed."""

    index: U32
    asset: U16
    account: U32
    amount: I64
    remaining: I64


@define(OUTCOMES, 135)
class PolicyApplied:
    """A waterfall policy took effect at a mark; `digest` is its text's SHA-256."""

    index: U32
    policy: U16
    layers: U16
    mark: U64
    digest: Bytes32


@define(OUTCOMES, 136)
class LaidOut:
    """A layer laid out this much for the deficits of a mark, of what it was `asked` for.

    `account` and `member`: who paid, where it is not the house; `reason` says why less than `asked`.
    """

    index: U32
    layer: WaterfallLayer
    reason: Reason
    asset: U16
    account: U32
    member: U32
    mark: U64
    asked: I64
    amount: I64


@define(OUTCOMES, 137)
class LossBorne:
    """A layer of the waterfall bore this much of an account's deficit; `remaining` is what is still owed."""

    index: U32
    layer: WaterfallLayer
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64
    remaining: I64


@define(OUTCOMES, 138)
class AssessmentCapacity:
    """What a member's house account could pay of an asset at a mark without falling below its initial margin."""

    index: U32
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64


@define(OUTCOMES, 139)
class GainReported:
    """What a shard's accounts gained of an asset since the mark before, those that lost left out."""

    index: U32
    asset: U16
    accounts: U32
    mark: U64
    gains: I64


@define(OUTCOMES, 140)
class MemberPart:
    """What is left of a member's contribution to the default fund at a mark; all parts are what DEFAULT_FUND holds."""

    index: U32
    asset: U16
    member: U32
    mark: U64
    amount: I64


@define(OUTCOMES, 141)
class BackerDeposited:
    """A contribution to the insurance fund that becomes units at the next mark; backer 0 is the clearinghouse."""

    index: U32
    asset: U16
    backer: U32
    amount: I64


@define(OUTCOMES, 142)
class BackerStands:
    """A backer's units of the insurance fund changed; `amount` was paid out for them."""

    index: U32
    asset: U16
    backer: U32
    units: I64
    """units it has now"""
    amount: I64

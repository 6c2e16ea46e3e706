"""Every outcome the fold may emit, defined once.

An outcome is named by the entry's n, the event's `index` within it and, where there are two, its `leg` (0 the buyer's,
1 the seller's). Amounts are smallest units of the asset named; dollars are micro-dollars.
"""

from typing import Final

from schemas.kinds import (
    BreakerCause,
    ClosingReason,
    LegKind,
    Parameter,
    PostingKind,
    Reason,
    Rung,
    Segregation,
    WaterfallLayer,
)
from schemas.message import I64, U8, U16, U32, U64, Bytes32, Catalogue, Text24, define

OUTCOMES: Final = Catalogue()


@define(OUTCOMES, 100)
class LegPosted:
    """A leg of a trade, posted. Its postings, each against the house account named:

    `cash` (settlement asset) against CLEARINGHOUSE; `quantity` x lot of a SPOT's base asset against CLEARINGHOUSE;
    `fee` to FEES and `fund_share` (a part of it) on to FUND; `funding` settled before the position changed, against
    FUNDING. `intended` is the account the leg was meant for: another one than `account` (SUSPENSE) where `reason` says
    why it could not be taken. `position` is the quantity held afterwards.
    """

    index: U32
    leg: U8
    kind: LegKind
    reason: Reason
    account: U32
    intended: U32
    instrument: U32
    quantity: I64
    price: I64
    cash: I64
    realised: I64
    fee: I64
    fund_share: I64
    funding: I64
    position: I64


@define(OUTCOMES, 101)
class Posted:
    """An amount moved from one account to another. `reference` names its deposit, withdrawal, mark or instrument."""

    index: U32
    kind: PostingKind
    asset: U16
    debit: U32
    credit: U32
    reference: U64
    amount: I64


@define(OUTCOMES, 102)
class Rejected:
    """An event refused; nothing but its source's number changed."""

    index: U32
    template: U16
    reason: Reason
    account: U32


@define(OUTCOMES, 103)
class PositionSettled:
    """A position paid variation, or was exercised and closed (`closed` 1), at a settlement price.

    `cash` against CLEARINGHOUSE, `funding` against FUNDING, both in the settlement asset.
    """

    index: U32
    closed: U8
    account: U32
    instrument: U32
    quantity: I64
    price: I64
    cash: I64
    realised: I64
    funding: I64


@define(OUTCOMES, 104)
class RungChanged:
    """An account's rung of the health ladder changed at a mark. Micro-dollars."""

    index: U32
    before: Rung
    after: Rung
    worst_scenario: U16
    account: U32
    mark: U64
    equity: I64
    maintenance: I64
    buffer: I64
    initial: I64


@define(OUTCOMES, 105)
class LiquidationDue:
    """An account in liquidation at a mark; its positions and balances follow. Micro-dollars."""

    index: U32
    account: U32
    mark: U64
    equity: I64
    maintenance: I64
    buffer: I64
    initial: I64


@define(OUTCOMES, 106)
class LiquidationPosition:
    """A position of an account in liquidation."""

    index: U32
    account: U32
    instrument: U32
    quantity: I64
    cost: I64


@define(OUTCOMES, 107)
class LiquidationBalance:
    """A balance of an account in liquidation."""

    index: U32
    asset: U16
    account: U32
    balance: I64


@define(OUTCOMES, 108)
class OrderClosed:
    """The clearinghouse ended an order: the venue must take it off its book."""

    index: U32
    reason: ClosingReason
    account: U32
    order: U64


@define(OUTCOMES, 109)
class AuctionOpened:
    """A Dutch auction is open for this much (signed as the account's leg), clipped to the position found."""

    index: U32
    instrument: U32
    account: U32
    auction: U64
    mark: U64
    quantity: I64
    start: I64
    step: I64
    floor: I64


@define(OUTCOMES, 110)
class AuctionClosed:
    """An auction is over; `remaining` is what was not sold."""

    index: U32
    reason: ClosingReason
    account: U32
    auction: U64
    remaining: I64


@define(OUTCOMES, 111)
class BidReserved:
    """A bid's margin is reserved in the bidder's shard; the award may follow."""

    index: U32
    bidder: U32
    instrument: U32
    auction: U64
    bid: U64
    quantity: I64
    price: I64


@define(OUTCOMES, 112)
class DeficitFound:
    """An account holds nothing more to sell and owes this much (a positive amount) of an asset."""

    index: U32
    asset: U16
    account: U32
    mark: U64
    amount: I64


@define(OUTCOMES, 113)
class DeleveragingCandidate:
    """A position on the other side of a deleveraging call, and its rank (profit x leverage, millionths)."""

    index: U32
    account: U32
    instrument: U32
    call: U64
    quantity: I64
    score: I64


@define(OUTCOMES, 114)
class WithdrawalAnswered:
    """A withdrawal approved (`reason` NONE) or refused at a mark."""

    index: U32
    reason: Reason
    asset: U16
    account: U32
    withdrawal: U64
    amount: I64


@define(OUTCOMES, 115)
class ParameterApplied:
    """A parameter change took effect at a mark."""

    index: U32
    parameter: Parameter
    scope: U32
    before: I64
    after: I64


@define(OUTCOMES, 116)
class FundingIndexed:
    """A perp's cumulative funding index moved (millionths of a smallest unit per lot)."""

    index: U32
    instrument: U32
    step: I64
    cumulative: I64


@define(OUTCOMES, 117)
class NetPosition:
    """What a shard's clearinghouse account holds of an instrument at a mark; over all shards it sums to zero."""

    index: U32
    instrument: U32
    quantity: I64
    cost: I64
    """sum of the shard's accounts' costs in the settlement asset"""


@define(OUTCOMES, 118)
class HouseBalance:
    """A house account's balance in a shard at a mark."""

    index: U32
    asset: U16
    account: U32
    balance: I64


@define(OUTCOMES, 119)
class MarkDone:
    """A shard has answered a mark: `Done(m)`. Sums over its accounts in micro-dollars."""

    index: U32
    accounts: U32
    liquidating: U32
    deficits: U32
    mark: U64
    time: I64
    equity: I64
    maintenance: I64
    initial: I64


@define(OUTCOMES, 120)
class SnapshotTaken:
    """The SHA-256 of a shard's whole state after this entry."""

    index: U32
    digest: Bytes32


@define(OUTCOMES, 121)
class AccountRegistered:
    """An account was opened, changed or linked."""

    index: U32
    account: U32


@define(OUTCOMES, 122)
class OracleAccepted:
    """An underlying's last good price, micro-dollars."""

    index: U32
    underlying: U16
    round: U64
    price: I64


@define(OUTCOMES, 124)
class WithdrawalWaiting:
    """A withdrawal that its account can carry, and that waits until all shards' marks are known."""

    index: U32
    asset: U16
    account: U32
    withdrawal: U64
    mark: U64
    amount: I64


@define(OUTCOMES, 125)
class WithdrawalsHold:
    """Withdrawals are held from this mark on (`held` 1), or no longer (0)."""

    index: U32
    held: U8
    mark: U64


@define(OUTCOMES, 123)
class DeficitCovered:
    """The fund paid; `remaining` is what is still owed."""

    index: U32
    asset: U16
    account: U32
    amount: I64
    remaining: I64


@define(OUTCOMES, 129)
class PortfolioOpened:
    """A whole portfolio is on offer until mark `closes`; `reason` is not NONE where its account cannot sell it."""

    index: U32
    reason: Reason
    lots: U16
    account: U32
    auction: U64
    mark: U64
    closes: U64
    reserve: I64


@define(OUTCOMES, 130)
class PortfolioBidReserved:
    """A sealed bid's margin is reserved for all legs; before the close it is for the desk alone."""

    index: U32
    bidder: U32
    auction: U64
    bid: U64
    discount: I64


@define(OUTCOMES, 131)
class PortfolioBidDropped:
    """A sealed bid is void: at a mark its bidder's equity no longer covered what was reserved."""

    index: U32
    bidder: U32
    auction: U64
    bid: U64


@define(OUTCOMES, 132)
class PortfolioClosed:
    """A portfolio is no longer on offer, sold or not."""

    index: U32
    reason: ClosingReason
    account: U32
    auction: U64


@define(OUTCOMES, 133)
class BackstopCapacity:
    """What a backstop can take over at a mark: of `committed`, what its equity is above its initial margin."""

    index: U32
    account: U32
    mark: U64
    committed: I64
    capacity: I64


@define(OUTCOMES, 134)
class LiquidationGap:
    """A liquidated leg's price against its mark. Micro-dollars.

    `worth` is the leg's value at the mark, `lost` what the account got less than that (or paid more);
    `maintenance` is what its whole portfolio required at the mark.
    """

    index: U32
    account: U32
    instrument: U32
    auction: U64
    mark: U64
    quantity: I64
    worth: I64
    lost: I64
    maintenance: I64


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

    `head` is the account that was named: an omnibus is checked account by account, and goes only whole.
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

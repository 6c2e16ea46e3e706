"""Liquidations: who is due, auctions, whole portfolios, backstops, deleveraging, what a sale cost."""

from schemas.kinds import ClosingReason, Reason
from schemas.message import I64, U16, U32, U64, define
from schemas.outcomes.catalogue import OUTCOMES


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


@define(OUTCOMES, 109)
class AuctionOpened:
    """A Dutch auction is open for this much (signed as the account's leg), clipped to the position found.

    With OWN_TRADES_CLIP it is told again when less is left.
    """

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
    `maintenance` is what its whole portfolio required before the leg was posted.
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

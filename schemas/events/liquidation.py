"""What the liquidation desk and its bidders say: auctions, whole portfolios, deleveraging, what may leave."""

from schemas.events.catalogue import EVENTS
from schemas.kinds import ClosingReason
from schemas.message import I64, U8, U16, U32, U64, Time, define


@define(EVENTS, 50)
class LiquidationPlanned:
    """Sell (quantity < 0) or buy this much of a liquidating account's position by Dutch auction.

    The price starts at the mark less `start` basis points and falls `step` at each mark to `floor`.
    """

    flags: U16 = 0
    instrument: U32
    account: U32
    auction: U64
    mark: U64
    quantity: I64
    start: I64
    step: I64
    floor: I64


@define(EVENTS, 51)
class Bid:
    """A liquidator takes up to `quantity` (signed as its own leg) of an auction at its price now or better.

    `bid` is the bidder's own number: another may use the same.
    """

    flags: U16 = 0
    bidder: U32
    instrument: U32
    auction: U64
    bid: U64
    time: Time
    quantity: I64
    price: I64


@define(EVENTS, 52)
class Awarded:
    """A bid won: both legs are posted at `price` and the bid's reservation ends. `quantity` 0 only ends it.

    `quantity` is signed as the bidder's leg.
    """

    flags: U16 = 0
    instrument: U32
    account: U32
    bidder: U32
    auction: U64
    bid: U64
    quantity: I64
    price: I64


@define(EVENTS, 53)
class AuctionEnded:
    """The auction is over, sold or not."""

    flags: U16 = 0
    account: U32
    auction: U64


@define(EVENTS, 54)
class DeleveragingCalled:
    """Nobody bought and the fund cannot carry it: every shard names its candidates on the other side.

    `quantity` is signed as the failing account's leg.
    """

    flags: U16 = 0
    instrument: U32
    account: U32
    call: U64
    quantity: I64
    price: I64


@define(EVENTS, 55)
class Deleveraged:
    """A ranked counterparty's position is closed against the failing account's at the bankruptcy price.

    `quantity` is signed as the counterparty's leg.
    """

    flags: U16 = 0
    instrument: U32
    account: U32
    counterparty: U32
    call: U64
    quantity: I64
    price: I64


@define(EVENTS, 60)
class WithdrawalsHeld:
    """From this mark on nothing leaves (`held` 1), or withdrawals are answered again (0)."""

    flags: U16 = 0
    held: U8
    mark: U64


@define(EVENTS, 61)
class WithdrawalJudged:
    """A withdrawal that waited at this mark may leave, or is more than a whole day lets leave (`allowed` 0)."""

    flags: U16 = 0
    allowed: U8
    account: U32
    withdrawal: U64
    mark: U64


@define(EVENTS, 59)
class MarkAnswered:
    """Everything the desk has to say to a mark is in the journal: the next mark may come."""

    flags: U16 = 0
    mark: U64


@define(EVENTS, 65)
class PortfolioLot:
    """A position of a portfolio that is about to be offered, signed as the failing account's leg (a sale < 0)."""

    flags: U16 = 0
    instrument: U32
    auction: U64
    quantity: I64


@define(EVENTS, 66)
class PortfolioOffered:
    """The lots of this auction, so many, are for sale together until mark `closes`: sealed bids, all legs or none.

    A bid asks for a discount off each leg's mark, at most `reserve` basis points.
    """

    flags: U16 = 0
    lots: U16
    account: U32
    auction: U64
    mark: U64
    closes: U64
    reserve: I64


@define(EVENTS, 67)
class PortfolioBid:
    """A liquidator takes every leg of a portfolio, at this discount off each leg's mark at the close, basis points."""

    flags: U16 = 0
    bidder: U32
    auction: U64
    bid: U64
    time: Time
    discount: I64


@define(EVENTS, 68)
class PortfolioAwarded:
    """A sealed bid won: every leg is posted at its mark less the discount, and the bid's reservation ends."""

    flags: U16 = 0
    account: U32
    bidder: U32
    auction: U64
    bid: U64
    discount: I64


@define(EVENTS, 69)
class PortfolioEnded:
    """A portfolio is no longer on offer: every bid's reservation ends."""

    flags: U16 = 0
    reason: ClosingReason
    account: U32
    auction: U64


@define(EVENTS, 70)
class BackstopCommitted:
    """An account undertakes to take over what nobody bought, up to this much initial margin (micro-dollars); 0 ends
    it."""

    flags: U16 = 0
    account: U32
    time: Time
    capacity: I64

"""Every event that may enter the journal, defined once.

An event is a fact from outside the fold: an exchange's trade, an oracle's price, the council's parameter change, or
what the services decided from earlier outcomes (risk arrays, plans, awards, fund payments). Numbers are integers in
smallest units: an amount in the asset's, a quantity in the instrument's lots, a price in the instrument's ticks. `time`
is the event's own and is recorded, never acted on; what takes effect at a time does so at the first mark at or past it.

Flags: bit 0 (`LINKED`) ties an event to the next one of its entry; a chain passes or fails together.
"""

from typing import Final

from schemas.kinds import (
    AccountStatus,
    ClosingReason,
    InstrumentStatus,
    Kind,
    LinkKind,
    Parameter,
    Payoff,
    Right,
    Segregation,
    Settling,
    Style,
    WaterfallLayer,
    WithdrawalDecision,
)
from schemas.message import I64, U8, U16, U32, U64, Bytes32, Catalogue, I64x16, Text8, Text24, Text128, Time, define

LINKED: Final = 1
EVENTS: Final = Catalogue()

# --- what exists: assets, underlyings, instruments, accounts ---------------------------------------------------------


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


# --- what customers and exchanges do ----------------------------------------------------------------------------------


@define(EVENTS, 20)
class Deposited:
    """An amount arrived at the custodian for an account."""

    flags: U16 = 0
    asset: U16
    account: U32
    deposit: U64
    time: Time
    amount: I64


@define(EVENTS, 21)
class WithdrawalRequested:
    """An account wants an amount out; the next mark approves or refuses it."""

    flags: U16 = 0
    asset: U16
    account: U32
    withdrawal: U64
    time: Time
    amount: I64


@define(EVENTS, 22)
class WithdrawalDecided:
    """The custodian paid an approved withdrawal out, or returned it."""

    flags: U16 = 0
    decision: WithdrawalDecision
    account: U32
    withdrawal: U64
    time: Time


@define(EVENTS, 23, linkable=True)
class Trade:
    """A match, novated into two legs. A strategy of several legs is a chain of linked trades.

    `price` is in ticks of the instrument (a premium for an option). Fees are in the settlement asset, paid by each
    side; a negative one is a rebate.
    """

    flags: U16 = 0
    venue: U16
    instrument: U32
    buyer: U32
    seller: U32
    time: Time
    trade: U64
    quantity: I64
    price: I64
    buyer_fee: I64
    seller_fee: I64


@define(EVENTS, 24, linkable=True)
class TradeReversed:
    """A bust: the trade's fields as they were; the legs are posted the other way round and the fees paid back."""

    flags: U16 = 0
    venue: U16
    instrument: U32
    buyer: U32
    seller: U32
    time: Time
    trade: U64
    quantity: I64
    price: I64
    buyer_fee: I64
    seller_fee: I64


@define(EVENTS, 25)
class OrderOpened:
    """An order rests at a venue; `quantity` is signed (buy > 0). It counts in the initial margin until it is gone."""

    flags: U16 = 0
    venue: U16
    instrument: U32
    account: U32
    time: Time
    order: U64
    quantity: I64
    price: I64


@define(EVENTS, 26)
class OrderChanged:
    """What rests of an order now (after a fill or an amendment)."""

    flags: U16 = 0
    account: U32
    time: Time
    order: U64
    quantity: I64
    price: I64


@define(EVENTS, 27)
class OrderCancelled:
    """An order is gone."""

    flags: U16 = 0
    account: U32
    time: Time
    order: U64


@define(EVENTS, 28)
class FeeCharged:
    """A fee in dollars that falls due: it lowers equity at once, and the first mark at or past `effective` posts it."""

    flags: U16 = 0
    account: U32
    time: Time
    effective: Time
    amount: I64


# --- what oracles and the risk council say ----------------------------------------------------------------------------


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


# --- market facts the pricer computed, and the mark that puts them in force -------------------------------------------


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


# --- default management ----------------------------------------------------------------------------------------------


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
    """A liquidator takes up to `quantity` (signed as its own leg) of an auction at its price now or better."""

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


@define(EVENTS, 56)
class FundContributed:
    """Money for the insurance fund: from a backer, or from the clearinghouse's own capital (`own` 1)."""

    flags: U16 = 0
    own: U8
    asset: U16
    backer: U32
    time: Time
    amount: I64


@define(EVENTS, 57)
class FundPaid:
    """The fund covers this much of an account's deficit."""

    flags: U16 = 0
    asset: U16
    account: U32
    mark: U64
    amount: I64


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


@define(EVENTS, 58)
class CapitalContributed:
    """The clearinghouse puts own capital in."""

    flags: U16 = 0
    asset: U16
    time: Time
    amount: I64


# --- whole portfolios, and backstops ----------------------------------------------------------------------------------


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


# --- circuit breakers ------------------------------------------------------------------------------------------------


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


# --- a member's default ----------------------------------------------------------------------------------------------


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


# --- the waterfall as a published policy, the members' default fund, the fund's backers -----------------------------


@define(EVENTS, 71)
class PolicyLayer:
    """A row of a waterfall policy: its `part`-th layer, and how much of it may be used while the policy is in force.

    `share` is basis points: of what the layer held, of a member's contribution (ASSESSMENT), of the gains
    (GAINS_HAIRCUT); `amount` micro-dollars in each asset, 0 for no such limit. Rows come in order, from part 0.
    """

    flags: U16 = 0
    layer: WaterfallLayer
    policy: U16
    part: U16
    time: Time
    share: I64
    amount: I64


@define(EVENTS, 72)
class PolicyPublished:
    """A waterfall policy is whole: its number of layers and the SHA-256 of the text that tells it."""

    flags: U16 = 0
    policy: U16
    layers: U16
    time: Time
    effective: Time
    digest: Bytes32


@define(EVENTS, 73)
class LayerDrawn:
    """A layer lays out money for the deficits of a mark; of the members' contributions, `member` says whose."""

    flags: U16 = 0
    layer: WaterfallLayer
    asset: U16
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 74)
class LayerPaid:
    """What a layer laid out covers this much of an account's deficit; `member` is the one behind the account."""

    flags: U16 = 0
    layer: WaterfallLayer
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 75)
class Assessed:
    """A member is called for up to this much, taken from its house account as far as its initial margin stays."""

    flags: U16 = 0
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 76)
class GainsHaircut:
    """Every shard takes this part (10^-9, rounded up) of each gain in an asset that it reported at the mark."""

    flags: U16 = 0
    asset: U16
    mark: U64
    rate: I64


@define(EVENTS, 77)
class DefaultFundContributed:
    """A member's contribution to the default fund arrived at the custodian."""

    flags: U16 = 0
    asset: U16
    member: U32
    time: Time
    amount: I64


@define(EVENTS, 78)
class BackerMinted:
    """A contribution to the insurance fund becomes units of it. `fresh` 1: the fund was empty, earlier units are void.

    Backer 0 is the clearinghouse itself, whose units are what the fund held before anybody had any.
    """

    flags: U16 = 0
    fresh: U8
    asset: U16
    backer: U32
    mark: U64
    units: I64


@define(EVENTS, 79)
class BackerWithdrawalRequested:
    """A backer wants its money back for so many units; the first mark past the notice may pay it."""

    flags: U16 = 0
    asset: U16
    backer: U32
    request: U64
    time: Time
    units: I64


@define(EVENTS, 80)
class BackerPaid:
    """A backer's units are redeemed for this much of the fund."""

    flags: U16 = 0
    asset: U16
    backer: U32
    request: U64
    mark: U64
    units: I64
    amount: I64


# --- what the council's what-if over the whole book told --------------------------------------------------------------


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

"""What customers and exchanges do: deposits, withdrawals, trades, orders, fees."""

from schemas.events.catalogue import EVENTS
from schemas.kinds import WithdrawalDecision
from schemas.message import I64, U16, U32, U64, Time, define


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

"""What happened to accounts: legs, postings, rejections, settlements, margins, withdrawals, orders."""

from schemas.kinds import ClosingReason, LegKind, PostingKind, Reason, Rung
from schemas.message import I64, U8, U16, U32, U64, define
from schemas.outcomes.catalogue import OUTCOMES


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


@define(OUTCOMES, 108)
class OrderClosed:
    """The clearinghouse ended an order: the venue must take it off its book."""

    index: U32
    reason: ClosingReason
    account: U32
    order: U64


@define(OUTCOMES, 114)
class WithdrawalAnswered:
    """A withdrawal approved (`reason` NONE) or refused at a mark."""

    index: U32
    reason: Reason
    asset: U16
    account: U32
    withdrawal: U64
    amount: I64


@define(OUTCOMES, 121)
class AccountRegistered:
    """An account was opened, changed or linked."""

    index: U32
    account: U32


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

"""Questions about one account, answered from the state of the shard that keeps its books: where it stands, why, and
whether orders would be within its margin. Pure; whoever asks must not let the state be folded meanwhile."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ledger.margining import Margin, margin_with_orders, margins_of
from ledger.orders import order_refusal, raises_risk
from ledger.state import Order, State, holdings
from risk.breakdown import breakdown
from schemas.kinds import Kind as Instruments
from schemas.kinds import Reason, Rung
from schemas.units import format_time
from services.explain import AccountUnknown, micro, standing, taken_apart

WORDS: Final = {
    Reason.UNKNOWN_INSTRUMENT: "no instrument of this number is listed",
    Reason.QUANTITY_OUT_OF_RANGE: "the quantity is zero or larger than an order may be",
    Reason.PRICE_OUT_OF_RANGE: "the price is not above zero or higher than a price may be",
    Reason.ORDER_EXISTS: "the account has an order of this number",
    Reason.ACCOUNT_CLOSED: "the account is closed",
    Reason.ACCOUNT_FROZEN: "the account is frozen",
    Reason.INSTRUMENT_HALTED: "the instrument is halted",
    Reason.INSTRUMENT_DELISTED: "the instrument is delisted",
    Reason.INSTRUMENT_EXPIRED: "the instrument has expired",
    Reason.INSTRUMENT_REDUCE_ONLY: "the instrument takes only orders that lower a position",
    Reason.BREAKER_TRIPPED: "no new risk is let in there for now: only orders that lower a position",
    Reason.OWNER_LIMITED: "the owner holds as much of it as one owner may: only orders that lower a position",
    Reason.ORDER_RAISES_RISK: "the account is below its margin: it may only lower its positions",
    Reason.NO_RISK_ARRAY: "the instrument, or another one the account holds, has no risk array under its profile yet",
    Reason.STALE_PRICE: "the underlying's price is too old to open risk at",
    Reason.RISK_BOUND_EXCEEDED: "with these orders the portfolio is larger than its risk can be computed exactly",
    Reason.UNKNOWN_PROFILE: "the account's margin profile is not in force yet",
}
"""What a refusal means, for the person whose order it is."""
MOST_ORDERS: Final = 256
"""orders in one preview"""
STALE: Final = 2
"""an instrument's `marked` where its underlying's price is too old to open risk"""
SHORT: Final = "INITIAL_MARGIN_SHORT"
"""the verdict's reason where it is the margin: equity would be below the initial margin"""


class Kind(StrEnum):
    """What is asked."""

    STANDING = "standing"
    """balances, positions, orders, rung and margins"""
    EXPLAIN = "explain"
    """the margin taken apart"""
    PREVIEW = "preview"
    """whether orders would be within the margin, all of them together and with what rests already"""


class Proposed(BaseModel):
    """An order that is not sent yet: `quantity` in lots, buy > 0; `price` in ticks."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    instrument: Annotated[int, Field(ge=0, lt=2**32)]
    quantity: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    price: Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Question(BaseModel):
    """What is asked of an account; as JSON it goes from process to process. `member`: who may know only its own
    accounts (None: whoever may know all); another member's account is then unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    account: int
    member: int | None = None
    orders: Annotated[tuple[Proposed, ...], Field(max_length=MOST_ORDERS)] = ()


class AccountNotHere(ValueError):  # noqa: N818 - named for what is found
    """Another shard keeps the account's books."""

    def __init__(self, account: int, shard: int) -> None:
        super().__init__(f"account {account} is not kept by shard {shard}")


def answer(state: State, question: Question) -> dict[str, Any]:
    """The answer as plain data; amounts are decimal text in dollars or units of their asset, `n` the last entry known.

    Raises AccountUnknown, AccountNotHere.
    """
    account = question.account
    if not state.exists(account):
        raise AccountUnknown(account, state.n)
    if question.member is not None and int(state.accounts.member[account]) != question.member:
        raise AccountUnknown(account, state.n)
    if not state.owns(account):
        raise AccountNotHere(account, state.shard)
    at = {"n": state.n, "mark": state.mark, "time": format_time(state.time)}
    match question.kind:
        case Kind.STANDING:
            return at | _standing(state, account)
        case Kind.EXPLAIN:
            return at | taken_apart(state, account)
        case Kind.PREVIEW:
            return at | _preview(state, account, question.orders)


def _standing(state: State, account: int) -> dict[str, Any]:
    symbols = {number: listed.symbol for number, listed in state.facts.instruments.items()}
    orders = [
        {"order": number, "instrument": symbols[one.instrument], "lots": one.quantity, "price": one.price}
        for number, one in sorted(state.orders.get(account, {}).items())
    ]
    reserved = [
        {"auction": key.auction, "bid": key.bid, "instrument": symbols[one.instrument], "lots": one.quantity}
        for key, one in sorted(state.reservations.get(account, {}).items())
    ]
    margins = _figures(margins_of(state, account))
    return {**standing(state, account), "orders": orders, "reservations": reserved, "margin": margins}


def _preview(state: State, account: int, proposed: tuple[Proposed, ...]) -> dict[str, Any]:
    resting = [*state.orders.get(account, {}).values(), *state.reservations.get(account, {}).values()]
    before = margins_of(state, account)
    told: dict[str, Any] = {
        "account": account,
        "rung": Rung(int(state.accounts.rung[account])).name.lower(),
        "resting_orders": len(resting),
        "before": _figures(before),
        **_saved(state, account),
    }
    for place, one in enumerate(proposed):
        reason = order_refusal(state, account, one.instrument, one.quantity, one.price) or _unpriced(
            state, account, one
        )
        if reason != Reason.NONE:
            return told | _refused(reason.name, _words(reason), place)
    orders = [Order(one.instrument, one.quantity, one.price) for one in proposed]
    after = margin_with_orders(state, account, [*resting, *orders])
    told["after"] = _figures(after)
    if after.reason != Reason.NONE:
        return told | _refused(after.reason.name, _words(after.reason), None)
    if after.equity < after.initial and (after.initial > before.initial or before.reason != Reason.NONE):
        short = micro(after.initial - after.equity)
        what = f"equity {micro(after.equity)} would be {short} below the initial margin of {micro(after.initial)}"
        return told | _refused(SHORT, what, None)
    what = "within margin" if after.equity >= after.initial else "below the margin, and these orders need no more of it"
    return told | {"accepted": True, "reason": None, "message": what, "order": None}


def _saved(state: State, account: int) -> dict[str, Any]:
    """What the positions held would need each alone, and what holding them together saves of it."""
    told = breakdown(account, holdings(state), state.market, state.profiles)
    return {
        "isolated_maintenance": micro(told.isolated),
        "capital_saved": micro(told.isolated - told.maintenance),
    }


def _unpriced(state: State, account: int, one: Proposed) -> Reason:
    """Why a fill that opens risk could not be taken by its account: its price is stale, or its risk is not known."""
    opens = raises_risk(state, account, one.instrument, one.quantity)
    if not opens or state.market.kind[one.instrument] == Instruments.SPOT:
        return Reason.NONE
    if state.market.marked[one.instrument] == STALE:
        return Reason.STALE_PRICE
    profile = int(state.accounts.profile[account])
    if not state.market.marked[one.instrument] or not state.profiles.has_row[profile, one.instrument]:
        return Reason.NO_RISK_ARRAY
    return Reason.NONE


def _refused(reason: str, message: str, order: int | None) -> dict[str, Any]:
    """`order` is the place of the order that alone is the reason; None where all of them together are."""
    return {"accepted": False, "reason": reason, "message": message, "order": order}


def _words(reason: Reason) -> str:
    return WORDS.get(reason, reason.name.lower().replace("_", " "))


def _figures(margin: Margin) -> dict[str, Any]:
    return {
        "equity": micro(margin.equity),
        "maintenance": micro(margin.maintenance),
        "buffer": micro(margin.buffer),
        "initial": micro(margin.initial),
        "free": micro(margin.equity - margin.initial),
        "status": margin.reason.name.lower(),
    }

"""The insurance fund's backers on the books: units that every shard knows, what they asked for, what they were paid."""

from __future__ import annotations

from insurance.backers import CLEARINGHOUSE, MAX_UNITS, Request, outstanding
from ledger.outbox import Outbox, post
from ledger.state import State
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, PostingKind, Reason
from schemas.limits import MAX_AMOUNT
from schemas.outcomes import BackerDeposited, BackerStands


def contributed(state: State, event: e.FundContributed, out: Outbox) -> None:
    """Say that a contribution is to become units at the next mark, where contributions do."""
    if state.parameter(Parameter.BACKERS):
        backer = CLEARINGHOUSE if event.own else event.backer
        out.emit(BackerDeposited(index=out.index, asset=event.asset, backer=backer, amount=event.amount))


def backer_minted(state: State, event: e.BackerMinted, out: Outbox) -> Reason:
    """A contribution became units; of a fund that was empty all earlier units are void, and what was asked for them."""
    units = state.facts.units
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if event.units <= 0 or event.units + (0 if event.fresh else outstanding(units, event.asset)) > MAX_UNITS:
        return Reason.VALUE_OUT_OF_RANGE
    if event.fresh:
        for key in sorted(key for key in units if key[1] == event.asset):
            del units[key]
            _stands(state, out, *key, 0)
        state.facts.requests = [one for one in state.facts.requests if one[1].asset != event.asset]
    key = (event.backer, event.asset)
    units[key] = units.get(key, 0) + event.units
    _stands(state, out, *key, 0)
    return Reason.NONE


def backer_withdrawal_requested(state: State, event: e.BackerWithdrawalRequested, out: Outbox) -> Reason:
    """Keep a request until its notice is over."""
    facts = state.facts
    if event.asset not in facts.assets:
        return Reason.UNKNOWN_ASSET
    if event.units <= 0:
        return Reason.AMOUNT_NOT_POSITIVE
    mine = [one for _, one in facts.requests if (one.backer, one.asset) == (event.backer, event.asset)]
    if any((one.backer, one.request) == (event.backer, event.request) for _, one in facts.requests):
        return Reason.BACKER_REQUEST_EXISTS
    if event.units + sum(one.units for one in mine) > facts.units.get((event.backer, event.asset), 0):
        return Reason.BACKER_UNITS_SHORT
    asked = Request(event.backer, event.asset, event.request, event.units)
    facts.requests.append((state.time + state.parameter(Parameter.BACKER_NOTICE), asked))
    return Reason.NONE


def requests_due(state: State) -> tuple[Request, ...]:
    """The requests whose notice is over, by the time it was, then in order of arrival."""
    due = [(at, one) for at, one in state.facts.requests if at <= state.time]
    return tuple(one for _, one in sorted(due, key=lambda told: told[0]))


def backer_paid(state: State, event: e.BackerPaid, out: Outbox) -> Reason:
    """Redeem a backer's units: every shard strikes them off, shard 0 pays."""
    facts = state.facts
    asked = Request(event.backer, event.asset, event.request, event.units)
    if asked not in requests_due(state):
        return Reason.UNKNOWN_BACKER_REQUEST
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    facts.requests = [told for told in facts.requests if told[1] != asked]
    key = (event.backer, event.asset)
    facts.units[key] -= event.units
    if not facts.units[key]:
        del facts.units[key]
    if state.shard == 0:
        # What leaves was paid in: CUSTODY comes nearer to zero by it.
        post(
            state, out, PostingKind.BACKER_WITHDRAWAL, event.asset, int(House.FUND), int(House.CUSTODY), event.amount,
            event.request,
        )  # fmt: skip
    _stands(state, out, *key, event.amount)
    return Reason.NONE


def _stands(state: State, out: Outbox, backer: int, asset: int, amount: int) -> None:
    if state.shard == 0:
        units = state.facts.units.get((backer, asset), 0)
        out.emit(BackerStands(index=out.index, asset=asset, backer=backer, units=units, amount=amount))

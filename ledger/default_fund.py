"""The members' default fund: a ledger by member and asset that every shard knows, and the money in shard 0's books."""

from __future__ import annotations

import numpy as np

from ledger.outbox import Outbox, post
from ledger.state import UNOPENED, State
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import PostingKind, Reason
from schemas.limits import MAX_AMOUNT, MAX_BALANCE
from schemas.outcomes import MemberPart


def default_fund_contributed(state: State, event: e.DefaultFundContributed, out: Outbox) -> Reason:
    """Take a member's contribution; a member is one that stands behind an account."""
    table, parts = state.accounts, state.facts.parts
    opened = (table.member == event.member) & (table.status != UNOPENED)
    if not np.any(opened[FIRST_ACCOUNT:]):
        return Reason.NO_SUCH_MEMBER
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if sum(part for (_, asset), part in parts.items() if asset == event.asset) + event.amount > MAX_BALANCE:
        return Reason.BALANCE_LIMIT
    key = (event.member, event.asset)
    parts[key] = parts.get(key, 0) + event.amount
    if state.shard == 0:
        # Every shard must say the same, so what CUSTODY may take is not asked: with this it is still inside 64 bits.
        post(
            state,
            out,
            PostingKind.DEFAULT_FUND_CONTRIBUTION,
            event.asset,
            int(House.CUSTODY),
            int(House.DEFAULT_FUND),
            event.amount,
            event.member,
        )
    return Reason.NONE


def part_taken(state: State, member: int, asset: int, amount: int) -> bool:
    """Take this much off a member's part; False, and nothing, where it has less. A part of nothing stays named."""
    left = state.facts.parts.get((member, asset), 0) - amount
    if left < 0:
        return False
    state.facts.parts[member, asset] = left
    return True


def report_parts(state: State, out: Outbox) -> None:
    """Tell every member's part at a mark; shard 0 speaks for all."""
    if state.shard == 0:
        for (member, asset), amount in sorted(state.facts.parts.items()):
            told = MemberPart(index=out.index, asset=asset, member=member, mark=state.mark, amount=amount)
            out.emit(told)

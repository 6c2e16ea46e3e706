"""What the council's what-if over the whole book told: recorded beside its mark, and nothing is changed by it."""

from __future__ import annotations

from typing import Final

from ledger.outbox import Outbox
from ledger.state import State
from schemas import events as e
from schemas.kinds import Reason
from schemas.outcomes import StressRecorded, StressResultRecorded

_DECAYS: Final = 3


def stress_reported(state: State, event: e.StressReported, out: Outbox) -> Reason:
    """Record what a what-if assumed and what the fund must hold by it."""
    if not 0 < event.mark <= state.mark:
        return Reason.STRESS_OF_NO_MARK
    if event.results == 0 or event.decay >= _DECAYS:
        return Reason.STRESS_OUT_OF_RANGE
    told = (event.volatility, event.correlation, event.turnover, event.impact, event.cross, event.fund, event.cover_1)
    if min(told) < 0 or event.cover_2 < event.cover_1:
        return Reason.STRESS_OUT_OF_RANGE
    out.emit(
        StressRecorded(
            index=out.index,
            decay=event.decay,
            results=event.results,
            accounts=event.accounts,
            rounds=event.rounds,
            mark=event.mark,
            position=event.position,
            volatility=event.volatility,
            correlation=event.correlation,
            turnover=event.turnover,
            impact=event.impact,
            cross=event.cross,
            fund=event.fund,
            cover_1=event.cover_1,
            cover_2=event.cover_2,
        )
    )
    return Reason.NONE


def stress_result(state: State, event: e.StressResult, out: Outbox) -> Reason:
    """Record what one shock does."""
    if not 0 < event.mark <= state.mark:
        return Reason.STRESS_OF_NO_MARK
    told = (event.first_loss, event.loss, event.factor, event.owed, event.fund_left, event.short, event.cover_1)
    if min(told) < 0 or event.cover_2 < event.cover_1 or event.short > event.owed or event.settled > 1:
        return Reason.STRESS_OUT_OF_RANGE
    out.emit(
        StressResultRecorded(
            index=out.index,
            settled=event.settled,
            shock=event.shock,
            only=event.only,
            failed=event.failed,
            rounds=event.rounds,
            mark=event.mark,
            position=event.position,
            size=event.size,
            volatility=event.volatility,
            first_loss=event.first_loss,
            loss=event.loss,
            factor=event.factor,
            owed=event.owed,
            fund_left=event.fund_left,
            short=event.short,
            cover_1=event.cover_1,
            cover_2=event.cover_2,
            name=event.name,
        )
    )
    return Reason.NONE

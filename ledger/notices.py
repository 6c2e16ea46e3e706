"""Notices: what of an entry's outcomes concerns others than the books. Exchanges, services and people listen."""

from __future__ import annotations

from typing import Final

from schemas.outcomes import OUTCOMES, LegPosted, NetPosition, Posted
from schemas.wire import OutcomeHeader, Run, decode, encode

FOR_THE_BOOKS: Final = frozenset({Posted, NetPosition})
"""Outcomes that are no notices; a LegPosted is one only where its account could not take the leg."""


def notice_of(outcomes: bytes, *, awaited: bool) -> bytes | None:
    """The notice in an entry's outcomes, in the outcomes' own form; None where there is nothing to tell and nobody
    waits to hear that (`awaited`: ledger.sequence.tells)."""
    message = decode(outcomes, OutcomeHeader, OUTCOMES)
    kept: list[Run] = []
    for run in message.runs:
        if run.message.cls in FOR_THE_BOOKS:
            continue
        if run.message.cls is LegPosted:
            mask = run.rows["reason"] != 0
            if mask.any():
                kept.append(Run(run.message, run.rows[mask]))
        else:
            kept.append(run)
    if not kept and not awaited:
        return None
    header = OutcomeHeader(**(message.header | {"outcomes": sum(len(run.rows) for run in kept)}))
    return encode(header, kept)

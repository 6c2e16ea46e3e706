"""What takes effect later: kept as it came, applied at the first mark at or past its time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ledger.state import State
from schemas.events import EVENTS
from schemas.wire import message_of, rows_of


def schedule(state: State, event: Any, effective: int) -> None:
    """Keep an event until its time."""
    message = EVENTS.by_class[type(event)]
    state.facts.scheduled.append((effective, message.template, rows_of(message, [event]).tobytes()))


def due(state: State, kinds: frozenset[type[Any]]) -> list[Any]:
    """Take the events of these kinds whose time has come, by time and then by order of arrival."""
    taken: list[tuple[int, int, bytes]] = []
    left: list[tuple[int, int, bytes]] = []
    for item in state.facts.scheduled:
        ripe = item[0] <= state.time and EVENTS.by_template[item[1]].cls in kinds
        (taken if ripe else left).append(item)
    state.facts.scheduled = left
    taken.sort(key=lambda item: item[0])
    out = []
    for _, template, row in taken:
        message = EVENTS.by_template[template]
        out.append(message_of(message, np.frombuffer(row, message.dtype)[0]))
    return out

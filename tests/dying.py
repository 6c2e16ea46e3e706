"""A part that kills itself at a point of its work: `python tests/dying.py POINT COUNT PART ...`.

The points are laid around the part's own methods from outside, so that what runs elsewhere has no such door.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ledger.store import projection
from services import cli
from services.gateway.kafka import KafkaCore
from services.workers import __main__ as program
from services.workers.held import Held
from services.workers.output import Output
from services.workers.snapshots import SnapshotStore


def before_a_write(here: Callable[[], None]) -> None:
    """Something is folded, nothing of it is written."""
    send = Output.send

    async def sending(self: Output, writes: Sequence[Any]) -> list[Any]:
        if writes:
            here()
        return await send(self, writes)

    Output.send = sending  # type: ignore[method-assign]


def between_writes(here: Callable[[], None]) -> None:
    """Of what belongs together some is with the broker, the rest is not: one shard has its part, the next has none."""
    send = Output.send

    async def sending(self: Output, writes: Sequence[Any]) -> list[Any]:
        sent: list[Any] = []
        for at, write in enumerate(writes):
            if at:
                await self._producer.flush()
                here()
            sent += await send(self, [write])
        return sent

    Output.send = sending  # type: ignore[method-assign]


def unacknowledged(here: Callable[[], None]) -> None:
    """Everything is handed over, nothing is known to have arrived."""
    send = Output.send

    async def sending(self: Output, writes: Sequence[Any]) -> list[Any]:
        sent = await send(self, writes)
        if writes:
            here()
        return sent

    Output.send = sending  # type: ignore[method-assign]


def acknowledged(here: Callable[[], None]) -> None:
    """A write has just been acknowledged, and nothing made of that."""
    heard = Held._acknowledged

    def hearing(self: Held, future: Any) -> None:
        here()
        heard(self, future)

    Held._acknowledged = hearing  # type: ignore[method-assign]


def before_a_snapshot(here: Callable[[], None]) -> None:
    keep = SnapshotStore.keep

    def keeping(self: SnapshotStore, *what: Any) -> None:
        here()
        keep(self, *what)

    SnapshotStore.keep = keeping  # type: ignore[method-assign]


def in_a_snapshot(here: Callable[[], None]) -> None:
    """It is written beside, and has not its name yet."""
    replace = Path.replace

    def replacing(self: Path, target: Any) -> Path:
        here()
        return replace(self, target)

    Path.replace = replacing  # type: ignore[assignment,method-assign]


def after_a_snapshot(here: Callable[[], None]) -> None:
    keep = SnapshotStore.keep

    def keeping(self: SnapshotStore, *what: Any) -> None:
        keep(self, *what)
        here()

    SnapshotStore.keep = keeping  # type: ignore[method-assign]


def unanswered(here: Callable[[], None]) -> None:
    """Entries are in the journal, and the client has not been told."""
    append = KafkaCore._append

    async def appending(self: KafkaCore, entries: Sequence[bytes]) -> Any:
        answer = await append(self, entries)
        here()
        return answer

    KafkaCore._append = appending  # type: ignore[method-assign]


def uncommitted(here: Callable[[], None]) -> None:
    """Rows and place are with PostgreSQL, their transaction is open."""
    move = projection._move

    def moving(session: Any, place: Any) -> None:
        move(session, place)
        here()

    projection._move = moving


POINTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "before a write": before_a_write,
    "between writes": between_writes,
    "unacknowledged": unacknowledged,
    "acknowledged": acknowledged,
    "before a snapshot": before_a_snapshot,
    "in a snapshot": in_a_snapshot,
    "after a snapshot": after_a_snapshot,
    "unanswered": unanswered,
    "uncommitted": uncommitted,
}


def main() -> int:
    point, count = sys.argv[1], int(sys.argv[2])
    left = count

    def here() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    POINTS[point](here)
    sys.argv[1:3] = []
    if sys.argv[1] == "gateway":
        cli.main()
    return program.main()


if __name__ == "__main__":
    os._exit(main())

"""The demonstration over HTTP: an exchange's accounts, deposits, prices and trades of a crash, sent in its order.

What it sends was recorded from a run of its own. It waits for the system's answer to each mark, as the run did, so the
system's journal comes to be the run's.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.journal.sqlite import SqliteReader
from schemas.events import EVENTS, OraclePrice
from schemas.limits import MICRO
from schemas.sources import SOURCES_PER_ROLE, Role
from schemas.units import format_time
from schemas.wire import EntryHeader, decode
from services.client import Client, GatewayRefused, GatewayUnreachable
from services.lockstep import JOURNAL
from services.run import own_inputs, run

STEPS: Final = 170
"""quarters of an hour: into the deep of the crash"""
SEED: Final = 1
ACCOUNTS: Final = 200
TOLD: Final = ("RungChanged", "AuctionOpened", "AuctionClosed", "DeficitFound", "DeficitCovered")
"""kinds of notices that are printed"""

_ANSWERING: Final = frozenset({Role.PRICER, Role.DESK, Role.FUND})
_WELL: Final = frozenset({"healthy", "reduce_only"})
_PLACES: Final = frozenset({"index", "part", "side"})
_LOOK: Final = 0.01
_PATIENCE: Final = 60.0


class DemoDiffers(Exception):  # noqa: N818 - named for what is found
    """The system's journal is not the demonstration's: it needs a directory of its own."""


class Sent(NamedTuple):
    """An entry of the recorded run: its place in the journal, and the time of the round of prices in it, 0 where none;
    `data` is None where the system itself says it."""

    offset: int
    time: int
    data: bytes | None


def recorded(accounts: int, *, seed: int = SEED, steps: int = STEPS) -> list[Sent]:
    """The demonstration's entries in order."""
    with tempfile.TemporaryDirectory(prefix="novate-demo-") as folder:
        ledger, _ = run(Path(folder), own_inputs(), accounts=accounts, seed=seed, steps=steps)
        ledger.close()
        with closing(SqliteReader(Path(folder) / JOURNAL)) as reader:
            return [_sent(offset, data) for offset, data in reader.read(0, reader.end())]


def _sent(offset: int, data: bytes) -> Sent:
    entry = decode(data, EntryHeader, EVENTS)
    if entry.header["source"] // SOURCES_PER_ROLE in _ANSWERING:
        return Sent(offset, 0, None)
    times = [int(run.rows["time"].max()) for run in entry.runs if run.message.cls is OraclePrice]
    return Sent(offset, max(times, default=0), data)


def demonstrate(
    client: Client, entries: list[Sent], rounds: float, say: Callable[[str], None],
    goes_on: Callable[[], bool] = lambda: True,
) -> int:  # fmt: skip
    """Send the entries, at most `rounds` rounds of prices a second (0: as fast as they are answered); returns how many
    were sent. What is in the journal already is passed over.

    Raises DemoDiffers where the journal is another's, GatewayRefused, GatewayUnreachable.
    """
    due = time.monotonic()
    sent = 0
    for one in entries:
        if one.data is None:
            continue
        if not goes_on():
            break
        _wait_for(client, one.offset, goes_on)
        receipt = client.append(one.data)
        if receipt.offset not in (one.offset, None):  # None: sent before, so long ago that its place is forgotten
            raise DemoDiffers(f"entry {one.offset} of the demonstration is at {receipt.offset}: use a fresh directory")
        sent += not receipt.repeated
        if one.time and not receipt.repeated:
            say(f"prices of {format_time(one.time)}")
            due = max(due + 1 / rounds, time.monotonic()) if rounds else due
            time.sleep(max(0.0, due - time.monotonic()))
    return sent


def _wait_for(client: Client, offset: int, goes_on: Callable[[], bool]) -> None:
    """Until the system has said everything that comes before an entry."""
    until = time.monotonic() + _PATIENCE
    while goes_on() and (there := int(client.health()["offset"])) < offset:
        if time.monotonic() > until:
            raise DemoDiffers(f"entry {offset - 1} does not come: the journal has {there}; use a fresh directory")
        time.sleep(_LOOK)


def overheard(client: Client, say: Callable[[str], None]) -> threading.Thread:
    """A thread that prints calls and liquidations as they come, until the gateway is gone."""

    def listen() -> None:
        try:
            for heard in client.notices(0, kinds=TOLD):
                for line in filter(None, map(_line, heard.notices)):
                    say(f"  n {heard.n}: {line}")
        except (GatewayRefused, GatewayUnreachable) as error:
            say(f"no more notices: {error}")

    thread = threading.Thread(target=listen, name="notices", daemon=True)
    thread.start()
    return thread


def _line(told: dict[str, Any]) -> str | None:
    """A notice in words; None where it is nothing to look at."""
    if told["type"] != "RungChanged":
        return ", ".join(f"{name} {value}" for name, value in told.items() if name not in _PLACES)
    if {told["before"], told["after"]} <= _WELL:
        return None
    equity, maintenance = (f"{int(told[name]) / MICRO:,.2f}" for name in ("equity", "maintenance"))
    where = f"{told['before']} -> {told['after']}"
    return f"account {told['account']} {where}, equity {equity}, maintenance {maintenance}"

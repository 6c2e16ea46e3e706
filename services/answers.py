"""The deciding services in one process with the fold: what they answer to each entry, one entry after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ledger.state import State
from schemas.events import EVENTS
from schemas.wire import EntryHeader, Run, decode, encode_entry
from services.lockstep import bounded
from services.processors.deciders import Decider, Liquidating, Paying


class Answers:
    """The desk and the fund, and other deciders beside them. `hear` every entry in order, then append what `following`
    gives until there is none. `desk` stands in for the liquidation desk."""

    def __init__(self, shards: int, *others: Decider, desk: Decider | None = None) -> None:
        self._deciders: Sequence[Decider] = (desk or Liquidating(shards), Paying(shards), *others)
        self._under_way: dict[int, deque[list[Run]]] = {one.source: deque() for one in self._deciders}

    def hear(self, source: int, said: Iterable[Run], state: State) -> None:
        """Take in an entry that was appended, and what all shards said of it; `state` knows the facts after it."""
        runs = list(said)
        if self._under_way.get(source):  # nothing is under way where it was said with no entry heard, before a restart
            self._under_way[source].popleft()
        for one in self._deciders:
            mine = self._under_way[one.source]
            for decision in one.hear(source, runs, state, under_way=bool(mine)):
                mine.extend(bounded(decision))

    def following(self) -> tuple[int, list[Run]] | None:
        """The source and events of the entry to append next; the same one until it is heard. None: all is answered."""
        for source, parts in self._under_way.items():
            if parts:
                return source, parts[0]
        return None

    def idle(self, state: State) -> None:
        """Let them say what there is to say with no new entry. Only when nothing waits to be heard or appended."""
        for one in self._deciders:
            for decision in one.idle(state):
                self._under_way[one.source].extend(bounded(decision))

    def exported(self) -> dict[str, Any]:
        """The state as plain data, what is not appended yet too, for a snapshot."""
        return {
            str(one.source): {
                "decider": one.exported(),
                "under_way": [encode_entry(one.source, 0, part).hex() for part in self._under_way[one.source]],
            }
            for one in self._deciders
        }

    def restore(self, told: dict[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        for one in self._deciders:
            mine = told[str(one.source)]
            one.restore(mine["decider"])
            entries = [decode(bytes.fromhex(entry), EntryHeader, EVENTS) for entry in mine["under_way"]]
            self._under_way[one.source] = deque([list(entry.runs) for entry in entries])

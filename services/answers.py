"""The deciding services in one process with the fold: what they answer to each entry, one entry after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ledger.state import State
from schemas.wire import Run
from services.lockstep import bounded
from services.processors.deciders import Decider, Liquidating, Paying


class Answers:
    """The desk and the fund. `hear` every entry in order, then append what `following` gives until there is none."""

    def __init__(self, shards: int) -> None:
        self._deciders: Sequence[Decider] = (Liquidating(shards), Paying(shards))
        self._under_way: dict[int, deque[list[Run]]] = {one.source: deque() for one in self._deciders}

    def hear(self, source: int, said: Iterable[Run], state: State) -> None:
        """Take in an entry that was appended, and what all shards said of it; `state` knows the facts after it."""
        runs = list(said)
        if source in self._under_way:
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

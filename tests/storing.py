"""A world's streams as the projector reads them, and a store's whole contents, ordered, to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from world import World

from ledger.sequence import ShardEntry, SplitState, facts_part
from ledger.store.projection import Place, Projection
from ledger.store.tables import TABLES
from schemas.events import EVENTS
from schemas.wire import EntryHeader, OutcomeHeader, WireError, decode, decode_header
from services.lockstep import Clearing, Settings


@dataclass
class Fed:
    """The facts stream and every shard's outcomes, in order of n."""

    facts: list[ShardEntry] = field(default_factory=list)
    outcomes: list[bytes] = field(default_factory=list)

    def above(self, place: Place) -> Fed:
        """What comes after a place."""
        kept = Fed([one for one in self.facts if one.n > place.facts])
        for data in self.outcomes:
            header, _ = decode_header(data, OutcomeHeader)
            if header["n"] > place.of(header["shard"]):
                kept.outcomes.append(data)
        return kept


def fed(world: World) -> Fed:
    """A world's streams, from its entries."""
    return streams(world.clearing.settings, world.entries)


def streams(settings: Settings, entries: Sequence[bytes]) -> Fed:
    """The streams that a journal's entries give."""
    clearing, out = Clearing(settings), Fed()
    splitting = SplitState.of(settings.shards)
    for offset, data in enumerate(entries):
        before = clearing.sequence.n
        parts = clearing.take(offset, data)
        out.outcomes += [outcomes for _, outcomes in parts]
        if clearing.sequence.n > before:
            try:
                runs = decode(data, EntryHeader, EVENTS).runs
            except WireError:
                continue
            told = facts_part(splitting, clearing.sequence.n, runs, [part for part, _ in parts])
            if told is not None:
                out.facts.append(told)
    return out


def feed(projection: Projection, stream: Fed, size: int) -> Place:
    """Give everything above the store's place, `size` outcomes and what facts belong to them at a time."""
    place = projection.place()
    rest = stream.above(place)
    while rest.facts or rest.outcomes:
        last = place
        chunk = rest.outcomes[:size]
        place = projection.take(rest.facts[: max(size, 1)], chunk)
        rest = rest.above(place)
        assert place != last, f"nothing can be written after {place}"
    return place


def dump(url: str, *, leave: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, ordered by all their columns."""
    names = [*(table.name for table in TABLES), "places", "codes", "logins"]
    with psycopg.connect(url) as session:
        return {
            name: session.execute(sql.SQL("SELECT * FROM {} AS t ORDER BY t").format(sql.Identifier(name))).fetchall()
            for name in names
            if name not in leave
        }

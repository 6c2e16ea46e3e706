"""The same events cut into entries of any size leave the same books: nothing may be named by, or end with, an entry."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from happenings import Happening, Marked, founded, happen, happenings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import CALL_BTC, PERP_BTC, World, profile_events, role_of, shipped_profile

from schemas.events import EVENTS, LINKED
from schemas.limits import MAX_RUN_ROWS
from schemas.message import Message
from schemas.wire import EntryHeader, Run, decode, encode_entry

Sent = tuple[int, Message, np.void]


def flat(entries: list[bytes]) -> list[Sent]:
    """Every event of these entries with its source, in order."""
    out: list[Sent] = []
    for data in entries:
        batch = decode(data, EntryHeader, EVENTS)
        out.extend((batch.header["source"], run.message, row) for run in batch.runs for row in run.rows)
    return out


def recut(events: list[Sent], cuts: list[int]) -> list[bytes]:
    """The events in entries of these sizes, over and over; an entry ends early where another source speaks, and late
    where a chain would be cut."""
    entries: list[bytes] = []
    sequences: dict[int, int] = {}
    at = turn = 0
    while at < len(events):
        source = events[at][0]
        end = min(at + cuts[turn % len(cuts)], len(events))
        end = next((i for i in range(at, end) if events[i][0] != source), end)
        while events[end - 1][2]["flags"] & LINKED:
            end += 1
        sequences[source] = sequences.get(source, 0) + 1
        entries.append(encode_entry(source, sequences[source], runs(events[at:end])))
        at, turn = end, turn + 1
    return entries


def runs(events: list[Sent]) -> list[Run]:
    """Neighbouring events of one template as runs."""
    out: list[list[Any]] = []
    for _, message, row in events:
        if not out or out[-1][0] is not message or len(out[-1][1]) == MAX_RUN_ROWS:
            out.append([message, []])
        out[-1][1].append(row)
    return [Run(message, np.array(rows, message.dtype)) for message, rows in out]


def folded(entries: list[bytes], shards: int) -> list[bytes]:
    """The digests of the books after these entries."""
    world = World(shards, ready=False)
    for data in entries:
        world.bytes(data)
    return world.digests()


def within_entries(course: list[Happening]) -> list[Happening]:
    """The course with no entry that ends within a chain: cut otherwise, the next one's events would belong to it."""
    out: list[Happening] = []
    for one in course:
        if isinstance(one, Marked):
            out.append(one)
        else:
            events, role = one
            ends = [role is None and role_of(a) != role_of(b) for a, b in pairwise(events)] + [True]
            closed = [replace(x, flags=0) if end and x.flags else x for x, end in zip(events, ends, strict=True)]
            out.append((closed, role))
    return out


CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(st.sampled_from([1, 3]), happenings(10), CUTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_cut_gives_the_same_books(shards: int, course: list[Happening], cuts: list[int]) -> None:
    world = founded(shards)
    happen(world, within_entries(course))
    world.mark()
    events = flat(world.entries)
    assert folded(recut(events, cuts), shards) == world.digests()


def test_events_one_by_one_and_all_at_once() -> None:
    world = founded()
    world.mark(btc=5_000)
    world.mark(btc=9_000)
    events = flat(world.entries)
    assert len(recut(events, [1])) == len(events)
    for cuts in ([1], [2], [7], [10_000]):
        assert folded(recut(events, cuts), 1) == world.digests(), cuts


def test_a_risk_array_may_be_cut_between_its_rows() -> None:
    # 45 scenarios: three rows for each instrument, which may come in three entries.
    world = World()
    prices = ", ".join(str(one / 8 - 0.875) for one in range(15))
    text = shipped_profile("isolated").replace("prices = [-1, -0.5, 0, 0.5, 1]", f"prices = [{prices}]")
    world.send(*profile_events(9, text))
    world.mark()
    world.open(16, 17, profile=9)
    for account in (16, 17):
        world.deposit(account, 10**9)
    world.trade(16, 17, PERP_BTC, 5, 800_000)
    world.trade(16, 17, CALL_BTC, 5, 30_000)
    assert not [one for one in world.said if getattr(one, "reason", 0)]
    events = flat(world.entries)
    assert max(int(row["first"]) for _, message, row in events if message.name == "RiskArray") == 32
    for cuts in ([1], [3], [50]):
        assert folded(recut(events, cuts), 1) == world.digests(), cuts


def test_the_books_are_the_same_at_another_n_and_others_at_another_price() -> None:
    world = founded()
    digests = world.digests()
    world.state.n += 1
    assert world.digests() == digests
    world.mark(btc=9_000)
    assert world.digests() != digests

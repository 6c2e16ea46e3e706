"""Default management with everything switched on, in any order of bids, trades, marks, defaults, and crashes of the
services: every sum stays, nobody sees the number of shards, and a service that begins again says the same."""

from __future__ import annotations

from typing import Any

from happenings import KINDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mayhem import COURSES, MORE, Setting, Step, begun, taken, unfolded
from world import World, role_of

from ledger.conservation import balances_add_up, positions_add_up
from ledger.snapshot import dump, load
from schemas.chart import House
from schemas.sources import source

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def check(world: World) -> None:
    for state in world.clearing.states:
        assert balances_add_up(state) == [] and positions_add_up(state) == []
        assert (state.total == 0).all()
    for house in (House.FUND, House.OWN_CAPITAL, House.DEFAULT_FUND):
        for asset in world.state.facts.assets:
            assert world.balance(int(house), asset) >= 0, f"{house.name} is never negative"


@given(COURSES)
@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
def test_any_course_keeps_every_sum_over_any_shards_and_crashes(course: tuple[Setting, list[Step]]) -> None:
    one = unfolded(course, 1)
    four = unfolded(course, 4, crashes=True)
    assert one.entries == four.entries
    for world in (one, four):
        check(world)
        for state in world.clearing.states:
            assert dump(load(dump(state), world.clearing.shard_of)) == dump(state)


EVERY = {**KINDS, **MORE}


def nonsense() -> st.SearchStrategy[list[Any]]:
    """Events of every kind of default management, from somebody of the right role who says what it likes."""
    one = st.sampled_from(sorted(MORE, key=lambda kind: kind.__name__)).flatmap(
        lambda kind: st.builds(kind, **EVERY[kind])
    )
    return st.lists(one, min_size=1, max_size=8)


@given(COURSES, st.lists(nonsense(), max_size=6), st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_nonsense_of_any_role_takes_nothing_from_anybody_unseen(
    course: tuple[Setting, list[Step]], said: list[list[Any]], shards: int
) -> None:
    """A second desk, a second fund: what they say is taken or refused by name, and every sum stays."""
    setting, steps = course
    world = begun(setting, shards)
    for at in range(max(len(steps), len(said))):
        if at < len(steps):
            taken(world, steps[at])
        if at < len(said):
            for event in said[at]:
                world.entry(source(role_of(event), 9), [event])
        check(world)
    world.mark()
    world.check()
    check(world)

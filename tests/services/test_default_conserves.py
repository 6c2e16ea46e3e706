"""Default management with everything switched on, in any order of bids, trades, marks, defaults, and crashes of the
services: every sum stays, nobody sees the number of shards, and a service that begins again says the same."""

from __future__ import annotations

from typing import Any

import pytest
from happenings import KINDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mayhem import COURSES, MORE, Setting, Step, begun, taken, unfolded
from world import World, role_of

from ledger.conservation import ConservationBroken, balances_add_up, positions_add_up
from ledger.snapshot import dump, load
from schemas.chart import House
from schemas.sources import source

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def sums(world: World) -> None:
    for state in world.clearing.states:
        assert balances_add_up(state) == [] and positions_add_up(state) == []
        assert (state.total == 0).all()


def overdrawn(world: World) -> list[str]:
    """The house's pools that stand below zero."""
    pools = (House.FUND, House.OWN_CAPITAL, House.DEFAULT_FUND)
    return [pool.name for pool in pools for asset in world.state.facts.assets if world.balance(int(pool), asset) < 0]


def check(world: World) -> None:
    sums(world)
    assert overdrawn(world) == []


@given(COURSES)
@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
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
@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
def test_nonsense_of_any_role_takes_nothing_from_anybody_unseen(
    course: tuple[Setting, list[Step]], said: list[list[Any]], shards: int
) -> None:
    """A second desk, a second fund: what they say is taken or refused by name, and every sum stays. A fund that
    pays more than all shards hold together is seen over all of them, and the books stop."""
    setting, steps = course
    world = begun(setting, shards)
    for at in range(max(len(steps), len(said))):
        if at < len(steps):
            taken(world, steps[at])
        if at < len(said):
            for event in said[at]:
                world.entry(source(role_of(event), 9), [event])
        sums(world)
        if overdrawn(world):
            with pytest.raises(ConservationBroken, match="has -"):
                world.check()
            return
    world.mark()
    world.check()
    check(world)

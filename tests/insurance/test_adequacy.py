"""What each layer bears in a shock, by policy."""

from dataclasses import replace

import pytest

from insurance.adequacy import Resources, adequacy
from insurance.policy import Rank, shipped
from schemas.kinds import WaterfallLayer as L

CCP = shipped("ccp").ranks
EXCHANGE = shipped("exchange").ranks
THERE = Resources(own_capital=100.0, fund=40.0, parts={1: 10.0, 2: 30.0, 3: 20.0}, spare={2: 5.0, 3: 90.0}, gains=200.0)
CASES = [
    ("exchange, small", EXCHANGE, {1: 20.0}, {L.OWN_CAPITAL: 20.0, L.FUND: 0.0}, 0.0, None),
    ("exchange, the fund too", EXCHANGE, {1: 30.0, 2: 20.0}, {L.OWN_CAPITAL: 25.0, L.FUND: 25.0}, 0.0, None),
    ("exchange, beyond", EXCHANGE, {1: 100.0}, {L.OWN_CAPITAL: 25.0, L.FUND: 40.0}, 35.0, L.FUND),
    ("a gain is no deficit", EXCHANGE, {1: 20.0, 2: -500.0}, {L.OWN_CAPITAL: 20.0}, 0.0, None),
    (
        "ccp, all the way",
        CCP,
        {1: 400.0},
        {
            L.MEMBER_CONTRIBUTION: 10.0,
            L.OWN_CAPITAL: 50.0,
            L.DEFAULT_FUND: 50.0,
            L.ASSESSMENT: 25.0,
            L.GAINS_HAIRCUT: 180.0,
        },
        85.0,
        L.GAINS_HAIRCUT,
    ),
    ("ccp, members that fail are not assessed", CCP, {1: 90.0, 3: 60.0}, {L.ASSESSMENT: 5.0}, 0.0, None),
    ("an amount", (Rank(L.OWN_COLLATERAL), Rank(L.FUND, 10_000, 7_000_000)), {1: 9.0}, {L.FUND: 7.0}, 2.0, L.FUND),
    ("nobody", CCP, {}, {L.OWN_CAPITAL: 0.0}, 0.0, None),
]


@pytest.mark.parametrize(("why", "ranks", "deficits", "borne", "unpaid", "short"), CASES, ids=[c[0] for c in CASES])
def test_what_each_layer_bears(why, ranks, deficits, borne, unpaid, short) -> None:  # type: ignore[no-untyped-def]
    told = adequacy(ranks, deficits, THERE)
    assert {layer: told.borne[layer] for layer in borne} == pytest.approx(borne)
    assert told.unpaid == pytest.approx(unpaid)
    assert told.exhausted_at == short
    loss = sum(max(amount, 0.0) for amount in deficits.values())
    assert sum(told.borne.values()) + told.unpaid == pytest.approx(loss)


USED = [
    ("a quarter of all the capital there was", EXCHANGE, {(L.OWN_CAPITAL, 0): 20.0}, {1: 400.0}, L.OWN_CAPITAL, 10.0),
    ("more than a quarter is gone", EXCHANGE, {(L.OWN_CAPITAL, 0): 60.0}, {1: 400.0}, L.OWN_CAPITAL, 0.0),
    ("a member was called before", CCP, {(L.ASSESSMENT, 3): 15.0}, {1: 400.0}, L.ASSESSMENT, 5.0 + 5.0),
    ("its part was used before", CCP, {(L.DEFAULT_FUND, 3): 15.0}, {1: 400.0}, L.ASSESSMENT, 5.0 + 35.0),
    (
        "an amount, a part of it gone",
        (Rank(L.OWN_COLLATERAL), Rank(L.FUND, 10_000, 7_000_000)),
        {(L.FUND, 0): 3.0},
        {1: 400.0},
        L.FUND,
        4.0,
    ),
    ("what came too late is first", EXCHANGE, {}, {1: 5.0}, L.LAID_OUT, 3.0),
]


@pytest.mark.parametrize(("why", "ranks", "drawn", "deficits", "layer", "room"), USED, ids=[c[0] for c in USED])
def test_what_was_used_before_counts(why, ranks, drawn, deficits, layer, room) -> None:  # type: ignore[no-untyped-def]
    there = replace(THERE, drawn=drawn, laid_out=3.0)
    told = adequacy(ranks, deficits, there)
    assert told.room[layer] == told.borne[layer] == pytest.approx(room)
    assert next(iter(told.room)) == L.LAID_OUT

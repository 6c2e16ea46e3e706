"""A shock's deficits on a policy's layers: what `novate stress` says is what the books do at the next mark."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner
from waterfalls import Falling
from world import MICRO

from insurance.policy import SHIPPED, shipped
from insurance.shocks import Shock
from liquidation.impact import Impact
from schemas.chart import House
from schemas.kinds import Segregation
from schemas.kinds import WaterfallLayer as L
from schemas.outcomes import AssessmentCapacity, GainReported, StressResultRecorded
from services.cli import app, main
from services.stress import Assumed, Verdict, situation, situation_of, stress
from services.stress_events import reported
from services.stress_page import html, summary, tables
from services.stress_waterfall import NOT_PUBLISHED, policy_named, standing, under

ANN, BOB, SECOND, THIRD, GWEN, HANK = range(16, 22)
DEEP = 100_000 * MICRO
STILL = Assumed(impact=Impact(scale=0.0))
UNIT = 1.0 / MICRO


def falling(
    shards: int,
    policy: str | None,
    *,
    capital: int = 0,
    fund: int = 0,
    parts: Any = (),
    spare: int = MICRO,
    lots: int = 0,
) -> Falling:
    """Member 1 behind Ann and Bob, who have nothing; 2 and 3 with a house account each; Gwen long against Hank."""
    world = Falling(shards)
    world.member(ANN, 1)
    world.member(BOB, 1, segregation=Segregation.INDIVIDUAL)
    world.member(SECOND, 2, spare)
    world.member(THIRD, 3, spare)
    for account in (GWEN, HANK):
        world.member(account, account, DEEP)
    if capital:
        world.capital(capital)
    if fund:
        world.fund(fund)
    for member, amount in enumerate(parts, 1):
        if amount:
            world.contribute(member, amount)
    if lots:
        world.gain(GWEN, HANK, lots)
    world.step()
    if policy is not None:
        world.publish(shipped(policy))
    return world


def shocked(world: Falling, move: float) -> Verdict:
    of = situation_of(world.clearing.states)
    return stress(of, STILL, shocks=[Shock("BTC", move, only=0)], paces=[], reverse=False).worst


def paid(world: Falling) -> dict[L, int]:
    sums: dict[L, int] = dict.fromkeys(L, 0)
    for (layer, _), amount in world.borne().items():
        sums[L[layer.upper()]] += amount
    return sums


AMOUNTS = st.integers(0, 300)


@settings(max_examples=25, deadline=None)
@given(
    policy=st.sampled_from(SHIPPED),
    shards=st.sampled_from([1, 4]),
    houses=st.tuples(AMOUNTS, AMOUNTS),
    parts=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS),
    spare=st.integers(1, 200),
    lots=st.integers(0, 3),
    owes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), min_size=1, max_size=3),
    move=st.sampled_from([-0.01, 0.0, 0.01, 0.05]),
)
def test_the_next_mark_pays_what_stress_said(policy, shards, houses, parts, spare, lots, owes, move) -> None:  # type: ignore[no-untyped-def]
    """Several marks, so that what was used before counts; amounts in smallest units."""
    capital, fund = houses
    world = falling(shards, policy, capital=capital, fund=fund, parts=parts, spare=spare, lots=lots)
    for ann, bob in owes:
        for account, amount in ((ANN, ann), (BOB, bob)):
            if amount:
                world.owe(account, amount)
        told = shocked(world, move)
        before = paid(world)
        world.step(btc=world.prices[0] * (1.0 + move))
        after = paid(world)
        for layer, amount in told.layers.borne.items():
            # pro rata parts and a haircut's rate are rounded to the unit, an account each
            assert amount == pytest.approx((after[layer] - before[layer]) * UNIT, abs=4 * UNIT), layer
        owed = -sum(min(0, world.balance(account)) for account in (ANN, BOB))
        assert told.borne.shortfall == pytest.approx(owed * UNIT, abs=4 * UNIT)
        assert told.borne.deficits == pytest.approx(told.borne.shortfall + sum(told.layers.borne.values()))


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("move", [-0.2, 0.3])
def test_what_survivors_can_be_asked_for_is_what_the_shards_then_tell(shards: int, move: float) -> None:
    world = falling(shards, "ccp", capital=1, parts=(0, 5 * MICRO, 7 * MICRO), spare=900 * MICRO, lots=40)
    world.gain(SECOND, HANK, 5)
    world.step()
    of = situation_of(world.clearing.states)
    ran = stress(of, STILL, shocks=[Shock("BTC", move, only=0)], paces=[], reverse=False).worst.cascade
    assert not ran.entered.any()
    told = standing(of.backing, of.book, ran, of.reprice, 0.0)
    said = world.mark(btc=world.prices[0] * (1.0 + move))
    able = {one.member: one.amount for one in said if isinstance(one, AssessmentCapacity)}
    gained = sum(one.gains for one in said if isinstance(one, GainReported))
    assert set(able) == {2, 3} and gained > 0
    assert {member: round(amount * MICRO) for member, amount in told.spare.items()} == able
    assert told.gains == pytest.approx(gained * UNIT, abs=4 * UNIT)


def test_who_enters_liquidation_is_asked_for_nothing() -> None:
    world = falling(1, "ccp", parts=(0, MICRO, MICRO), spare=1_000 * MICRO)
    world.gain(SECOND, HANK, 400)
    world.gain(HANK, THIRD, 1)
    world.step()
    of = situation_of(world.clearing.states)
    fallen = stress(of, STILL, shocks=[Shock("BTC", -0.3, only=0)], paces=[], reverse=False).worst
    told = standing(of.backing, of.book, fallen.cascade, of.reprice, 0.0)
    assert fallen.cascade.entered[of.book.numbers.tolist().index(SECOND)]
    assert told.spare[2] == 0.0 and told.spare[3] > 0.0


def test_without_a_policy_the_fund_pays_and_the_rest_is_deleveraged() -> None:
    world = falling(1, None, capital=500, fund=70)
    world.owe(ANN, 100)
    told = shocked(world, 0.0)
    assert situation_of(world.clearing.states).backing.policy == NOT_PUBLISHED
    assert told.layers.borne == pytest.approx({L.OWN_COLLATERAL: 0.0, L.FUND: 70 * UNIT, L.DELEVERAGING: 0.0})
    assert told.borne.shortfall == pytest.approx(30 * UNIT)
    assert (told.borne.fund_left, told.layers.exhausted_at) == (0.0, L.FUND)


def test_another_policy_is_tried_on_the_same_money() -> None:
    world = falling(1, "exchange", capital=400, fund=50, parts=(30, 20, 10))
    world.owe(ANN, 60)
    world.step()
    world.owe(ANN, 500)
    of = situation_of(world.clearing.states)
    assert of.backing.policy == "exchange"
    assert of.backing.drawn[L.OWN_CAPITAL, 0, 0] == pytest.approx(60 * UNIT)
    there = shocked(world, 0.0)
    assert there.layers.borne[L.OWN_CAPITAL] == pytest.approx(40 * UNIT)  # a quarter of 400, less 60
    tried = replace(of, backing=under(of.backing, shipped("ccp")))
    told = stress(tried, STILL, shocks=[Shock("none", 0.0)], paces=[], reverse=False).worst
    assert {layer: round(amount * MICRO) for layer, amount in told.layers.borne.items() if amount} == {
        L.MEMBER_CONTRIBUTION: 30,
        L.OWN_CAPITAL: 170,  # a half of the 340 that are left
        L.DEFAULT_FUND: 30,
        L.ASSESSMENT: 30,
    }
    assert told.borne.fund_left == pytest.approx(50 * UNIT)
    assert told.layers.exhausted_at == L.ASSESSMENT
    assert world.house(House.OWN_CAPITAL) == 340


def test_what_is_recorded_is_short_past_all_layers() -> None:
    world = falling(1, "exchange", capital=400, fund=50)
    world.owe(ANN, 500)
    of = situation_of(world.clearing.states)
    told = stress(of, STILL, shocks=[Shock("none", 0.0)], paces=[], reverse=False)
    result = next(one for one in world.send(*reported(told)) if isinstance(one, StressResultRecorded))
    assert (result.owed, result.fund_left, result.short) == (500, 0, 500 - 100 - 50)


def test_reverse_stress_asks_what_no_layer_covers() -> None:
    found = {}
    for capital in (0, 1_000 * MICRO):
        world = falling(1, "exchange", capital=capital)
        world.deposit(ANN, 1_000 * MICRO)
        world.gain(ANN, HANK, 500)
        world.step()
        lines = stress(situation_of(world.clearing.states), STILL, shocks=[Shock("down", -0.4)], paces=[]).reverse
        found[capital] = next(line.size for line in lines if line.direction == "BTC down")
    bare, covered = found.values()
    assert bare is not None and covered is not None
    # 4,000 dollars of bitcoin on 1,000; a quarter of the capital is 250
    assert (bare, covered) == pytest.approx((-0.25, -0.3125), abs=0.002)


def test_the_page_has_a_bar_a_shock_by_layer(cleared: Path) -> None:
    of = situation(cleared)
    for policy, words in (
        (None, ("no policy published", "to ADL")),
        ("ccp", ("ccp", "capital", "default fund", "haircut", "torn up")),
    ):
        tried = of if policy is None else replace(of, backing=under(of.backing, shipped(policy)))
        shocks = [Shock("all -40 %", -0.4), Shock("none", 0.0)]
        told = stress(tried, Assumed(turnover=0.2), shocks=shocks, paces=[], reverse=False)
        assert told.worst.borne.deficits > 0.0
        text = html(told)
        drawn = text[text.index('id="waterfall"') : text.index('id="table-layers"')]
        assert "Who pays what is owed" in drawn and all(word in drawn for word in words)
        assert words[0] in summary(told) and words[-1] in summary(told)
        calm = stress(tried, STILL, shocks=[Shock("none", 0.0)], paces=[], reverse=False)
        assert 'id="waterfall"' not in html(calm)


def test_eighty_columns_hold_every_layer(cleared: Path) -> None:
    of = situation(cleared)
    tried = replace(of, backing=under(of.backing, shipped("ccp")))
    told = stress(tried, Assumed(turnover=0.2), shocks=[Shock("all -40 %, vol x2", -0.4)], paces=[], reverse=False)
    printed = Console(width=80, file=StringIO())
    for table in tables(told)[:3]:
        printed.print(table)
    text = printed.file.getvalue()  # type: ignore[attr-defined]
    assert "haircut" in text and "prefunded" in text and "\u2026" not in text


def test_the_command_tries_a_policy(cleared: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "own"\npublished = "2026-11-21"\ndescription = "x"\n'
        '[[layers]]\nlayer = "own_collateral"\nmeaning = "x"\n'
        '[[layers]]\nlayer = "own_capital"\namount = "5"\nmeaning = "x"\n'
        '[[layers]]\nlayer = "tear_up"\nmeaning = "x"\n'
    )
    arguments = ["stress", str(cleared), "--no-reverse", "--rounds", "9", "--json"]
    by_name: dict[str, Any] = {}
    for name in ("exchange", "ccp", str(own)):
        done = CliRunner().invoke(app, [*arguments, "--policy", name])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        by_name[told["policy"]["name"]] = told["shocks"][0]
    assert list(by_name) == ["exchange", "ccp", "own"]
    for one in by_name.values():
        assert one["deficits"] == pytest.approx(sum(part["bears"] for part in one["layers"]) + one["shortfall"])
    assert [part["layer"] for part in by_name["own"]["layers"]] == ["own_collateral", "own_capital", "tear_up"]
    assert by_name["own"]["layers"][1]["bears"] == pytest.approx(5.0)
    assert by_name["own"]["exhausted"] == "own_capital"
    assert by_name["ccp"]["exhausted"] is None and by_name["ccp"]["shortfall"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "nobody's"], "nobody's is none of exchange, ccp, and no file"),
        (["--policy", "{short}/settings.json"], "not TOML"),
        (["--policy", "ccp", "--record"], "neither recorded nor sent"),
    ],
)
def test_a_policy_that_cannot_be_tried_is_one_line(
    short: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [one.format(short=short) for one in arguments]
    monkeypatch.setattr("sys.argv", ["novate", "stress", str(short), *filled])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_policy_is_named(tmp_path: Path) -> None:
    assert policy_named("ccp") == shipped("ccp")
    with pytest.raises(FileNotFoundError):
        policy_named(str(tmp_path / "none"))

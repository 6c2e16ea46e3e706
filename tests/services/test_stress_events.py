"""A stress in the journal: recorded beside its mark, audited, changing nothing; what is absurd is refused by name."""

import json
import shutil
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from gateways import established, gateway, oracle, quiet, trade
from typer.testing import CliRunner
from world import HOUR, MICRO, PERP_BTC, START, World, reasons

from insurance.shocks import Shock
from ledger.snapshot import books
from liquidation.pacing import PACES
from schemas.outcomes import StressRecorded, StressResultRecorded
from schemas.sources import Role, source
from services.cli import app
from services.client import Client, GatewayRefused
from services.stress import Assumed, Stress, situation, situation_of, stress
from services.stress_events import recorded, reported
from services.terminal import Refused

SHOCKS = (Shock("all -40 %", -0.4), Shock("ETH +40 %", 0.4, only=1), Shock("vol x1.5", 0.0, volatility=0.5))


def small(shards: int = 1) -> World:
    world = World(shards)
    world.open(16, 17)
    for account in (16, 17):
        world.deposit(account, 2_000 * MICRO)
    world.trade(16, 17, PERP_BTC, 1_000, 800_000)
    world.mark()
    return world


def told_of(world: World) -> Stress:
    return stress(situation_of(world.clearing.states), shocks=SHOCKS, paces=PACES[:1], reverse=False)


@pytest.mark.parametrize("shards", [1, 4])
def test_it_is_recorded_and_changes_nothing(shards: int) -> None:
    world = small(shards)
    told = told_of(world)
    before, state = [books(state) for state in world.clearing.states], world.state
    said = world.send(*reported(told))
    assert [type(one) for one in said] == [StressRecorded, *[StressResultRecorded] * 3]
    assert [books(state) for state in world.clearing.states] == before
    report, first, second, third = said
    assert (report.mark, report.position, report.results) == (state.mark, told.situation.position, 3)
    assert report.fund == 0 and report.cover_1 == max(one.cover_1 for one in said[1:]) > 0
    assert (first.name, first.size, first.only) == ("all -40 %", -400_000, 0xFFFF)
    assert (second.only, second.size, second.owed) == (1, 400_000, 0)
    assert (third.volatility, third.size) == (500_000, 0)
    worst = told.verdicts[0]
    assert first.owed == round(worst.borne.deficits * MICRO) and first.short == first.owed > 0
    assert first.loss / MICRO == pytest.approx(worst.cascade.loss, abs=1e-6)
    assert first.factor / MICRO == pytest.approx(worst.cascade.multiplier, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mark": 0}, "STRESS_OF_NO_MARK"),
        ({"mark": 3}, "STRESS_OF_NO_MARK"),
        ({"results": 0}, "STRESS_OUT_OF_RANGE"),
        ({"decay": 3}, "STRESS_OUT_OF_RANGE"),
        ({"fund": -1}, "STRESS_OUT_OF_RANGE"),
        ({"impact": -(2**63)}, "STRESS_OUT_OF_RANGE"),
        ({"cover_1": 2**63 - 1}, "STRESS_OUT_OF_RANGE"),
    ],
)
def test_a_report_that_cannot_be_is_refused(change: dict[str, int], reason: str) -> None:
    world = small()
    report = replace(reported(told_of(world))[0], **change)
    assert reasons(world.send(report)) == [reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mark": 0}, "STRESS_OF_NO_MARK"),
        ({"mark": 2**64 - 1}, "STRESS_OF_NO_MARK"),
        ({"settled": 2}, "STRESS_OUT_OF_RANGE"),
        ({"loss": -1}, "STRESS_OUT_OF_RANGE"),
        ({"short": 2**62}, "STRESS_OUT_OF_RANGE"),
        ({"cover_2": 0, "cover_1": 1}, "STRESS_OUT_OF_RANGE"),
    ],
)
def test_a_result_that_cannot_be_is_refused(change: dict[str, int], reason: str) -> None:
    world = small()
    result = replace(reported(told_of(world))[1], **change)
    assert reasons(world.send(result)) == [reason]


@pytest.mark.parametrize("role", [Role.EXCHANGE, Role.DESK, Role.PRICER, Role.FUND])
def test_only_the_council_may_say_so(role: Role) -> None:
    world = small()
    said = world.send(*reported(told_of(world)), role=role)
    assert set(reasons(said)) == {"UNAUTHORISED_SOURCE"}


def test_the_command_records_it_in_a_directory_that_is_audited(short: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(short, directory)
    before = situation(directory)
    command = ["stress", str(directory), "--no-reverse", "--rounds", "20"]
    done = CliRunner().invoke(app, [*command, "--record"])
    assert done.exit_code == 0, done.output
    assert f"recorded: entry {before.position + 1}" in done.output
    assert CliRunner().invoke(app, ["audit", str(directory)]).exit_code == 0
    told = CliRunner().invoke(app, ["stress", str(directory), "--recorded"])
    ((report, *results),) = recorded(directory)
    assert json.loads(told.stdout) == [asdict(report) | {"shocks": [asdict(one) for one in results]}]
    assert (report.mark, report.position, report.rounds) == (before.mark, before.position, 20)
    wanted = reported(stress(before, Assumed(rounds=20), reverse=False))
    assert [plain(one) for one in (report, *results)] == [plain(one) for one in wanted]
    again = CliRunner().invoke(app, [*command, "--record"])
    assert again.exit_code == 0, again.output
    assert [len(one) for one in recorded(directory)] == [len(wanted), len(wanted)]
    assert recorded(directory)[1][0].position == before.position + 1


def plain(one: Any) -> dict[str, Any]:
    """What an event and its outcome tell alike."""
    return {name: value for name, value in asdict(one).items() if name not in ("index", "flags", "time")}


def test_a_running_system_is_told_by_the_council(tmp_path: Path) -> None:
    with gateway(tmp_path) as (address, keys, core), closing(Client(address, keys["local"])) as client:
        established(client)
        client.send(source(Role.EXCHANGE), [trade(1, quantity=5_000)])
        client.send(source(Role.ORACLE), oracle(START + HOUR, 7_900.0))
        quiet(core)
        done = CliRunner().invoke(app, ["stress", str(tmp_path), "--no-reverse", "--send", address])
        assert done.exit_code == 0, done.output
        assert f"sent: {address}" in done.output
        running = CliRunner().invoke(app, ["stress", str(tmp_path), "--no-reverse", "--record"])
        assert isinstance(running.exception, Refused), "the directory of a running system is not written beside it"
        with pytest.raises(GatewayRefused), closing(Client(address, keys["member"])) as other:
            other.send(source(Role.COUNCIL), reported(stress(situation(tmp_path), reverse=False, paces=PACES[:1])))
        quiet(core)
    ((report, *results),) = recorded(tmp_path)
    assert report.accounts == 2 and report.results == len(results)
    assert CliRunner().invoke(app, ["audit", str(tmp_path)]).exit_code == 0


def test_what_is_not_there_is_one_line(short: Path, tmp_path: Path) -> None:
    for arguments in (["nowhere", "--recorded"], [str(short), "--no-reverse", "--send", "http://127.0.0.1:9"]):
        done = CliRunner().invoke(app, ["stress", *arguments])
        assert isinstance(done.exception, Refused)
    assert recorded(short) == []

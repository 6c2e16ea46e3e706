"""A run under each waterfall: what its figures say every layer paid and has left, counted a second way, and told."""

import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from rich.console import Console

from insurance.policy import SHIPPED, shipped
from ledger.state import State
from schemas.kinds import PostingKind, Rung
from schemas.limits import MICRO
from schemas.outcomes import Posted, RungChanged
from schemas.strict import TomlError
from schemas.wire import Run, messages_of
from services.charts import dollars
from services.figures import dollars as asset_dollars
from services.figures import figures
from services.losses import Losses, Tally
from services.policies import PolicyUnknown, read_policy, under
from services.report import Audit, RunFigures, html, summary_table
from services.run import Variant, own_inputs, run

ROOT = Path(__file__).parents[2]
ACCOUNTS, STEPS, FUND, CAPITAL = 90, 200, 100, 20
"""with three times the leverage: more is owed than any layer alone can pay"""
OWN_CAPITAL = ACCOUNTS * CAPITAL // 2 * MICRO
CONTRIBUTED = ACCOUNTS * FUND * MICRO
POLICIES = ("", *SHIPPED)


class Counted(NamedTuple):
    """A run's figures, and the same run counted from its outcomes by another."""

    figures: RunFigures
    losses: Losses
    given: int
    """what accounts that failed, then or later, gave for others"""


@cache
def cleared(policy: str, shards: int = 1) -> Counted:
    tally = Tally()
    variant = under(shipped(policy), ACCOUNTS * FUND) if policy else Variant()
    gave: Counter[int] = Counter()
    failed: set[int] = set()

    def watch(runs: Sequence[Run], state: State) -> None:
        tally.hear(runs, state)
        for one in messages_of(runs):
            if isinstance(one, RungChanged) and one.after >= Rung.LIQUIDATING:
                failed.add(one.account)
            if isinstance(one, Posted) and one.kind in (PostingKind.ASSESSMENT, PostingKind.GAINS_HAIRCUT):
                gave[one.debit] += asset_dollars(state, one.asset, one.amount)

    variant = replace(variant, leverage=3.0, fund=FUND, capital=CAPITAL, watch=watch)
    with TemporaryDirectory() as room:
        ledger, ran = run(
            Path(room) / "run", own_inputs(), accounts=ACCOUNTS, seed=1, steps=STEPS, shards=shards, variant=variant
        )
        ledger.close()
        states = ledger.clearing.states
        told = figures(
            ran.gathered, states, ran.customers, title="a run", seed=1, entries=0, events=ran.events,
            audit=Audit(agreed=True, verdict=""), own_figures=True, policy=policy,
        )  # fmt: skip
        second = tally.losses(states, {one.account for one in ran.customers}, ())
        return Counted(told, second, sum(gave[one] for one in failed))


def paid(told: RunFigures) -> Mapping[str, int]:
    return {one.name: one.paid for one in told.losses.from_layers}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_paid_is_what_a_second_count_finds(policy: str) -> None:
    told, second, _ = cleared(policy)
    assert told.losses.paid == second.fund_paid + second.withheld > 0
    of_others = sum(paid(told).get(name, 0) for name in ("assessments", "haircuts of gains"))
    assert of_others == second.withheld
    # a leg's gift is rounded once for each side
    assert abs(told.losses.from_deleveraging - second.given_up) < 100
    assert (len([one for one in told.shortfalls if one.paid]), told.losses.torn_up > 0) == (
        second.deficits,
        policy == "ccp" and second.deleveraged > 0,
    )
    assert sum(one.paid for one in told.shortfalls) == told.losses.paid


@pytest.mark.parametrize("policy", POLICIES)
def test_losses_are_the_accounts_own_and_what_others_bore(policy: str) -> None:
    told, second, given = cleared(policy)
    assert (given > 0) == (policy == "ccp")
    assert told.losses.total == second.failed_lost - given
    assert told.losses.from_accounts > 0


@pytest.mark.parametrize(
    ("policy", "layers"),
    [
        ("", ["the fund"]),
        ("exchange", ["own capital", "the fund"]),
        (
            "ccp",
            [
                "what was laid out before",
                "the failing members' contributions",
                "own capital",
                "the default fund",
                "assessments",
                "haircuts of gains",
            ],
        ),
    ],
    ids=["none", "exchange", "ccp"],
)
def test_the_layers_are_the_policys_in_its_order(policy: str, layers: list[str]) -> None:
    told = cleared(policy).figures
    assert list(paid(told)) == layers
    assert all(amount > 0 for amount in paid(told).values())


@pytest.mark.parametrize(
    ("policy", "layer", "held", "payers"),
    [
        ("exchange", "own capital", OWN_CAPITAL, ["own capital"]),
        ("ccp", "own capital", OWN_CAPITAL, ["own capital"]),
        ("ccp", "the default fund", CONTRIBUTED, ["the default fund", "the failing members' contributions"]),
    ],
)
def test_what_is_left_is_what_was_there_less_what_was_paid(
    policy: str, layer: str, held: int, payers: list[str]
) -> None:
    told = cleared(policy).figures
    left = next(one.left for one in told.losses.from_layers if one.name == layer)
    assert left == held - sum(paid(told)[name] for name in payers)


def test_the_figures_of_losses_do_not_show_the_number_of_shards() -> None:
    one, four = cleared("ccp").figures, cleared("ccp", 4).figures
    assert four.losses == one.losses
    assert four.shortfalls == one.shortfalls


@pytest.mark.parametrize("policy", POLICIES)
def test_the_page_and_the_printed_table_tell_every_layer(policy: str) -> None:
    told = cleared(policy).figures
    written = io.StringIO()
    Console(file=written, width=150, no_color=True).print(summary_table(told))
    page = html(told)
    for one in told.losses.from_layers:
        left = f" ({dollars(one.left)} left)" if policy and one.left is not None else ""
        assert re.search(
            rf"paid by {re.escape(one.name)} +│ +{re.escape(dollars(one.paid) + left)} ", written.getvalue()
        )
        assert f"{dollars(one.paid)} from {escape(one.name)}" in page
    assert ('id="layers"' in page) == bool(policy)
    if policy:
        table = page[page.index('id="layers"') :]
        rows = re.findall(r"<tr><td>(.*?)</td>", table[: table.index("</table>")])
        assert len(rows) == len(told.losses.from_layers)


# --- which policy -----------------------------------------------------------------------------------------------------


def novate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "run", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_policy_is_a_shipped_one_or_a_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    text = (ROOT / "insurance" / "policies" / "exchange.toml").read_text()
    mine.write_text(text.replace('name = "exchange"', 'name = "mine"'))
    assert read_policy(str(mine)).name == "mine"
    assert read_policy("ccp") == shipped("ccp")
    mine.write_text("name = 3")
    with pytest.raises(TomlError):
        read_policy(str(mine))
    with pytest.raises(PolicyUnknown, match=r"nowhere is neither a policy \(exchange, ccp\) nor a file"):
        read_policy("nowhere")


def test_a_run_under_a_policy_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    terms = ("--accounts", 24, "--steps", 4, "--no-audit", "--json")
    none = novate("--out", out, "--policy", "nowhere", *terms)
    assert (none.returncode, none.stderr.count("\n"), out.exists()) == (2, 1, False)
    done = novate("--out", out, "--policy", "ccp", *terms)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["policy"] == "ccp"
    left = {one["name"]: one["left"] for one in told["losses"]["from_layers"]}
    assert left["the default fund"] == 24 * 900 * MICRO
    assert list(left) == [
        "the failing members' contributions",
        "own capital",
        "the default fund",
        "assessments",
        "haircuts of gains",
    ]

"""`novate stress`: the book of a run under shocks, its members and links, the command and its page."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from world import BTC, CALL_BTC, INV_BTC, MICRO, PERP_BTC, PERP_ETH, START, World

from insurance.shocks import Shock
from ledger.state import State, holdings
from liquidation.contagion import worth
from liquidation.impact import Impact
from risk.requirement import margin_accounts, scratch
from risk.tables import margins
from schemas import events as e
from schemas.kinds import LinkKind, Segregation
from schemas.limits import BASIS_POINTS
from services.cli import app, main
from services.replay import replayed
from services.stress import Assumed, NothingToStress, Situation, as_json, reprice_of, situation, situation_of, stress
from services.stress_page import html, summary, tables

DOWN = Shock("all -40 %", -0.4)
THIN = Assumed(turnover=0.05)
LONG, CLIENT, OTHER, FRIEND, MAKER = range(16, 21)


@pytest.fixture(scope="module")
def states(cleared: Path) -> list[State]:
    return replayed(cleared).states


@pytest.fixture(scope="module")
def run(states: list[State]) -> Situation:
    return situation_of(states)


def small(*links: tuple[LinkKind, int, int]) -> Situation:
    """Four leveraged longs, two of one member, against a rich maker; no fund but a few dollars."""
    world = World()
    members = {LONG: 1, CLIENT: 1, OTHER: 2, FRIEND: 3, MAKER: 4}
    world.send(
        *(
            e.AccountOpened(
                account=a, segregation=Segregation.INDIVIDUAL, liquidator=0, profile=3, member=member, owner=100 + a,
                time=START, name=f"A-{a}",
            )
            for a, member in members.items()
        )
    )  # fmt: skip
    for account, cash in ((LONG, 3_000), (CLIENT, 3_000), (OTHER, 3_500), (FRIEND, 3_000), (MAKER, 10_000_000)):
        world.deposit(account, cash * MICRO)
    for number, account in enumerate((LONG, CLIENT, OTHER, FRIEND)):
        world.trade(account, MAKER, PERP_BTC, 1_000 + number, 800_000)
    for kind, account, other in links:
        world.send(e.AccountLinked(link=kind, removed=0, account=account, other=other, time=START))
    world.mark()
    return situation_of(world.clearing.states)


def test_the_book_is_that_of_every_shard(states: list[State], run: Situation) -> None:
    assert len(states) == 2
    owned = sorted(
        int(a) for s in states for a in np.flatnonzero(s.accounts.owned & (s.accounts.status != 255)) if a >= 16
    )
    assert run.book.numbers.tolist() == owned
    held = run.book.holdings
    for row, account in enumerate(owned):
        state = next(s for s in states if s.owns(account))
        start, count = int(state.pool.start[account]), int(state.pool.count[account])
        rows = [p for p in range(start, start + count) if state.pool.quantity[p]]
        mine = slice(int(held.start[row]), int(held.start[row] + held.count[row]))
        assert held.instrument[mine].tolist() == state.pool.instrument[rows].tolist()
        assert held.quantity[mine].tolist() == state.pool.quantity[rows].tolist()


def test_nothing_moved_is_the_market_in_force(states: list[State], run: Situation) -> None:
    market, profiles = run.reprice(np.zeros(len(run.open_interest)), 0.0)
    assert (market.mark == states[0].market.mark).all()
    assert (market.asset_price == states[0].market.asset_price).all()
    assert (profiles.losses == states[0].profiles.losses).all()


def test_worth_is_the_folds_equity_without_haircuts(states: list[State], run: Situation) -> None:
    """On the shards' own tables, where funding is not settled yet."""
    expected = {}
    for state in states:
        mine = np.array([a for a in run.book.numbers.tolist() if state.owns(a)], np.int64)
        market = state.market._replace(haircut=np.zeros_like(state.market.haircut))
        profiles = state.profiles._replace(gain=np.full_like(state.profiles.gain, BASIS_POINTS))
        out = margins(len(state.accounts.status))
        memory = scratch(len(market.kind), state.most_orders + 100)
        margin_accounts(mine, holdings(state), market, profiles, memory, out)
        expected.update({a: int(out.equity[a]) / MICRO for a in mine.tolist()})
    told = worth(run.book, states[0].market)
    assert told.tolist() == pytest.approx([expected[a] for a in run.book.numbers.tolist()], abs=0.001)


@pytest.mark.parametrize("by", [0.0, -0.4, 0.5, -0.9])
def test_worth_is_the_kernels_equity_without_haircuts(run: Situation, by: float) -> None:
    market, profiles = run.reprice(np.full(len(run.open_interest), by), 0.0)
    market = market._replace(haircut=np.zeros_like(market.haircut))
    profiles = profiles._replace(gain=np.full_like(profiles.gain, BASIS_POINTS))
    size = len(run.book.numbers)
    out = margins(size)
    margin_accounts(np.arange(size), run.book.holdings, market, profiles, scratch(len(market.kind), 0), out)
    assert worth(run.book, market) == pytest.approx(out.equity[:size] / MICRO, abs=0.001)


def test_a_shock_reprices_as_the_pricer_would() -> None:
    world, shocked = World(), World()
    shocked.mark(btc=4800.0, eth=200.0)
    world.mark()
    market, profiles = reprice_of(world.state)(np.array([-0.4, 0.0]), 0.0)
    expected = shocked.state
    for instrument in (PERP_BTC, PERP_ETH, INV_BTC, CALL_BTC):
        assert market.mark[instrument] == expected.market.mark[instrument]
        assert market.notional[instrument] == expected.market.notional[instrument]
    assert market.asset_price[BTC] == expected.market.asset_price[BTC] == 4800 * MICRO
    assert (profiles.losses == expected.profiles.losses).all()


def test_volatility_alone_moves_options_alone() -> None:
    world = World()
    before, _ = reprice_of(world.state)(np.zeros(2), 0.0)
    after, _ = reprice_of(world.state)(np.zeros(2), 0.5)
    assert after.mark[CALL_BTC] > before.mark[CALL_BTC]
    assert after.mark[PERP_BTC] == before.mark[PERP_BTC]


def test_the_book_is_not_touched(states: list[State], run: Situation) -> None:
    market = [column.copy() for column in states[0].market]
    losses, quantity = states[0].profiles.losses.copy(), run.book.holdings.quantity.copy()
    stress(run, THIN, shocks=[DOWN], paces=[], reverse=False)
    assert all((a == b).all() for a, b in zip(market, states[0].market, strict=True))
    assert (losses == states[0].profiles.losses).all()
    assert (quantity == run.book.holdings.quantity).all()
    assert not states[0].facts.closed


def test_a_members_clients_and_affiliates_are_counted_with_it() -> None:
    alone = stress(small(), THIN, shocks=[DOWN], paces=[], reverse=False).worst
    owed = dict(zip(small().book.numbers.tolist(), alone.cascade.deficits.tolist(), strict=True))
    assert all(owed[account] > 0.0 for account in (LONG, CLIENT, OTHER, FRIEND))
    assert [group.name for group in alone.members.groups] == [1, 3, 2]
    assert alone.members.one == pytest.approx(owed[LONG] + owed[CLIENT])
    assert alone.members.two == pytest.approx(owed[LONG] + owed[CLIENT] + owed[FRIEND])
    tied = stress(
        small((LinkKind.AFFILIATE, OTHER, FRIEND), (LinkKind.OWNER, OTHER, LONG)), THIN, shocks=[DOWN], paces=[],
        reverse=False,
    ).worst  # fmt: skip
    assert tied.members.one == pytest.approx(max(owed[OTHER] + owed[FRIEND], owed[LONG] + owed[CLIENT]))
    assert tied.members.two == pytest.approx(sum(owed.values()))
    assert tied.owners.one == pytest.approx(owed[OTHER] + owed[LONG])


def test_a_clients_link_moves_its_account_to_the_member() -> None:
    told = stress(small((LinkKind.CLIENT, LONG, OTHER)), THIN, shocks=[DOWN], paces=[], reverse=False).worst
    assert [(group.name, group.accounts) for group in told.members.groups] == [(1, 3), (3, 1)]


def test_no_impact_no_contagion(run: Situation) -> None:
    told = stress(run, Assumed(impact=Impact(scale=0.0)), shocks=[DOWN], paces=[], reverse=False).worst.cascade
    assert told.sold > 0.0
    assert told.multiplier == pytest.approx(1.0)
    assert told.moves == pytest.approx(told.rounds[0].moves)


def test_conservation_on_the_runs_book(run: Situation) -> None:
    for shock in (DOWN, Shock("up", 0.3), Shock("volatility", 0.0, volatility=1.0)):
        told = stress(run, THIN, shocks=[shock], paces=[], reverse=False).worst.cascade
        assert told.gain + told.buyers - told.loss == pytest.approx(told.revalued, abs=0.01)


def test_reverse_stress_exhausts_and_a_little_less_does_not() -> None:
    of = small()
    told = stress(of, THIN, shocks=[DOWN], paces=[])
    found = {line.direction: line for line in told.reverse}
    size = found["all down"].size
    assert size is not None
    for part, exhausted in ((1.0, True), (0.99, False)):
        ran = stress(of, THIN, shocks=[Shock("x", size * part)], paces=[], reverse=False).worst
        assert (ran.borne.shortfall > 0.0) is exhausted
    assert found["ETH up"].size is None


def test_a_fund_of_coins_falls_with_them(run: Situation) -> None:
    told = stress(run, THIN, shocks=[DOWN], paces=[], reverse=False).worst
    coins = sum(amount for asset, amount in run.fund.items() if asset in run.moved_by)
    cash = sum(amount for asset, amount in run.fund.items() if asset not in run.moved_by)
    assert coins > 0.0
    assert cash < told.fund < cash + 0.7 * coins


def test_nothing_to_stress() -> None:
    with pytest.raises(NothingToStress, match="no market"):
        situation_of(World(ready=False).clearing.states)
    with pytest.raises(NothingToStress, match="no account"):
        situation_of(World().clearing.states)


def test_the_command_and_its_page(short: Path, tmp_path: Path) -> None:
    runner, page = CliRunner(), tmp_path / "stress.html"
    done = runner.invoke(app, ["stress", str(short), "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "all -40 %" in done.output
    assert "Cover-1" in done.output
    assert "tenth of volume" in done.output
    text = page.read_text("utf-8")
    assert all(word not in text for word in ("<script", 'src="http', 'href="http', "<link", "url(http"))
    told = stress(situation(short))
    assert text == html(told)
    assert summary(told)
    assert len(tables(told)) >= 4


def test_json_at_a_position(short: Path) -> None:
    last = situation(short).position
    done = CliRunner().invoke(
        app, ["stress", str(short), "--at", str(last - 5), "--json", "--no-reverse", "--rounds", "9"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["position"] == last - 5
    assert told["reverse"] == []
    assert not all(one["settled"] for one in told["pacing"])
    assert told["cover_2"] >= told["cover_1"] >= 0.0
    assert [one["shock"] for one in told["shocks"]][:3] == ["all -40 %", "all -30 %", "all -20 %"]
    assert told == as_json(stress(situation(short, last - 5), Assumed(rounds=9), reverse=False))


@pytest.mark.parametrize(
    ("arguments", "said"), [(["{short}", "--at", "9999999"], "position 9999999"), (["nowhere"], "is not there")]
)
def test_what_cannot_be_stressed_is_one_line(
    short: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [one.format(short=short) for one in arguments]
    monkeypatch.setattr("sys.argv", ["novate", "stress", *filled])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err

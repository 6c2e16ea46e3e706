"""`novate gap`: what liquidated legs got against the marks, counted by another fold of the journal; and the command."""

import json
from contextlib import closing
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from managed import Managed
from rich.console import Console
from typer.testing import CliRunner
from world import HOUR, PERP_BTC, PERP_ETH, USD

from ledger.journal.sqlite import SqliteJournal, SqliteReader
from ledger.state import State
from liquidation.gap import Liquidation
from schemas import events as e
from schemas.events import EVENTS
from schemas.jsonform import from_json
from schemas.kinds import LegKind, Parameter, Payoff, Rung
from schemas.limits import BASIS_POINTS
from schemas.outcomes import OUTCOMES, LegPosted, LiquidationDue, LiquidationGap, RungChanged
from schemas.wire import OutcomeHeader, decode, messages_of
from services.cli import app, main
from services.gap_page import html, proposed, summary, tables
from services.gaps import BINS, Asked, Gaps, Way, as_json, classes, counted, rows
from services.lockstep import JOURNAL, Clearing, Settings

DOLLAR = 1_000_000


@pytest.fixture(scope="module")
def told(cleared: Path) -> Gaps:
    return counted(cleared)


# --- a second way of counting -----------------------------------------------------------------------------------------


def worth(state: State, instrument: int, lots: int, price: int) -> Fraction:
    """Micro-dollars, without rounding, at a price in ticks."""
    listed = state.facts.instruments[instrument]
    asset = listed.settlement_asset
    dollars = Fraction(int(state.market.asset_price[asset]), int(state.market.asset_scale[asset]))
    if listed.payoff == Payoff.INVERSE:
        return Fraction(-listed.contract_value * lots, price) * dollars
    return lots * price * listed.tick_value * dollars


def slow(directory: Path) -> list[tuple[int, int, int, int, Fraction, Fraction, int | None]]:
    """(entry, account, instrument, lots, worth, lost, maintenance where the mark told it) from the legs as they were
    posted, with the journal folded as it is: in fractions, a leg at a time."""
    clearing = Clearing(Settings.read(directory))
    failing: set[int] = set()
    due: dict[int, int] = {}
    found = []
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        for offset, data in reader.read(0, reader.end()):
            for part, outcomes in clearing.take(offset, data):
                state = clearing.states[part.shard]
                for one in messages_of(decode(outcomes, OutcomeHeader, OUTCOMES).runs):
                    assert not isinstance(one, LiquidationGap)  # the run itself does not tell it
                    if isinstance(one, RungChanged):
                        (failing.add if one.after >= Rung.LIQUIDATING else failing.discard)(one.account)
                    elif isinstance(one, LiquidationDue):
                        due[one.account] = one.maintenance
                    elif isinstance(one, LegPosted):
                        before = due.pop(one.account, None)
                        if one.kind in (LegKind.LIQUIDATION, LegKind.BACKSTOP) and one.account in failing:
                            mark = int(state.market.mark[one.instrument])
                            value = worth(state, one.instrument, one.quantity, mark)
                            lost = worth(state, one.instrument, one.quantity, one.price) - value
                            found.append((part.n, one.account, one.instrument, one.quantity, abs(value), lost, before))
    return found


def test_the_legs_are_those_that_another_count_finds(cleared: Path, told: Gaps) -> None:
    second = slow(cleared)
    assert len(second) == len(told.sales) > 10
    for sale, (n, account, instrument, lots, value, lost, maintenance) in zip(told.sales, second, strict=True):
        one = sale.told
        assert (sale.entry, one.account, one.instrument, one.quantity) == (n, account, instrument, lots)
        # coins are whole smallest units, a hundred micro-dollars at ten thousand dollars
        assert abs(one.worth - value) <= 150 and abs(one.lost - lost) <= 150
        if maintenance is not None:  # nothing of it was traded since the mark
            assert one.maintenance == maintenance
    assert sum(one[-1] is not None for one in second) > 10


def test_groups_and_liquidations_are_sums_of_the_legs(cleared: Path, told: Gaps) -> None:
    second = slow(cleared)
    state = Clearing(Settings.read(cleared)).states[0]
    assert state.facts.instruments == {}
    whole, *parts = rows(told.sales)
    value, lost = sum(one[4] for one in second), sum(one[5] for one in second)
    assert whole.legs == len(second)
    assert abs(whole.worth - value) < 150 * len(second) and abs(whole.lost - lost) < 150 * len(second)
    assert whole.mean == -(-whole.lost * BASIS_POINTS // whole.worth)
    gaps = sorted(-(-(one.told.lost * BASIS_POINTS) // one.told.worth) for one in told.sales)
    assert whole.worst == gaps[-1]
    for level, found in zip((0.5, 0.9, 0.99), whole.quantiles, strict=True):
        assert sum(gap <= found for gap in gaps) >= level * len(gaps) > sum(gap < found for gap in gaps)
    kinds = [row for row in parts if not row.group.startswith("by ")]
    ways = [row for row in parts if row.group.startswith("by ")]
    for groups in (kinds, ways):
        assert [sum(getattr(row, name) for row in groups) for name in ("legs", "worth", "lost")] == list(whole[1:4])
    assert {"BTC perp", "ETH perp", "BTC spot"} <= {row.group for row in kinds}
    assert sum(one.legs for one in told.liquidations) == whole.legs
    assert sum(one.lost for one in told.liquidations) == whole.lost
    assert {one.account for one in told.liquidations} == {one[1] for one in second}


def test_up_to_an_entry_is_the_beginning_of_the_whole(cleared: Path, told: Gaps) -> None:
    middle = told.sales[len(told.sales) // 2].entry
    part = counted(cleared, middle)
    assert part.position == middle
    assert part.sales == tuple(one for one in told.sales if one.entry <= middle)


# --- how it was sold --------------------------------------------------------------------------------------------------


def sold(shards: int, *, tell: int, backstops: bool) -> Managed:
    """Account 16's two longs: on offer to sealed bids, which come where no backstop is there; then again leg by leg."""
    w = Managed(shards)
    w.open(16, 17, 18, 25)
    w.open(19, 20, liquidator=1)
    for account in (17, 18, 19, 20):
        w.deposit(account, 50_000 * DOLLAR)
    w.deposit(16, 1_500 * DOLLAR)
    w.deposit(25, 900 * DOLLAR)
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=100_000 * DOLLAR))
    rules = {Parameter.PORTFOLIO_AUCTION_MARKS: 2, Parameter.PORTFOLIO_RESERVE: 500, Parameter.GAP_TOLD: tell}
    w.send(
        *(
            e.ParameterChanged(parameter=name, scope=0, time=w.time, effective=w.time + HOUR, value=value)
            for name, value in rules.items()
        )
    )
    w.trade(16, 17, PERP_BTC, 900, 800_000)
    w.trade(16, 18, PERP_ETH, 300, 20_000)
    w.trade(25, 17, PERP_BTC, 500, 800_000)
    if backstops:
        w.send(e.BackstopCommitted(account=19, time=w.time, capacity=40_000 * DOLLAR))
    w.mark(after=HOUR)
    w.answer()
    w.mark(btc=6_300, eth=160)
    w.answer()
    if not backstops:
        (number,) = w.state.facts.portfolios
        w.send(e.PortfolioBid(bidder=19, auction=number, bid=1, time=w.time, discount=300))
    for _ in range(3):
        for number, running in sorted(
            (number, one) for state in w.clearing.states for number, one in state.auctions.items()
        ):
            w.send(
                e.Bid(
                    instrument=running.instrument, bidder=20, auction=number, bid=number, time=w.time,
                    quantity=-running.remaining, price=700_000,
                )
            )  # fmt: skip
        w.answer()
        w.mark()
        w.answer()
    return w


def kept(world: Managed, directory: Path) -> Path:
    """The world's journal as a run's directory."""
    directory.mkdir()
    world.clearing.settings.settle(directory)
    with closing(SqliteJournal(directory / JOURNAL)) as journal:
        for entry in world.entries:
            journal.append(entry)
    return directory


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("backstops", [False, True])
def test_it_is_what_the_fold_tells_whether_the_run_told_it_or_not(shards: int, backstops: bool, tmp_path: Path) -> None:
    found = {}
    for tell in (0, 1):
        world = sold(shards, tell=tell, backstops=backstops)
        said = [one for one in world.said if isinstance(one, LiquidationGap)]
        found[tell] = counted(kept(world, tmp_path / str(tell)))
        assert bool(said) is bool(tell)
        if tell:
            assert [one.told for one in found[tell].sales] == said
    assert found[0].sales == found[1].sales
    ways = {(one.told.account, one.way) for one in found[0].sales}
    assert ways == {(16, Way.BACKSTOP if backstops else Way.PORTFOLIO), (25, Way.AUCTION)}
    assert {one.told.lost * 100 // one.told.worth for one in found[0].sales if one.way == Way.PORTFOLIO} <= {3}
    assert {one.way: (one.underlying, one.kind) for one in found[0].sales}[Way.AUCTION] == ("BTC", "perp")


# --- classes and the proposal -----------------------------------------------------------------------------------------


def one(lost: int, worth: int = 10_000, maintenance: int = 1_000) -> Liquidation:
    return Liquidation(16, 1, 1, worth, lost, maintenance, 1)


@pytest.mark.parametrize(
    ("lost", "name"),
    [(-1, "a gain"), (0, "0 to 25"), (25, "0 to 25"), (26, "25 to 50"), (500, "300 to 500"), (501, "above 500")],
)
def test_a_gap_lies_in_one_class(lost: int, name: str) -> None:
    assert [(found, count) for found, count, _ in classes([one(lost)]) if count] == [(name, 1)]


@given(st.lists(st.integers(-20_000, 20_000)))
def test_every_liquidation_is_in_a_class(lost: list[int]) -> None:
    found = classes([one(each) for each in lost])
    assert len(found) == len(BINS) + 1
    assert sum(count for _, count, _ in found) == len(lost)
    assert sum(amount for *_, amount in found) == sum(lost)


@pytest.mark.parametrize(("level", "last", "most"), [(9_900, 1_000, 5_000), (5_000, 1_000, 5_000), (9_900, 3, 120)])
def test_the_buffer_proposed_covers_that_part(cleared: Path, told: Gaps, level: int, last: int, most: int) -> None:
    again = counted(cleared, asked=Asked(level, last, most))
    shares = [one.share for one in told.liquidations[-last:]]
    value = again.proposed.value
    assert value <= most
    if value < most:
        assert sum(share <= value for share in shares) * BASIS_POINTS >= level * len(shares)
        assert value in shares
    assert again.proposed.effective > again.time


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_and_its_page(cleared: Path, told: Gaps, tmp_path: Path) -> None:
    page = tmp_path / "gap.html"
    done = CliRunner().invoke(app, ["gap", str(cleared), "--html", str(page)])
    assert done.exit_code == 0, done.output
    for word in ("BTC perp", "by auction", "█", "The largest gaps", "BUFFER_GAP"):
        assert word in done.output
    text = page.read_text("utf-8")
    assert text == html(told)
    assert all(word not in text for word in ("<script", 'src="http', 'href="http', "<link", "url(http"))
    assert 'id="classes"' in text and 'id="marks"' in text and told.names[told.worst[0].account] in text
    assert len(tables(told)) == 3 and str(told.worst[0].account) in summary(told)


def test_eighty_columns_hold_the_tables(told: Gaps) -> None:
    printed = Console(width=80, file=StringIO())
    for table in tables(told):
        printed.print(table)
    assert "\u2026" not in printed.file.getvalue()  # type: ignore[attr-defined]


def test_json_has_all_of_it(cleared: Path, told: Gaps) -> None:
    done = CliRunner().invoke(app, ["gap", str(cleared), "--json", "--level", "0.9", "--last", "7"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert found == as_json(counted(cleared, asked=Asked(9_000, 7)))
    assert found["proposal"]["of"] == 7
    change = from_json(EVENTS, found["proposal"]["event"])
    assert (change.parameter, change.scope) == (Parameter.BUFFER_GAP, 0)
    assert sum(mark["lost"] for mark in found["marks"]) == sum(one.lost for one in told.liquidations)


def test_the_proposal_is_one_that_the_fold_takes(tmp_path: Path) -> None:
    world = sold(1, tell=0, backstops=True)
    change = counted(kept(world, tmp_path / "run")).proposed
    assert change.value > 0
    world.send(change)
    world.mark(after=change.effective - world.time)
    assert world.state.parameter(Parameter.BUFFER_GAP) == change.value


def test_where_nothing_was_sold_it_says_so(tmp_path: Path) -> None:
    world = Managed()
    world.open(16)
    world.mark()
    told = counted(kept(world, tmp_path / "run"))
    assert "no gap" in summary(told) and "BUFFER_GAP 0 bp" in proposed(told)
    assert told.proposed.value == 0 and not tables(told)
    assert "<svg" not in html(told)


@pytest.mark.parametrize(
    ("arguments", "said"), [(["{short}", "--to", "9999999"], "position 9999999"), (["nowhere"], "is not there")]
)
def test_what_cannot_be_counted_is_one_line(
    short: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [one.format(short=short) for one in arguments]
    monkeypatch.setattr("sys.argv", ["novate", "gap", *filled])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err

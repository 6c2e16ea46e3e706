"""Real crashes: how their bars are read, what forced sales cost, what the baseline does, and the figures told again."""

import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ledger.journal.sqlite import SqliteReader
from ledger.state import State
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import LegKind, Payoff, Rung
from schemas.limits import MICRO
from schemas.outcomes import OUTCOMES, DeficitCovered, DeficitFound, HouseBalance, LegPosted, MarkDone, RungChanged
from schemas.units import format_time, parse_time
from schemas.wire import OutcomeHeader, decode, message_of
from services import cli_crashes, crashes, markets
from services.auditor import audit
from services.crashes import CONDITIONS, CRASHES, WAYS, Cleared, Crash, NoCrashData, clear, inputs_of
from services.exchange import HOUR
from services.lockstep import JOURNAL, Clearing, Settings
from services.losses import Losses
from services.pressure import Pressure
from services.run import Inputs, Variant, own_inputs, run, shipped_profiles, stretched, venue_of
from services.terminal import Refused

FOLDER = Path(__file__).parents[3] / "shared" / "data"
ACCOUNTS = 90
HOURS = 9
"""of each crash in the small runs"""
WORST = {
    "march_2020": "2020-03-12T08:00:00Z",
    "may_2021": "2021-05-19T07:00:00Z",
    "luna_2022": "2022-05-11T23:00:00Z",
    "ftx_2022": "2022-11-08T15:00:00Z",
    "svb_2023": "2023-03-11T02:00:00Z",
}
"""where the small runs begin"""


def data() -> Path:
    if not (FOLDER / crashes.FUNDING).exists():
        pytest.skip("the crashes' histories are not beside the project (../shared/data)")
    return FOLDER


# --- reading ----------------------------------------------------------------------------------------------------------


def written(path: Path, *lines: str) -> None:
    with gzip.open(path, "wt", encoding="ascii") as file:
        file.write("ts,open,high,low,close,volume\n" + "".join(f"{line}\n" for line in lines))


def test_a_folder_that_is_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(NoCrashData) as told:
        inputs_of(CRASHES["may_2021"], tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(told.value) and "\n" not in str(told.value)


def test_an_hour_comes_from_the_fine_file_where_that_has_it_whole(tmp_path: Path) -> None:
    fine = [
        f"2020-01-01T{hour:02}:{minute:02}:00Z,10,{11 + minute // 30},9,10.5,1" for hour in (0, 1) for minute in (0, 30)
    ]
    written(tmp_path / "fine.csv.gz", *fine[:3])
    written(tmp_path / "hourly.csv.gz", *(f"2020-01-01T{hour:02}:00:00Z,20,22,19,21,1" for hour in (0, 1, 3)))
    window = Crash("x", "x", "2020-01-01T00:00:00Z", "2020-01-01T04:00:00Z", {"BTC": ["fine.csv.gz", "hourly.csv.gz"]})
    with gzip.open(tmp_path / crashes.FUNDING, "wt") as file:
        file.write("ts,venue,symbol,rate\n2020-01-01T00:00:00Z,binance,BTCUSDT,0.0001\n")
    told = inputs_of(window, tmp_path)
    dollars = [tuple(price // MICRO for price in (b.open, b.high, b.low, b.close)) for b in told.bars]
    # the second hour is not whole in the fine file, the third is in none: the close stands still
    assert dollars == [(10, 12, 9, 10), (20, 22, 19, 21), (21, 21, 21, 21), (20, 22, 19, 21)]
    assert [(row.symbol, row.rate) for row in told.funding] == [("BTC", 100_000)]


@pytest.mark.parametrize(
    ("low", "high", "read_low", "read_high"),
    [(1, 12, 9, 12), (5, 20, 5, 20), (4, 20, 9, 20), (9, 21, 9, 10)],
    ids=["a print far below", "as far as is believed", "a little further", "a print far above"],
)
def test_a_print_too_far_from_opening_and_close_is_not_read(low: int, high: int, read_low: int, read_high: int) -> None:
    row = crashes._Row(0, 9, high, low, 10)
    told = crashes.unwicked(row)
    assert (told.low, told.high) == (read_low, read_high)


@pytest.mark.parametrize(("close", "stops"), [(20, (10, 40, 8, 20)), (9, (10, 40, 8, 9))], ids=["up", "down"])
def test_an_hour_is_cut_into_bars_that_go_where_it_went(close: int, stops: tuple[int, ...]) -> None:
    rising = close > stops[0]
    bars = crashes.cut(crashes._Row(HOUR, 10_000, 40_000, 8_000, close * 1_000), HOUR, 12)
    assert [one.time for one in bars] == [HOUR + part * HOUR // 12 for part in range(12)]
    assert (bars[0].open, bars[-1].close) == (10_000, close * 1_000)
    assert (min(one.low for one in bars), max(one.high for one in bars)) == (8_000, 40_000)
    # the low comes first where it rises, as a bar is walked
    lowest = min(range(12), key=lambda at: bars[at].low)
    highest = max(range(12), key=lambda at: bars[at].high)
    assert (lowest < highest) == rising
    assert all(one.open == before.close for before, one in pairwise(bars))


def test_usdc_costs_what_its_bars_say() -> None:
    own = own_inputs()
    bars = [one for one in own.bars if one.symbol == "BTC"]
    dollar = [one.model_copy(update=dict.fromkeys(("open", "high", "low", "close"), MICRO)) for one in bars]
    low = [one.model_copy(update={"low": 880_000}) for one in dollar]
    venue = venue_of(own)
    usdc = venue.asset["USDC"].asset
    told = markets.path(own.bars, venue, low)
    prices = [markets.asset_prices(told, venue, step)[usdc] for step in range(4)]
    assert prices == [MICRO, 880_000, MICRO, MICRO]
    bare = markets.path(own.bars, venue)
    assert {markets.asset_prices(bare, venue, step)[usdc] for step in range(8)} == {MICRO}
    with pytest.raises(markets.PricesUnusableError):
        markets.path(own.bars, venue, low[1:])


def test_a_stretched_profile_has_its_scan_ranges_divided() -> None:
    text = shipped_profiles()[1]
    assert stretched(text, 1.0) == text
    assert 'price_scan = "0.0500"' in stretched(text, 3.0) and 'price_scan = "0.1000"' in stretched(text, 3.0)


# --- small runs -------------------------------------------------------------------------------------------------------


def small(name: str, width: int = HOUR) -> tuple[Crash, Inputs]:
    first = parse_time(WORST[name])
    crash = replace(CRASHES[name], first=WORST[name], last=format_time(first + HOURS * HOUR)[:19] + "Z")
    return crash, inputs_of(crash, data(), width)


@cache
def ran(name: str, way: str) -> tuple[Cleared, dict[str, Any], str]:
    """A small stressed run: what it told, the same told again from the journal, the audit's verdict."""
    crash, inputs = small(name)
    with TemporaryDirectory() as room:
        directory = Path(room) / "run"
        told = clear(crash, inputs, WAYS[way], CONDITIONS["stressed"], directory, accounts=ACCOUNTS, audited=False)
        second = slow(directory)
        return told, second, audit(directory).line()


def refolded(directory: Path) -> Iterator[tuple[State, list[Any]]]:
    """Each entry folded again: the state after it, and all that was said of it."""
    clearing = Clearing(Settings.read(directory))
    reader = SqliteReader(directory / JOURNAL)
    try:
        for offset, entry in reader.read(0, reader.end()):
            said = [
                message_of(run.message, row)
                for _, outcomes in clearing.take(offset, entry)
                for run in decode(outcomes, OutcomeHeader, OUTCOMES).runs
                for row in run.rows
            ]
            yield clearing.states[0], said
    finally:
        reader.close()


def exact(state: State, instrument: int, price: int) -> Fraction:
    """A lot's value at a price in micro-dollars, without rounding."""
    listed = state.facts.instruments[instrument]
    if listed.payoff == Payoff.INVERSE:
        asset = state.facts.assets[listed.settlement_asset]
        coins = Fraction(-listed.contract_value, price) / 10**asset.decimals
        return coins * int(state.market.asset_price[listed.settlement_asset])
    return Fraction(price * listed.tick_value)


def slow(directory: Path) -> dict[str, Any]:
    """The figures a second time: in fractions, from lists of everything, one entry after the other."""
    failing: set[int] = set()
    called: set[int] = set()
    liquidated: set[int] = set()
    sums: Counter[str] = Counter()
    gaps: list[Fraction] = []
    deficits: set[int] = set()
    others: set[int] = set()
    owed: dict[tuple[int, int], Fraction] = {}
    conserved = []
    for state, said in refolded(directory):
        if any(isinstance(one, MarkDone) for one in said):
            owed = {}
            sums["fund"] = 0
            whole = defaultdict(int)
            for row in state.balance:
                for asset, amount in enumerate(row.tolist()):
                    whole[asset] += amount
            conserved.append(not any(whole.values()))
        unit = [
            Fraction(int(price), int(scale))
            for price, scale in zip(state.market.asset_price, state.market.asset_scale, strict=True)
            if scale
        ]
        for one in said:
            if isinstance(one, RungChanged):
                called |= {one.account} if one.after >= Rung.CALLED else set()
                liquidated |= {one.account} if one.after >= Rung.LIQUIDATING else set()
                failing = failing | {one.account} if one.after >= Rung.LIQUIDATING else failing - {one.account}
            elif isinstance(one, DeficitFound):
                deficits.add(one.account)
                owed[one.account, one.asset] = one.amount * unit[one.asset]
            elif isinstance(one, DeficitCovered):
                owed[one.account, one.asset] = one.remaining * unit[one.asset]
                sums["paid"] += one.amount * unit[one.asset]
            elif isinstance(one, HouseBalance) and one.account in (House.FUND, House.OWN_CAPITAL):
                sums["fund"] += one.balance * unit[one.asset]
            elif isinstance(one, LegPosted) and one.kind >= LegKind.LIQUIDATION and one.account >= FIRST_ACCOUNT:
                at_mark = exact(state, one.instrument, int(state.market.mark[one.instrument]))
                lost = one.quantity * (exact(state, one.instrument, one.price) - at_mark)
                value = abs(one.quantity * at_mark)
                if one.kind == LegKind.LIQUIDATION and one.account in failing:
                    sums["sales"] += 1
                    sums["notional"] += value
                    sums["discount"] += lost
                    gaps.append(lost / value)
                elif one.kind == LegKind.DELEVERAGING and one.account in failing:
                    sums["deleveraged"] += value
                    sums["taken"] += max(0, lost)
                elif one.kind == LegKind.DELEVERAGING:
                    others.add(one.account)
                    sums["given_up"] += max(0, lost)
    return {
        **sums,
        "called": len(called),
        "liquidated": len(liquidated),
        "deficits": len(deficits),
        "counterparties": len(others),
        "unpaid": sum(owed.values()),
        "worst": max(gaps, default=0),
        "conserved": all(conserved) and bool(conserved),
    }


@pytest.mark.data
@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_cleared_and_audited_and_its_figures_are_told_again(name: str) -> None:
    told, second, verdict = ran(name, "exchange")
    found = told.losses
    assert verdict.startswith("agrees: ")
    assert second["conserved"]
    assert found.liquidated > 0 and found.notional > 0
    for count in ("called", "liquidated", "deficits", "counterparties"):
        assert getattr(found, count) == second[count], count
    assert found.sales == second.get("sales", 0)
    near = {
        "notional": found.notional,
        "discount": found.discount,
        "deleveraged": found.deleveraged,
        "given_up": found.given_up,
        "taken": found.taken,
        "paid": found.fund_paid,
        "unpaid": found.unpaid,
        "fund": found.fund_left,
    }
    for key, amount in near.items():
        # whole micro-dollars a leg, and whole smallest units of a coin: some cents over a run
        assert abs(second.get(key, 0) - amount) <= MICRO, key
    assert found.worst_gap == pytest.approx(float(second["worst"]) * 10_000, rel=1e-3)
    assert found.mean_gap == pytest.approx(float(second["discount"] / second["notional"]) * 10_000, rel=1e-6)


@pytest.mark.data
def test_the_stress_bites() -> None:
    """In some crash the funds pay, in some deleveraging happens, and somewhere its counterparties give something up."""
    found = [ran(name, "exchange")[0].losses for name in CRASHES]
    assert any(one.fund_paid for one in found)
    assert any(one.deleveraged and one.counterparties for one in found)
    assert any(one.given_up for one in found)


@pytest.mark.data
def test_every_way_begins_with_the_same_customers_and_prices() -> None:
    mine, _, _ = ran("march_2020", "exchange")
    theirs, _, _ = ran("march_2020", "baseline-1%")
    assert mine.times == theirs.times and mine.prices == theirs.prices
    assert mine.fund[1] == theirs.fund[1]


@pytest.mark.data
@pytest.mark.parametrize("name", CRASHES)
def test_liquidation_costs_accounts_less_than_selling_everything_at_once(name: str) -> None:
    mine, _, _ = ran(name, "exchange")
    theirs, _, verdict = ran(name, "baseline-1%")
    assert verdict.startswith("agrees: ")
    assert mine.losses.cost < theirs.losses.cost
    assert mine.losses.notional + mine.losses.deleveraged < theirs.losses.notional


@pytest.mark.data
@pytest.mark.parametrize("name", CRASHES)
def test_call_auctions_cost_all_together_less_than_selling_everything_at_once_at_1_percent(
    name: str, tmp_path: Path
) -> None:
    crash, inputs = small(name, HOUR // 4)
    mine, theirs = (
        clear(crash, inputs, WAYS[way], CONDITIONS["default"], tmp_path / way, accounts=ACCOUNTS, audited=False).losses
        for way in ("calls", "baseline-1%")
    )
    if name == "svb_2023":  # at these hours nobody fails under this condition
        assert theirs.cost == mine.cost == 0
        return
    assert mine.cost + mine.others < theirs.cost + theirs.others


@pytest.mark.data
def test_usdc_falls_in_march_2023_and_only_one_print_is_not_believed() -> None:
    crash = CRASHES["svb_2023"]
    told = inputs_of(crash, data())
    assert min(bar.low for bar in told.stable) < 900_000
    wild = [
        (name, symbol, row.time)
        for name, one in CRASHES.items()
        for symbol, files in one.files.items()
        for row in crashes._series(data(), files, one).values()
        if crashes.unwicked(row) != row
    ]
    assert wild == [("march_2020", "LINK", parse_time("2020-03-12T10:00:00Z"))]


# --- what is printed --------------------------------------------------------------------------------------------------


def cleared(way: str, discount: int, paid: int) -> Cleared:
    nothing = dict.fromkeys((one.name for one in fields(Losses)), 0)
    losses = Losses(**nothing | {"discount": discount * MICRO, "fund_paid": paid * MICRO})
    return Cleared("may_2021", way, "stressed", losses, (), {}, (), ())


def test_a_policy_is_told_against_each_baseline() -> None:
    done = [cleared("exchange", 60_000, 30_000), cleared("baseline-1%", 80_000, 20_000)]
    assert cli_crashes.compared(done) == [
        "may_2021 stressed: exchange against baseline-1%: accounts 60 k against 80 k, 25 % less;"
        " fund and others 30 k against 20 k, 50 % more; together 90 k against 100 k, 10 % less"
    ]
    assert cli_crashes.compared([cleared("exchange", 1_000, 0), cleared("baseline-5%", 0, 0)]) == [
        "may_2021 stressed: exchange against baseline-5%: accounts 1 k against none; fund and others 0 k against none;"
        " together 1 k against none"
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--only", "tulips_1637"], "'tulips_1637' is none of march_2020"),
        (["--policy", "prayer"], "'prayer' is none of exchange"),
        (["--condition", "mild"], "'mild' is none of default, stressed"),
        (["--data", "nowhere"], "looked for in"),
        (["--bars", "7"], "7 minutes do not divide an hour"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(asked: list[str], said: str) -> None:
    done = CliRunner().invoke(cli_crashes.app, ["crashes", *asked])
    assert isinstance(done.exception, Refused)
    assert said in str(done.exception) and "\n" not in str(done.exception)


@pytest.mark.data
def test_the_command_prints_a_line_a_policy() -> None:
    asked = ["--only", "svb_2023", "--policy", "peg", "--condition", "stressed", "--accounts", "30", "--steps", "3"]
    done = CliRunner().invoke(cli_crashes.app, ["crashes", "--data", str(data()), *asked])
    assert done.exit_code == 0, done.exception
    assert done.output.count("│peg ") == 2 and "1 directories replayed from their journals: all agree" in done.output


# --- the law ----------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_the_more_is_sold_at_once_the_less_it_brings() -> None:
    _, inputs = small("march_2020")
    track = markets.path(inputs.bars, venue_of(inputs), inputs.stable)
    pressure = Pressure(track)
    seen: list[State] = []
    with TemporaryDirectory() as room:

        def watch(runs: Any, state: State) -> None:
            pressure.hear(runs, state)
            seen[:] = [state]

        ledger, _ = run(
            Path(room) / "run", inputs, accounts=30, seed=1, steps=3, variant=Variant(watch=watch, leverage=3.0)
        )
        ledger.close()
    state = seen[0]
    perp = next(number for number, one in state.facts.instruments.items() if one.symbol == "BTC-PERP")
    mark = int(state.market.mark[perp])
    sales = [pressure.resale(state, perp, -lots) for lots in (1, 100, 10_000)]
    assert mark >= sales[0] > sales[1] > sales[2] > 0
    assert pressure.resale(state, perp, 10_000) > mark
    # a hundred times as much moves the price ten times as far; what was sold before comes on top
    far, near = mark - sales[2], mark - sales[1]
    assert far / near == pytest.approx(10.0, rel=0.05)
    weighed = pressure.resale(state, perp, -100, np.array([-1e6, 0.0, 0.0]))
    assert weighed < sales[1]

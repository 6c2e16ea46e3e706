"""The page of crashes: what it draws and tells are the runs' figures, and a real browser shows it, wide and narrow."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import chromium
import pytest
from chromium import Tab
from matplotlib.figure import Figure
from typer.testing import CliRunner

from schemas.limits import MICRO
from schemas.units import parse_time
from services import charts, cli_crashes, crashes, crashes_charts
from services.crashes import CONDITIONS, CRASHES, WAYS, Cleared, clear, inputs_of
from services.crashes_page import html
from services.exchange import HOUR
from services.losses import Losses
from services.terminal import Refused

FOLDER = Path(__file__).parents[3] / "shared" / "data"
START = parse_time("2022-11-08T06:00:00Z")
MARKS = 24
FIGURES = ("prices", "cost", "against", "funds")
MADE = "60 accounts, seed 1"


def lost(**thousands: int) -> Losses:
    """Losses of so many thousands of dollars; what is not named is nothing."""
    nothing = dict.fromkeys((one.name for one in fields(Losses)), 0)
    return Losses(**nothing | {name: amount * 1_000 * MICRO for name, amount in thousands.items()})


def cleared(way: str, losses: Losses, crash: str = "ftx_2022", condition: str = "stressed", sold: int = 0) -> Cleared:
    """A run of six hours; `sold` thousands of dollars closed by force at the second mark of each hour."""
    falling = [100 * MICRO - k * MICRO for k in range(MARKS)]
    return Cleared(
        crash,
        way,
        condition,
        losses,
        [START + k * HOUR // 4 for k in range(MARKS)],
        {"BTC": falling, "ETH": [2 * one for one in reversed(falling)]},
        [sold * 1_000 * MICRO if k % 4 == 1 else 0 for k in range(MARKS)],
        [900 * MICRO] * MARKS,
        77,
        cover=[(1_000 - k) * MICRO for k in range(MARKS)],
    )


EXCHANGE = cleared("exchange", lost(discount=20, fees=5, taken=10, fund_paid=4, given_up=20, unpaid=1), sold=7)
IMPACT = cleared("impact", lost(discount=30, withheld=2, fund_paid=3), sold=11)
ONE = cleared("baseline-1%", lost(discount=40, unpaid=10), sold=90)
FIVE = cleared("baseline-5%", lost(discount=150, fund_paid=6, unpaid=44), sold=95)
CASE = [ONE, EXCHANGE, FIVE, IMPACT]
PAGE = html(CASE, MADE)


def cells(text: str, label: str) -> list[list[str]]:
    """Rows of the table whose box is read aloud so, the heading first."""
    box = text[text.index(f'aria-label="{label}"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", box[: box.index("</table>")], re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_every_figure_of_a_run_is_in_the_table() -> None:
    losses = Losses(
        called=11, liquidated=12, sales=1_300, notional=14_000 * MICRO, discount=15_000 * MICRO, mean_gap=161.4,
        worst_gap=1_700.6, fees=18_000 * MICRO, deficits=19, fund_paid=20_000 * MICRO, withheld=21_000 * MICRO,
        fund_before=22_000 * MICRO, fund_left=23_000 * MICRO, unpaid=24_000 * MICRO, deleveraged=25_000 * MICRO,
        counterparties=26, given_up=27_000 * MICRO, taken=28_000 * MICRO, failed_lost=29_000 * MICRO,
        liquidators_gained=-30_000 * MICRO,
    )  # fmt: skip
    text = html([replace(cleared("prompt", losses), verdict="agrees: 77 entries")], MADE)
    heading, row = cells(text, "FTX, November 2022, stressed: all figures")
    assert dict(zip(heading, row, strict=True)) == {
        "policy": "prompt", "called": "11", "liquidated": "12", "sales": "1,300", "sold": "$14k", "gap": "$15k",
        "mean bp": "161", "worst bp": "1,701", "fees": "$18k", "lost to ADL": "$28k", "deficits": "19",
        "funds paid": "$20k", "funds before": "$22k", "funds left": "$23k", "withheld": "$21k", "unpaid": "$24k",
        "ADL": "$25k", "of": "26", "gave up": "$27k", "failed lost": "$29k", "buyers": "−$30k",
        "accounts": "$61k", "others": "$92k", "together": "$153k", "entries": "77", "audit": "agrees: 77 entries",
    }  # fmt: skip
    assert len(row) == len(fields(Losses)) + 6


def test_costs_are_told_by_part_the_cheapest_first_and_baselines_apart() -> None:
    assert cells(PAGE, "FTX, November 2022, stressed: What liquidation cost, and whom, figures") == [
        ["policy", "gap", "fees", "lost to ADL", "funds paid", "withheld", "gave up", "unpaid", "together"],
        ["impact", "$30k", "$0", "$0", "$3k", "$2k", "$0", "$0", "$35k"],
        ["exchange", "$20k", "$5k", "$10k", "$4k", "$0", "$20k", "$1k", "$60k"],
        ["baseline-1%", "$40k", "$0", "$0", "$0", "$0", "$0", "$10k", "$50k"],
        ["baseline-5%", "$150k", "$0", "$0", "$6k", "$0", "$0", "$44k", "$200k"],
    ]


def test_each_policy_is_told_against_each_baseline() -> None:
    columns = [f"{what}, baseline-{fee}%" for fee in (1, 5) for what in ("accounts", "others", "together")]
    assert cells(PAGE, "FTX, November 2022, stressed: Against the baselines, figures") == [
        ["policy", *columns],
        ["exchange", "−12 %", "+150 %", "+20 %", "−77 %", "−50 %", "−70 %"],
        ["impact", "−25 %", "−50 %", "−30 %", "−80 %", "−90 %", "−82 %"],
    ]  # fmt: skip
    assert cells(PAGE, "Together against baseline-1%") == [
        ["crash", "exchange", "impact"],
        ["FTX, November 2022, stressed", "+20 %", "−30 %"],
    ]
    assert "Cheapest policy: <b>impact</b>, $35k: accounts $30k, others $5k; −30 % against baseline-1% ($50k);" in PAGE
    assert "class='verdict good'" in PAGE
    assert "class='verdict bad'" in html([EXCHANGE, ONE, FIVE], MADE)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (60, 80, "−25 %"),
        (80, 60, "+33 %"),
        (60, 60, "0 %"),
        (0, 60, "−100 %"),
        (10_881, 100, "+10,781 %"),
        (60, 0, "$60 vs $0"),
        (0, 0, "both $0"),
    ],
)
def test_a_cost_is_told_in_per_cent_of_a_baselines_where_it_has_one(mine: int, theirs: int, said: str) -> None:
    assert crashes_charts.versus(mine * MICRO, theirs * MICRO) == said


def test_prices_and_forced_closing_are_told_by_the_hour() -> None:
    rows = cells(
        PAGE,
        "FTX, November 2022, stressed: The crash, and when positions were closed by force, figures",
    )
    assert rows[0] == ["hour (UTC)", "BTC", "ETH", "exchange", "impact", "baseline-1%", "baseline-5%"]
    assert rows[1] == ["11-08 06:00", "−3.0 %", "+3.9 %", "$7k", "$11k", "$90k", "$95k"]
    assert len(rows) == 1 + 6
    funds = cells(PAGE, "FTX, November 2022, stressed: Funds and capital, figures")
    assert funds[1] == ["11-08 06:00", "$997", "$997", "$997", "$997"] and len(funds) == 1 + 6


def test_usdc_is_told_where_it_had_a_price_of_its_own() -> None:
    told = replace(EXCHANGE, stable=[MICRO, 880_000, *[MICRO] * (MARKS - 2)])
    assert crashes_charts.relative(told)["USDC"][:3] == pytest.approx([0.0, -0.12, 0.0])
    assert crashes_charts.falls(told) == pytest.approx({"BTC": -0.23, "ETH": 0.0, "USDC": -0.12})
    assert "USDC" not in crashes_charts.relative(EXCHANGE)
    assert "<dd>BTC −23 %</dd>" in PAGE


def test_what_was_not_run_or_not_lost_is_not_drawn() -> None:
    calm = html([cleared(one.way, lost()) for one in CASE], MADE)
    assert "Nothing was lost to liquidation, whoever managed it." in calm
    assert "stressed-cost" not in calm and "stressed-against" not in calm
    alone = html([EXCHANGE, IMPACT], MADE)
    assert "stressed-cost" in alone and "stressed-against" not in alone and "Cheapest" not in alone
    only_baselines = html([ONE], MADE)
    assert "stressed-cost" in only_baselines and "stressed-against" not in only_baselines


def test_names_are_escaped_and_the_same_runs_make_the_same_bytes() -> None:
    odd = [replace(one, way=f"<i>{one.way}&", crash="<b>no & crash") for one in (EXCHANGE, IMPACT)]
    text = html([*odd, replace(ONE, crash="<b>no & crash")], "<script>made</script>")
    assert not re.search(r"<(i|b|script)>(?!exchange</b>|<)\w", text.replace("<b>&lt;i&gt;", ""))
    assert "&lt;i&gt;exchange&amp;" in text and "&lt;b&gt;no &amp; crash, stressed" in text
    assert text == html([*odd, replace(ONE, crash="<b>no & crash")], "<script>made</script>")


# --- what it draws ----------------------------------------------------------------------------------------------------


def drawn(drawing: charts.Drawing) -> Any:
    figure = Figure()
    drawing(figure, charts.WIDE)
    return figure.axes


def test_a_bar_of_costs_is_as_long_as_its_parts() -> None:
    (axes,) = drawn(crashes_charts.cost(CASE))
    ends: dict[float, float] = {}
    for bars in axes.containers:
        for bar in bars:
            place = round(bar.get_y() + bar.get_height() / 2, 6)
            assert bar.get_x() == ends.get(place, 0.0)  # each part begins where the one before ended
            ends[place] = bar.get_x() + bar.get_width()
    labels = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    names = {round(place, 6): label.get_text() for place, label in labels}
    assert {names[place]: end / MICRO for place, end in ends.items()} == {
        "impact": 35_000, "exchange": 60_000, "baseline-1%": 50_000, "baseline-5%": 200_000,
    }  # fmt: skip
    assert [bars.get_label() for bars in axes.containers] == [part.name for part in crashes_charts.PARTS]


def test_strips_have_one_scale_and_the_hours_sums() -> None:
    upper, *strips = drawn(crashes_charts.fall(CASE))
    assert [line.get_label() for line in upper.lines[:2]] == ["BTC", "ETH"]
    assert upper.lines[0].get_ydata()[-1] == pytest.approx(-23.0)
    assert {axes.get_ylim() for axes in strips} == {(0.0, 1.05 * 95_000 * MICRO)}
    for axes, one, thousands in zip(strips, CASE, (90, 7, 95, 11), strict=True):
        assert [bar.get_height() for bar in axes.patches] == [thousands * 1_000 * MICRO] * 6
        assert axes.get_title(loc="left") == f"{one.way}: ${6 * thousands}k"


def test_differences_are_drawn_to_their_side_and_cut_far_out() -> None:
    dear = cleared("prompt", lost(discount=500))
    panels = drawn(crashes_charts.difference([dear, IMPACT], [ONE, FIVE]))
    widths = [[bar.get_width() for bars in axes.containers for bar in bars] for axes in panels]
    assert widths == [pytest.approx([-30.0, 150.0]), pytest.approx([-82.5, 150.0])]
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [
        ["−30 %", "+900 % ▸"],
        ["−82 %", "+150 %"],
    ]


def test_funds_are_drawn_as_they_stood() -> None:
    (axes,) = drawn(crashes_charts.cover(CASE))
    assert [line.get_label() for line in axes.lines] == [one.way for one in CASE]
    assert all(list(line.get_ydata()) == [float(amount) for amount in ONE.cover] for line in axes.lines)
    assert axes.get_ylim()[0] == 0.0


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every policy and two crashes under two conditions."""
    many = [cleared(name, lost(discount=40 - k, fund_paid=k), sold=k) for k, name in enumerate(WAYS)]
    calm = [replace(one, condition="default") for one in CASE]
    other = [replace(one, crash="svb_2023", stable=[990_000] * MARKS) for one in CASE]
    path = tmp_path_factory.mktemp("page") / "crashes.html"
    path.write_text(html([*calm, *many, *other], MADE), "utf-8")
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if chromium.found() is None:
        pytest.skip("there is no Chromium here")
    with chromium.browsing(tmp_path_factory.mktemp("profile")) as one:
        yield one


OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPENED = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it_without_a_word_and_nothing_is_too_wide(
    tab: Tab, written: Path, width: int, dark: bool
) -> None:
    tab.open(written, width, dark=dark)
    assert tab.said == []
    assert tab.requests == [written.resolve().as_uri()[:80]]
    assert tab.value(OVERFLOW) == 0
    tab.value(OPENED)
    assert tab.value(OVERFLOW) == 0
    background = tab.value("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(16, 19, 26)" if dark else "rgb(245, 246, 248)")


@pytest.mark.parametrize("width", [390, 1280])
def test_each_chart_has_a_title_and_its_figures_as_a_table(tab: Tab, written: Path, width: int) -> None:
    tab.open(written, width)
    shown = tab.value(
        """[...document.querySelectorAll('figure')].map(figure => {
          const svgs = [...figure.querySelectorAll('svg')].filter(one => one.getClientRects().length);
          const named = svgs[0].getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id));
          return [figure.parentElement.id, svgs.length, named.every(one => one && one.textContent.length > 10),
            svgs[0].getBoundingClientRect().height > 60, figure.parentElement.querySelector('h3').textContent.length,
            figure.parentElement.querySelectorAll('details table tbody tr').length]})"""
    )
    keys = [
        f"{case}-{one}" for case in ("ftx-2022-default", "ftx-2022-stressed", "svb-2023-stressed") for one in FIGURES
    ]
    assert [one[0] for one in shown] == keys
    for key, count, named, tall, title, rows in shown:
        assert (count, named, tall) == (1, True, True), key
        assert title > 5 and rows >= 2, key


def test_wide_tables_scroll_in_a_box_that_a_keyboard_reaches(tab: Tab, written: Path) -> None:
    tab.open(written, 390)
    tab.value(OPENED)
    boxes = tab.value(
        """[...document.querySelectorAll('.scroll')].map(one => [one.getAttribute('aria-label'), one.tabIndex,
          one.scrollWidth > one.clientWidth, getComputedStyle(one).overflowX,
          one.querySelectorAll('th[scope=col]').length])"""
    )
    assert len(boxes) == len({name for name, *_ in boxes}) == 3 + 3 * 5
    assert all(index == 0 and how == "auto" and columns > 2 for _, index, _, how, columns in boxes)
    assert sum(wide for _, _, wide, _, _ in boxes) > 10


def test_a_table_is_opened_by_the_keyboard_and_links_lead_to_their_crash(tab: Tab, written: Path) -> None:
    tab.open(written, 1280)
    tab.value("document.querySelector('summary').focus()")
    assert tab.value("document.querySelector('details').open") is False
    tab.press("Enter", 13)
    assert tab.value("document.querySelector('details').open") is True
    led = tab.value(
        "[...document.querySelectorAll('a')].map(one => document.getElementById(one.hash.slice(1)) !== null)"
    )
    assert led == [True] * (3 + 3)
    names = tab.value("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(names) == len(set(names))


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [("nowhere/p.html", "its folder is not there"), (".", "it is a folder")])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_run(tmp_path: Path, name: str, said: str) -> None:
    done = CliRunner().invoke(cli_crashes.app, ["crashes", "--data", "nowhere", "--html", str(tmp_path / name)])
    assert isinstance(done.exception, Refused) and said in str(done.exception)


def data() -> Path:
    if not (FOLDER / crashes.FUNDING).exists():
        pytest.skip("the crashes' histories are not beside the project (../shared/data)")
    return FOLDER


@pytest.mark.data
def test_the_command_writes_the_page_beside_its_json(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    asked = ["--only", "svb_2023", "--policy", "peg", "--policy", "baseline-5%", "--condition", "stressed"]
    size = ["--accounts", "30", "--steps", "6", "--no-audit", "--html", str(path), "--json"]
    done = CliRunner().invoke(cli_crashes.app, ["crashes", "--data", str(data()), *asked, *size])
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    text = path.read_text("utf-8")
    heading, *rows = cells(text, "SVB and the USDC depeg, March 2023, stressed: all figures")
    assert [row[0] for row in rows] == [one["policy"] for one in told] == ["peg", "baseline-5%"]
    for row, one in zip(rows, told, strict=True):
        shown = dict(zip(heading, row, strict=True))
        assert shown["entries"] == f"{one['entries']:,}" and shown["audit"] == "not audited"
        assert shown["funds left"] == charts.dollars(one["fund_left"])
    assert "30 accounts, seed 1, a mark every 900 seconds, stopped after 6 marks, not replayed" in text
    prices = "SVB and the USDC depeg, March 2023, stressed: The crash, and when positions were closed by force, figures"
    assert cells(text, prices)[0] == ["hour (UTC)", "BTC", "ETH", "USDC", "peg", "baseline-5%"]


@pytest.mark.data
def test_funds_by_mark_begin_and_end_where_the_losses_say(tmp_path: Path) -> None:
    inputs = inputs_of(CRASHES["svb_2023"], data())
    told = clear(
        CRASHES["svb_2023"], inputs, WAYS["ccp"], CONDITIONS["stressed"], tmp_path / "run", accounts=30, steps=6,
        audited=False,
    )  # fmt: skip
    assert (told.cover[0], told.cover[-1]) == (told.losses.fund_before, told.losses.fund_left)
    assert told.cover[0] > told.fund[0]
    assert len(told.cover) == len(told.stable) == len(told.times) == 6
    assert told.stable[:4] == [bar for one in inputs.stable[:1] for bar in (one.open, *told.stable[1:3], one.close)]

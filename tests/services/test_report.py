"""The report: one valid page that shows every figure, asks nothing from anywhere and comes out the same each time."""

import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from schemas.units import parse_time
from services.charts import dollars
from services.report import (
    Audit,
    Decision,
    LayerFigures,
    Losses,
    RunFigures,
    Shortfall,
    StrategyFigures,
    html,
    summary_table,
)
from services.run import own_inputs, run

START = parse_time("2020-03-11T00:00:00Z")
STEPS = 96
MILLION = 10**12
"""micro-dollars"""
PLOTS = ("prices", "margin", "liquidations", "fund", "waterfall", "strategies", "volatility")
VOID = {"meta", "link", "br", "img", "input", "hr"}


def figures() -> RunFigures:
    times = [START + k * 3_600_000_000 for k in range(STEPS)]
    fall = [100 - (k if k < 50 else 50) for k in range(STEPS)]
    return RunFigures(
        title="A crash <of> tests & figures",
        seed=3,
        accounts=2_000,
        entries=4_000,
        events=181_234,
        outcomes=900_000,
        times=times,
        prices={"BTC": [79_000_000 * one for one in fall], "ETH": [2_000_000 * one for one in fall]},
        volatility={"BTC": [600_000 + 9_000 * k for k in range(STEPS)], "ETH": [700_000] * STEPS},
        equity=[300 * MILLION + one * MILLION for one in fall],
        initial=[60 * MILLION] * STEPS,
        maintenance=[40 * MILLION] * STEPS,
        calls=[k % 3 for k in range(STEPS)],
        liquidations=[12 if k == 34 else 0 for k in range(STEPS)],
        notional=[5 * MILLION if k == 34 else 0 for k in range(STEPS)],
        fund=[2 * MILLION - k * 10_000_000_000 for k in range(STEPS)],
        strategies=[
            StrategyFigures("leveraged long", 500, 90, 80, 30, -7 * MILLION, 700_000_000_000),
            StrategyFigures("leveraged short", 200, 0, 0, 0, 5 * MILLION, 0),
        ],
        shortfalls=[
            Shortfall(40 + k, "leveraged long", "span", times[34], k * 10**9, k * 10**9, 0) for k in range(1, 30)
        ],
        losses=Losses(6 * MILLION, [LayerFigures("the fund", MILLION, MILLION // 2)], MILLION // 4, 0),
        audit=Audit(True, "4,000 entries replayed: all bytes agree"),
        decisions=[Decision(times[40], "haircut of GOV to 70 %")],
        rejections={"ORDER_RAISES_RISK": 12, "STALE_PRICE": 4},
    )


class Page(HTMLParser):
    """Every element is closed where it was opened; what a test asks for is gathered."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.labels: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "data", "action", "srcset"):
                self.references.append(value or "")
            if name == "aria-labelledby":
                self.labels += (value or "").split()
            self.references += re.findall(r"url\(([^)]*)\)", value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


PAGE = html(figures())


def test_the_page_is_well_formed_and_its_names_are_unique() -> None:
    page = read(PAGE)
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert PAGE.startswith("<!DOCTYPE html>")
    assert page.tags["html"] == page.tags["main"] == page.tags["h1"] == page.tags["title"] - 2 * len(PLOTS) == 1


def test_nothing_is_fetched() -> None:
    page = read(PAGE)
    assert page.references
    assert all(one.startswith("#") and one[1:] in page.ids for one in page.references)
    assert "http" not in PAGE
    assert "@import" not in PAGE
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)


def test_every_plot_is_there_in_both_sizes_and_can_be_read_aloud() -> None:
    page = read(PAGE)
    assert page.tags["svg"] == page.tags["desc"] == 2 * len(PLOTS)
    for key in PLOTS:
        assert key in page.ids
        for size in ("wide", "narrow"):
            assert {f"{key}-{size}-title", f"{key}-{size}-desc"} <= set(page.ids)
    assert set(page.labels) <= set(page.ids)


def test_colours_follow_the_theme() -> None:
    used = set(re.findall(r"var\((--\w+)\)", PAGE))
    light, dark = PAGE.split("prefers-color-scheme:dark", 1)
    assert all(f"{name}:" in light and f"{name}:" in dark.split("}}")[0] for name in used)
    assert {"--ink", "--muted", "--grid", "--first", "--second", "--equity", "--margin", "--gain", "--loss"} <= used
    svgs = "".join(re.findall(r"<svg.*?</svg>", PAGE, re.DOTALL))
    assert not re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", svgs)


def test_figures_are_on_the_page() -> None:
    text = " ".join(read(PAGE).text)
    for told in (
        "A crash <of> tests & figures",
        "181,234",
        "2,000",
        "$7.25M",
        "$29k",
        "BTC $3,950.00, ETH $100.00",
        "haircut of GOV to 70 %",
        "ORDER_RAISES_RISK",
        "2020-03-12 10:00",
        "4,000 entries replayed: all bytes agree",
        "PROXY",
        "leveraged short",
        "−$7M",
    ):
        assert told in text, told


def test_the_table_of_shortfalls_is_the_largest_ten() -> None:
    table = PAGE[PAGE.index('id="shortfalls"') :]
    table = table[: table.index("</table>")]
    assert re.findall(r"<td>(\d+)</td>", table) == [str(40 + k) for k in range(29, 19, -1)]


def test_same_figures_same_bytes() -> None:
    assert html(figures()) == PAGE
    assert html(replace(figures(), seed=4)) != PAGE


def test_a_failed_audit_is_said() -> None:
    page = html(replace(figures(), audit=Audit(False, "first difference at entry 17")))
    assert '<p class="verdict bad">' in page
    assert "first difference at entry 17" in page


def test_a_run_without_marks_or_losses_has_a_page() -> None:
    none: list[int] = []
    over_marks = ("times", "equity", "initial", "maintenance", "calls", "liquidations", "notional", "fund")
    bare = {"prices": {}, "volatility": {}, "strategies": [], "shortfalls": [], "losses": Losses(0, [], 0, 0)}
    empty = replace(figures(), **dict.fromkeys(over_marks, none), **bare, decisions=[], rejections={})
    assert read(html(empty)).tags["svg"] == 0
    calm = replace(figures(), losses=Losses(0, [], 0, 0), shortfalls=[], liquidations=[0] * STEPS, notional=[0] * STEPS)
    assert read(html(calm)).tags["svg"] == 2 * len(PLOTS)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"),
        (499_999, "$0"),
        (-499_999, "$0"),
        (999_000_000, "$999"),
        (999_600_000, "$1k"),
        (1_250_000_000, "$1.25k"),
        (-1_620_000_000_000, "−$1.62M"),
        (99_960_000_000, "$100k"),
        (10_000_000_000_000, "$10M"),
        (120_000_000_000_000, "$120M"),
        (2_000_000_000_000_000, "$2B"),
    ],
)
def test_dollars(amount: int, text: str) -> None:
    assert dollars(amount) == text


def test_the_printed_table_says_what_the_page_says() -> None:
    written = io.StringIO()
    Console(file=written, width=120, no_color=True).print(summary_table(figures()))
    for told in ("181,234", "$7.25M", "$1M", "account 69, leveraged long", "all bytes agree", "margin calls"):
        assert told in written.getvalue()


def test_the_figures_do_not_show_the_number_of_shards(tmp_path: Path) -> None:
    told = []
    for shards in (1, 4):
        ledger, ran = run(tmp_path / str(shards), own_inputs(), accounts=60, seed=1, steps=230, shards=shards)
        ledger.close()
        told.append(ran.gathered)
    one, four = told
    assert sum(one.notional) > 0
    for name in ("notional", "deleveraged", "calls", "liquidations", "liquidated", "owed"):
        assert getattr(one, name) == getattr(four, name), name

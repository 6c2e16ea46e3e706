"""`novate backtest` from files to tables and page: made-up history in a folder, and the real crashes."""

import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from risk.backtest.past import HOUR, RATIO, Past, realised_volatility
from risk.backtest.portfolios import BOOKS
from risk.backtest.verdicts import FORESIGHT, NOTHING, pooled
from schemas.units import format_time
from services.backtest import MIXED, WINDOWS, Backtest, NoHistory, Profile, as_json, backtest, coin_of, day, read_past
from services.backtest_page import DRAWN, PRINTED, html, summaries, tables, too_many
from services.cli import app, main
from services.margin import published_profiles, published_text

DATA = Path(__file__).parents[3] / "shared" / "data"
BEGAN = day("2022-01-01")
HOURS = 24 * 45
NAMED = {one.name: one for one in BOOKS}
PERPS = [NAMED["long-btc"], NAMED["btc-eth"]]
PARADEX = Profile("paradex_pm", published_text("paradex_pm"))
DERIBIT = Profile("deribit_pm_btc", published_text("deribit_pm_btc"))


def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("../shared/data is not there")
    return DATA


def written(folder: Path, name: str, rows: list[list[str]]) -> None:
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows(rows)


def bars(prices: np.ndarray, heading: str = "") -> list[list[str]]:  # type: ignore[type-arg]
    names = [heading + name for name in ("open", "high", "low", "close")]
    rows = [["ts", *names]]
    for number, price in enumerate(prices):
        stamp = format_time(BEGAN + number * HOUR)[:19] + "Z"
        rows.append([stamp, *[f"{price:.6f}"] * 4])
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six weeks of BTC and ETH, with a fall of 30 % of both within the 30th day."""
    there = tmp_path_factory.mktemp("history")
    draws = np.random.Generator(np.random.Philox(3))
    fall = np.where(np.arange(HOURS) == 24 * 30 + 5, np.log(0.7), 0.0)
    for symbol, start in (("BTCUSDT", 40_000.0), ("ETHUSDT", 3_000.0)):
        prices = start * np.exp(np.cumsum(draws.normal(0.0, 0.003, HOURS) + fall))
        written(there, f"hourly_{symbol}_spot", bars(prices))
        written(there, f"hourly_{symbol}_mark", bars(prices * 1.0002))
    written(there, "dvol_BTC_1h", bars(np.full(HOURS, 80.0), "dvol_"))
    rates = [["ts", "venue", "symbol", "rate"]]
    rates += [[format_time(BEGAN + k * 8 * HOUR)[:19] + "Z", "binance", "BTCUSDT", "0.0001"] for k in range(100)]
    written(there, "funding_binance_8h", rates)
    return there


@pytest.fixture(scope="module")
def told(folder: Path) -> Backtest:
    return backtest(read_past(folder), [PARADEX, DERIBIT], day("2022-01-10"), day("2022-02-10"), books=BOOKS)


def test_a_bar_is_known_when_it_has_closed(folder: Path) -> None:
    history = read_past(folder)
    assert int(history.times[0]) == BEGAN + HOUR
    path = history.paths["BTC"]
    assert path.perp[0] / path.spot[0] == pytest.approx(1.0002)
    assert path.volatility[300] == pytest.approx(0.8) and not path.proxied[300]
    assert history.paths["ETH"].proxied.all()
    assert path.carry[500] == pytest.approx(0.1095)


def test_the_fall_is_the_breach(told: Backtest) -> None:
    """16 % are asked for a perp: the fall of 30 % in the hours after the 31st begins is not covered, all else is."""
    for verdict in told.verdicts:
        if (verdict.profile, verdict.book) == ("paradex_pm", "long-btc"):
            (breach,) = verdict.breaches
            assert format_time(breach.time).startswith("2022-01-31T00:00")
            assert breach.loss == pytest.approx(30_000, rel=0.05)
            assert breach.required == pytest.approx(16_000, rel=0.01)
            assert verdict.worst_hour == verdict.of_maintenance == 1
            assert len(verdict.times) == 31 and verdict.hours == 13
            return
    raise AssertionError("no such verdict")


def test_a_book_without_history_and_one_without_a_coin_are_named(told: Backtest) -> None:
    notes = "\n".join(told.notes)
    assert "sol-on-eth: 31 of 31 starts have no prices" in notes
    assert "deribit_pm_btc: not asked about btc-eth, link-on-eth, sol-on-eth" in notes
    assert {one.book for one in told.verdicts} == {one.name for one in BOOKS} - {"link-on-eth", "sol-on-eth"}


def test_inverse_profiles_settle_in_the_books_coin() -> None:
    assert coin_of(DERIBIT.text, NAMED["long-eth"]) == "ETH"
    assert coin_of(DERIBIT.text, NAMED["btc-eth"]) == MIXED
    assert coin_of(PARADEX.text, NAMED["long-eth"]) == ""


def test_foresight_is_the_cheapest_that_covers(told: Backtest) -> None:
    by_name = {(one.profile, one.book): one for one in told.reference}
    assert not by_name[FORESIGHT, "long-btc"].breaches
    assert by_name[NOTHING, "long-btc"].average == 0.0
    for one in told.verdicts:
        if not one.breaches:
            assert one.average >= by_name[FORESIGHT, one.book].average, (one.profile, one.book)


def test_many_processes_say_the_same(folder: Path, told: Backtest) -> None:
    asked = (read_past(folder), [PARADEX, DERIBIT], day("2022-01-10"), day("2022-02-10"))
    again = backtest(*asked, books=PERPS[:1], jobs=2)
    those = [one for one in as_json(told)["verdicts"] if one["portfolio"] == "long-btc"]
    assert as_json(again)["verdicts"] == those
    assert html(again) == html(backtest(*asked, books=PERPS[:1]))


def test_the_page_is_whole_and_asks_for_nothing(told: Backtest) -> None:
    page = html(told)
    breaches, _, average = pooled([one for one in told.reference if one.profile == FORESIGHT])
    assert breaches == 0
    row = page[page.index("the loss to come, known") :]
    assert f"{average:.1%}" in row[: row.index("</tr>")]
    assert "no margin at all" in page
    assert not re.findall(r"(?:https?:)?//[a-z]", page) and "<script" not in page
    for book in {one.book for one in told.verdicts}:
        assert f'id="book-{book}"' in page
    for words in ("PROXY", "Coverage against average requirement", "2022-01-31 00:00", "not asked about"):
        assert words in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_plot_has_few_points_however_long_the_walk(folder: Path) -> None:
    history = read_past(folder)
    by_hour = backtest(history, [PARADEX], day("2022-01-10"), day("2022-02-10"), step=1, books=PERPS[:1])
    assert len(by_hour.verdicts[0].times) == 31 * 24 > DRAWN
    assert len(html(by_hour)) < 400_000


def test_figures_as_json_are_whole(told: Backtest) -> None:
    figures = json.loads(json.dumps(as_json(told), allow_nan=False))
    assert {one["name"] for one in figures["profiles"]} == {"paradex_pm", "deribit_pm_btc"}
    one = next(one for one in figures["verdicts"] if one["portfolio"] == "short-straddle")
    assert set(one["kupiec"]) == {"statistic", "p_value"} and one["largest_rise"].keys() == {"5d", "30d"}


def test_summaries_count_what_the_verdicts_hold(told: Backtest) -> None:
    for name, one in summaries(told):
        own = [each for each in told.verdicts if each.profile == name]
        assert one.breaches == sum(len(each.breaches) for each in own)
        assert one.starts == 31 * one.books == 31 * len(own)
        assert one.refused == sum(too_many(each) for each in own)
    assert [table.row_count for table in tables(told)][:2] == [2, len(told.verdicts)]
    assert tables(told)[2].row_count <= PRINTED


def test_the_command(folder: Path, tmp_path: Path) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    own = tmp_path / "own.toml"
    own.write_text(PARADEX.text)
    arguments = ["backtest", "--profile", str(own), "--profile", "deribit_pm_btc", "--data", str(folder)]
    arguments += ["--from", "2022-01-10", "--to", "2022-02-10", "--book", "long-btc"]
    answer = CliRunner().invoke(app, [*arguments, "--html", str(page), "--json", str(figures)])
    assert answer.exit_code == 0, answer.output
    assert "ETH: implied volatility is a proxy at 100% of the starts" in answer.output
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert [one["name"] for one in json.loads(figures.read_text())["profiles"]] == ["own", "deribit_pm_btc"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2022-01-10"], "--from and --to are needed"),
        (["--from", "2022-02-10", "--to", "2022-01-10"], "is not before"),
        (["--from", "yesterday", "--to", "2022-01-10"], "no UTC time"),
        (["--window", "tulips"], "known are covid, may-2021, luna, ftx, svb"),
        (["--window", "luna", "--from", "2022-01-10"], "--window goes alone"),
        (["--from", "2030-01-10", "--to", "2030-02-10"], "no history from 2030-01-10"),
        (["--from", "2022-01-10", "--to", "2022-01-12", "--book", "unknown"], "known are long-btc"),
        (["--from", "2022-01-10", "--to", "2022-01-12", "--profile", "unknown"], "UnknownProfile"),
        (["--from", "2022-01-10", "--to", "2022-01-12", "--data", "nowhere"], "has no hourly_<SYMBOL>_spot"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    arguments: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["novate", "backtest", "--data", str(folder), "--profile", "paradex_pm", *arguments]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capfd.readouterr().err


def test_profiles_must_differ_in_name(folder: Path) -> None:
    with pytest.raises(NoHistory, match="twice"):
        backtest(read_past(folder), [PARADEX, PARADEX], day("2022-01-10"), day("2022-02-10"))


@pytest.fixture(scope="module")
def real() -> Past:
    return read_past(data())


@pytest.mark.data
def test_real_history_is_whole(real: Past) -> None:
    assert set(real.paths) == {"BTC", "ETH", "LINK", "SOL"}
    for name, path in real.paths.items():
        there = np.isfinite(path.spot)
        assert np.all(there[np.argmax(there) :]), name  # outages of up to 6 hours are carried over
    at = int((day("2022-06-14") - real.times[0]) // HOUR)
    assert not real.paths["BTC"].proxied[at] and real.paths["BTC"].volatility[at] == pytest.approx(1.2, abs=0.4)
    early = real.times < day("2021-03-24")
    assert real.paths["BTC"].proxied[early].all()
    assert not real.paths["BTC"].proxied[~early].mean() > 0.05


@pytest.mark.data
def test_the_proxys_ratio_is_the_one_of_the_days_that_have_an_index(real: Past) -> None:
    path = real.paths["BTC"]
    ratios = (path.volatility / realised_volatility(path.spot))[~path.proxied]
    assert float(np.median(ratios)) == pytest.approx(RATIO, abs=0.02)
    assert float(np.std(np.log(ratios))) < 0.16


@pytest.mark.data
@pytest.mark.parametrize("window", WINDOWS)
def test_the_crashes_are_in_their_windows(window: str, real: Past) -> None:
    """By the hour: 16 % do not cover what the perp lost within 13 hours of March 2020 and May 2021, and all others."""
    first, last = (day(one) for one in WINDOWS[window])
    told = backtest(real, [PARADEX], first, last, step=1, books=[NAMED["long-btc"]])
    (verdict,) = told.verdicts
    assert len(verdict.times) == (last - first) // HOUR
    assert float(verdict.lost.max()) > {"covid": 0.3, "may-2021": 0.18, "luna": 0.12, "ftx": 0.12, "svb": 0.05}[window]
    assert bool(verdict.breaches) == (window in ("covid", "may-2021"))


@pytest.mark.data
@pytest.mark.parametrize("name", published_profiles())
def test_every_profile_walks_through_a_crash(name: str, real: Past) -> None:
    """Every published profile answers, in finite numbers, for each book it is asked about; refusals are named."""
    told = backtest(real, [Profile(name, published_text(name))], day("2022-05-09"), day("2022-05-13"))
    assert told.verdicts
    answered = [one for one in told.verdicts if len(one.times)]
    assert answered, told.notes
    assert all(np.isfinite(one.required).all() and (one.required >= 0.0).all() for one in answered)
    for one in told.verdicts:
        assert len(one.times) + sum(one.refused.values()) == 4

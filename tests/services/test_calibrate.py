"""History read from files, and `novate calibrate`: what it proposes, that the fold takes it, and what it refuses."""

import gzip
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from world import SPAN, START, World, reasons, shipped_profile

from risk.calibration import DAY, HOUR, Tool
from risk.forecast.compared import FORECASTERS, compare
from risk.forecast.days import days_of
from risk.margin.policy import calculator
from risk.profile import parse_profile
from risk.regimes import NAMES
from schemas.events import EVENTS
from schemas.jsonform import from_json
from schemas.sources import Role, source
from schemas.units import format_time, parse_time
from services.calibrate import Store, Unfit, entry, proposed, read_store, rules_of, study
from services.cli_calibrate import app
from services.gateway.bodies import JSON, entry_in
from services.gateway.keys import Access, Key, Secret
from services.history import Bars, aligned, daily, read_bars, read_chain, read_funding, returns
from services.margin import margin, published_text
from services.tables import Fault, TableError

DATA = Path(__file__).parents[3] / "shared" / "data"
FIRST = parse_time("2020-01-01T00:00:00Z")
COUNT = 460
TO = "2021-03-20"
END = parse_time(f"{TO}T00:00:00Z") + DAY


def written(path: Path, heading: str, rows: list[str]) -> Path:
    text = "\n".join([heading, *rows]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def walked(seed: int, together: float, size: float, days: int = COUNT) -> np.ndarray:  # type: ignore[type-arg]
    """Hourly closes: three tempers of a market in turn, the third of them wild."""
    draw, shared = np.random.default_rng(seed), np.random.default_rng(99)
    temper = np.repeat(np.tile(np.array([0.003, 0.006, 0.015]), days), 40 * 24)[: days * 24]
    both, own = shared.standard_normal(days * 24), draw.standard_normal(days * 24)
    noise = np.sqrt(together) * both + np.sqrt(1 - together) * own
    return 100.0 * np.exp(np.cumsum(size * temper * noise))


def bars_file(folder: Path, symbol: str, closes: np.ndarray, suffix: str = ".csv.gz") -> Path:  # type: ignore[type-arg]
    opens = np.concatenate([[100.0], closes[:-1]])
    rows = [
        f"{format_time(FIRST + k * HOUR)},{o!r},{max(o, c)!r},{min(o, c)!r},{c!r},1.5"
        for k, (o, c) in enumerate(zip(opens.tolist(), closes.tolist(), strict=True))
    ]
    return written(folder / f"hourly_{symbol}USDT_spot{suffix}", "ts,open,high,low,close,volume", rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history")
    for seed, (symbol, size) in enumerate((("BTC", 1.0), ("ETH", 1.3), ("ALT", 1.8), ("ALU", 1.2))):
        bars_file(path, symbol, walked(seed, 0.7, size), ".csv" if symbol == "ALU" else ".csv.gz")
    level = 60.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.01, COUNT * 24)) * 0.3)
    rows = [f"{format_time(FIRST + k * HOUR)},{v!r},{v!r},{v!r},{v!r}" for k, v in enumerate(level.tolist())]
    written(path / "dvol_BTC_1h.csv.gz", "ts,dvol_open,dvol_high,dvol_low,dvol_close", rows)
    return path


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return read_store(folder)


def novate(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout if status == 0 else str(done.exception)


# --- history ----------------------------------------------------------------------------------------------------------

HOURLY = "ts,open,high,low,close,volume"
GOOD = "2020-01-01T00:00:00Z,10,12,9,11,5"


@pytest.mark.parametrize(
    ("heading", "row", "fault", "line", "column"),
    [
        (HOURLY, "2020-01-01T01:00:00,10,12,9,11,5", Fault.NOT_A_TIME, 3, "ts"),
        (HOURLY, "2020-01-01T00:00:00Z,10,12,9,11,5", Fault.REPEATED, 3, "ts"),
        (HOURLY, "2019-12-31T00:00:00Z,10,12,9,11,5", Fault.REPEATED, 3, "ts"),
        (HOURLY, "2020-01-01T01:00:00Z,nan,12,9,11,5", Fault.OUT_OF_RANGE, 3, "open"),
        (HOURLY, "2020-01-01T01:00:00Z,10,inf,9,11,5", Fault.OUT_OF_RANGE, 3, "high"),
        (HOURLY, "2020-01-01T01:00:00Z,10,12,-9,11,5", Fault.OUT_OF_RANGE, 3, "low"),
        (HOURLY, "2020-01-01T01:00:00Z,10,12,9,,5", Fault.NOT_A_DECIMAL, 3, "close"),
        (HOURLY, "2020-01-01T01:00:00Z,10,12,9,11,-1", Fault.OUT_OF_RANGE, 3, "volume"),
        (HOURLY, "2020-01-01T01:00:00Z,10,10.5,9,11,5", Fault.BAR_CROSSED, 3, ""),
        (HOURLY, "2020-01-01T01:00:00Z,10,12,10.5,11,5", Fault.BAR_CROSSED, 3, ""),
        (HOURLY, "2020-01-01T01:00:00Z,10,12,9,11", Fault.FIELD_COUNT, 3, ""),
        ("ts,open,high,low,last,volume", "", Fault.COLUMN_MISSING, 1, "close"),
    ],
)
def test_a_bar_that_cannot_be_used_is_named(
    tmp_path: Path, heading: str, row: str, fault: Fault, line: int, column: str
) -> None:
    path = written(tmp_path / "bars.csv", heading, [GOOD, row] if row else [GOOD])
    with pytest.raises(TableError) as told:
        read_bars(path)
    assert (told.value.fault, told.value.line, told.value.column) == (fault, line, column)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("data", [None, b"", b"ts,open,high,low,close\n", b"\x1f\x8bxx", b"\xff\xfe"])
def test_a_file_that_is_none_is_named(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "bars.csv.gz"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(TableError, match=r"bars\.csv\.gz"):
        read_bars(path)


def test_days_are_whole_ones_made_of_the_bars_they_have(tmp_path: Path) -> None:
    hours = [h for h in range(-3, 24 * 2 + 5) if h not in (5, 30)]
    rows = [f"{format_time(FIRST + h * HOUR)},{10 + h % 24},{12 + h % 24},{9 + h % 24},{11 + h % 24},2" for h in hours]
    days = daily(read_bars(written(tmp_path / "bars.csv", HOURLY, rows)))
    assert days.times.tolist() == [FIRST, FIRST + DAY]
    assert (days.open.tolist(), days.close.tolist()) == ([10.0, 10.0], [34.0, 34.0])
    assert (days.high.tolist(), days.low.tolist(), days.volume.tolist()) == ([35.0] * 2, [9.0] * 2, [46.0] * 2)
    assert returns(days).tolist() == [0.0]


def test_aligned_histories_share_their_times() -> None:
    def bars(times: list[int]) -> Bars:
        values = np.array(times, np.float64)
        return Bars(np.array(times, np.int64), values, values, values, values, values)

    times, closes = aligned({"A": bars([1, 2, 3, 5]), "B": bars([2, 3, 4, 5])})
    assert times.tolist() == [2, 3, 5]
    assert closes.tolist() == [[2, 2], [3, 3], [5, 5]]


def test_funding_is_by_venue_and_symbol_and_each_ascends(tmp_path: Path) -> None:
    rows = ["2020-01-01T00:00:00Z,x,BTC,0.0001", "2020-01-01T00:00:00Z,y,BTC,-0.0002", "2020-01-01T08:00:00Z,x,BTC,0"]
    told = read_funding(written(tmp_path / "f.csv", "ts,venue,symbol,rate", rows))
    assert told["x", "BTC"].rates.tolist() == [0.0001, 0.0]
    assert told["y", "BTC"].rates.tolist() == [-0.0002]
    with pytest.raises(TableError, match=r"line 5, column ts"):
        read_funding(written(tmp_path / "f.csv", "ts,venue,symbol,rate", [*rows, rows[0]]))


# --- calibrate --------------------------------------------------------------------------------------------------------


def test_only_the_ranges_and_the_day_change(store: Store) -> None:
    text = shipped_profile("span")
    told = proposed(text, store, END, Tool.STRESSED, study(store, END))
    changed = [(a, b) for a, b in zip(text.splitlines(), told.text.splitlines(), strict=True) if a != b]
    assert {b.split(" =")[0] for _, b in changed} == {"published", "price_scan", "vol_scan"}
    profile = parse_profile(told.text)
    assert profile.published == TO
    for one in told.ranges:
        risk = profile.underlyings[one.underlying]
        assert one.range.basis_points == (risk.price_scan if one.key == "price_scan" else risk.vol_scan)
        old = parse_profile(text).underlyings[one.underlying]
        assert one.before == (old.price_scan if one.key == "price_scan" else old.vol_scan)
    assert len(told.ranges) == 6


def test_comments_and_layout_stay(store: Store) -> None:
    text = shipped_profile("span").replace('price_scan = "0.15"', "price_scan   = 0.15 # of the price")
    told = proposed(text, store, END, Tool.NONE, study(store, END)).text
    assert 'price_scan   = "0.' in told
    assert "# of the price" in told


def test_the_default_takes_the_largest_of_those_not_named(store: Store) -> None:
    told = proposed(shipped_profile("span"), store, END, Tool.NONE, study(store, END))
    rests_on = {(one.underlying, one.key): one.rests_on for one in told.ranges}
    assert rests_on["default", "price_scan"] == "ALT"
    assert rests_on["BTC", "vol_scan"] == "BTC's index of implied volatility"
    assert rests_on["ETH", "vol_scan"] == "BTC's index of implied volatility as a proxy for ETH's"


def test_without_an_index_the_proxy_is_named(store: Store) -> None:
    told = proposed(shipped_profile("span"), Store(store.bars, {}), END, Tool.NONE, study(store, END))
    assert {"EWMA" in one.rests_on for one in told.ranges if one.key == "vol_scan"} == {True}


def test_what_came_after_the_day_changes_nothing(store: Store) -> None:
    def wild(bars: Bars) -> Bars:
        factor = np.where(bars.times >= END, 3.0, 1.0)
        columns = (bars.open, bars.high, bars.low, bars.close)
        return Bars(bars.times, *(column * factor for column in columns), bars.volume)

    later = Store({s: wild(b) for s, b in store.bars.items()}, {s: wild(b) for s, b in store.implied.items()})
    for tool in Tool:
        both = [proposed(shipped_profile("span"), one, END, tool, study(one, END)) for one in (store, later)]
        assert both[0] == both[1]


def test_a_calculator_s_profile_is_retuned_too_but_is_no_event(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "risk" / "margin" / "profiles" / "span.toml").read_text()
    path = folder / "own.toml"
    path.write_text(text)
    told = json.loads(novate("calibrate", "--profile", path, "--to", TO, "--data", folder, "--json"))
    assert told["entry"] is None
    new = tomllib.loads(told["toml"])
    for one in told["ranges"]:
        assert float(new["underlyings"][one["underlying"]][one["key"]]) == pytest.approx(one["after"] / 10_000)


def test_the_default_profile_s_scales_are_proposed(folder: Path, store: Store) -> None:
    asked = novate("calibrate", "--profile", "crypto-span", "--to", TO, "--data", folder, "--tool", "none", "--json")
    told = json.loads(asked)
    assert told["entry"] is None
    assert told["lookback_days"] == 365
    assert told["toml"].startswith("# A proposal from history to 2021-03-20, not in force")
    old, new = tomllib.loads(published_text("crypto_span")), tomllib.loads(told["toml"])
    assert new["lookback"] == 365
    calculator(told["toml"])
    by_hand = {one["underlying"]: one for one in told["ranges"]}
    bars = store.bars["BTC"]
    moves = bars.close[24:] / bars.close[:-24] - 1.0
    recent = moves[(bars.times[24:] + HOUR > END - 365 * DAY) & (bars.times[24:] + HOUR <= END)]
    for underlying, one in by_hand.items():
        assert float(new["underlyings"][underlying]["scale"]) == one["after"] / 10_000
        assert one["before"] == 10_000 * old["underlyings"][underlying]["scale"]
    # the widest move of scale 1 is 40 %: the proposed scale's covers what the profile's confidence says, no hundredth
    # less does
    scale = by_hand["BTC"]["after"] / 10_000
    share = min((recent <= 0.4 * scale).mean(), (-recent <= 0.4 * scale).mean())
    less = min((recent <= 0.4 * (scale - 0.01)).mean(), (-recent <= 0.4 * (scale - 0.01)).mean())
    assert less < old["confidence"] <= share


def test_the_same_history_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    outputs = []
    for turn in ("a", "b"):
        files = [tmp_path / f"{turn}.{end}" for end in ("toml", "json", "html")]
        ask = ["calibrate", "--profile", "span", "--to", TO, "--data", folder]
        ask += ["--toml", files[0], "--event", files[1], "--html", files[2]]
        outputs.append([novate(*ask), *(file.read_bytes() for file in files)])
    assert outputs[0] == outputs[1]
    page = outputs[0][3].decode()
    assert "://" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") == 2 * (1 + 4)


def test_the_event_waits_its_notice_and_then_is_the_profile_in_force(store: Store) -> None:
    w = World()
    text = proposed(shipped_profile("span"), store, END, Tool.STRESSED, study(store, END)).text
    before = w.state.facts.profiles[SPAN]
    form = entry(SPAN, text, w.time, w.time + 2 * HOUR, 0, 2)
    assert form["source"] == source(Role.COUNCIL)
    said = w.send(*(from_json(EVENTS, event) for event in form["events"]))
    assert reasons(said) == []
    w.mark(after=HOUR)
    assert w.state.facts.profiles[SPAN] == before
    w.mark(after=HOUR)
    assert w.state.facts.profiles[SPAN] == parse_profile(text)
    assert w.state.facts.profile_texts[SPAN] == text


def test_without_notice_it_is_refused(store: Store) -> None:
    w = World()
    text = proposed(shipped_profile("span"), store, END, Tool.NONE, study(store, END)).text
    form = entry(SPAN, text, w.time, w.time, 0, 2)
    assert reasons(w.send(*(from_json(EVENTS, event) for event in form["events"]))) == ["PARAMETER_TOO_SOON"]


def test_the_gateway_takes_the_entry_as_it_is_printed(store: Store) -> None:
    form = entry(SPAN, shipped_profile("span"), START, START + DAY, 7, 12)
    key = Key("council", Secret(b"x" * 32), frozenset({Access.COUNCIL}), frozenset({source(Role.COUNCIL, 7)}))
    sent = entry_in(json.dumps(form).encode(), JSON, key)
    assert (sent.source, sent.sequence, sent.events) == (source(Role.COUNCIL, 7), 12, len(form["events"]))


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (["--profile", "span", "--to", "2021-02-30"], "'2021-02-30' is no day"),
        (["--profile", "span", "--to", "2022-01-01"], "before 2022-01-02"),
        (["--profile", "nothing", "--to", TO], "nothing"),
        (["--profile", "span", "--to", TO, "--data", "/nowhere"], "no bars such as"),
        (["--profile", "span", "--to", "2020-01-20"], "needed"),
    ],
)
def test_what_cannot_be_calibrated_is_named(folder: Path, ask: list[str], told: str) -> None:
    ask = ask if "--data" in ask else [*ask, "--data", str(folder)]
    assert told in novate("calibrate", *ask, status=1)


def _inlined(text: str) -> str:
    begin, end = text.index("[underlyings.BTC]"), text.index("[underlyings.ETH]")
    return text[:begin] + "[underlyings]\nBTC = { price_scan = 0.15 }\n\n" + text[end:]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("underlyings.ETH", "underlyings.XRP").replace('"ETH"', '"XRP"'), "no bars of XRP"),
        (lambda text: text.replace("lookback = 365", "lookback = 0  "), "no lookback"),
        (lambda text: text.replace("lookback = 365", "lookback = 2  "), "moves, 100 are needed"),
        (_inlined, "BTC.price_scan has no line of its own"),
    ],
)
def test_a_profile_that_cannot_be_calibrated_is_named(store: Store, change: Any, told: str) -> None:
    text = change(shipped_profile("span"))
    assert text != shipped_profile("span")
    with pytest.raises(Unfit, match=told):
        proposed(text, store, END, Tool.NONE, study(store, END))


def test_two_files_of_one_symbol_are_refused(tmp_path: Path) -> None:
    for suffix in (".csv", ".csv.gz"):
        bars_file(tmp_path, "BTC", walked(1, 0.5, 1.0, 2), suffix)
    with pytest.raises(Unfit, match="both tell of BTC"):
        read_store(tmp_path)


def test_a_regime_s_correlations_go_into_a_simulated_profile_and_into_a_market(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "stress.toml"
    ask = ["regimes", "--to", TO, "--data", folder, "--json", "--overrides", path]
    told = json.loads(novate(*ask, "--regime", "stress"))
    assert told["regime"] in NAMES
    own = told["market"]["stress"]
    place = {symbol: number for number, symbol in enumerate(told["assets"])}
    for pair, value in own.items():
        a, b = pair.split("/")
        assert a < b
        assert value == pytest.approx(told["correlations"]["stress"][place[a]][place[b]], abs=1e-6)
    position = {"type": "perp", "underlying": "BTC", "quantity": 1}
    book = {"positions": [position, {"type": "perp", "underlying": "ETH", "quantity": -30}]}
    market = {
        "time": "2021-03-21T00:00:00Z",
        "settlement": {"asset": "USDC", "price": 1},
        "underlyings": {"BTC": {"spot": 60_000}, "ETH": {"spot": 2_000}},
    }
    by_file = margin("monte_carlo_var", book, market, path.read_text())
    by_market = margin("monte_carlo_var", book, {**market, "correlations": own})
    assert by_file["initial"] == by_market["initial"]
    assert by_file["initial"] != margin("monte_carlo_var", book, market)["initial"]
    assert any(note.startswith("correlations: stress") for note in by_file["notes"])
    assert "known are calm" in novate(*ask, "--regime", "wild", status=1)


def test_regimes_and_forecasts_are_printed(folder: Path) -> None:
    told = json.loads(novate("regimes", "--to", TO, "--data", folder, "--json"))
    assert [row["regime"] for row in told["regimes"]] == list(NAMES)
    assert [row["volatility"] for row in told["regimes"]] == sorted(row["volatility"] for row in told["regimes"])
    assert set(told["correlations"]) == set(NAMES)
    scores = json.loads(novate("forecasts", "--to", TO, "--data", folder, "--asset", "BTC", "--json"))
    assert [one["forecaster"] for one in scores] == list(FORECASTERS)
    assert "no bars of XRP" in novate("forecasts", "--to", TO, "--data", folder, "--asset", "XRP", status=1)


# --- real history -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Store:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    return read_store(DATA)


@pytest.mark.data
def test_real_files_are_read_whole(real: Store) -> None:
    assert set(real.bars) >= {"BTC", "ETH", "LINK", "SOL"}
    assert len(real.bars["BTC"].times) == 42_324
    assert len(daily(real.bars["BTC"]).times) == 1_765
    assert real.implied["BTC"].close[0] == pytest.approx(0.8488)
    funding = read_funding(DATA / "funding_binance_8h.csv.gz")
    assert len(funding["binance", "BTCUSDT"].times) == 5_267
    chain = read_chain(DATA / "chains" / "deribit_chain_20260313T155304.csv.gz")
    assert len(chain) == 1_786
    assert (chain[0].instrument, chain[0].strike, chain[0].call, chain[1].bid) == (
        "BTC-14MAR26-62000-C",
        62_000.0,
        True,
        None,
    )


@pytest.mark.data
def test_the_crashes_are_stress(real: Store) -> None:
    found = study(real, parse_time("2024-07-01T00:00:00Z"))
    for day in ("2020-03-13", "2021-05-20", "2022-05-12", "2022-06-14", "2022-11-10"):
        at = int(np.searchsorted(found.times, parse_time(f"{day}T00:00:00Z")))
        assert NAMES[found.looking_back[at]] == "stress", day
        assert NAMES[found.known[at]] == "stress", day
    assert (np.diff(found.model.volatility()) > 0.15).all()


@pytest.mark.data
def test_har_beats_ewma_out_of_sample_on_every_asset_and_so_does_the_learned_forecast_on_one(real: Store) -> None:
    """The learned one on all of them takes a minute: `novate forecasts` prints it."""
    bars = {symbol: real.bars[symbol] for symbol in ("BTC", "ETH", "LINK", "SOL")}
    assets = {symbol: days_of(one.times, one.close) for symbol, one in bars.items()}
    quick = {name: FORECASTERS[name] for name in ("EWMA", "HAR")}
    slow = {name: FORECASTERS[name] for name in ("EWMA", "learned")}
    scores = [*compare(assets, quick), *compare({"BTC": assets["BTC"]}, slow, refit=365)]
    better = [(one.asset, one.forecaster) for one in scores if one.against_first < -1.96]
    assert better == [("BTC", "HAR"), ("ETH", "HAR"), ("LINK", "HAR"), ("SOL", "HAR"), ("BTC", "learned")]


@pytest.mark.data
def test_real_ranges_cover_the_stated_confidence_of_their_lookback(real: Store) -> None:
    to = parse_time("2024-07-01T00:00:00Z")
    told = proposed(shipped_profile("span"), real, to, Tool.NONE, study(real, to))
    assert rules_of(told.text).confidence == 0.99
    bars = real.bars["BTC"]
    moves = bars.close[24:] / bars.close[:-24] - 1.0
    recent = moves[bars.times[24:] + HOUR > to - 365 * DAY]
    level = next(one.range.basis_points for one in told.ranges if (one.underlying, one.key) == ("BTC", "price_scan"))
    shares = [(side * recent <= level / 1e4).mean() for side in (1.0, -1.0)]
    assert 0.99 <= min(shares) < 0.991
    assert [one.range.basis_points for one in told.ranges if one.key == "price_scan"] == [721, 856, 1527]

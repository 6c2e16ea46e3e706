"""The calculator's JSON, its command and its function: the public example end to end, and every kind of bad input."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from risk.margin.book import Kind, Svi
from schemas.units import parse_time
from services.cli import app
from services.margin import batch, margin, margin_of, profile_text, published_profiles
from services.margin_forms import SCHEMAS, MarginForm
from services.margin_reading import BadInput, parsed, read_market, read_portfolio
from services.terminal import Refused

PROFILE = "derive_pmrm2"
PORTFOLIO = """
{"account": "A-1", "cash": "19.22",
 "collateral": [{"asset": "LBTC", "amount": "19.977"}],
 "positions": [
  {"type": "perp",   "underlying": "BTC", "quantity": "1.21", "unrealised_pnl": "-5281.35", "funding": "0"},
  {"type": "future", "underlying": "BTC", "expiry": "2026-01-30T08:00:00Z", "quantity": "-0.5", "entry_price": "90000"},
  {"type": "option", "underlying": "BTC", "expiry": "2026-01-30T08:00:00Z", "strike": "80000", "right": "C",
   "quantity": "-2"}],
 "orders": [{"type": "perp", "underlying": "BTC", "quantity": "1", "price": "95000"}]}
"""
MARKET = """
{"time": "2026-01-21T08:00:00Z",
 "settlement": {"asset": "USDC", "price": 1.0002},
 "underlyings": {"BTC": {"spot": 95663.5, "confidence": 1,
   "perp": {"price": 95650.1, "confidence": 1},
   "expiries": [{"expiry": "2026-01-30T08:00:00Z", "forward": 96248.7, "confidence": 1, "rate": 0.21,
     "rate_confidence": 1, "volatility_confidence": 0.95,
     "svi": {"a": 0.0143, "b": 0.0828, "rho": -0.3828, "m": -0.0958, "sigma": 0.13,
       "forward": 96248.7, "tau": 0.1019}}]}},
 "assets": {"LBTC": {"price": 95569.6, "confidence": 1, "offsets": "BTC",
   "haircut": {"maintenance": 0.03, "initial_extra": 0.015}}},
 "correlations": {"BTC/ETH": 0.8}}
"""
SMILE = {"80000": 0.55, "100000": 0.5}
FIRST = "$.market.underlyings.BTC.expiries[0]"
GONE = object()


def given() -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(PORTFOLIO), json.loads(MARKET)


def changed(data: dict[str, Any], keys: str, value: object) -> None:
    """Puts `value` where the dotted keys lead, or takes it away."""
    *way, last = [int(key) if key.isdigit() else key for key in keys.split(".")]
    here: Any = data
    for key in way:
        here = here[key]
    if value is GONE:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value


def fault(portfolio: object, market: object) -> tuple[str, str]:
    with pytest.raises(BadInput) as told:
        read_portfolio(portfolio, read_market(market))
    assert told.value.message
    return told.value.code, told.value.path


E0 = "underlyings.BTC.expiries.0"
LATER = {"expiry": "2026-01-25T08:00:00Z", "forward": 96000, "volatilities": SMILE}
BAD_MARKETS = [  # where, what is put there, code, path
    ("time", "yesterday", "NotATime", "$.market.time"),
    ("time", 1769000000, "NotATime", "$.market.time"),
    ("time", GONE, "Missing", "$.market.time"),
    ("tim", 1, "UnknownKey", "$.market.tim"),
    ("settlement.price", 0, "OutOfRange", "$.market.settlement.price"),
    ("settlement.price", float("nan"), "NotANumber", "$.market.settlement.price"),
    ("underlyings", [], "WrongType", "$.market.underlyings"),
    ("underlyings.BTC.spot", float("nan"), "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", "NaN", "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", float("inf"), "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", Decimal("NaN"), "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", -95663.5, "OutOfRange", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", "1e5", "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", True, "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", None, "NotANumber", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.spot", 10**16, "OutOfRange", "$.market.underlyings.BTC.spot"),
    ("underlyings.BTC.confidence", 1.01, "OutOfRange", "$.market.underlyings.BTC.confidence"),
    ("underlyings.BTC.perp.price", "-1", "OutOfRange", "$.market.underlyings.BTC.perp.price"),
    ("underlyings.BTC.perp.mark", 1, "UnknownKey", "$.market.underlyings.BTC.perp.mark"),
    ("underlyings.B TC", {"spot": 1}, "OutOfRange", '$.market.underlyings["B TC"]'),
    (f"{E0}.expiry", "2026-01-21T08:00:00Z", "Expired", f"{FIRST}.expiry"),
    (f"{E0}.expiry", "2026-01-30T08:00:00.5Z", "NotATime", f"{FIRST}.expiry"),
    (f"{E0}.forward", -1, "OutOfRange", f"{FIRST}.forward"),
    (f"{E0}.volatilities", SMILE, "Both", f"{FIRST}.volatilities"),
    (f"{E0}.rate", 1_000_000, "OutOfRange", f"{FIRST}.rate"),
    (f"{E0}.rate", -1_000_000, "OutOfRange", f"{FIRST}.rate"),
    (f"{E0}.svi.sigma", 0, "OutOfRange", f"{FIRST}.svi.sigma"),
    (f"{E0}.svi.rho", -1.5, "OutOfRange", f"{FIRST}.svi.rho"),
    (f"{E0}.svi.a", -0.5, "OutOfRange", f"{FIRST}.svi.a"),
    (f"{E0}.svi.tau", GONE, "Missing", f"{FIRST}.svi.tau"),
    ("underlyings.BTC.expiries.1", LATER, "Unsorted", "$.market.underlyings.BTC.expiries[1].expiry"),
    ("assets.LBTC.price", -1, "OutOfRange", "$.market.assets.LBTC.price"),
    ("assets.LBTC.offsets", "ETH", "NotInMarket", "$.market.assets.LBTC.offsets"),
    ("assets.LBTC.haircut.maintenance", 2, "OutOfRange", "$.market.assets.LBTC.haircut.maintenance"),
    (f"{E0}.surface_age", -1, "OutOfRange", f"{FIRST}.surface_age"),
    (f"{E0}.curve_age", "old", "NotANumber", f"{FIRST}.curve_age"),
    ("correlations_age", -1, "OutOfRange", "$.market.correlations_age"),
    ("correlations.BTC/ETH", 1.2, "OutOfRange", '$.market.correlations["BTC/ETH"]'),
    ("correlations.BTC", 0.5, "OutOfRange", "$.market.correlations.BTC"),
    ("correlations.ETH/BTC", 0.5, "Twice", '$.market.correlations["ETH/BTC"]'),
]
SMILES = [  # volatilities instead of SVI, code, path
    ({"100000": 0.5, "80000": 0.55}, "Unsorted", f'{FIRST}.volatilities["80000"]'),
    ({"80000": 0.5, "80000.0": 0.55}, "Twice", f'{FIRST}.volatilities["80000.0"]'),
    ({"80000": -0.5}, "OutOfRange", f'{FIRST}.volatilities["80000"]'),
    ({"80000": float("nan")}, "NotANumber", f'{FIRST}.volatilities["80000"]'),
    ({"-80000": 0.5}, "NotANumber", f'{FIRST}.volatilities["-80000"]'),
    ({"high": 0.5}, "NotANumber", f"{FIRST}.volatilities.high"),
    ({}, "Missing", f"{FIRST}.volatilities"),
]
BAD_PORTFOLIOS = [
    ("cash", "much", "NotANumber", "$.portfolio.cash"),
    ("cash", float("nan"), "NotANumber", "$.portfolio.cash"),
    ("csh", 1, "UnknownKey", "$.portfolio.csh"),
    ("account", "", "OutOfRange", "$.portfolio.account"),
    ("positions", {}, "WrongType", "$.portfolio.positions"),
    ("positions.0.type", "spot", "UnknownKind", "$.portfolio.positions[0].type"),
    ("positions.0.type", GONE, "Missing", "$.portfolio.positions[0].type"),
    ("positions.0.quantity", 0, "OutOfRange", "$.portfolio.positions[0].quantity"),
    ("positions.0.quantity", "1,5", "NotANumber", "$.portfolio.positions[0].quantity"),
    ("positions.0.quantity", GONE, "Missing", "$.portfolio.positions[0].quantity"),
    ("positions.0.strike", 1, "UnknownKey", "$.portfolio.positions[0].strike"),
    ("positions.0.entry_price", 90_000, "Both", "$.portfolio.positions[0].unrealised_pnl"),
    ("positions.0.underlying", "ETH", "NotInMarket", "$.portfolio.positions[0].underlying"),
    ("positions.1.entry_price", -1, "OutOfRange", "$.portfolio.positions[1].entry_price"),
    ("positions.1.expiry", "2026-03-27T08:00:00Z", "NotInMarket", "$.portfolio.positions[1].expiry"),
    ("positions.1.expiry", "2026-01-20T08:00:00Z", "Expired", "$.portfolio.positions[1].expiry"),
    ("positions.2.strike", -80_000, "OutOfRange", "$.portfolio.positions[2].strike"),
    ("positions.2.right", "call", "UnknownKind", "$.portfolio.positions[2].right"),
    ("positions.2.entry_price", 1, "UnknownKey", "$.portfolio.positions[2].entry_price"),
    ("collateral.0.asset", "XBTC", "NotInMarket", "$.portfolio.collateral[0].asset"),
    ("collateral.0.amount", -1, "OutOfRange", "$.portfolio.collateral[0].amount"),
    ("collateral.1", {"asset": "LBTC", "amount": 1}, "Twice", "$.portfolio.collateral[1].asset"),
    ("orders.0.price", -1, "OutOfRange", "$.portfolio.orders[0].price"),
    ("orders.0.underlying", "ETH", "NotInMarket", "$.portfolio.orders[0].underlying"),
    ("orders.0.funding", 1, "UnknownKey", "$.portfolio.orders[0].funding"),
]


@pytest.mark.parametrize(("where", "what", "code", "path"), BAD_MARKETS)
def test_a_bad_market_is_named_with_its_place(where: str, what: object, code: str, path: str) -> None:
    portfolio, market = given()
    changed(market, where, what)
    assert fault(portfolio, market) == (code, path)


@pytest.mark.parametrize(("smile", "code", "path"), SMILES)
def test_a_bad_smile_is_named_with_its_place(smile: object, code: str, path: str) -> None:
    portfolio, market = given()
    changed(market, f"{E0}.svi", GONE)
    changed(market, f"{E0}.volatilities", smile)
    assert fault(portfolio, market) == (code, path)


@pytest.mark.parametrize(("where", "what", "code", "path"), BAD_PORTFOLIOS)
def test_a_bad_portfolio_is_named_with_its_place(where: str, what: object, code: str, path: str) -> None:
    portfolio, market = given()
    changed(portfolio, where, what)
    assert fault(portfolio, market) == (code, path)


def test_an_option_without_a_smile_is_named() -> None:
    portfolio, market = given()
    changed(market, f"{E0}.svi", GONE)
    assert fault(portfolio, market) == ("NotInMarket", "$.portfolio.positions[2].expiry")


@pytest.mark.parametrize(
    ("text", "code"), [("{", "NotJson"), ('{"a": 1, "a": 2}', "Twice"), ("[" * 100_000, "NotJson"), ("", "NotJson")]
)
def test_what_is_no_json_is_named(text: str, code: str) -> None:
    with pytest.raises(BadInput) as told:
        parsed(text, "$.market")
    assert (told.value.code, told.value.path) == (code, "$.market")


def test_everything_the_example_says_is_read_and_defaults_are_those_named() -> None:
    market = read_market(parsed(MARKET, "$"))
    portfolio = read_portfolio(parsed(PORTFOLIO, "$"), market)
    expiry = parse_time("2026-01-30T08:00:00Z")
    assert (market.settlement, market.settlement_price) == ("USDC", 1.0002)
    told = market.underlyings["BTC"].expiries[expiry]
    assert (told.forward, told.rate, told.volatility_confidence) == (96248.7, 0.21, 0.95)
    assert told.smile == Svi(0.0143, 0.0828, -0.3828, -0.0958, 0.13, 96248.7, 0.1019)
    assert market.underlyings["BTC"].perp == 95650.1
    assert market.assets["LBTC"].haircut_initial_extra == 0.015
    assert market.correlations == {("BTC", "ETH"): 0.8}
    assert portfolio.cash == Fraction("19.22")
    assert [one.quantity for one in portfolio.positions] == [Fraction("1.21"), Fraction("-0.5"), Fraction(-2)]
    assert portfolio.positions[0].unrealised == Fraction("-5281.35")
    assert portfolio.positions[1].entry_price == 90_000
    assert (portfolio.positions[2].instrument.kind, portfolio.positions[2].instrument.call) == (Kind.OPTION, True)
    assert portfolio.orders[0].price == 95_000
    least = read_market({"time": "2026-01-21T08:00:00Z", "settlement": {"asset": "USDC", "price": 1},
                         "underlyings": {"BTC": {"spot": "95000.5"}}})  # fmt: skip
    assert (least.underlyings["BTC"].spot, least.underlyings["BTC"].perp) == (95000.5, None)
    assert (least.underlyings["BTC"].confidence, least.history) == (1.0, None)
    assert read_portfolio({}, least).positions == ()


def test_a_surface_too_old_stops_new_risk_in_the_answer(tmp_path: Path) -> None:
    portfolio, market = given()
    young = margin("crypto_span", portfolio, market)
    changed(market, f"{E0}.surface_age", 2 * 86_400)
    old = margin("crypto_span", portfolio, market)
    assert (young["new_risk"], old["new_risk"]) == (True, False)
    assert "BTC 2026-01-30: surface 48.0 h old, 100.0% widened; no new risk" in old["notes"]
    assert Decimal(old["initial"]["requirement"]) > Decimal(young["initial"]["requirement"])
    (tmp_path / "portfolio.json").write_text(json.dumps(portfolio))
    (tmp_path / "market.json").write_text(json.dumps(market))
    told = CliRunner().invoke(app, command(tmp_path, profile="crypto_span"), env={"COLUMNS": "200"})
    assert "no new risk" in told.output


def test_strings_and_numbers_give_the_same_answer() -> None:
    portfolio, market = given()
    as_text = json.loads(MARKET, parse_float=str)
    assert margin(PROFILE, portfolio, market) == margin(PROFILE, portfolio, as_text)


def test_the_example_is_answered_in_the_published_form() -> None:
    portfolio, market = given()
    told = margin(PROFILE, portfolio, market, floats=True)
    MarginForm.model_validate(told)
    jsonschema.validate(told, MarginForm.model_json_schema())
    assert told["profile"]["published"] == "2026-01-21"
    equity, buffer = Decimal(told["equity"]), Decimal(told["buffer"])
    initial, maintenance = Decimal(told["initial"]["requirement"]), Decimal(told["maintenance"]["requirement"])
    # by hand: the short calls, the perp's and the future's loss; the coins and the cash
    losses = Decimal("-5281.35") - Decimal("0.5") * (Decimal("96248.7") - 90_000)
    assert abs(Decimal(told["mark_to_market"]) - losses + 2 * Decimal(told["legs"][2]["mark"])) < Decimal("1e-5")
    assert equity == Decimal(told["mark_to_market"]) + Decimal("19.22") + Decimal(told["collateral"][0]["value"])
    assert abs(Decimal(told["collateral"][0]["value"]) - Decimal("19.977") * Decimal("95569.6") / Decimal("1.0002")) < 1
    assert Decimal(told["initial"]["excess"]) == equity - initial
    assert initial >= maintenance + buffer
    assert abs(float(initial) - told["float"]["initial"]) <= 2e-6
    assert [one["position"] for one in told["legs"]] == [0, 1, 2]
    assert {"delta", "gamma", "vega", "theta", "vanna", "charm", "volga"} <= set(told["legs"][2]["greeks"])
    assert told["worst_scenario"]["initial"] in {one["id"] for one in told["scenarios"]}
    assert "pending orders" in {one["name"] for one in told["add_ons"]}
    expanded = told["expansion"]
    # prices fall by 18 %: the coins' loss, less what the short future and calls bring by their deltas
    coins = Decimal("0.18") * Decimal(told["collateral"][0]["value"])
    positions = Decimal("0.18") * (Decimal("1.21") * Decimal("95650.1") - Decimal("96248.7") * (
        Decimal("0.5") + 2 * Decimal(told["legs"][2]["greeks"]["delta"])))  # fmt: skip
    assert told["worst_scenario"]["initial"] == "BTC -18% vol up"
    assert abs(Decimal(told["components"]["delta_risk"]) - coins - positions) < 100
    assert Decimal(told["components"]["stress_loss"]) == -Decimal(
        next(one["pnl"] for one in told["scenarios"] if one["id"] == "BTC -18% vol up")
    )
    assert expanded["revaluation"] == pytest.approx(expanded["expanded"] + expanded["unexplained"])


def test_the_example_fits_the_printed_schemas() -> None:
    portfolio, market = given()
    for name, data in (("margin-portfolio", portfolio), ("margin-market", market)):
        jsonschema.validate(data, SCHEMAS[name].model_json_schema())
    changed(market, "tim", 1)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(market, SCHEMAS["margin-market"].model_json_schema())


@pytest.mark.parametrize("form", SCHEMAS)
def test_the_printed_schema_is_the_one_of_the_form(form: str) -> None:
    told = CliRunner().invoke(app, ["schema", form])
    assert told.exit_code == 0
    assert json.loads(told.output) == SCHEMAS[form].model_json_schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(told.output))


BAD_PROFILES: list[tuple[str, Any, str, str]] = [
    ("nothing", {}, "UnknownProfile", "$.profile"),
    ("./nowhere.toml", {}, "UnknownProfile", "$.profile"),
    (PROFILE, {"bufer": 1}, "UnknownKey", "$.overrides.bufer"),
    (PROFILE, {"margin_period": {"detected": 1}}, "UnknownKey", "$.overrides.margin_period.detected"),
    (PROFILE, {"buffer": "2"}, "OutOfRange", "$.overrides.buffer"),
    (PROFILE, "buffer = ", "NotToml", "$.overrides"),
]


@pytest.mark.parametrize(("profile", "overrides", "code", "path"), BAD_PROFILES)
def test_a_bad_profile_or_override_is_named(profile: str, overrides: Any, code: str, path: str) -> None:
    with pytest.raises(BadInput) as told:
        margin(profile, *given(), overrides)
    assert (told.value.code, told.value.path) == (code, path)


CANNOT = [  # a profile that cannot answer the example, the code, the place of what it lacks or cannot take
    ("historical_var99", "NoHistory", "$.market.history"),
    ("vega_levels", "NotLinear", "$.portfolio"),
]


@pytest.mark.parametrize(("profile", "code", "path"), CANNOT)
def test_what_a_model_cannot_answer_has_a_place(profile: str, code: str, path: str) -> None:
    with pytest.raises(BadInput) as told:
        margin(profile, *given())
    assert (told.value.code, told.value.path) == (code, path)


def test_overrides_replace_scenario_lists() -> None:
    base = margin(PROFILE, *given())
    told = margin(PROFILE, *given(), 'scenarios = [{ spot = "1", volatility = "none" }]')
    assert len(told["scenarios"]) < len(base["scenarios"])
    assert Decimal(told["maintenance"]["requirement"]) < Decimal(base["maintenance"]["requirement"])
    assert told["profile"]["hash"] != base["profile"]["hash"]


def test_a_batch_answers_in_order_and_errors_do_not_stop_it() -> None:
    portfolio, market = given()
    good = {"profile": PROFILE, "portfolio": portfolio, "market": market}
    worse = copy.deepcopy(good)
    changed(worse, "portfolio.positions.0.quantity", "NaN")
    lines = [
        json.dumps(good),
        json.dumps(worse),
        "{",
        json.dumps({**good, "profil": 1}),
        json.dumps({**good, "overrides": {"bufer": 1}}),
        json.dumps({"profile": PROFILE}),
        "[]",
        json.dumps({**good, "overrides": {"buffer": "0.5"}}),
    ]
    told = list(batch(lines))
    assert told[0] == margin(PROFILE, portfolio, market)
    assert told[7] == margin(PROFILE, portfolio, market, "buffer = '0.5'")
    assert [(one["error"]["code"], one["error"]["path"]) for one in told[1:7]] == [
        ("NotANumber", "$.portfolio.positions[0].quantity"),
        ("NotJson", "$"),
        ("UnknownKey", "$.profil"),
        ("UnknownKey", "$.overrides.bufer"),
        ("Missing", "$.portfolio"),
        ("WrongType", "$"),
    ]


def test_a_fault_of_ours_takes_no_other_answer_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    portfolio, market = given()
    told = iter([RuntimeError("broken"), None])

    def failing(*arguments: Any, **named: Any) -> dict[str, Any]:
        fault = next(told)
        if fault is not None:
            raise fault
        return margin_of(*arguments, **named)

    monkeypatch.setattr("services.margin.margin_of", failing)
    line = json.dumps({"profile": PROFILE, "portfolio": portfolio, "market": market})
    first, second = batch([line, line])
    assert first["error"] == {"code": "Internal", "message": "RuntimeError: broken", "path": "$"}
    assert "initial" in second


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "portfolio.json").write_text(PORTFOLIO)
    (tmp_path / "market.json").write_text(MARKET)
    (tmp_path / "overrides.toml").write_text('buffer = "0.5"\n')
    return tmp_path


def command(folder: Path, *more: str, profile: str = PROFILE) -> list[str]:
    files = ["--portfolio", str(folder / "portfolio.json"), "--market", str(folder / "market.json")]
    return ["margin", "--profile", profile, *files, *more]


def test_the_command_answers_as_the_function(folder: Path) -> None:
    told = CliRunner().invoke(app, command(folder, "--json", "--overrides", str(folder / "overrides.toml")))
    assert told.exit_code == 0, told.output
    assert json.loads(told.output) == margin(PROFILE, *given(), {"buffer": 0.5})


def test_without_a_profile_the_command_takes_the_default(folder: Path) -> None:
    asked = [one for one in command(folder, "--json") if one not in ("--profile", PROFILE)]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert json.loads(told.output)["profile"]["name"] == "crypto-span"


@pytest.mark.parametrize("name", ["crypto-span", "crypto_span", "derive-pmrm2_mainnet"])
def test_a_profile_is_named_with_either_dash(name: str) -> None:
    assert profile_text(name) == profile_text(name.replace("-", "_"))


def test_the_command_explains(folder: Path) -> None:
    told = CliRunner().invoke(app, command(folder, "--float"), env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    answer = margin(PROFILE, *given(), floats=True)
    for part in (answer["initial"]["requirement"], repr(answer["float"]["initial"]), "<- worst", "LBTC", "volga"):
        assert part in told.output, part


def test_the_command_names_what_is_wrong(folder: Path) -> None:
    (folder / "market.json").write_text(MARKET.replace('"spot": 95663.5', '"spot": NaN'))
    told = CliRunner().invoke(app, command(folder))
    assert isinstance(told.exception, Refused)
    assert "$.market.underlyings.BTC.spot: NotANumber" in str(told.exception)
    for arguments in (["margin"], command(folder, "--batch", "x"), command(folder / "nowhere")):
        assert isinstance(CliRunner().invoke(app, arguments).exception, Refused)


def test_the_command_answers_a_batch(folder: Path) -> None:
    portfolio, market = given()
    line = json.dumps({"profile": PROFILE, "portfolio": portfolio, "market": market})
    # JSON may hold what some call the end of a line; and what is no text is one line's fault
    odd = json.dumps(
        {"profile": PROFILE, "portfolio": {**portfolio, "account": "a\u2028b"}, "market": market}, ensure_ascii=False
    )
    lines = [line, "nonsense", odd, line]
    (folder / "requests.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    told = CliRunner().invoke(app, ["margin", "--batch", str(folder / "requests.jsonl")])
    answers = [json.loads(one) for one in told.stdout.splitlines()]
    assert answers[0] == answers[2] == answers[3] == margin(PROFILE, portfolio, market)
    assert [one["error"]["code"] for one in (answers[1], answers[4])] == ["NotJson", "NotJson"]
    assert len(answers) == 5


def test_a_profile_of_ones_own_is_a_file(folder: Path) -> None:
    own = folder / "own.toml"
    own.write_text(profile_text(PROFILE).replace("buffer = 0", 'buffer = "0.4"'))
    told = CliRunner().invoke(app, command(folder, "--json", profile=str(own)))
    assert json.loads(told.output)["buffer"] != margin(PROFILE, *given())["buffer"]


def test_profiles_are_listed_and_printed() -> None:
    listed = json.loads(CliRunner().invoke(app, ["profiles", "--json"]).output)
    assert [one["profile"] for one in listed] == list(published_profiles())
    command = (sys.executable, "-m", "services.cli", "profiles")
    table = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"}
    ).stdout
    assert all(one["profile"] in table and one["hash"][:12] in table for one in listed)
    assert CliRunner().invoke(app, ["profiles", PROFILE]).output == profile_text(PROFILE)
    assert isinstance(CliRunner().invoke(app, ["profiles", "nothing"]).exception, Refused)

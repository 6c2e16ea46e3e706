"""Collateral in the calculator's JSON: every field read, its faults named by place, and an answer that uses them."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from risk.collateral.pools import Pool
from risk.collateral.staked import Bond
from risk.margin.book import AssetQuote, Strike
from services.margin import margin
from services.margin_forms import SCHEMAS
from services.margin_reading import BadInput, read_market

EXPIRY = {
    "expiry": "2026-01-30T08:00:00Z",
    "forward": 96_000,
    "volatilities": {"80000": 0.6, "96000": 0.5},
    "strikes": {"80000": {"open_interest": "12", "spread": "0.04"}},
}
MARKET: dict[str, Any] = {
    "time": "2026-01-21T08:00:00Z",
    "settlement": {"asset": "USDC", "price": 1},
    "underlyings": {"BTC": {"spot": 96_000, "age": 3_660, "gap": "0.015", "expiries": [EXPIRY]}},
    "assets": {
        "STK": {
            "price": 100,
            "volatility": "0.9",
            "depth": 4_000_000,
            "held": 1_000,
            "issuer": "ACME",
            "unbonding": {"days": 21, "penalty": "0.01", "rate": "0.05"},
        },
        "USDX": {"price": "0.97", "peg": 1},
        "POOL": {"price": 20_000, "offsets": "BTC", "pool": {"base": 100, "other": 10_000_000, "tokens": 1_000}},
    },
    "correlations": {"BTC/STK": "0.6"},
}
PORTFOLIO: dict[str, Any] = {
    "owner": "ACME",
    "cash": 50_000,
    "collateral": [
        {"asset": "STK", "amount": 10},
        {"asset": "USDX", "amount": 1_000},
        {"asset": "POOL", "amount": 1},
    ],
    "positions": [{"type": "perp", "underlying": "BTC", "quantity": "1"}],
}


def test_every_field_is_read() -> None:
    told = read_market(MARKET)
    btc = told.underlyings["BTC"]
    assert (btc.age, btc.gap) == (3_660.0, 0.015)
    assert btc.expiries[next(iter(btc.expiries))].strikes == {80_000.0: Strike(12.0, 0.04)}
    assert told.assets == {
        "STK": AssetQuote(100.0, volatility=0.9, depth=4e6, held=1_000.0, issuer="ACME", bond=Bond(21.0, 0.01, 0.05)),
        "USDX": AssetQuote(0.97, peg=1.0),
        "POOL": AssetQuote(20_000.0, offsets="BTC", pool=Pool(100.0, 10e6, 1_000.0)),
    }


def test_the_answer_rests_on_them() -> None:
    """The owner's token counts nothing, the stable coin .96 of its price; the pool: 2 root(9.6 x 10^13) /
    1,000 = 19,595.92, 2.0204 % less than quoted: 203 points. BTC's price is an hour old and widens by 10 %."""
    told = margin(
        "crypto_span", PORTFOLIO, MARKET, overrides={"haircuts": {"default": {"maintenance": 0, "initial_extra": 0}}}
    )
    by_asset = {one["asset"]: one for one in told["collateral"]}
    assert by_asset["STK"]["haircut"] == by_asset["STK"]["value"]
    assert float(by_asset["USDX"]["haircut"]) == pytest.approx(970 * 0.04)
    assert float(by_asset["POOL"]["haircut"]) == 406.0
    notes = " ".join(told["notes"])
    assert "STK: wrong-way collateral refused" in notes
    assert "widened by 10.0%" in notes
    fresh = copy.deepcopy(MARKET)
    del fresh["underlyings"]["BTC"]["age"]
    assert float(margin("crypto_span", PORTFOLIO, fresh)["initial"]["requirement"]) < float(
        margin("crypto_span", PORTFOLIO, MARKET)["initial"]["requirement"]
    )


def test_they_are_in_the_schemas() -> None:
    for name, data in (("margin-market", MARKET), ("margin-portfolio", PORTFOLIO)):
        jsonschema.validate(data, SCHEMAS[name].model_json_schema())


@pytest.mark.parametrize(
    ("asset", "over", "code", "place"),
    [
        ("STK", {"depth": 0}, "OutOfRange", "STK.depth"),
        ("STK", {"volatility": -1}, "OutOfRange", "STK.volatility"),
        ("STK", {"unbonding": {"days": 1, "penalty": 2}}, "OutOfRange", "STK.unbonding.penalty"),
        ("STK", {"unbonding": {"weeks": 1, "days": 1}}, "UnknownKey", "STK.unbonding.weeks"),
        ("USDX", {"peg": 0}, "OutOfRange", "USDX.peg"),
        ("POOL", {"pool": {"base": 1, "other": 1}}, "Missing", "POOL.pool.tokens"),
        ("USDX", {"pool": {"base": 1, "other": 1, "tokens": 1}}, "Missing", "USDX.offsets"),
    ],
)
def test_faults_are_named_by_place(asset: str, over: dict[str, Any], code: str, place: str) -> None:
    market = copy.deepcopy(MARKET)
    market["assets"][asset].update(over)
    with pytest.raises(BadInput) as caught:
        read_market(market)
    assert (caught.value.code, caught.value.path) == (code, f"$.market.assets.{place}")


def test_unsorted_strikes_are_named() -> None:
    market = copy.deepcopy(MARKET)
    market["underlyings"]["BTC"]["expiries"][0]["strikes"] = {"90000": {}, "80000": {}}
    with pytest.raises(BadInput) as caught:
        read_market(market)
    assert caught.value.code == "Unsorted"
    assert caught.value.path == '$.market.underlyings.BTC.expiries[0].strikes["80000"]'

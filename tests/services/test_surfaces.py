"""`novate surface`: a chain made here is fitted, told and drawn; a file that is no chain is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from risk import black76
from services.margin import margin
from services.margin_reading import read_market
from services.surfaces import app, fitted, market_of

DATA = Path(__file__).parents[3] / "shared" / "data"

HEADING = (
    "ts,instrument,ccy,expiry,strike,cp,index_price,fwd_price,fwd_source,mark_price,"
    "mark_iv,bid_price,ask_price,delta,vega,open_interest,volume"
)


def chain(path):
    rows = [HEADING]
    for expiry, days in (("2026-02-01T08:00Z", 31.0), ("2026-03-01T08:00Z", 59.0)):
        for strike in range(60_000, 140_000, 5_000):
            k = float(np.log(strike / 95_000))
            vol = 0.5 + 0.2 * k * k - 0.1 * k
            for side in "CP":
                bid, ask = (
                    float(black76.price(side == "C", 95_000.0, strike, vol + by, days / 365)) / 95_000
                    for by in (-0.02, 0.02)
                )
                name = f"BTC-{expiry[5:10]}-{strike}-{side}"
                rows.append(
                    f"2026-01-01T08:00:00Z,{name},BTC,{expiry},{strike},{side},95000,95000,X,"
                    f"{(bid + ask) / 2},{vol},{bid},{ask},0.5,10,1,1"
                )
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_chain_is_fitted_told_and_drawn(tmp_path):
    page = tmp_path / "page.html"
    told = CliRunner().invoke(app, ["surface", str(chain(tmp_path / "chain.csv")), "--json", "--out", str(page)])
    assert told.exit_code == 0, told.output
    (one,) = json.loads(told.stdout)
    assert one["currency"] == "BTC" and one["quotes"] == 64 and one["within"] == 1.0 and one["breaches"] == []
    assert len(one["slices"]) == 2 and one["outside"] == [] and one["left_out"] == {}
    written = page.read_text()
    assert written.count("<svg") == 4 and "http" not in written.replace("http-equiv", "")
    plain = CliRunner().invoke(app, ["surface", str(tmp_path / "chain.csv")])
    assert "100.00% of 64 quotes within bid and ask" in plain.stdout.replace("\n", " ")


def test_a_chain_becomes_a_market_that_the_calculator_takes(tmp_path):
    yields = tmp_path / "yields.csv"
    heading = "date,m1,m3,m6,y1,y2,y3,y5,y7,y10,y20,y30"
    yields.write_text(f"{heading}\n2025-12-30,{','.join(['4'] * 11)}\n2026-01-02,{','.join(['9'] * 11)}\n")
    ask = ["surface", str(chain(tmp_path / "chain.csv")), "--market", str(tmp_path / "market.json")]
    told = CliRunner().invoke(app, [*ask, "--yields", str(yields), "--json"])
    assert told.exit_code == 0, told.output
    (one,) = json.loads(told.stdout)
    # bids and asks were made of one forward: parity finds it, to what bid and ask leave open
    assert all(each["by_parity"] and abs(each["forward"] / 95_000 - 1) < 1e-3 for each in one["forwards"].values())
    market = json.loads((tmp_path / "market.json").read_text())
    first = market["underlyings"]["BTC"]["expiries"][0]
    assert first["curve_age"] == 2.0 * 86_400 + 8 * 3_600  # what comes after the chain is not known
    assert abs(first["rate"] - 0.04) < 1e-4
    short = {"type": "option", "underlying": "BTC", "expiry": first["expiry"], "strike": 95_000, "right": "C"}
    answer = margin("crypto_span", {"cash": 10**6, "positions": [{**short, "quantity": -1}]}, market)
    # at the money 50 % of volatility for a month
    assert abs(float(answer["legs"][0]["mark"]) / (0.4 * 95_000 * 0.5 * (31 / 365) ** 0.5) - 1) < 0.02
    assert answer["new_risk"] is False  # the yields are more than a day old
    late = CliRunner().invoke(app, [*ask, "--yields", str(_later(yields))])
    assert late.exit_code != 0 and "no yields by then" in str(late.exception)


def _later(path):
    path.write_text(path.read_text().replace("2025-12-30", "2026-01-03"))
    return path


@pytest.mark.data
def test_parity_meets_a_real_chain_s_forwards(tmp_path):
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    several = fitted(DATA / "chains" / "deribit_chain_20260313T155304.csv.gz")
    assert [one.currency for one in several] == ["BTC", "ETH"]
    for one in several:
        for expiry, quotes in one.quotes.items():
            assert abs(one.forwards[expiry] / quotes[0].forward - 1) < 5e-3, (one.currency, expiry)
        assert len(one.by_parity) >= 0.9 * len(one.forwards)
    read_market(market_of(several, None))


def test_a_file_that_is_no_chain_is_refused(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text(HEADING.replace("mark_iv", "iv") + "\n")
    told = CliRunner().invoke(app, ["surface", str(bad)])
    assert told.exit_code != 0 and "mark_iv" in str(told.output) + str(told.exception)

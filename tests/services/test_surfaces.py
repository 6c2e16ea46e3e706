"""`novate surface`: a chain made here is fitted, told and drawn; a file that is no chain is refused with its place."""

from __future__ import annotations

import json

import numpy as np
from typer.testing import CliRunner

from risk import black76
from services.surfaces import app

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


def test_a_file_that_is_no_chain_is_refused(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text(HEADING.replace("mark_iv", "iv") + "\n")
    told = CliRunner().invoke(app, ["surface", str(bad)])
    assert told.exit_code != 0 and "mark_iv" in str(told.output) + str(told.exception)

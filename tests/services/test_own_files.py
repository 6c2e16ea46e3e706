"""`novate run` on a user's own files, from end to end: what the files say is in the books, and the audit agrees."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ACCOUNTS = [
    "16,long,1,16,individual,span,no",
    "17,short,1,17,omnibus,delta-netting,no",
    "18,bids,2,18,house,span,yes",
]
DEPOSITS = [
    "2020-03-11T00:00:00Z,16,USD,100000.50",
    "2020-03-11T00:00:00Z,17,USD,900000",
    "2020-03-11T00:00:00Z,18,USD,9000000",
    "2020-03-11T03:00:00Z,17,BTC,1.5",
]
TRADES = [
    "2020-03-11T00:00:00Z,1,16,17,BTC-PERP,,50,7894.57,1.5,-0.2",
    "2020-03-11T06:00:00Z,1,17,16,BTC-PERP,1000,,7800.00,,",
]


WARNINGS = "error,ignore::DeprecationWarning"
"""any is an error, but for the old ways in which the Kafka client reads its files"""


def _novate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": WARNINGS},
    )


def _files(folder: Path) -> list[str]:
    bars = (ROOT / "services" / "data" / "crash_2020_03.csv").read_text().splitlines()
    heading = next(line for line in bars if line.startswith("ts,"))
    days = [line for line in bars if line.startswith(("2020-03-11", "2020-03-12"))]
    tables = {
        "prices": [heading, *days],
        "account-file": ["account,name,member,owner,segregation,profile,liquidator", *ACCOUNTS],
        "deposits": ["ts,account,asset,amount", *DEPOSITS],
        "trades": ["ts,venue,buyer,seller,instrument,lots,quantity,price,buyer_fee,seller_fee", *TRADES],
    }
    options: list[str] = []
    for name, lines in tables.items():
        path = folder / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n")
        options += [f"--{name}", str(path)]
    return options


def test_a_users_files_are_cleared_and_audited(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = _novate("run", "--out", out, *_files(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert (out / "report.html").stat().st_size > 100_000
    early = json.loads(_novate("balance", out, "--account", 16, "--as-of", "2020-03-11T00:30:00Z", "--json").stdout)
    # 100,000.50 deposited, 1.50 paid in fees; 50 BTC are 50,000 lots at 7,894.57
    assert early["balances"] == {"USD": "99999.000000"}
    assert early["positions"] == [
        {"instrument": "BTC-PERP", "lots": 50_000, "cost": "394728.500000", "realised": "0.000000"}
    ]
    later = json.loads(_novate("balance", out, "--account", 17, "--as-of", "2020-03-11T06:30:00Z", "--json").stdout)
    assert later["balances"]["BTC"] == "1.50000000"
    assert later["segregation"] == "omnibus"
    bought = next(one for one in later["positions"] if one["instrument"] == "BTC-PERP")
    # 1,000 of 50,000 short lots were closed at 7,800: 94.57 dollars gained on one BTC
    assert (bought["lots"], bought["realised"]) == (-49_000, "94.570000")


def test_a_table_that_cannot_be_used_stops_the_run_before_anything_is_written(tmp_path: Path) -> None:
    options = _files(tmp_path)
    (tmp_path / "deposits.csv").write_text("ts,account,asset,amount\n2020-03-11T00:00:00Z,16,USD,1.1234567\n")
    done = _novate("run", "--out", tmp_path / "out", *options)
    assert done.returncode == 2
    assert "deposits.csv line 2, column amount" in done.stderr
    assert not (tmp_path / "out").exists()

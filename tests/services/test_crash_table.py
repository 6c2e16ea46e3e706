"""The shipped tables: their shape, and every figure against the full series where that is."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.units import parse_time
from services.exchange import HOUR
from services.tables import read_funding, read_prices

DATA = Path(__file__).parents[2] / "services" / "data"
SERIES = Path(__file__).parents[3] / "shared" / "data"
START = parse_time("2020-03-11T00:00:00Z")


def series(name: str) -> Path:
    path = SERIES / name
    if not path.exists():
        pytest.skip(f"the full series {name} is not beside the project (../shared/data)")
    return path


def test_prices_are_four_whole_days_of_two_symbols() -> None:
    bars = read_prices(DATA / "crash_2020_03.csv")
    assert [(bar.ts, bar.symbol) for bar in bars] == [
        (START + hour * HOUR, symbol) for hour in range(96) for symbol in ("BTC", "ETH")
    ]


def test_funding_is_every_eight_hours() -> None:
    rows = read_funding(DATA / "funding_2020_03.csv")
    assert [(row.ts, row.symbol) for row in rows] == [
        (START + 8 * k * HOUR, symbol) for k in range(12) for symbol in ("BTC", "ETH")
    ]


def test_the_crash_is_in_it() -> None:
    bars = read_prices(DATA / "crash_2020_03.csv")
    assert min(bar.low for bar in bars if bar.symbol == "BTC") == 3_782_130_000
    assert min(bar.low for bar in bars if bar.symbol == "ETH") == 86_000_000


@pytest.mark.data
@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_every_price_is_the_series(symbol: str) -> None:
    with gzip.open(series(f"hourly_{symbol}USDT_spot.csv.gz"), "rt") as file:
        known = {row["ts"]: row for row in csv.DictReader(file)}
    with (DATA / "crash_2020_03.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["symbol"] == symbol]
    assert len(rows) == 96
    for row in rows:
        for column in ("open", "high", "low", "close"):
            assert Decimal(row[column]) == Decimal(known[row["ts"]][column]), (row["ts"], column)


@pytest.mark.data
def test_every_funding_rate_is_the_series() -> None:
    with gzip.open(series("funding_binance_8h.csv.gz"), "rt") as file:
        known = {(row["ts"], row["symbol"]): row["rate"] for row in csv.DictReader(file)}
    with (DATA / "funding_2020_03.csv").open() as file:
        for row in csv.DictReader(file):
            assert Decimal(row["rate"]) == Decimal(known[row["ts"], f"{row['symbol']}USDT"]), row

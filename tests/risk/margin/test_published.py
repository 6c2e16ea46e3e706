"""One answer a profile that was published or worked by hand: a profile without a line here fails."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from risk.margin.book import History, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.calculator import answer
from services.margin import published_profiles, ready

NOW, DAY = 1_769_000_000_000_000, 86_400_000_000
PRICE = 100_000.0
MOVES = np.resize([0.01, -0.01], (750, 1))
"""every day a hundredth, up and down in turn: filtered or not, what is lost is a hundredth"""
DEVIATION = 0.6 * PRICE / sqrt(365)
"""dollars, of a day at the volatility that the simulated profiles state for BTC"""
TAIL = {0.99: (3.746947, 5.220627), 0.975: (2.776445, 3.993635), 0.995: (4.604095, 6.324755)}
"""of Student's t with 4 degrees of freedom, whose deviation is root 2: quantile and the mean beyond, by closed form"""


def simulated(of_t: float) -> float:
    return DEVIATION * of_t / sqrt(2)


LONG_PERP = [  # long one perp at 100,000 dollars: initial and maintenance by hand, and how near
    ("aevo_pm", 20_000, 0.8 * 20_000, 0),
    # a fall of 40 %, the perp 1 % below; 5 basis points and 2 % x the root of a 2,000th of the depth to close it
    ("crypto_span", 40_600 + 50 + 2_000 / sqrt(2_000), 0.75 * (40_600 + 50 + 2_000 / sqrt(2_000)), 2e-6),
    ("delta_netting", 21_000, 15_000, 0),
    # in coin: a fall of m costs m / (1 - m)
    ("deribit_pm_btc", 0.16 / 0.84 + 0.01, 0.8 * (0.16 / 0.84 + 0.01), 1e-8),
    ("deribit_pm_eth", 0.18 / 0.82 + 0.005, 0.8 * (0.18 / 0.82 + 0.005), 1e-8),
    ("deribit_pm_older", 0.1 / 0.9 + 0.01, 0.8 * (0.1 / 0.9 + 0.01), 1e-8),
    ("deribit_pm_older_wide", 0.125 / 0.875 + 0.01, 0.8 * (0.125 / 0.875 + 0.01), 1e-8),
    ("derive_pmrm1", 1.3 * (15_000 + 2_000), 15_000 + 2_000, 0),
    ("derive_pmrm2", 18_000 + 3_000 + 1_000, 0.8 * 18_000 + 3_000, 0),
    ("derive_pmrm2_mainnet", 18_000 + 3_000 + 1_000, 0.8 * 18_000 + 3_000, 0),
    ("derive_pmrm2_test", 18_000 + 1_500 + 500, 0.8 * 18_000 + 1_500, 0),
    ("derive_srm", 10_000, 6_500, 0),
    ("filtered_historical", 1.1 * 1_000, 1_000, 1e-4),
    ("fixed_notional", 10_000, 5_000, 0),
    ("gen1", 25_000, 20_000, 0),
    ("historical_var99", 1.1 * 1_000, 1_000, 1e-4),
    ("isolated", 20_000, 15_000, 0),
    ("monte_carlo_es", simulated(TAIL[0.99][1]), simulated(TAIL[0.975][1]), 100),
    # a path's worst point lies between its end and, by reflection, an end half as likely
    (
        "monte_carlo_es_path",
        simulated(TAIL[0.99][1] + TAIL[0.995][1]) / 2,
        None,
        simulated(TAIL[0.995][1] - TAIL[0.99][1]) / 2,
    ),
    ("monte_carlo_var", simulated(TAIL[0.99][0]), None, 0.02 * simulated(TAIL[0.99][0])),
    ("okx_pm", 1.3 * 12_000, 12_000, 0),
    ("paradex_pm", 16_000, 8_000, 0),
    ("span", 1.2 * 15_000, 15_000, 0),
    ("span_nse", 14_200, 14_200, 0),
    # the published long factor, and 1 % slippage
    ("vega_levels", 1.2 * (80_070 + 1_000), 80_070 + 1_000, 10),
]
IN_COIN = {name: "ETH" if name.endswith("eth") else "BTC" for name in published_profiles() if "deribit" in name}
PUBLISHED = [  # the answers that venues and rulebooks print, and the tests that ask for them
    ("test_span_requirement.py", "test_corn_against_soy_two_to_one_at_55_percent"),
    ("test_span_requirement.py", "test_product_x_by_pair_of_months"),
    ("test_span_requirement.py", "test_nse_nifty_future"),
    ("test_okx.py", "test_ten_million_of_a_stablecoin_take_the_published_202_500"),
    ("test_paradex.py", "test_published_minimum_by_delta"),
    ("test_deribit.py", "test_published_case_1"),
    ("test_deribit.py", "test_published_case_2"),
    ("test_vega_levels.py", "test_the_published_risk_factors"),
]


def test_every_profile_has_its_line() -> None:
    assert [name for name, *_ in LONG_PERP] == list(published_profiles())


@pytest.mark.parametrize(("name", "initial", "maintenance", "within"), LONG_PERP)
def test_a_long_perp(name: str, initial: float, maintenance: float | None, within: float) -> None:
    coin = IN_COIN.get(name)
    symbol, settlement, price = ("BTC", "USDC", 1.0) if coin is None else (coin, coin, PRICE)
    times = NOW - DAY * np.arange(len(MOVES), 0, -1, dtype=np.int64)
    history = History((symbol,), times, MOVES, np.zeros(MOVES.shape)) if "historical" in name else None
    market = Market(NOW, settlement, price, {symbol: Underlying(PRICE, perp=PRICE)}, history=history)
    book = Portfolio("A-1", positions=(Position(Instrument(Kind.PERP, symbol), Fraction(1)),))
    told = answer(ready(name), book, market)
    assert float(told.initial.requirement) == pytest.approx(initial, rel=0, abs=max(within, 1e-6))
    if maintenance is not None:
        assert float(told.maintenance.requirement) == pytest.approx(maintenance, rel=0, abs=max(within, 1e-6))


@pytest.mark.parametrize(("file", "test"), PUBLISHED)
def test_published_answers_are_asked_for(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (Path(__file__).parent / file).read_text("utf-8")

"""Calibration: a known smile is found again, arbitrage in quotes does not reach the surface, real chains are met."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pytest

from risk import black76
from risk.margin.book import Svi
from risk.surface import ssvi
from risk.surface.fitting import Quote, TooFewQuotes, data_of, fit
from risk.surface.surface import (
    Method,
    NoExpiries,
    calibrated,
    checked,
    measured,
    one_piece,
    total_variance,
    volatility,
)
from risk.surface.svi import variance
from risk.volatility import YEAR
from services.history import read_chain

CHAINS = Path(__file__).parents[2].parent / "shared" / "data" / "chains"
DAY = YEAR // 365


def quoted(svi, strikes, open_by=0.01, reference=True):
    """Calls and puts at these strikes, bid and ask `open_by` of volatility to each side of the slice's own."""
    made = []
    for strike in strikes:
        vol = float(np.sqrt(variance(svi, np.array([np.log(strike / svi.forward)]))[0] / svi.tau))
        for call in (True, False):
            bid, ask = (
                float(black76.price(call, svi.forward, strike, vol + by, svi.tau)) for by in (-open_by, open_by)
            )
            name = f"{svi.tau:.3f}-{strike:.0f}-{'C' if call else 'P'}"
            made.append(Quote(name, call, svi.forward, strike, bid, ask, vol if reference else 0.0))
    return made


STRIKES = np.linspace(60_000.0, 140_000.0, 17)
KNOWN = Svi(0.005, 0.09, -0.35, 0.02, 0.12, 95_000.0, 60 / 365)


@pytest.mark.parametrize("reference", [True, False])
def test_a_known_smile_is_found_again(reference):
    found = fit(data_of(quoted(KNOWN, STRIKES, reference=reference), KNOWN.tau), 95_000.0, 0.5)
    k = np.log(STRIKES / 95_000.0)
    gap = np.sqrt(variance(found, k) / KNOWN.tau) - np.sqrt(variance(KNOWN, k) / KNOWN.tau)
    assert np.max(np.abs(gap)) < 2e-3


def test_one_wild_quote_bends_nothing():
    quotes = quoted(KNOWN, STRIKES)
    wild = quotes[10]._replace(bid=quotes[10].bid * 2, ask=quotes[10].ask * 2)
    found = fit(data_of([*quotes[:10], wild, *quotes[11:]], KNOWN.tau), 95_000.0, 0.5)
    k = np.log(STRIKES / 95_000.0)
    assert np.max(np.abs(np.sqrt(variance(found, k) / KNOWN.tau) - np.sqrt(variance(KNOWN, k) / KNOWN.tau))) < 1e-2


def test_calendar_arbitrage_in_the_quotes_does_not_reach_the_surface():
    near = Svi(0.05, 0.09, -0.35, 0.02, 0.12, 95_000.0, 30 / 365)
    quotes = {30 * DAY: quoted(near, STRIKES), 60 * DAY: quoted(KNOWN, STRIKES)}
    assert float(variance(near, np.zeros(1))[0]) > 2 * float(variance(KNOWN, np.zeros(1))[0])
    found = calibrated(quotes, dict.fromkeys(quotes, 95_000.0), 0, YEAR)
    assert checked(found) == []
    met = measured(found, quotes)
    assert met.share < 0.7 and len(met.outside) == met.quotes - met.within
    worst = met.outside[0]
    assert not worst.bid <= worst.price <= worst.ask and worst.volatility > 0


def test_butterfly_arbitrage_in_the_quotes_does_not_reach_the_surface():
    vogt = Svi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153, 95_000.0, 1.0)
    quotes = {365 * DAY: quoted(vogt, 95_000.0 * np.exp(np.linspace(-1.2, 1.2, 25)), 0.002)}
    assert checked(calibrated(quotes, {365 * DAY: 95_000.0}, 0, YEAR), 1.2) == []


def test_ssvi_finds_its_own_law_again():
    law = ssvi.Ssvi((0.02, 0.05, 0.12), -0.3, 0.9, 0.4)
    years = (30 / 365, 90 / 365, 250 / 365)
    made = ssvi.slices(law, [95_000.0] * 3, years)
    quotes = {round(t * 365) * DAY: quoted(one, STRIKES, 0.003) for one, t in zip(made, years, strict=True)}
    found = one_piece(quotes, dict.fromkeys(quotes, 95_000.0), 0, YEAR)
    assert found.method == Method.SSVI and found.ssvi is not None and ssvi.is_free(found.ssvi)
    assert measured(found, quotes).share == 1.0
    assert np.array(found.ssvi.theta) == pytest.approx(np.array(law.theta), rel=0.02)
    assert found.ssvi.rho == pytest.approx(-0.3, abs=0.05)


def test_between_expiries_variance_is_linear_in_time_and_outside_the_volatility_holds():
    near = Svi(0.002, 0.04, -0.35, 0.02, 0.12, 95_000.0, 20 / 365)
    quotes = {20 * DAY: quoted(near, STRIKES), 60 * DAY: quoted(KNOWN, STRIKES)}
    found = calibrated(quotes, dict.fromkeys(quotes, 95_000.0), 0, YEAR)
    k = np.linspace(-0.6, 0.6, 13)
    ends = [variance(one, k) for one in found.slices]
    assert total_variance(found, 40 / 365, k) == pytest.approx((ends[0] + ends[1]) / 2)
    assert total_variance(found, 60 / 365, k) == pytest.approx(ends[1])
    for years, end, tau in ((5 / 365, ends[0], 20 / 365), (2.0, ends[1], 60 / 365)):
        assert volatility(found, years, k) == pytest.approx(np.sqrt(end / tau))
    everywhere = total_variance(found, np.linspace(0.01, 2.0, 60)[:, None], k[None])
    assert np.all(np.diff(everywhere, axis=0) > 0)


def test_what_cannot_be_fitted_is_named():
    few = quoted(KNOWN, STRIKES[:1])
    with pytest.raises(TooFewQuotes, match="2 quotes and 2 references"):
        fit(data_of(few, KNOWN.tau), 95_000.0, 0.5)
    with pytest.raises(NoExpiries):
        calibrated({60 * DAY: few}, {60 * DAY: 95_000.0}, 0, YEAR)
    left = calibrated(
        {0: few, 60 * DAY: quoted(KNOWN, STRIKES), 90 * DAY: few},
        dict.fromkeys((0, 60 * DAY, 90 * DAY), 95_000.0),
        0,
        YEAR,
    )
    assert left.expiries == (60 * DAY,) and left.left_out == {0: "expired", 90 * DAY: "2 two-sided quotes"}


def chain(name):
    """By currency: quotes by expiry, dollars undiscounted; forwards; the last quote's time."""
    made = {}
    for row in read_chain(CHAINS / f"deribit_chain_{name}.csv.gz"):
        bid, ask = ((side or 0.0) * row.forward for side in (row.bid, row.ask))
        one = Quote(row.instrument, row.call, row.forward, row.strike, bid, ask, row.mark_volatility)
        quotes, times = made.setdefault(row.currency, ({}, []))
        quotes.setdefault(row.expiry, []).append(one)
        times.append(row.time)
    return {
        currency: (quotes, {at: median(one.forward for one in these) for at, these in quotes.items()}, max(times))
        for currency, (quotes, times) in made.items()
    }


def out_of_the_money(quotes):
    return {at: [one for one in these if one.call == (one.strike >= one.forward)] for at, these in quotes.items()}


# share of two-sided quotes within bid and ask, all and out of the money alone: just below what is measured
SHARES = [
    ("20200521_BTC_full", "BTC", 0.91, 0.88),
    ("20260130T042515", "BTC", 0.96, 0.92),
    ("20260130T042515", "ETH", 0.95, 0.91),
    ("20260201T092323", "ETH", 0.95, 0.91),
    ("20260417T161343", "BTC", 0.94, 0.88),
    ("20260417T161343", "ETH", 0.98, 0.97),
]


@pytest.mark.data
@pytest.mark.skipif(not CHAINS.exists(), reason=f"no option chains in {CHAINS}: the shared data is not here")
@pytest.mark.parametrize(("name", "currency", "all_of_them", "out"), SHARES)
def test_a_real_chain_is_met_without_arbitrage(name, currency, all_of_them, out):
    quotes, forwards, time = chain(name)[currency]
    found = calibrated(quotes, forwards, time, YEAR)
    assert found.method != Method.SSVI and not found.left_out
    assert checked(found, 2.0) == []
    whole, outer = measured(found, quotes), measured(found, out_of_the_money(quotes))
    assert whole.share >= all_of_them and outer.share >= out
    # a deviation and a half below the forward short options keep the skew that the venue sees
    for at, svi in zip(found.expiries, found.slices, strict=True):
        if 0.5 < svi.tau * 365 < 10.0:
            assert skew(svi) > 0.75 * venue_skew(svi, quotes[at]) > 0.0, svi


def skew(svi):
    wide = float(np.sqrt(variance(svi, np.zeros(1))[0]))
    put, middle = np.sqrt(variance(svi, np.array([-1.5 * wide, 0.0])) / svi.tau)
    return put - middle


def venue_skew(svi, quotes):
    marks = sorted({one.strike: one.reference for one in quotes if one.reference}.items())
    k = [np.log(strike / svi.forward) for strike, _ in marks]
    wide = float(np.sqrt(variance(svi, np.zeros(1))[0]))
    put, middle = np.interp([-1.5 * wide, 0.0], k, [mark for _, mark in marks])
    return put - middle

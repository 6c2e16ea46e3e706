"""Margin profiles: what is read, and every way a text is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk
from risk.profile import MAX_TEXT, Credit, Netting, parse_profile, profile_digest
from schemas.strict import Fault, TomlError

PROFILES = Path(risk.__file__).parent / "profiles"
SPAN = (PROFILES / "span.toml").read_text("ascii")
ISOLATED = (PROFILES / "isolated.toml").read_text("ascii")


def refused(text: str) -> tuple[Fault, str]:
    with pytest.raises(TomlError) as caught:
        parse_profile(text)
    return caught.value.fault, caught.value.path


def test_span_profile_is_read_exactly() -> None:
    profile = parse_profile(SPAN)
    assert profile.netting == Netting.UNDERLYING
    assert (profile.gain, profile.initial_ratio, profile.buffer) == (10_000, 12_000, 1_000)
    btc = profile.underlying("BTC")
    assert (btc.price_scan, btc.vol_scan, btc.basis, btc.short_option_minimum) == (1_500, 2_500, 100, 100)
    assert profile.underlying("SOL") == profile.underlyings["default"]
    assert profile.credits == (Credit("BTC", "ETH", 5_000),)
    scenarios = profile.scenarios()
    assert len(scenarios) == 16
    assert (scenarios[14].scans, scenarios[14].weight) == (2.0, 0.35)


def test_isolated_profile_nets_nothing() -> None:
    profile = parse_profile(ISOLATED)
    assert (profile.netting, profile.gain, profile.credits) == (Netting.POSITION, 0, ())


def test_delta_netting_profile_moves_prices_alone() -> None:
    profile = parse_profile((PROFILES / "delta_netting.toml").read_text("ascii"))
    assert [scenario.scans for scenario in profile.scenarios()] == [-1.0, 1.0]
    assert profile.underlying("ETH").price_scan == 2_000


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_buffer_default_and_digest(path: Path) -> None:
    text = path.read_text("ascii")
    assert parse_profile(text.replace('buffer = "0.10"\n', "")).buffer == 1_000
    assert profile_digest(text) == hashlib.sha256(text.encode()).digest()
    assert profile_digest(text) != profile_digest(text + "\n")


@pytest.mark.parametrize(
    ("old", "new", "fault", "path"),
    [
        ('gain = "1"', "gain = 1\ngian = 1", Fault.UNKNOWN_KEY, "gian"),
        ("[underlyings.BTC]", "[underlyings.BTC]\nprice_scam = 1", Fault.UNKNOWN_KEY, "underlyings.BTC.price_scam"),
        ("[scenarios]", "[scenarios]\nmoves = [1]", Fault.UNKNOWN_KEY, "scenarios.moves"),
        ('rate = "0.50"', 'rate = "0.50"\nratio = 1', Fault.UNKNOWN_KEY, "credits[0].ratio"),
        ('gain = "1"\n', "", Fault.MISSING, "gain"),
        ("[underlyings.default]", "[underlyings.other]", Fault.MISSING, "underlyings.default"),
        ('price_scan = "0.15"\n', "", Fault.MISSING, "underlyings.BTC.price_scan"),
        ('gain = "1"', "gain = true", Fault.WRONG_TYPE, "gain"),
        ('gain = "1"', 'gain = "-1"', Fault.WRONG_TYPE, "gain"),
        ('gain = "1"', 'gain = "1e0"', Fault.WRONG_TYPE, "gain"),
        ("lookback = 365", "lookback = 365.0", Fault.WRONG_TYPE, "lookback"),
        ('collateral = ["USDC", "BTC", "ETH"]', 'collateral = "USDC"', Fault.WRONG_TYPE, "collateral"),
        ('published = "2026-01-21"', "published = 2026-01-21", Fault.WRONG_TYPE, "published"),
        ('published = "2026-01-21"', 'published = "2026-13-21"', Fault.OUT_OF_RANGE, "published"),
        ('gain = "1"', "gain = -0.5", Fault.OUT_OF_RANGE, "gain"),
        ('gain = "1"', 'gain = "1.5"', Fault.OUT_OF_RANGE, "gain"),
        ('gain = "1"', "gain = inf", Fault.OUT_OF_RANGE, "gain"),
        ('gain = "1"', "gain = nan", Fault.OUT_OF_RANGE, "gain"),
        ('gain = "1"', "gain = 1e999999999", Fault.OUT_OF_RANGE, "gain"),
        ('gain = "1"', f"gain = 0x{'F' * 9000}", Fault.OUT_OF_RANGE, "gain"),
        ('name = "SPAN-shaped"', f"name = 0x{'F' * 9000}", Fault.WRONG_TYPE, "name"),
        ('initial_ratio = "1.2"', 'initial_ratio = "0.9"', Fault.OUT_OF_RANGE, "initial_ratio"),
        ('price_scan = "0.15"', 'price_scan = "0"', Fault.OUT_OF_RANGE, "underlyings.BTC.price_scan"),
        ('price_scan = "0.15"', 'price_scan = "0.50"', Fault.OUT_OF_RANGE, "underlyings.BTC.price_scan"),
        ("[underlyings.BTC]", "[underlyings.BITCOINXX]", Fault.OUT_OF_RANGE, "underlyings.BITCOINXX"),
        ('price_scan = "0.15"', 'price_scan = "0.15001"', Fault.NOT_BASIS_POINTS, "underlyings.BTC.price_scan"),
        ('price_scan = "0.15"', "price_scan = 0.150000000000001", Fault.NOT_BASIS_POINTS, "underlyings.BTC.price_scan"),
        ('netting = "underlying"', 'netting = "all"', Fault.UNKNOWN_KIND, "netting"),
        ('kind = "span16"', 'kind = "span17"', Fault.UNKNOWN_KIND, "scenarios.kind"),
        ('netting = "underlying"', 'netting = "position"', Fault.NOT_NETTED, "underlyings.BTC.basis"),
        ('b = "ETH"', 'b = "BTC"', Fault.SAME_PAIR, "credits[0]"),
        ('gain = "1"', "gain = ", Fault.NOT_TOML, ""),
        ('gain = "1"', f"gain = {'[' * 5000}", Fault.NOT_TOML, ""),
        ('gain = "1"', f"gain = {'9' * 5000}", Fault.NOT_TOML, ""),
        ('gain = "1"', "gain = 1e99999999999999999999", Fault.NOT_TOML, ""),
        ('name = "SPAN-shaped"', 'name = "SPAN\u2013shaped"', Fault.NOT_ASCII, ""),
        ('name = "SPAN-shaped"', "#" * MAX_TEXT + '\nname = "SPAN-shaped"', Fault.TOO_LONG, ""),
    ],
)
def test_what_is_refused_is_named_with_its_path(old: str, new: str, fault: Fault, path: str) -> None:
    assert old in SPAN
    assert refused(SPAN.replace(old, new, 1)) == (fault, path)


def test_scenarios_that_cannot_be_used_are_refused() -> None:
    prices = "prices = [-1, -0.5, 0, 0.5, 1]"
    assert refused(ISOLATED.replace(prices, "prices = []")) == (Fault.BAD_SCENARIOS, "scenarios")
    assert refused(ISOLATED.replace(prices, "prices = [1, 1]")) == (Fault.BAD_SCENARIOS, "scenarios")
    assert refused(ISOLATED.replace(prices, "prices = [-7]")) == (Fault.OUT_OF_RANGE, "underlyings.BTC.price_scan")


def test_a_pair_in_either_order_stands_once() -> None:
    again = '\n[[credits]]\na = "ETH"\nb = "BTC"\nrate = "0.1"\n'
    assert refused(SPAN + again) == (Fault.SAME_PAIR, "credits[1]")


@pytest.mark.parametrize("written", ['"0.15"', "0.15", "0.1500", "15e-2"])
def test_rates_are_exact_however_they_are_written(written: str) -> None:
    text = SPAN.replace('price_scan = "0.15"', f"price_scan = {written}")
    assert parse_profile(text).underlying("BTC").price_scan == 1_500


@given(st.text(max_size=200), st.integers(0, len(SPAN)), st.integers(0, 50))
def test_no_text_does_anything_but_parse_or_be_refused(inserted: str, place: int, dropped: int) -> None:
    try:
        parse_profile(SPAN[:place] + inserted + SPAN[place + dropped :])
    except TomlError as error:
        assert error.fault.value in str(error)

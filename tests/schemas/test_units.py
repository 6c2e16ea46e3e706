"""Fixed point, decimals and times: exact both ways, refused by name."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import units
from schemas.units import INT64_MAX, INT64_MIN, Rounding

int64 = st.one_of(st.sampled_from([INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX]), st.integers(INT64_MIN, INT64_MAX))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [INT64_MIN, -1, 0, INT64_MAX])
def test_what_fits_is_returned(value: int) -> None:
    assert units.checked(value) == value


@pytest.mark.parametrize("value", [INT64_MIN - 1, INT64_MAX + 1, 2**1000])
def test_what_does_not_fit_is_refused_with_its_place(value: int) -> None:
    with pytest.raises(units.OutOfRange, match=r"^Trade\.price: ") as caught:
        units.checked(value, "Trade.price")
    assert caught.value.where == "Trade.price"


@given(int64, int64)
def test_sums_and_products_are_exact_or_refused(left: int, right: int) -> None:
    for checked, exact in ((units.add, left + right), (units.mul, left * right)):
        if INT64_MIN <= exact <= INT64_MAX:
            assert checked(left, right) == exact
        else:
            with pytest.raises(units.OutOfRange):
                checked(left, right)


@given(int64, int64, int64)
def test_quotients_are_rounded_in_the_direction_named(left: int, right: int, divisor: int) -> None:
    assume(divisor)
    for rounding, nearest in ((Rounding.DOWN, floor), (Rounding.UP, ceil)):
        exact = nearest(Fraction(left * right, divisor))
        if INT64_MIN <= exact <= INT64_MAX:
            assert units.mul_div(left, right, divisor, rounding) == exact
        else:
            with pytest.raises(units.OutOfRange):
                units.mul_div(left, right, divisor, rounding)


def test_rounding_of_a_debt_and_of_a_claim() -> None:
    assert units.mul_div(7, 1, 2, Rounding.DOWN) == 3
    assert units.mul_div(7, 1, 2, Rounding.UP) == 4
    assert units.mul_div(-7, 1, 2, Rounding.DOWN) == -4
    assert units.mul_div(-7, 1, 2, Rounding.UP) == -3
    assert units.mul_div(INT64_MAX, INT64_MAX, INT64_MAX, Rounding.UP) == INT64_MAX


def test_no_divisor() -> None:
    with pytest.raises(units.DividedByZero, match="share: 3 x 4 / 0"):
        units.mul_div(3, 4, 0, Rounding.DOWN, "share")


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("1.23", 6, 1_230_000),
        ("-1.23", 6, -1_230_000),
        ("0", 0, 0),
        ("-0.5", 1, -5),
        ("000012", 2, 1200),
        ("-9223372036854775808", 0, INT64_MIN),
        ("9.223372036854775807", 18, INT64_MAX),
        ("0" * 10_000 + "7", 0, 7),
    ],
)
def test_decimals_are_read(text: str, decimals: int, value: int) -> None:
    assert units.parse_decimal(text, decimals) == value


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("NaN", 0),
        ("inf", 0),
        ("-", 1),
        ("-inf", 1),
        ("+1", 0),
        (" 1", 0),
        ("1 ", 1),
        ("1\n", 1),
        (".5", 0),
        ("1.", 1),
        ("1.2.3", 3),
        ("1e5", 1),
        ("1.5E-3", 3),
        ("1_000", 1),
        ("1,000", 1),
        ("0x10", 1),
        ("١٢", 0),
        ("--1", 1),
    ],
)
def test_what_is_no_decimal_is_refused_at_its_character(text: str, position: int) -> None:
    with pytest.raises(units.NotADecimal, match=rf"^fee: .* at character {position}$") as caught:
        units.parse_decimal(text, 6, "fee")
    assert caught.value.position == position


def test_decimals_are_never_rounded_away() -> None:
    for text in ("1.2345678", "1.2300000"):
        with pytest.raises(units.TooManyDecimals, match="has 7 decimals, the unit has 6"):
            units.parse_decimal(text, 6)


@pytest.mark.parametrize(
    ("text", "decimals"),
    [("9223372036854775808", 0), ("-9223372036854775809", 0), ("9223372036854.775808", 6), ("9" * 10_000, 0)],
)
def test_decimals_past_int64(text: str, decimals: int) -> None:
    with pytest.raises(units.OutOfRange, match=r"^amount: "):
        units.parse_decimal(text, decimals)


@pytest.mark.parametrize("decimals", [-1, 19])
def test_a_unit_of_impossible_decimals(decimals: int) -> None:
    with pytest.raises(units.OutOfRange):
        units.parse_decimal("1", decimals)
    with pytest.raises(units.OutOfRange):
        units.format_decimal(1, decimals)


@given(int64, st.integers(0, units.MAX_SCALE))
def test_decimals_are_written_and_read_back(value: int, decimals: int) -> None:
    text = units.format_decimal(value, decimals)
    assert units.parse_decimal(text, decimals) == value
    assert Decimal(text).scaleb(decimals) == value
    assert len(text.partition(".")[2]) == decimals


@given(st.text())
def test_any_text_is_a_decimal_or_refused_by_name(text: str) -> None:
    try:
        units.parse_decimal(text, 8)
    except units.UnitError as error:
        assert error.where == "amount"
    else:
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]{1,8})?", text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_agree_with_the_calendar(moment: datetime) -> None:
    micros = (moment - EPOCH) // timedelta(microseconds=1)
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert units.parse_time(text) == micros
    assert units.format_time(micros) == text


def test_every_day_of_four_centuries() -> None:
    day = datetime(1799, 12, 31, tzinfo=UTC)
    number = (day - EPOCH).days
    while day.year < 2201:
        assert units.date_of(number) == (day.year, day.month, day.day)
        assert units.days_of(day.year, day.month, day.day) == number
        day += timedelta(days=1)
        number += 1


@given(int64)
def test_every_time_is_written_and_read_back(micros: int) -> None:
    assert units.parse_time(units.format_time(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2000-02-29T00:00:00.000001Z", 951_782_400_000_001),
    ],
)
def test_times_are_read(text: str, micros: int) -> None:
    assert units.parse_time(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00+00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567Z",
        "2024-1-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        "+002024-01-01T00:00:00Z",
        "-000000-01-01T00:00:00Z",
        "٢٠٢٤-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(units.NotATime, match=r"^expiry: "):
        units.parse_time(text, "expiry")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2024-00-01T00:00:00Z", "month 0"),
        ("2024-13-01T00:00:00Z", "month 13"),
        ("2023-02-29T00:00:00Z", "day 29 is not within 1 to 28"),
        ("1900-02-29T00:00:00Z", "day 29 is not within 1 to 28"),
        ("2024-02-30T00:00:00Z", "day 30 is not within 1 to 29"),
        ("2024-04-31T00:00:00Z", "day 31 is not within 1 to 30"),
        ("2024-04-00T00:00:00Z", "day 0"),
        ("2024-01-01T24:00:00Z", "hour 24"),
        ("2024-01-01T00:60:00Z", "minute 60"),
        ("2016-12-31T23:59:60Z", "second 60"),
        ("+294247-01-10T04:00:54.775808Z", "past int64"),
        ("-290308-12-21T19:59:05.224191Z", "past int64"),
    ],
)
def test_times_that_no_calendar_has(text: str, part: str) -> None:
    with pytest.raises(units.OutOfRange, match=part):
        units.parse_time(text)


def test_a_time_past_int64_is_not_written() -> None:
    with pytest.raises(units.OutOfRange, match=r"^time: "):
        units.format_time(INT64_MAX + 1)

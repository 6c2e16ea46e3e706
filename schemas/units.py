"""Checked int64 fixed point, decimal text and UTC times: the arithmetic of everything that is no kernel."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
MAX_SCALE: Final = 18
"""decimals of a fixed-point number: ten to their power still fits in an int64"""


class UnitError(ValueError):
    """A number or a text that no unit can hold: `where` names the value, `what` what was found."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class OutOfRange(UnitError):  # noqa: N818 - named by what happened
    """A value past int64, or a part of a time past its calendar."""


class DividedByZero(UnitError):  # noqa: N818
    """A quotient without a divisor."""


class NotADecimal(UnitError):  # noqa: N818
    """Text that is no plain decimal number; `position` is its first character that does not belong."""

    def __init__(self, where: str, what: str, position: int) -> None:
        super().__init__(where, f"{what} at character {position}")
        self.position = position


class TooManyDecimals(UnitError):  # noqa: N818
    """More decimals than the unit has; nothing is rounded away."""


class NotATime(UnitError):  # noqa: N818
    """Text that is no UTC time of the form 2024-02-29T23:59:59.123456Z."""


class Rounding(Enum):
    """Where a quotient goes that is no whole number.

    An amount an account receives or holds is rounded DOWN and one it owes or must hold UP, both against the account;
    the other direction is for it.
    """

    DOWN = "towards minus infinity"
    UP = "towards plus infinity"


def checked(value: int, where: str = "value") -> int:
    """The value itself. Raises OutOfRange where it is past int64."""
    if not INT64_MIN <= value <= INT64_MAX:
        raise OutOfRange(where, f"{_short(value)} is past int64")
    return value


def add(left: int, right: int, where: str = "sum") -> int:
    """left + right. Raises OutOfRange past int64."""
    return checked(left + right, where)


def mul(left: int, right: int, where: str = "product") -> int:
    """left x right. Raises OutOfRange past int64."""
    return checked(left * right, where)


def mul_div(left: int, right: int, divisor: int, rounding: Rounding, where: str = "quotient") -> int:
    """left x right / divisor, the product exact however large, the quotient rounded in the direction named.

    Raises DividedByZero, and OutOfRange where the quotient is past int64.
    """
    if divisor == 0:
        raise DividedByZero(where, f"{_short(left)} x {_short(right)} / 0")
    product = left * right
    return checked(product // divisor if rounding is Rounding.DOWN else -(-product // divisor), where)


_DECIMAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


def parse_decimal(text: str, decimals: int, where: str = "amount") -> int:
    """A plain decimal ("-1.23") in smallest units, 10^-decimals each; exact.

    Raises NotADecimal (exponents, NaN, signs and blanks that do not belong), TooManyDecimals, OutOfRange past int64.
    """
    scale = _scale(decimals, where)
    found = _DECIMAL.match(text)
    if found is None:
        raise NotADecimal(where, f"{_quoted(text)} is no decimal number", 1 if text.startswith("-") else 0)
    if found.end() != len(text):
        raise NotADecimal(where, f"{_quoted(text)} is no decimal number", found.end())
    sign, whole, fraction = found.group(1), found.group(2).lstrip("0"), found.group(3) or ""
    if len(fraction) > decimals:
        raise TooManyDecimals(where, f"{_quoted(text)} has {len(fraction)} decimals, the unit has {decimals}")
    # the interpreter itself refuses to convert thousands of digits, by another error
    if len(whole) > len(str(INT64_MAX)):
        raise OutOfRange(where, f"{_quoted(text)} is past int64")
    size = int(whole or "0") * scale + int(fraction.ljust(decimals, "0") or "0")
    return checked(-size if sign else size, where)


def format_decimal(value: int, decimals: int, where: str = "amount") -> str:
    """Smallest units as a decimal with all its decimals: 1230000 of 6 decimals is "1.230000".

    `parse_decimal` reads it back exactly. Raises OutOfRange past int64.
    """
    whole, fraction = divmod(abs(checked(value, where)), _scale(decimals, where))
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{fraction:0{decimals}d}" if decimals else f"{sign}{whole}"


_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_TIME: Final = re.compile(
    r"([0-9]{4}|[+-][0-9]{6})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z"
)


def parse_time(text: str, where: str = "time") -> int:
    """An ISO 8601 UTC time in microseconds since 1970-01-01T00:00:00Z; a fraction has one to six digits or is left out.

    Years before 0 or past 9999 have a sign and six digits. Raises NotATime, and OutOfRange for a part past its calendar
    (a leap second too: it has no microsecond of its own) or a time past int64.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise NotATime(where, f"{_quoted(text)} is no UTC time like 2024-02-29T23:59:59.123456Z")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    # one time has one spelling of its year, so that what is read is written back alike
    if text[0] in "+-" and (0 <= year <= 9999):
        raise NotATime(where, f"{_quoted(text)}: a year from 0 to 9999 has four digits and no sign")
    for name, value, low, high in (
        ("month", month, 1, 12),
        ("day", day, 1, _days_of_month(year, month)),
        ("hour", hour, 0, 23),
        ("minute", minute, 0, 59),
        ("second", second, 0, 59),
    ):
        if not low <= value <= high:
            raise OutOfRange(where, f"{_quoted(text)}: {name} {value} is not within {low} to {high}")
    seconds = (hour * 60 + minute) * 60 + second
    micros = int((found.group(7) or "").ljust(6, "0"))
    return checked(days_of(year, month, day) * _DAY + seconds * _SECOND + micros, where)


def format_time(micros: int, where: str = "time") -> str:
    """Microseconds since 1970-01-01T00:00:00Z as ISO 8601 with six decimals; `parse_time` reads it back exactly.

    Years before 0 or past 9999 have a sign and six digits. Raises OutOfRange past int64.
    """
    days, rest = divmod(checked(micros, where), _DAY)
    year, month, day = date_of(days)
    seconds, fraction = divmod(rest, _SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    name = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"
    return f"{name}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{fraction:06d}Z"


# Years are counted from 1 March, so that the leap day is a year's last; 400 years have 146,097 days, and 719,468 days
# lie between 1 March of the year 0 and 1 January 1970. Month lengths from March on follow (153 m + 2) / 5.
_ERA: Final = 146_097
_EPOCH: Final = 719_468


def days_of(year: int, month: int, day: int) -> int:
    """The days from 1970-01-01 to a date of the Gregorian calendar, which is taken to hold for all time."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH


def date_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days from 1970-01-01."""
    era, day = divmod(days + _EPOCH, _ERA)
    of_era = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    of_year = day - (365 * of_era + of_era // 4 - of_era // 100)
    march = (5 * of_year + 2) // 153
    month = (march + 2) % 12 + 1
    return era * 400 + of_era + (month <= 2), month, of_year - (153 * march + 2) // 5 + 1


def _days_of_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _scale(decimals: int, where: str) -> int:
    if not 0 <= decimals <= MAX_SCALE:
        raise OutOfRange(where, f"{decimals} decimals are not within 0 to {MAX_SCALE}")
    scale: int = 10**decimals
    return scale


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _short(value: int) -> str:
    return str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"

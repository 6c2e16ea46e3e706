"""The user's CSV files (prices, funding, accounts, deposits, trades) read into exact integers and events."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.chart import FIRST_ACCOUNT
from schemas.events import AccountOpened, Deposited, InstrumentListed, Trade
from schemas.kinds import Segregation
from schemas.limits import MAX_ACCOUNTS, MAX_AMOUNT, MAX_ASSET_PRICE, MAX_PROFILES, MAX_QUANTITY, MICRO
from schemas.units import OutOfRange, TooManyDecimals, UnitError, parse_decimal, parse_time
from services.exchange import Exchange

RATE_DECIMALS: Final = 9
"""a funding rate is counted in 10^-9 of the mark"""
PROFILE_NUMBERS: Final = {"isolated": 1, "delta-netting": 2, "span": 3}

_Row = TypeVar("_Row", bound=BaseModel)


class Fault(StrEnum):
    """What can be wrong with a table."""

    FILE_UNREADABLE = "FILE_UNREADABLE"
    COLUMN_MISSING = "COLUMN_MISSING"
    COLUMN_UNKNOWN = "COLUMN_UNKNOWN"
    TABLE_EMPTY = "TABLE_EMPTY"
    FIELD_COUNT = "FIELD_COUNT"
    NOT_A_DECIMAL = "NOT_A_DECIMAL"
    TOO_PRECISE = "TOO_PRECISE"
    NOT_A_TIME = "NOT_A_TIME"
    NOT_IN_CHOICES = "NOT_IN_CHOICES"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    BAR_CROSSED = "BAR_CROSSED"
    REPEATED = "REPEATED"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    SAME_ACCOUNT = "SAME_ACCOUNT"
    BAR_MISSING = "BAR_MISSING"
    QUANTITY_TWICE = "QUANTITY_TWICE"


_FAULTS: Final[Mapping[type[UnitError], Fault]] = {
    TooManyDecimals: Fault.TOO_PRECISE,
    OutOfRange: Fault.OUT_OF_RANGE,
}


class TableError(ValueError):
    """A table that cannot be used: what is wrong, in which file, line (1 = the heading) and column."""

    def __init__(self, fault: Fault, file: str, line: int, column: str, what: str) -> None:
        where = f", column {column}" if column else ""
        super().__init__(f"{fault}: {file} line {line}{where}: {what}")
        self.fault = fault
        self.file = file
        self.line = line
        self.column = column
        self.what = what


def exact(text: str, decimals: int) -> int:
    """A plain decimal in 10^-decimals. Raises PydanticCustomError NOT_A_DECIMAL, TOO_PRECISE or OUT_OF_RANGE."""
    try:
        return parse_decimal(text, decimals, "number")
    except UnitError as error:
        raise _custom(_FAULTS.get(type(error), Fault.NOT_A_DECIMAL), error) from None


def instant(text: str) -> int:
    """ISO-8601 in UTC as microseconds since 1970. Raises PydanticCustomError NOT_A_TIME."""
    try:
        return parse_time(text)
    except UnitError as error:
        raise _custom(Fault.NOT_A_TIME, error) from None


def _custom(fault: Fault, error: UnitError) -> PydanticCustomError:
    return PydanticCustomError(fault.value, "{what}", {"what": error.what})


def _scaled(decimals: int, lowest: int, highest: int) -> Callable[[Any], int]:
    def read(text: Any) -> int:
        number = exact(str(text), decimals)
        if not lowest <= number <= highest:
            raise PydanticCustomError(Fault.OUT_OF_RANGE, "{text} lies outside what is taken", {"text": text})
        return number

    return read


def _among(choices: Mapping[str, int]) -> Callable[[Any], int]:
    def read(text: Any) -> int:
        if str(text) not in choices:
            raise PydanticCustomError(
                Fault.NOT_IN_CHOICES, "{text} is none of {choices}", {"text": repr(text), "choices": ", ".join(choices)}
            )
        return choices[str(text)]

    return read


def _short(length: int) -> Callable[[Any], str]:
    def read(text: Any) -> str:
        if not 0 < len(str(text).encode("utf-8")) <= length:
            raise PydanticCustomError(
                Fault.TEXT_TOO_LONG, "{text} has not 1 to {length} bytes", {"text": repr(text), "length": length}
            )
        return str(text)

    return read


_U32: Final = 2**32 - 1
Instant = Annotated[int, BeforeValidator(instant)]
Dollars = Annotated[int, BeforeValidator(_scaled(6, 1, MAX_ASSET_PRICE))]
Rate = Annotated[int, BeforeValidator(_scaled(RATE_DECIMALS, -(10**RATE_DECIMALS), 10**RATE_DECIMALS))]
AccountNumber = Annotated[int, BeforeValidator(_scaled(0, FIRST_ACCOUNT, MAX_ACCOUNTS - 1))]
Number = Annotated[int, BeforeValidator(_scaled(0, 0, _U32))]
Venue = Annotated[int, BeforeValidator(_scaled(0, 0, 2**16 - 1))]
Name = Annotated[str, BeforeValidator(_short(24))]
Segregated = Annotated[int, BeforeValidator(_among({one.name.lower(): int(one) for one in Segregation}))]
ProfileNumber = Annotated[
    int, BeforeValidator(_among({**PROFILE_NUMBERS, **{str(number): number for number in range(1, MAX_PROFILES)}}))
]
YesNo = Annotated[int, BeforeValidator(_among({"0": 0, "1": 1, "no": 0, "yes": 1}))]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bar(_Closed):
    """One price bar, stamped at its opening. Prices in micro-dollars."""

    ts: Instant
    symbol: str
    open: Dollars
    high: Dollars
    low: Dollars
    close: Dollars

    @model_validator(mode="after")
    def encloses(self) -> Bar:
        """BAR_CROSSED where high and low do not enclose open and close."""
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise PydanticCustomError(Fault.BAR_CROSSED, "high and low do not enclose open and close")
        return self


class FundingRow(_Closed):
    """A perp's funding for the interval that ends at `ts`, 10^-9 of the mark."""

    ts: Instant
    symbol: str
    rate: Rate


class AccountRow(_Closed):
    """An account as its file tells it."""

    account: AccountNumber
    name: Name
    member: Number
    owner: Number
    segregation: Segregated
    profile: ProfileNumber
    liquidator: YesNo


class DepositRow(_Closed):
    """A deposit as its file tells it; `amount` is a decimal of whole units."""

    ts: Instant
    account: AccountNumber
    asset: str
    amount: str


class TradeRow(_Closed):
    """A trade as its file tells it: either `lots`, or `quantity` as a decimal of the underlying."""

    ts: Instant
    venue: Venue
    buyer: AccountNumber
    seller: AccountNumber
    instrument: str
    lots: str = ""
    quantity: str = ""
    price: str
    buyer_fee: str = ""
    seller_fee: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row was read, for the errors about it."""

    file: str
    line: int

    def error(self, fault: Fault, column: str, what: str) -> TableError:
        return TableError(fault, self.file, self.line, column, what)

    def exact(self, column: str, text: str, decimals: int, lowest: int, highest: int) -> int:
        try:
            return _scaled(decimals, lowest, highest)(text)
        except PydanticCustomError as error:
            raise self.error(Fault(error.type), column, error.message()) from None


def _rows(path: Path, model: type[_Row]) -> Iterator[tuple[_Place, _Row]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(Fault.FILE_UNREADABLE, path.name, 0, "", str(error)) from None
    lines = csv.reader(text.splitlines())
    heading = [column.strip() for column in next(lines, [])]
    for column in heading:
        if column not in model.model_fields or heading.count(column) > 1:
            known = ", ".join(model.model_fields)
            raise TableError(Fault.COLUMN_UNKNOWN, path.name, 1, column, f"unknown or repeated; known are {known}")
    for column, field in model.model_fields.items():
        if field.is_required() and column not in heading:
            raise TableError(Fault.COLUMN_MISSING, path.name, 1, column, "no such column in the heading")
    found = False
    for values in lines:
        place = _Place(path.name, lines.line_num)
        if not values:
            continue
        if len(values) != len(heading):
            raise place.error(Fault.FIELD_COUNT, "", f"{len(values)} fields, the heading has {len(heading)}")
        found = True
        try:
            row = model.model_validate(dict(zip(heading, map(str.strip, values), strict=True)))
        except ValidationError as error:
            first = error.errors()[0]
            fault = Fault(first["type"]) if first["type"] in Fault.__members__ else Fault.OUT_OF_RANGE
            raise place.error(fault, ".".join(map(str, first["loc"])), first["msg"]) from None
        yield place, row
    if not found:
        raise TableError(Fault.TABLE_EMPTY, path.name, 1, "", "a heading and no rows")


def read_prices(path: Path) -> tuple[Bar, ...]:
    """Bars ordered by time, then symbol. Every symbol must have a bar at every time. Raises TableError."""
    places: dict[tuple[int, str], _Place] = {}
    bars: list[Bar] = []
    for place, bar in _rows(path, Bar):
        if not 0 < len(bar.symbol.encode("utf-8")) <= 8:
            raise place.error(Fault.TEXT_TOO_LONG, "symbol", f"{bar.symbol!r} has not 1 to 8 bytes")
        if (bar.ts, bar.symbol) in places:
            raise place.error(
                Fault.REPEATED, "ts", f"{bar.symbol} has this bar in line {places[bar.ts, bar.symbol].line}"
            )
        places[bar.ts, bar.symbol] = place
        bars.append(bar)
    symbols = {bar.symbol for bar in bars}
    for bar in bars:
        for symbol in sorted(symbols):
            if (bar.ts, symbol) not in places:
                raise places[bar.ts, bar.symbol].error(Fault.BAR_MISSING, "ts", f"no bar of {symbol} at this time")
    return tuple(sorted(bars, key=lambda bar: (bar.ts, bar.symbol)))


def read_funding(path: Path) -> tuple[FundingRow, ...]:
    """Funding rates ordered by time, then symbol. Raises TableError."""
    seen: set[tuple[int, str]] = set()
    rows: list[FundingRow] = []
    for place, row in _rows(path, FundingRow):
        if (row.ts, row.symbol) in seen:
            raise place.error(Fault.REPEATED, "ts", f"{row.symbol} has a rate at this time already")
        seen.add((row.ts, row.symbol))
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: (row.ts, row.symbol)))


def read_accounts(path: Path, time: int) -> tuple[AccountOpened, ...]:
    """Accounts in file order, opened at `time` (microseconds). Raises TableError."""
    seen: set[int] = set()
    opened: list[AccountOpened] = []
    for place, row in _rows(path, AccountRow):
        if row.account in seen:
            raise place.error(Fault.REPEATED, "account", f"{row.account} is in the file already")
        seen.add(row.account)
        opened.append(
            AccountOpened(
                segregation=Segregation(row.segregation),
                liquidator=row.liquidator,
                profile=row.profile,
                account=row.account,
                member=row.member,
                owner=row.owner,
                time=time,
                name=row.name,
            )
        )
    return tuple(opened)


def read_deposits(path: Path, venue: Exchange, accounts: frozenset[int]) -> tuple[Deposited, ...]:
    """Deposits ordered by time (file order within one), numbered by their line. Raises TableError."""
    deposits: list[Deposited] = []
    for place, row in _rows(path, DepositRow):
        asset = venue.asset.get(row.asset)
        if asset is None:
            raise place.error(Fault.UNKNOWN_ASSET, "asset", f"{row.asset!r} is none of {', '.join(venue.asset)}")
        _known(place, "account", row.account, accounts)
        amount = place.exact("amount", row.amount, asset.decimals, 1, MAX_AMOUNT)
        deposits.append(
            Deposited(asset=asset.asset, account=row.account, deposit=place.line, time=row.ts, amount=amount)
        )
    return tuple(sorted(deposits, key=lambda deposit: deposit.time))


def read_trades(path: Path, venue: Exchange, accounts: frozenset[int]) -> tuple[Trade, ...]:
    """Trades ordered by time (file order within one), numbered by their line. Raises TableError."""
    trades: list[Trade] = []
    for place, row in _rows(path, TradeRow):
        instrument = venue.instrument.get(row.instrument)
        if instrument is None:
            raise place.error(Fault.UNKNOWN_INSTRUMENT, "instrument", f"{row.instrument!r} is not listed")
        _known(place, "buyer", row.buyer, accounts)
        _known(place, "seller", row.seller, accounts)
        if row.buyer == row.seller:
            raise place.error(Fault.SAME_ACCOUNT, "seller", f"{row.seller} is the buyer too")
        decimals = venue.assets[instrument.settlement_asset].decimals
        fees = [
            place.exact(column, text or "0", decimals, -MAX_AMOUNT, MAX_AMOUNT)
            for column, text in (("buyer_fee", row.buyer_fee), ("seller_fee", row.seller_fee))
        ]
        trades.append(
            Trade(
                venue=row.venue,
                instrument=instrument.instrument,
                buyer=row.buyer,
                seller=row.seller,
                time=row.ts,
                trade=place.line,
                quantity=_lots(place, row, instrument),
                price=_ticks(place, row, instrument),
                buyer_fee=fees[0],
                seller_fee=fees[1],
            )
        )
    return tuple(sorted(trades, key=lambda trade: trade.time))


def _known(place: _Place, column: str, account: int, accounts: frozenset[int]) -> None:
    if account not in accounts:
        raise place.error(Fault.UNKNOWN_ACCOUNT, column, f"{account} is not in the accounts file")


def _ticks(place: _Place, row: TradeRow, instrument: InstrumentListed) -> int:
    ticks, rest = divmod(place.exact("price", row.price, 6, 1, MAX_ASSET_PRICE) * instrument.price_scale, MICRO)
    if rest:
        raise place.error(Fault.TOO_PRECISE, "price", f"{row.price} is no whole number of 1/{instrument.price_scale}")
    return ticks


def _lots(place: _Place, row: TradeRow, instrument: InstrumentListed) -> int:
    if bool(row.lots) == bool(row.quantity):
        raise place.error(Fault.QUANTITY_TWICE, "quantity", "exactly one of lots and quantity is to be filled in")
    if row.lots:
        return place.exact("lots", row.lots, 0, 1, MAX_QUANTITY)
    if instrument.contract_value:
        raise place.error(Fault.QUANTITY_TWICE, "quantity", f"{row.instrument} is counted in contracts: use lots")
    smallest = place.exact("quantity", row.quantity, 8, 1, MAX_QUANTITY * instrument.lot_size)
    lots, rest = divmod(smallest, instrument.lot_size)
    if rest:
        raise place.error(Fault.TOO_PRECISE, "quantity", f"{row.quantity} is no whole number of lots")
    return lots

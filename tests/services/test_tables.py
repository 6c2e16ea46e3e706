"""The user's files: exact numbers, and each fault by name with its file, line and column."""

from pathlib import Path

import pytest

from schemas.kinds import Segregation
from services.exchange import Exchange, exchange
from services.tables import (
    Fault,
    TableError,
    read_accounts,
    read_deposits,
    read_funding,
    read_prices,
    read_trades,
)

PRICES = "ts,symbol,open,high,low,close\n"
ACCOUNTS = "account,name,member,owner,segregation,profile,liquidator\n"
DEPOSITS = "ts,account,asset,amount\n"
TRADES = "ts,venue,buyer,seller,instrument,lots,quantity,price,buyer_fee,seller_fee\n"
NOON = "2020-03-12T12:00:00Z"
KNOWN = frozenset({16, 17})


def venue() -> Exchange:
    return exchange({"BTC": 7_894_570_000, "ETH": 200_740_000}, 1_583_884_800_000_000)


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_prices_are_exact_and_sorted(tmp_path: Path) -> None:
    bars = read_prices(
        written(
            tmp_path,
            PRICES
            + "2020-03-12T13:00:00Z,BTC,1.000001,3,0.1,2\n"
            + f"{NOON},BTC,100000.07,100000.07,100000.07,100000.07\n",
        )
    )
    assert [bar.ts for bar in bars] == [1_584_014_400_000_000, 1_584_018_000_000_000]
    assert (bars[0].open, bars[1].open, bars[1].low) == (100_000_070_000, 1_000_001, 100_000)


def test_accounts_say_all_they_say(tmp_path: Path) -> None:
    opened = read_accounts(
        written(tmp_path, ACCOUNTS + "17,Ada,1,9,individual,delta-netting,yes\n16,Bo,1,8,house,3,0\n"), 5
    )
    ada, bo = opened
    assert (ada.account, ada.name, ada.member, ada.owner, ada.time) == (17, "Ada", 1, 9, 5)
    assert (ada.segregation, ada.profile, ada.liquidator) == (Segregation.INDIVIDUAL, 2, 1)
    assert (bo.segregation, bo.profile, bo.liquidator) == (Segregation.HOUSE, 3, 0)


def test_a_deposit_has_its_assets_decimals(tmp_path: Path) -> None:
    text = DEPOSITS + f"{NOON},16,BTC,0.00000001\n2020-03-12T11:00:00Z,17,USD,12.5\n"
    first, second = read_deposits(written(tmp_path, text), venue(), KNOWN)
    assert (first.account, first.asset, first.amount, first.deposit) == (17, 0, 12_500_000, 3)
    assert (second.account, second.asset, second.amount, second.deposit) == (16, 2, 1, 2)


def test_a_trade_in_lots_or_in_coins(tmp_path: Path) -> None:
    text = TRADES + f"{NOON},1,16,17,BTC-PERP,5,,6000.01,1.5,-0.25\n{NOON},1,16,17,ETH-PERP,,0.05,140,,\n"
    first, second = read_trades(written(tmp_path, text), venue(), KNOWN)
    assert (first.quantity, first.price, first.buyer_fee, first.seller_fee) == (5, 600_001, 1_500_000, -250_000)
    assert (second.quantity, second.price, second.buyer_fee) == (5, 14_000, 0)


def test_an_inverse_fee_is_in_coins(tmp_path: Path) -> None:
    (trade,) = read_trades(
        written(tmp_path, TRADES + f"{NOON},1,16,17,BTC-PERP-INV,3,,6000,0.00000007,\n"), venue(), KNOWN
    )
    assert trade.buyer_fee == 7


@pytest.mark.parametrize(
    ("text", "fault", "line", "column"),
    [
        (PRICES, Fault.TABLE_EMPTY, 1, ""),
        ("", Fault.COLUMN_MISSING, 1, "ts"),
        ("ts,symbol,open,high,low\n", Fault.COLUMN_MISSING, 1, "close"),
        (PRICES.replace("close", "close,volume"), Fault.COLUMN_UNKNOWN, 1, "volume"),
        (PRICES.replace("close", "close,open"), Fault.COLUMN_UNKNOWN, 1, "open"),
        (PRICES + f"{NOON},BTC,1,1,1\n", Fault.FIELD_COUNT, 2, ""),
        (PRICES + f"\n{NOON},BTC,1,1,1,x\n", Fault.NOT_A_DECIMAL, 3, "close"),
        (PRICES + f"{NOON},BTC,1e3,1,1,1\n", Fault.NOT_A_DECIMAL, 2, "open"),
        (PRICES + f"{NOON},BTC,1,1,1,1.0000001\n", Fault.TOO_PRECISE, 2, "close"),
        (PRICES + f"{NOON},BTC,1,1,0,1\n", Fault.OUT_OF_RANGE, 2, "low"),
        (PRICES + f"{NOON},BTC,1,{'9' * 40},1,1\n", Fault.OUT_OF_RANGE, 2, "high"),
        (PRICES + "2020-03-12T12:00:00,BTC,1,1,1,1\n", Fault.NOT_A_TIME, 2, "ts"),
        (PRICES + f"{NOON},BTC,5,4,1,2\n", Fault.BAR_CROSSED, 2, ""),
        (PRICES + f"{NOON},BITCOINCASH,5,5,5,5\n", Fault.TEXT_TOO_LONG, 2, "symbol"),
        (PRICES + f"{NOON},BTC,1,1,1,1\n" * 2, Fault.REPEATED, 3, "ts"),
        (
            PRICES + f"{NOON},BTC,1,1,1,1\n{NOON},ETH,1,1,1,1\n2020-03-12T13:00:00Z,ETH,1,1,1,1\n",
            Fault.BAR_MISSING,
            4,
            "ts",
        ),
    ],
)
def test_faulty_prices(tmp_path: Path, text: str, fault: Fault, line: int, column: str) -> None:
    with pytest.raises(TableError) as caught:
        read_prices(written(tmp_path, text))
    assert (caught.value.fault, caught.value.line, caught.value.column) == (fault, line, column)
    assert f"{fault}: table.csv line {line}" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "fault", "column"),
    [
        ("15,Ada,1,1,house,span,no", Fault.OUT_OF_RANGE, "account"),
        ("16.5,Ada,1,1,house,span,no", Fault.TOO_PRECISE, "account"),
        ("16,,1,1,house,span,no", Fault.TEXT_TOO_LONG, "name"),
        (f"16,{'é' * 13},1,1,house,span,no", Fault.TEXT_TOO_LONG, "name"),
        ("16,Ada,1,1,mixed,span,no", Fault.NOT_IN_CHOICES, "segregation"),
        ("16,Ada,1,1,house,0,no", Fault.NOT_IN_CHOICES, "profile"),
        ("16,Ada,1,1,house,span,maybe", Fault.NOT_IN_CHOICES, "liquidator"),
        ("16,Ada,-1,1,house,span,no", Fault.OUT_OF_RANGE, "member"),
        ("16,Ada,1,1,house,span,no\n16,Bo,1,1,house,span,no", Fault.REPEATED, "account"),
    ],
)
def test_faulty_accounts(tmp_path: Path, row: str, fault: Fault, column: str) -> None:
    with pytest.raises(TableError) as caught:
        read_accounts(written(tmp_path, ACCOUNTS + row + "\n"), 0)
    assert (caught.value.fault, caught.value.column) == (fault, column)


@pytest.mark.parametrize(
    ("row", "fault", "column"),
    [
        ("16,DOGE,1", Fault.UNKNOWN_ASSET, "asset"),
        ("18,USD,1", Fault.UNKNOWN_ACCOUNT, "account"),
        ("16,USD,0.0000001", Fault.TOO_PRECISE, "amount"),
        ("16,USD,0", Fault.OUT_OF_RANGE, "amount"),
        ("16,USD,-5", Fault.OUT_OF_RANGE, "amount"),
    ],
)
def test_faulty_deposits(tmp_path: Path, row: str, fault: Fault, column: str) -> None:
    with pytest.raises(TableError) as caught:
        read_deposits(written(tmp_path, f"{DEPOSITS}{NOON},{row}\n"), venue(), KNOWN)
    assert (caught.value.fault, caught.value.column) == (fault, column)


@pytest.mark.parametrize(
    ("row", "fault", "column"),
    [
        ("16,17,BTC-PERPS,1,,1,,", Fault.UNKNOWN_INSTRUMENT, "instrument"),
        ("16,18,BTC-PERP,1,,1,,", Fault.UNKNOWN_ACCOUNT, "seller"),
        ("16,16,BTC-PERP,1,,1,,", Fault.SAME_ACCOUNT, "seller"),
        ("16,17,BTC-PERP,1,1,1,,", Fault.QUANTITY_TWICE, "quantity"),
        ("16,17,BTC-PERP,,,1,,", Fault.QUANTITY_TWICE, "quantity"),
        ("16,17,BTC-PERP-INV,,1,1,,", Fault.QUANTITY_TWICE, "quantity"),
        ("16,17,BTC-PERP,0,,1,,", Fault.OUT_OF_RANGE, "lots"),
        ("16,17,BTC-PERP,,0.0001,1,,", Fault.TOO_PRECISE, "quantity"),
        ("16,17,BTC-PERP,1,,1.001,,", Fault.TOO_PRECISE, "price"),
        ("16,17,BTC-PERP,1,,1,0.0000001,", Fault.TOO_PRECISE, "buyer_fee"),
    ],
)
def test_faulty_trades(tmp_path: Path, row: str, fault: Fault, column: str) -> None:
    with pytest.raises(TableError) as caught:
        read_trades(written(tmp_path, f"{TRADES}{NOON},1,{row}\n"), venue(), KNOWN)
    assert (caught.value.fault, caught.value.column) == (fault, column)


def test_a_repeated_rate_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_funding(written(tmp_path, f"ts,symbol,rate\n{NOON},BTC,0.1\n{NOON},BTC,0.2\n"))
    assert (caught.value.fault, caught.value.line) == (Fault.REPEATED, 3)
    with pytest.raises(TableError) as caught:
        read_funding(tmp_path / "absent.csv")
    assert caught.value.fault == Fault.FILE_UNREADABLE

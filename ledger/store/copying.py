"""Columns as the bytes that PostgreSQL's COPY ... WITH (FORMAT BINARY) reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.store.tables import BIG, BYTES, INTEGER, NUMERIC, SMALL, TEXT, TIMESTAMP, Column, Table

OPENING: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
"""opens a COPY in binary form: its signature, no flags, no extension"""
CLOSING: Final = struct.pack(">h", -1)
"""ends it"""

_EPOCH: Final = 946_684_800_000_000
"""microseconds from 1970 to 2000, where PostgreSQL counts from"""
_DIGITS: Final = 5
"""digits of base 10,000 that hold any unsigned number of 64 bits"""
_WIDTHS: Final[Mapping[str, str]] = MappingProxyType({SMALL: ">i2", INTEGER: ">i4", BIG: ">i8", TIMESTAMP: ">i8"})

Values = npt.NDArray[Any]


def encoded(table: Table, columns: Mapping[str, Values]) -> bytes:
    """A table's rows in binary form, without opening and closing. Raises ValueError where a number does not fit."""
    if not table.fixed:
        return _row_by_row(table, columns)
    count = len(columns[table.columns[0].name])
    cells = [_cells(table, column, columns[column.name]) for column in table.columns]
    layout: list[Any] = [("fields", ">i2")]
    for column, cell in zip(table.columns, cells, strict=True):
        layout += [(f"length {column.name}", ">i4"), (column.name, cell.dtype)]
    out = np.empty(count, np.dtype(layout))
    out["fields"] = len(table.columns)
    for column, cell in zip(table.columns, cells, strict=True):
        out[f"length {column.name}"] = cell.dtype.itemsize
        out[column.name] = cell
    return out.tobytes()


def _cells(table: Table, column: Column, values: Values) -> Values:
    """A column's values as the bytes of its type."""
    if column.sql == NUMERIC:
        return _numerics(values)
    if column.sql == BYTES:
        return values
    width = np.dtype(_WIDTHS[column.sql])
    if column.sql == TIMESTAMP:
        values = values.astype(np.int64) - _EPOCH
    if len(values) and values.dtype.itemsize >= width.itemsize:
        limits = np.iinfo(width.newbyteorder("="))
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise ValueError(f"{table.name}.{column.name}: {values.min()} to {values.max()} do not fit {column.sql}")
    return values.astype(width)


def _numerics(values: Values) -> Values:
    """Unsigned numbers as numeric: the count of digits, the first one's weight, sign, scale, digits of base 10,000.

    PostgreSQL drops leading zeros itself when it reads them.
    """
    out = np.zeros((len(values), 4 + _DIGITS), ">i2")
    out[:, 0], out[:, 1] = _DIGITS, _DIGITS - 1
    rest = values.astype(np.uint64)
    for at in range(_DIGITS - 1, -1, -1):
        rest, digit = np.divmod(rest, np.uint64(10_000))
        out[:, 4 + at] = digit.astype(np.int64)
    return out.view(f"V{out.dtype.itemsize * out.shape[1]}").reshape(-1)


def _row_by_row(table: Table, columns: Mapping[str, Values]) -> bytes:
    """Rows that hold text, which has no fixed width: listings and accounts, few beside legs."""
    cells = [
        [bytes(value).rstrip(b"\0") for value in columns[column.name]]
        if column.sql == TEXT
        else _apart(_cells(table, column, columns[column.name]))
        for column in table.columns
    ]
    opening = struct.pack(">h", len(table.columns))
    rows: list[bytes] = []
    for row in zip(*cells, strict=True):
        rows.append(opening)
        for cell in row:
            rows += (struct.pack(">i", len(cell)), cell)
    return b"".join(rows)


def _apart(cells: Values) -> list[bytes]:
    """Each cell's bytes as they lie in the array: a number taken out of it would be in the machine's own order."""
    width, data = cells.dtype.itemsize, cells.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)]

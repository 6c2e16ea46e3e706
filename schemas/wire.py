"""Entries as bytes: a header and runs, each run an SBE message with one repeating group of fixed-width rows.

One journal record is one entry: a batch of events from one source with that source's own dense sequence number. A run
holds consecutive events of one template, so `numpy.frombuffer` reads it without a loop and the order of events is the
order of runs and of rows within them. Outcomes of an entry are written the same way under their own header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import index
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.kinds import Reason
from schemas.limits import MAX_ENTRY_BYTES, MAX_RUN_ROWS
from schemas.message import U16, U32, U64, Catalogue, Field, Message, define

Rows = npt.NDArray[np.void]

SCHEMA_ID: Final = 7001
SCHEMA_VERSION: Final = 2
HEADERS: Final = Catalogue()


@define(HEADERS, 1)
class EntryHeader:
    """Opens a journal entry: who sent it, that source's sequence number, how many events follow."""

    source: U32
    events: U32
    sequence: U64


@define(HEADERS, 2)
class OutcomeHeader:
    """Opens the outcomes of one numbered entry in one shard."""

    shard: U16
    shards: U16
    outcomes: U32
    n: U64
    previous: U64
    """the shard's entry before this one, 0 before the first: who reads outcomes sees that none is missing"""


_MESSAGE: Final = struct.Struct("<HHHH")
_GROUP: Final = struct.Struct("<HH")


class WireError(ValueError):
    """Bytes that are no entry: the reason, the byte position, and what was found there."""

    def __init__(self, reason: Reason, position: int, what: str) -> None:
        super().__init__(f"{reason.name} at byte {position}: {what}")
        self.reason = reason
        self.position = position
        self.what = what


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive messages of one template, as a read-only structured array."""

    message: Message
    rows: Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """A header's values and the runs under it."""

    header: dict[str, int]
    runs: tuple[Run, ...]

    def __len__(self) -> int:
        return sum(len(run.rows) for run in self.runs)


def raw(field: Field, value: Any) -> Any:
    """A field's value as numpy stores it; nothing is cut, wrapped or rounded.

    Raises TypeError where it is of another kind (a float is no integer), ValueError where text or bytes do not fit.
    """
    form, length = field.wire.form, field.wire.length
    if form == "text":
        if not isinstance(value, str):
            raise TypeError(f"{field.name}: {type(value).__name__} is no text")
        data = value.encode("utf-8")
        if len(data) > length:
            raise ValueError(f"{field.name}: {len(data)} bytes of text, at most {length} fit")
        if b"\0" in data:
            raise ValueError(f"{field.name}: a NUL in its text, which is where a reader stops")
        return data
    if form == "bytes":
        data = bytes(memoryview(value))
        if len(data) != length:
            raise ValueError(f"{field.name}: {len(data)} bytes, {length} are needed")
        return np.void(data)
    if form == "array":
        if len(value) != length:
            raise ValueError(f"{field.name}: {len(value)} values, {length} are needed")
        return [index(one) for one in value]
    # a Python int: numpy refuses one out of range, but wraps its own scalars
    return index(value)


def rows_of(message: Message, messages: Sequence[Any]) -> Rows:
    """Messages of one class as a structured array.

    Raises OverflowError, TypeError or ValueError where a value does not fit its field.
    """
    rows = np.zeros(len(messages), message.dtype)
    for field in message.fields:
        column = rows[field.name]
        column[...] = np.array([raw(field, getattr(one, field.name)) for one in messages], column.dtype).reshape(
            column.shape
        )
    rows.flags.writeable = False
    return rows


def runs_of(catalogue: Catalogue, messages: Iterable[Any]) -> tuple[Run, ...]:
    """Messages in order, gathered into runs of one template each."""
    runs: list[Run] = []
    gathered: list[Any] = []
    for one in [*messages, None]:
        if gathered and (one is None or type(one) is not type(gathered[0]) or len(gathered) == MAX_RUN_ROWS):
            message = catalogue.by_class[type(gathered[0])]
            runs.append(Run(message, rows_of(message, gathered)))
            gathered = []
        if one is not None:
            gathered.append(one)
    return tuple(runs)


def value_of(field: Field, stored: Any) -> Any:
    """A stored value as its message carries it.

    Raises WireError, its position counted from the value's first byte: UNKNOWN_ENUM_VALUE on a number its enum does not
    have, MALFORMED on text that is no UTF-8 or goes on after its padding.
    """
    if field.wire.form == "text":
        text = bytes(stored).rstrip(b"\0")
        if b"\0" in text:
            raise WireError(Reason.MALFORMED, text.index(b"\0"), f"{field.name} goes on after a NUL")
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(Reason.MALFORMED, error.start, f"{field.name} is no UTF-8") from None
    if field.wire.form == "bytes":
        return bytes(stored)
    if field.wire.form == "array":
        return tuple(int(x) for x in stored)
    if field.enum is not None:
        return enum_value(field.enum, int(stored), field.name)
    return int(stored)


def enum_value(enum: type[IntEnum], number: int, name: str) -> IntEnum:
    """The enum's member of this number; WireError(UNKNOWN_ENUM_VALUE) where there is none."""
    try:
        return enum(number)
    except ValueError:
        raise WireError(Reason.UNKNOWN_ENUM_VALUE, 0, f"{name} = {number} is no {enum.__name__}") from None


def message_of(message: Message, row: np.void) -> Any:
    """One row as an instance of its class. Raises WireError, its position counted from the row's first byte."""
    values: dict[str, Any] = {}
    for field in message.fields:
        try:
            values[field.name] = value_of(field, row[field.name])
        except WireError as error:
            raise WireError(
                error.reason, message.offset(field.name) + error.position, f"{message.name}.{error.what}"
            ) from None
    return message.cls(**values)


def messages_of(runs: Iterable[Run]) -> list[Any]:
    """Every message of the runs, in order. Raises WireError as `message_of` does."""
    return [message_of(run.message, row) for run in runs for row in run.rows]


def encode(header: Any, runs: Sequence[Run]) -> bytes:
    """A header and its runs as bytes. Raises WireError where the entry is too large."""
    opening = HEADERS.by_class[type(header)]
    parts: list[Any] = [_MESSAGE.pack(opening.dtype.itemsize, opening.template, SCHEMA_ID, SCHEMA_VERSION)]
    parts.append(rows_of(opening, [header]).tobytes())
    for run in runs:
        width = run.message.dtype.itemsize
        for first in range(0, len(run.rows), MAX_RUN_ROWS):
            rows = run.rows[first : first + MAX_RUN_ROWS]
            parts.append(_MESSAGE.pack(0, run.message.template, SCHEMA_ID, SCHEMA_VERSION))
            parts.append(_GROUP.pack(width, len(rows)))
            parts.append(np.ascontiguousarray(rows).view(np.uint8).data)
    return b"".join(parts)


def encode_entry(source: int, sequence: int, runs: Sequence[Run]) -> bytes:
    """A journal entry. Raises WireError(MALFORMED) past MAX_ENTRY_BYTES."""
    events = sum(len(run.rows) for run in runs)
    data = encode(EntryHeader(source=source, events=events, sequence=sequence), runs)
    if len(data) > MAX_ENTRY_BYTES:
        raise WireError(Reason.MALFORMED, MAX_ENTRY_BYTES, f"an entry of {len(data)} bytes")
    return data


def _check_schema(position: int, schema: int, version: int) -> None:
    """The version is looked at before any length: another version's lengths mean nothing here."""
    if schema != SCHEMA_ID:
        raise WireError(Reason.MALFORMED, position + 4, f"schema {schema}, known is {SCHEMA_ID}")
    if version != SCHEMA_VERSION:
        raise WireError(Reason.UNKNOWN_VERSION, position + 6, f"version {version}, known is {SCHEMA_VERSION}")


def decode_header(data: bytes | memoryview, kind: type[Any]) -> tuple[dict[str, int], int]:
    """The header's values and where the runs begin. Raises WireError where these bytes do not open with it."""
    message = HEADERS.by_class[kind]
    start = _MESSAGE.size
    width = message.dtype.itemsize
    if kind is EntryHeader and len(data) > MAX_ENTRY_BYTES:
        raise WireError(Reason.MALFORMED, MAX_ENTRY_BYTES, f"an entry of {len(data)} bytes, at most {MAX_ENTRY_BYTES}")
    if len(data) < start:
        raise WireError(Reason.MALFORMED, len(data), f"{len(data)} bytes, a message's header has {start}")
    length, template, schema, version = _MESSAGE.unpack_from(data, 0)
    _check_schema(0, schema, version)
    if template != message.template:
        raise WireError(Reason.MALFORMED, 2, f"template {template}, {message.name} is {message.template}")
    if length != width:
        raise WireError(Reason.MALFORMED, 0, f"{message.name} of {length} bytes, not {width}")
    if len(data) < start + width:
        raise WireError(Reason.MALFORMED, len(data), f"{len(data)} bytes, {message.name} ends at {start + width}")
    row = np.frombuffer(data, message.dtype, 1, start)[0]
    return {field.name: int(row[field.name]) for field in message.fields}, start + width


def decode_runs(data: bytes | memoryview, position: int, catalogue: Catalogue) -> tuple[Run, ...]:
    """The runs from a position to the end, without copying. Raises WireError at the first that cannot be read."""
    runs: list[Run] = []
    while position < len(data):
        if len(data) - position < _MESSAGE.size + _GROUP.size:
            raise WireError(Reason.MALFORMED, position, f"a run's header is cut off after {len(data) - position} bytes")
        root, template, schema, version = _MESSAGE.unpack_from(data, position)
        _check_schema(position, schema, version)
        message = catalogue.by_template.get(template)
        if message is None:
            raise WireError(Reason.UNKNOWN_TEMPLATE, position + 2, f"template {template}")
        if root != 0:
            raise WireError(Reason.MALFORMED, position, f"{message.name} with a root block of {root} bytes, not 0")
        position += _MESSAGE.size
        width, count = _GROUP.unpack_from(data, position)
        if width != message.dtype.itemsize:
            raise WireError(
                Reason.MALFORMED, position, f"{message.name} rows of {width} bytes, not {message.dtype.itemsize}"
            )
        if count == 0:
            raise WireError(Reason.MALFORMED, position + 2, f"a run of no {message.name}")
        position += _GROUP.size
        if width * count > len(data) - position:
            raise WireError(
                Reason.MALFORMED, position, f"{count} rows of {width} bytes, {len(data) - position} bytes left"
            )
        rows = np.frombuffer(data, message.dtype, count, position)
        # the buffer may be writable (a bytearray): what was read is still nobody's to change
        rows.flags.writeable = False
        runs.append(Run(message, rows))
        position += width * count
    return tuple(runs)


def decode(data: bytes | memoryview, kind: type[Any], catalogue: Catalogue) -> Batch:
    """A header and its runs. Raises WireError where they cannot be read or their count is not the header's."""
    header, position = decode_header(data, kind)
    batch = Batch(header, decode_runs(data, position, catalogue))
    told = header["events"] if "events" in header else header["outcomes"]
    if told != len(batch):
        raise WireError(Reason.MALFORMED, _MESSAGE.size, f"the header tells {told} rows, {len(batch)} follow")
    return batch

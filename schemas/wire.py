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
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.kinds import Reason
from schemas.limits import MAX_ENTRY_BYTES, MAX_RUN_ROWS
from schemas.message import U16, U32, U64, Catalogue, Field, Message

Rows = npt.NDArray[np.void]

SCHEMA_ID: Final = 7001
SCHEMA_VERSION: Final = 1
HEADERS: Final = Catalogue()


@HEADERS.define(1)
class EntryHeader:
    """Opens a journal entry: who sent it, that source's sequence number, how many events follow."""

    source: U32
    events: U32
    sequence: U64


@HEADERS.define(2)
class OutcomeHeader:
    """Opens the outcomes of one numbered entry in one shard."""

    shard: U16
    shards: U16
    outcomes: U32
    n: U64


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
    """A field's value as numpy stores it. Raises ValueError where text or bytes do not fit; nothing is cut."""
    if field.wire.form == "text":
        data = str(value).encode("utf-8")
        if len(data) > field.wire.length or data.endswith(b"\0"):
            raise ValueError(f"{field.name}: {len(data)} bytes of text, at most {field.wire.length} fit")
        return data
    if field.wire.form == "bytes":
        if len(value) != field.wire.length:
            raise ValueError(f"{field.name}: {len(value)} bytes, {field.wire.length} are needed")
        return np.void(value)
    if field.wire.form == "array" and len(value) != field.wire.length:
        raise ValueError(f"{field.name}: {len(value)} values, {field.wire.length} are needed")
    return value


def rows_of(message: Message, messages: Sequence[Any]) -> Rows:
    """Messages of one class as a structured array. Raises OverflowError or ValueError where a value does not fit."""
    rows = np.zeros(len(messages), message.dtype)
    for field in message.fields:
        rows[field.name] = np.array(
            [raw(field, getattr(one, field.name)) for one in messages], message.dtype[field.name].base
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
    """A stored value as its message carries it. Raises WireError on a number its enum does not have."""
    if field.wire.form == "text":
        try:
            return bytes(stored).rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError:
            raise WireError(Reason.MALFORMED, 0, f"{field.name} is no UTF-8") from None
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
    """One row as an instance of its class."""
    return message.cls(**{field.name: value_of(field, row[field.name]) for field in message.fields})


def messages_of(runs: Iterable[Run]) -> list[Any]:
    """Every message of the runs, in order."""
    return [message_of(run.message, row) for run in runs for row in run.rows]


def encode(header: Any, runs: Sequence[Run]) -> bytes:
    """A header and its runs as bytes. Raises WireError where the entry is too large."""
    opening = HEADERS.by_class[type(header)]
    parts = [_MESSAGE.pack(opening.dtype.itemsize, opening.template, SCHEMA_ID, SCHEMA_VERSION)]
    parts.append(rows_of(opening, [header]).tobytes())
    for run in runs:
        width = run.message.dtype.itemsize
        for first in range(0, len(run.rows), MAX_RUN_ROWS):
            rows = run.rows[first : first + MAX_RUN_ROWS]
            parts.append(_MESSAGE.pack(0, run.message.template, SCHEMA_ID, SCHEMA_VERSION))
            parts.append(_GROUP.pack(width, len(rows)))
            parts.append(rows.tobytes())
    return b"".join(parts)


def encode_entry(source: int, sequence: int, runs: Sequence[Run]) -> bytes:
    """A journal entry. Raises WireError(MALFORMED) past MAX_ENTRY_BYTES."""
    events = sum(len(run.rows) for run in runs)
    data = encode(EntryHeader(source=source, events=events, sequence=sequence), runs)
    if len(data) > MAX_ENTRY_BYTES:
        raise WireError(Reason.MALFORMED, MAX_ENTRY_BYTES, f"an entry of {len(data)} bytes")
    return data


def decode_header(data: bytes | memoryview, kind: type[Any]) -> tuple[dict[str, int], int]:
    """The header's values and where the runs begin. Raises WireError where these bytes do not open with it."""
    message = HEADERS.by_class[kind]
    start = _MESSAGE.size
    width = message.dtype.itemsize
    if len(data) < start + width:
        raise WireError(Reason.MALFORMED, len(data), f"{len(data)} bytes, a header has {start + width}")
    length, template, schema, version = _MESSAGE.unpack_from(data, 0)
    if schema != SCHEMA_ID or template != message.template or length != width:
        raise WireError(Reason.MALFORMED, 0, f"template {template} of schema {schema}, {length} bytes: no {message.name}")
    if version != SCHEMA_VERSION:
        raise WireError(Reason.UNKNOWN_VERSION, 6, f"version {version}, known is {SCHEMA_VERSION}")
    row = np.frombuffer(data, message.dtype, 1, start)[0]
    return {field.name: int(row[field.name]) for field in message.fields}, start + width


def decode_runs(data: bytes | memoryview, position: int, catalogue: Catalogue) -> tuple[Run, ...]:
    """The runs from a position to the end, without copying. Raises WireError at the first that cannot be read."""
    runs: list[Run] = []
    while position < len(data):
        if len(data) - position < _MESSAGE.size + _GROUP.size:
            raise WireError(Reason.MALFORMED, position, "a run's header is cut off")
        root, template, schema, version = _MESSAGE.unpack_from(data, position)
        if schema != SCHEMA_ID or root != 0:
            raise WireError(Reason.MALFORMED, position, f"schema {schema}, root block of {root} bytes")
        if version != SCHEMA_VERSION:
            raise WireError(Reason.UNKNOWN_VERSION, position + 6, f"version {version}, known is {SCHEMA_VERSION}")
        message = catalogue.by_template.get(template)
        if message is None:
            raise WireError(Reason.UNKNOWN_TEMPLATE, position + 2, f"template {template}")
        width, count = _GROUP.unpack_from(data, position + _MESSAGE.size)
        position += _MESSAGE.size + _GROUP.size
        if width != message.dtype.itemsize:
            raise WireError(Reason.MALFORMED, position, f"{message.name} rows of {width} bytes, not {message.dtype.itemsize}")
        if count == 0 or position + width * count > len(data):
            raise WireError(Reason.MALFORMED, position, f"{count} rows of {width} bytes, {len(data) - position} bytes left")
        runs.append(Run(message, np.frombuffer(data, message.dtype, count, position)))
        position += width * count
    return tuple(runs)


def decode(data: bytes | memoryview, kind: type[Any], catalogue: Catalogue) -> Batch:
    """A header and its runs. Raises WireError where they cannot be read or their count is not the header's."""
    header, position = decode_header(data, kind)
    batch = Batch(header, decode_runs(data, position, catalogue))
    told = header["events"] if "events" in header else header["outcomes"]
    if told != len(batch):
        raise WireError(Reason.MALFORMED, 0, f"the header tells {told} rows, {len(batch)} follow")
    return batch

"""A shard's part of an entry as bytes: a header, then for each run the column of positions and the rows.

Everything is a run as `schemas/wire.py` lays it out, the header a run of one row.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from ledger.sequence import IndexedRun, ShardEntry
from schemas.events import EVENTS
from schemas.kinds import Reason
from schemas.limits import MAX_RUN_ROWS
from schemas.message import U16, U32, U64, Catalogue
from schemas.wire import SCHEMA_ID, SCHEMA_VERSION, Rows, Run, WireError, decode_runs

SHARDS: Final = Catalogue()
"""What opens and indexes a shard's part; the events between are those of schemas.events."""


@SHARDS.define(3)
class ShardHeader:
    """Opens a shard's part of entry n. `previous` is the last n sent to it; `runs` of events with `rows` follow."""

    shard: U16
    reason: Reason
    """not NONE: the entry's body cannot be read, and no runs follow"""
    source: U32
    runs: U32
    rows: U32
    n: U64
    previous: U64
    recipients: U64
    """in the facts' part: bits of the shards that will say something of this entry"""


@SHARDS.define(4)
class IndexRow:
    """The position in its entry of the row at the same place in the run that follows."""

    index: U32


_HEADER: Final = SHARDS.by_class[ShardHeader]
_INDEX: Final = SHARDS.by_class[IndexRow]
_OPENING: Final = struct.Struct("<HHHHHH")
_BOTH: Final = Catalogue()
_BOTH.by_template = {**SHARDS.by_template, **EVENTS.by_template}


def encode_shard(entry: ShardEntry) -> bytes:
    """A shard's part as bytes. Raises ValueError where a number does not fit its column."""
    parts: list[bytes] = []
    runs = 0
    for run in entry.runs:
        for first in range(0, len(run.rows), MAX_RUN_ROWS):
            index = np.ascontiguousarray(run.index[first : first + MAX_RUN_ROWS], "<u4").view(_INDEX.dtype)
            parts += _encoded(_INDEX.template, index)
            parts += _encoded(run.message.template, run.rows[first : first + MAX_RUN_ROWS])
            runs += 1
    rows = sum(len(run.rows) for run in entry.runs)
    values = (entry.shard, int(entry.reason), entry.source, runs, rows, entry.n, entry.previous, entry.recipients)
    try:
        header = np.array([values], _HEADER.dtype)
    except OverflowError as error:
        raise ValueError(f"shard {entry.shard}, entry {entry.n}: {error}") from error
    return b"".join([*_encoded(_HEADER.template, header), *parts])


def decode_shard(data: bytes | memoryview) -> ShardEntry:
    """The part that these bytes hold, its rows not copied. Raises WireError where they hold none."""
    opening, *body = decode_runs(data, 0, _BOTH) or (None,)
    if opening is None or opening.message is not _HEADER or len(opening.rows) != 1:
        raise WireError(Reason.MALFORMED, 0, "no ShardHeader opens it")
    header = {field.name: int(opening.rows[0][field.name]) for field in _HEADER.fields}
    runs = tuple(_indexed(index, rows) for index, rows in zip(body[::2], body[1::2], strict=False))
    told = (header["runs"], header["rows"])
    if len(body) % 2 or told != (len(runs), sum(len(run.rows) for run in runs)):
        raise WireError(Reason.MALFORMED, 0, f"the header tells {told[0]} runs, {told[1]} rows; others follow")
    _check_ascending(runs)
    reason = header["reason"]
    if reason not in Reason.__members__.values():
        raise WireError(Reason.UNKNOWN_ENUM_VALUE, 0, f"reason {reason}")
    return ShardEntry(
        header["n"], header["previous"], header["shard"], runs, Reason(reason), header["source"], header["recipients"]
    )


def _encoded(template: int, rows: Rows) -> list[bytes]:
    return [_OPENING.pack(0, template, SCHEMA_ID, SCHEMA_VERSION, rows.dtype.itemsize, len(rows)), rows.tobytes()]


def _indexed(index: Run, run: Run) -> IndexedRun:
    if index.message is not _INDEX or run.message.template in SHARDS.by_template:
        raise WireError(Reason.MALFORMED, 0, f"{run.message.name} rows follow {index.message.name} rows")
    if len(index.rows) != len(run.rows):
        raise WireError(Reason.MALFORMED, 0, f"{len(index.rows)} positions, {len(run.rows)} {run.message.name} rows")
    column: Any = index.rows["index"]
    return IndexedRun(run.message, run.rows, column)


def _check_ascending(runs: tuple[IndexedRun, ...]) -> None:
    if not runs:
        return
    positions = np.concatenate([run.index for run in runs]).astype(np.int64)
    wrong = np.flatnonzero(np.diff(positions) <= 0)
    if len(wrong):
        found = positions[wrong[0] : wrong[0] + 2].tolist()
        raise WireError(Reason.MALFORMED, 0, f"position {found[1]} follows position {found[0]}")

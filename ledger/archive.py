"""Archive segments: a closed stretch of the journal, or of one shard's outcomes, as bytes that vouch for themselves.

A segment is its magic, the length of a JSON header, the header, the rows, and the SHA-256 of all that. A row is its
number (an entry's offset, outcomes' n), its length, its link of the hash chain (ledger/chain.py) and its bytes. So a
change is found by the digest, and its place by the first row whose link does not follow.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from ledger.chain import HASH_BYTES, JOURNAL_GENESIS, link, link_numbered, outcomes_genesis

MAGIC: Final = b"novate segment 1\n"
SUFFIX: Final = ".segment"

_LENGTH: Final = struct.Struct("<I")
_ROW: Final = struct.Struct(f"<QI{HASH_BYTES}s")
_NAME: Final = re.compile(r"(?:journal|outcomes-(\d{3,}))-(\d{12,})-(\d{12,})-([0-9a-f]{64})\.segment")


class Kind(StrEnum):
    """What a segment holds."""

    JOURNAL = "journal"
    OUTCOMES = "outcomes"


class Stretch(NamedTuple):
    """What a segment covers: offsets `first` to `last` of the journal, or a shard's outcomes of n `first` to `last`
    (no numbers at all where last is first - 1). A journal's shard is 0."""

    kind: Kind
    shard: int
    first: int
    last: int


class Row(NamedTuple):
    """A row of a segment: its number, the link that covers it and all before it, and its bytes."""

    number: int
    link: bytes
    data: bytes


class Named(NamedTuple):
    """What a segment's name says."""

    stretch: Stretch
    digest: str


class SegmentBroken(ValueError):  # noqa: N818 - named for what is found
    """A segment that is not what was written. `number` is the offset or n from which on nothing can be trusted."""

    def __init__(self, name: str, stretch: Stretch, number: int, what: str) -> None:
        super().__init__(f"{name}: broken at {number}: {what}")
        self.name = name
        self.stretch = stretch
        self.number = number
        self.what = what


def genesis(stretch: Stretch) -> bytes:
    """The link before the first row of all."""
    return JOURNAL_GENESIS if stretch.kind == Kind.JOURNAL else outcomes_genesis(stretch.shard)


def linked(stretch: Stretch, previous: bytes, number: int, data: bytes) -> Row:
    """The row that follows a link."""
    after = link(previous, data) if stretch.kind == Kind.JOURNAL else link_numbered(previous, number, data)
    return Row(number, after, data)


def sealed(stretch: Stretch, before: bytes, rows: Sequence[Row]) -> tuple[str, bytes]:
    """A segment's name and bytes. `before` is the link before its first row; the rows follow each other."""
    told = {"kind": stretch.kind, "shard": stretch.shard, "first": stretch.first, "last": stretch.last,
            "rows": len(rows), "before": before.hex()}  # fmt: skip
    header = json.dumps(told).encode()
    parts = [MAGIC, _LENGTH.pack(len(header)), header]
    for row in rows:
        parts += (_ROW.pack(row.number, len(row.data), row.link), row.data)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return name_of(stretch, digest.hexdigest()), b"".join([*parts, digest.digest()])


def name_of(stretch: Stretch, digest: str) -> str:
    """A segment's file name: what it covers, and its SHA-256."""
    what = "journal" if stretch.kind == Kind.JOURNAL else f"outcomes-{stretch.shard:03d}"
    return f"{what}-{stretch.first:012d}-{stretch.last:012d}-{digest}{SUFFIX}"


def named(name: str) -> Named | None:
    """What a file's name says; None where it is no segment's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    shard, first, last, digest = found.groups()
    kind = Kind.JOURNAL if shard is None else Kind.OUTCOMES
    told = Named(Stretch(kind, int(shard or 0), int(first), int(last)), digest)
    return told if name_of(*told) == name else None


def rows_of(name: str, data: bytes, before: bytes) -> Iterator[Row]:
    """A segment's rows in order, each checked against the one before; `before` is the link before the first.

    Raises SegmentBroken at the first thing that is not as it was written: header, row, digest or name.
    """
    told = named(name)
    if told is None:
        raise ValueError(f"{name} is no segment's name")
    stretch = told.stretch

    def broken(number: int, what: str) -> SegmentBroken:
        return SegmentBroken(name, stretch, number, what)

    if data[: len(MAGIC)] != MAGIC:
        raise broken(stretch.first, "it does not begin like a segment")
    at = len(MAGIC) + _LENGTH.size
    end = len(data) - HASH_BYTES
    header = int.from_bytes(data[len(MAGIC) : at], "little")
    if at + header > end:
        raise broken(stretch.first, f"cut off at byte {len(data)}")
    wanted = {"kind": stretch.kind, "shard": stretch.shard, "first": stretch.first, "last": stretch.last}
    try:
        found = json.loads(data[at : at + header])
        count, follows = found.pop("rows"), found.pop("before")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise broken(stretch.first, "its header cannot be read") from None
    if found != wanted or type(count) is not int:
        raise broken(stretch.first, "its header and its name say different things")
    if follows != before.hex():
        raise broken(stretch.first, "it does not follow what comes before it")
    at += header
    number, previous = stretch.first, before
    for _ in range(count):
        if at + _ROW.size > end:
            raise broken(number, f"cut off at byte {len(data)}")
        row, size, after = _ROW.unpack_from(data, at)
        at += _ROW.size
        if at + size > end or not number <= row <= stretch.last or (stretch.kind == Kind.JOURNAL and row != number):
            raise broken(number, f"the row before byte {at} is not the one that follows")
        one = linked(stretch, previous, row, data[at : at + size])
        if one.link != after:
            raise broken(row, "bytes and chain hash do not belong together")
        yield one
        at += size
        number, previous = row + 1, after
    if at != end or (stretch.kind == Kind.JOURNAL and number != stretch.last + 1):
        raise broken(number, f"{end - at} bytes follow the last row")
    digest = hashlib.sha256(memoryview(data)[:end]).digest()
    if digest != data[end:] or digest.hex() != told.digest:
        raise broken(stretch.first, "its SHA-256 is not the one it states")

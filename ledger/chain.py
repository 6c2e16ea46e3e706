"""A SHA-256 chain over stored entries: each link covers the one before it, so a change anywhere has a first place."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

HASH_BYTES: Final = 32

_PLAIN: Final = b"novate/chain/plain/1"
_NUMBERED: Final = b"novate/chain/numbered/1"
_LENGTH: Final = struct.Struct("<Q")
_NUMBER_LENGTH: Final = struct.Struct("<QQ")

JOURNAL_GENESIS: Final = hashlib.sha256(b"novate/chain/journal/1").digest()
"""What the journal's first entry is linked to."""
OUTCOMES_GENESIS: Final = hashlib.sha256(b"novate/chain/outcomes/1").digest()
"""What the genesis of each shard's outcomes is linked to."""


def link(previous: bytes, data: bytes) -> bytes:
    """The hash of an entry and of all before it: 32 bytes. `previous` is the link before, or a genesis.

    Raises ValueError where `previous` is not 32 bytes: its width fixed and the length told, no two inputs look alike.
    """
    _whole(previous)
    digest = hashlib.sha256(_PLAIN + previous + _LENGTH.pack(len(data)))
    digest.update(data)
    return digest.digest()


def link_numbered(previous: bytes, number: int, data: bytes) -> bytes:
    """As `link`, for rows whose numbers have holes: the row's number is covered too. Raises ValueError likewise."""
    _whole(previous)
    digest = hashlib.sha256(_NUMBERED + previous + _NUMBER_LENGTH.pack(number, len(data)))
    digest.update(data)
    return digest.digest()


def outcomes_genesis(shard: int) -> bytes:
    """What a shard's first outcomes are linked to: its own, so that one shard's chain cannot pass as another's."""
    return link_numbered(OUTCOMES_GENESIS, shard, b"")


def first_break(rows: Iterable[tuple[bytes, bytes]], previous: bytes) -> int | None:
    """The position of the first (data, link) row that does not follow from the one before; None where all do."""
    for position, (data, stored) in enumerate(rows):
        if link(previous, data) != stored:
            return position
        previous = stored
    return None


def _whole(previous: bytes) -> None:
    if len(previous) != HASH_BYTES:
        raise ValueError(f"a link of {len(previous)} bytes, {HASH_BYTES} are needed")

"""How a part's snapshot begins: what it tells in plain data, sealed, so that no changed byte of it is taken."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from ledger.snapshot import SnapshotBroken

_DIGEST: Final = hashlib.sha256().digest_size
_LENGTH: Final = 8


def sealed(magic: bytes, told: Any, body: bytes = b"") -> bytes:
    """`told`, plain data, behind its kind's magic and a SHA-256 over both; then `body`, which seals itself."""
    head = json.dumps(told).encode()
    digest = hashlib.sha256(magic + head).digest()
    return magic + digest + len(head).to_bytes(_LENGTH, "little") + head + body


def unsealed(magic: bytes, data: bytes) -> tuple[Any, bytes]:
    """What `sealed` was given. Raises SnapshotBroken where the data is of another kind, cut or changed; the body's own
    seal is for who reads the body."""
    start = len(magic) + _DIGEST + _LENGTH
    if data[: len(magic)] != magic or len(data) < start:
        raise SnapshotBroken(f"it does not begin with {magic!r}")
    end = start + int.from_bytes(data[start - _LENGTH : start], "little")
    head = data[start:end]
    if len(data) < end:
        raise SnapshotBroken(f"{len(data)} bytes, its beginning alone has {end}")
    if hashlib.sha256(magic + head).digest() != data[len(magic) : len(magic) + _DIGEST]:
        raise SnapshotBroken("the SHA-256 of its beginning is not the one it states")
    return json.loads(head), data[end:]

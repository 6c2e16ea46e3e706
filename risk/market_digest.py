"""The hash that closes a market: over its rows' bytes in order, however they were cut into runs and entries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from schemas.wire import Run


def market_digest(runs: Iterable[Run]) -> bytes:
    """SHA-256 over the rows of these runs, no headers, so that the pricer may chunk a market as it likes and whoever
    verifies it needs its rows alone. The runs are a market's facts, without the MarketClosed that carries this hash."""
    digest = hashlib.sha256()
    for run in runs:
        digest.update(run.rows.tobytes())
    return digest.digest()

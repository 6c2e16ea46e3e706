"""A small crash for tests: the demonstration's exchange with few accounts and a fund too small, so that everything
happens that can. As a script it clears into a directory and tells each acknowledged offset on its standard output.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from services import run as demonstration
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Clearing
from services.snapshots import present
from services.tables import read_funding, read_prices

ACCOUNTS = 100
STEPS = 156
"""into the deep of the crash"""
SEED = 3
FUND = 20
"""dollars an account, a small part of what the demonstration's fund has"""


def inputs() -> demonstration.Inputs:
    data = Path(str(files("services"))) / "data"
    return demonstration.Inputs(read_prices(data / "crash_2020_03.csv"), read_funding(data / "funding_2020_03.csv"))


def clear(
    directory: Path,
    *,
    shards: int = 1,
    snapshot_every: int = 0,
    steps: int = STEPS,
    accounts: int = ACCOUNTS,
    seed: int = SEED,
    acknowledged: Callable[[int], None] | None = None,
) -> Clearing:
    """Clear the crash into a directory, going on with what is there."""
    with patch.multiple(demonstration, FUND_PER_ACCOUNT=FUND, CAPITAL_PER_ACCOUNT=FUND):
        ledger, _ = demonstration.run(
            directory, inputs(), accounts=accounts, seed=seed, shards=shards, snapshot_every=snapshot_every,
            steps=steps, acknowledged=acknowledged,
        )  # fmt: skip
    ledger.close()
    return ledger.clearing


def entries(directory: Path) -> list[bytes]:
    """Every entry of a directory's journal."""
    reader = SqliteReader(directory / JOURNAL)
    try:
        return [data for _, data in reader.read(0, reader.end())]
    finally:
        reader.close()


def outcomes(directory: Path, shards: int) -> dict[tuple[int, int], bytes]:
    """Every outcome record of a directory by (n, shard)."""
    log = OutcomeLog(directory / OUTCOME_LOG, reading=True)
    try:
        return {(n, shard): data for shard in range(shards) for n, data in log.scan(shard)}
    finally:
        log.close()


def contents(directory: Path, shards: int) -> dict[str, Any]:
    """All that a directory says, to the byte, whatever SQLite's pages look like."""
    return {
        "entries": entries(directory),
        "outcomes": outcomes(directory, shards),
        "snapshots": {path.name: path.read_bytes() for _, _, path in present(directory)},
        "heads": (directory / HEADS).read_bytes(),
    }


if __name__ == "__main__":
    clear(
        Path(sys.argv[1]), **json.loads(sys.argv[2]), acknowledged=lambda offset: os.write(1, b"%d\n" % offset) and None
    )

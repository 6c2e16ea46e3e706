"""Folds a directory's journal again and compares every outcome byte with those stored: from the start, and from each
point at which snapshots lie. As a script it prints what it found, and how the interpreter and the libraries were set.
"""

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numba
from numpy._core import _multiarray_umath as features

from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from ledger.snapshot import digest_of
from services.lockstep import JOURNAL, OUTCOME_LOG, Clearing, Settings
from services.replay import refolded, restore
from services.snapshots import present


def starts(directory: Path) -> list[int]:
    """0, the start, and for each round of snapshots the n by which every shard has taken its own."""
    every = Settings.read(directory).snapshot_every
    rounds: dict[int, int] = {}
    for _, n, _ in present(directory):
        rounds[n // every] = max(n, rounds.get(n // every, 0))
    return [0, *sorted(rounds.values())]


def refold(directory: Path, start: int) -> dict[str, Any]:
    """Fold from the snapshots not after entry `start` (0: from the journal's start) to the end."""
    clearing = Clearing(Settings.read(directory))
    differing: list[list[int]] = []
    compared = 0
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        stored = {(n, s): data for s in range(clearing.settings.shards) for n, data in log.scan(s)}
    if start:
        restore(clearing, directory, start)
    first = [state.n for state in clearing.states]
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        for part, outcomes in refolded(clearing, reader):
            compared += 1
            if stored[part.n, part.shard] != outcomes:
                differing.append([part.n, part.shard])
    return {
        "first": first,
        "compared": compared,
        "stored": sum(n > first[shard] for n, shard in stored),
        "differing": differing,
        "digests": [digest_of(state).hex() for state in clearing.states],
    }


if __name__ == "__main__":
    path = Path(sys.argv[1])
    json.dump(
        {
            "found": [refold(path, start) for start in starts(path)],
            "hash": hash("novate"),
            "cpu": numba.config.CPU_NAME,
            "threads": [numba.config.NUMBA_NUM_THREADS, os.environ.get("OPENBLAS_NUM_THREADS")],
            "enabled": [name for name in features.__cpu_dispatch__ if features.__cpu_features__[name]],
        },
        sys.stdout,
    )

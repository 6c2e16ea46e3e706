"""Recovery: a shard with many accounts made again from its snapshot file, beside reading and hashing its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np

from bench.fold import PER_ENTRY, entries, prepared
from ledger.fold import fold
from ledger.sequence import Numbered, SequenceState, SplitState, number, split
from ledger.snapshot import digest_of
from schemas.chart import FIRST_ACCOUNT
from schemas.events import EVENTS
from schemas.wire import EntryHeader, decode
from services.lockstep import Settings
from services.processors.clearing import Shard, packed
from services.processors.records import Snapshot
from services.workers.parts import CLEARING
from services.workers.snapshots import SnapshotStore

ACCOUNTS: Final = 1_000_000
TRADES: Final = 5_000_000
"""so that each account has come to some ten positions"""
ROUNDS: Final = 3


def run() -> list[dict[str, Any]]:
    """Seconds from a snapshot file to a shard that can go on."""
    state = prepared(ACCOUNTS)
    sequence, splitting, draw = SequenceState(), SplitState.of(1), np.random.default_rng(5)
    for at in range(TRADES // PER_ENTRY):
        (data,) = entries(draw, ACCOUNTS, at + 1, 1, PER_ENTRY)
        told = number(sequence, at, data)
        assert isinstance(told, Numbered)
        (part,) = split(splitting, told.n, decode(data, EntryHeader, EVENTS).runs, state.shard_of, told.source)
        fold(state, part)
    settings = Settings(1, FIRST_ACCOUNT + ACCOUNTS, 0)
    with TemporaryDirectory() as folder:
        store = SnapshotStore(Path(folder))
        store.keep(CLEARING, 0, Snapshot(state.n, packed(state.n, state)))
        (path,) = Path(folder).glob("*.snapshot")
        expected = digest_of(state)
        del state
        times, hashing = [], []
        for _ in range(ROUNDS):
            begun = perf_counter()
            shard, _ = store.restored(CLEARING, 0, lambda data: Shard(settings, 0, data))
            times.append(perf_counter() - begun)
            if digest_of(shard.state) != expected:
                raise RuntimeError("bench/recovery: another state came back")
            begun = perf_counter()
            size = len(data := path.read_bytes())
            hashlib.sha256(data).digest()
            hashing.append(perf_counter() - begun)
    return [
        {
            "name": "recovery of 1,000,000 accounts from their snapshot",
            "value": median(times),
            "unit": "s",
            "goal": "< 10",
            "peers": {"reading and hashing the file once, s": median(hashing), "MB": size / 1e6},
        }
    ]

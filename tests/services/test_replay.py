"""Replay: the same outcome bytes and state hashes in processes on other terms, from the start and any snapshot."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numpy._core import _multiarray_umath as features
from refold import refold, starts

from ledger.snapshot import MAGIC, SnapshotBroken, digest_of
from services.replay import PositionUnknown, position_at, replayed
from services.snapshots import SNAPSHOTS, present

ROOT = Path(__file__).parents[2]
DISPATCHED = [name for name in features.__cpu_dispatch__ if features.__cpu_features__[name]]
"""what numpy would use of this machine beyond its baseline, and so can be told not to"""

ONE_THREAD = {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
TWO_THREADS = {"NUMBA_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
PLAIN_CPU = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED),
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "OPENBLAS_CORETYPE": "Prescott",
}


@pytest.fixture(scope="module")
def expected(cleared: Path) -> list[dict[str, Any]]:
    return [refold(cleared, start) for start in starts(cleared)]


def elsewhere(directory: Path, environment: dict[str, str]) -> dict[str, Any]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NPY_", "NUMBA_", "OPENBLAS_", "OMP_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests" / "refold.py"), str(directory)],
        env={**clean, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_from_the_start_and_from_every_snapshot(expected: list[dict[str, Any]]) -> None:
    whole, *others = expected
    assert len(others) >= 3
    assert whole["first"] == [0, 0]
    assert sorted(one["compared"] for one in expected) == [one["compared"] for one in reversed(expected)]
    for one in expected:
        assert (one["differing"], one["compared"]) == ([], one["stored"])
        assert one["digests"] == whole["digests"]
    assert others[-1]["compared"] > 0


def test_with_another_hash_seed_and_thread_count(cleared: Path, expected: list[dict[str, Any]]) -> None:
    one = elsewhere(cleared, {"PYTHONHASHSEED": "1", **ONE_THREAD})
    two = elsewhere(cleared, {"PYTHONHASHSEED": "4242", **TWO_THREADS})
    assert one["hash"] != two["hash"]
    assert (one["threads"], two["threads"]) == ([1, "1"], [2, "2"])
    assert one["found"] == expected
    assert two["found"] == expected


def test_with_cpu_features_switched_off(cleared: Path, expected: list[dict[str, Any]]) -> None:
    told = elsewhere(cleared, {"PYTHONHASHSEED": "99", **PLAIN_CPU})
    assert told["cpu"] == "generic"
    assert (told["enabled"], bool(DISPATCHED)) == ([], True)
    assert told["found"] == expected


# --- positions --------------------------------------------------------------------------------------------------------


def test_to_any_position_from_snapshots_as_from_the_start(short: Path) -> None:
    draw = random.Random(7)
    last = replayed(short).sequence.n
    for to in [1, last, *(draw.randrange(1, last) for _ in range(10))]:
        whole = replayed(short, to, from_start=True)
        assert whole.sequence.n == to
        digests = [digest_of(state) for state in whole.states]
        assert [digest_of(state) for state in replayed(short, to).states] == digests, f"position {to}"


@pytest.mark.parametrize("to", [-1, 0, 10**6])
def test_a_position_that_is_not_there(short: Path, to: int) -> None:
    last = replayed(short).sequence.n
    with pytest.raises(PositionUnknown, match=f"position {to} is not there: .* numbered 1 to {last}$"):
        replayed(short, to)


def test_as_of_a_time(short: Path) -> None:
    last = replayed(short).states[0]
    at = position_at(short, last.time)
    assert replayed(short, to=at).states[0].mark == last.mark
    assert replayed(short, to=at - 1).states[0].mark == last.mark - 1
    before = position_at(short, last.time - 1)
    state = replayed(short, before).states[0]
    assert (state.mark, state.time < last.time) == (last.mark - 1, True)
    assert position_at(short, 0) == 0


# --- snapshots that are not what was written --------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    at = random.Random(len(data)).randrange(len(data))
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def changed_whole(data: bytes) -> bytes:
    """The books changed and the file's own hash made to fit."""
    body = bytearray(data[len(MAGIC) + 32 :])
    body[-1] ^= 1
    return MAGIC + hashlib.sha256(body).digest() + bytes(body)


DAMAGES = [
    # what happened to the file, what is said
    (flipped, "its SHA-256 is not the one it states|it does not begin like one"),
    (lambda data: data[: len(data) // 2], "its SHA-256 is not the one it states"),
    (lambda data: data[:20], "it does not begin like one"),
    (lambda _: b"", "it does not begin like one"),
    (changed_whole, "no outcome of entry [0-9]+ tells its digest"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGES)
def test_a_damaged_snapshot_is_refused_or_passed_over(short: Path, tmp_path: Path, damage: Any, what: str) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))
    good = [digest_of(state) for state in replayed(directory).states]
    path = max(path for shard, _, path in present(directory) if shard == 1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotBroken, match=f"{path.name}: ({what})"):
        replayed(directory)
    for terms in ({"fall_back": True}, {"from_start": True}):
        assert [digest_of(state) for state in replayed(directory, **terms).states] == good
    named = int(path.stem.split("-")[1])
    assert replayed(directory, named - 1).sequence.n == named - 1


def test_a_snapshot_under_another_name_is_not_believed(short: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))
    path = min(path for shard, _, path in present(directory) if shard == 0)
    n = int(path.stem.split("-")[1])
    planted = directory / SNAPSHOTS / f"000-{n + 1:012d}.snapshot"
    shutil.copy(path, planted)
    with pytest.raises(SnapshotBroken, match=rf"{planted.name}: no outcome of entry {n + 1} tells its digest"):
        replayed(directory, n + 1)

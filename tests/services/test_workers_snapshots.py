"""Snapshots of the running parts: whole or passed over, the last few kept, equal bytes under one name."""

from pathlib import Path

import pytest

from ledger.snapshot import SnapshotBroken
from services.processors.records import Snapshot
from services.processors.sealing import sealed, unsealed
from services.workers.snapshots import KEPT, SnapshotStore

MAGIC = b"of this test\n"


def kept(n: int, told: str) -> Snapshot:
    return Snapshot(n, sealed(MAGIC, told))


def body(data: bytes | None) -> str | None:
    return None if data is None else unsealed(MAGIC, data)[0]


def test_the_last_one_is_restored_and_the_old_ones_go(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "kept")
    assert store.restored("clearing", 2, body) == (None, [])
    for n in (9, 10, 100, 1000, 20_000):
        store.keep("clearing", 2, kept(n, f"state {n}"))
        store.keep("clearing", 12, kept(n + 1, "another"))
    assert store.restored("clearing", 2, body) == ("state 20000", [])
    assert len(list(tmp_path.glob("kept/clearing-002-*"))) == KEPT
    assert store.restored("sequencer", 2, body) == (None, [])


def spoil_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_something_else(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize("damage", [spoil_a_byte, cut_short, empty, of_something_else])
def test_a_damaged_one_is_passed_over_for_the_one_before_it(tmp_path: Path, damage) -> None:
    store = SnapshotStore(tmp_path)
    store.keep("fund", 0, kept(1, "before"))
    store.keep("fund", 0, kept(2, "after"))
    (last,) = tmp_path.glob("fund-000-*2.snapshot")
    damage(last)
    restored, passed = store.restored("fund", 0, body)
    assert restored == "before"
    assert len(passed) == 1
    assert passed[0].startswith(last.name)
    store.keep("fund", 0, kept(2, "after"))
    assert store.restored("fund", 0, body) == ("after", [])


def test_one_that_its_part_refuses_is_passed_over(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.keep("fund", 0, kept(1, "before"))
    store.keep("fund", 0, kept(2, "of other settings"))

    def picky(data: bytes | None) -> str | None:
        told = body(data)
        if told == "of other settings":
            raise SnapshotBroken("other settings")
        return told

    restored, passed = store.restored("fund", 0, picky)
    assert restored == "before"
    assert "other settings" in passed[0]


def test_a_write_that_was_cut_short_is_no_snapshot(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.keep("fund", 0, kept(1, "before"))
    (tmp_path / "fund-000-000000000002.snapshot.part").write_bytes(b"half")
    assert store.restored("fund", 0, body) == ("before", [])

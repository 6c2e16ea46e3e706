"""The outcomes' file: put once, never over, in order, and no byte changes unseen."""

import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.journal import JournalFull
from ledger.journal.outcomes import OutcomeDiffers, OutcomeLog, OutcomeOutOfOrder, OutcomesBroken

ROOT = Path(__file__).parents[2]
Put = list[tuple[int, int, bytes]]


def content(n: int, shard: int) -> bytes:
    draw = random.Random(n * 100 + shard)
    return b"%d/%d:" % (n, shard) + draw.randbytes(draw.choice([0, 30, 3000, 60_000]))


def some(numbers: range, shard: int) -> Put:
    return [(n, shard, content(n, shard)) for n in numbers]


def put_all(path: Path, *puts: Put) -> None:
    log = OutcomeLog(path)
    for put in puts:
        log.put_many(put)
    log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.db"


def test_outcomes_are_found_by_n_and_shard(path: Path) -> None:
    log = OutcomeLog(path)
    assert (log.last(0), log.get(1, 0), list(log.scan(0))) == (0, None, [])
    assert log.put_many([(1, 0, b"a"), (1, 3, b"b"), (4, 0, b""), (9, 3, b"c")]) == 4
    assert log.put_many([]) == 0
    assert [log.get(*key) for key in [(1, 0), (1, 3), (4, 0), (9, 3)]] == [b"a", b"b", b"", b"c"]
    assert [log.get(*key) for key in [(2, 0), (4, 3), (1, 1), (10, 0)]] == [None] * 4
    assert [log.last(shard) for shard in (0, 3, 1)] == [4, 9, 0]
    assert [list(log.scan(*of)) for of in [(0,), (3, 1), (3, 2), (0, 5)]] == [
        [(1, b"a"), (4, b"")],
        [(1, b"b"), (9, b"c")],
        [(9, b"c")],
        [],
    ]
    log.close()
    log.close()


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OutcomeLog(path, reading=True)
    assert not path.exists()
    path.touch()
    with pytest.raises(FileNotFoundError, match="no outcomes have been put here yet"):
        OutcomeLog(path, reading=True)
    path.unlink()
    put_all(path, some(range(1, 9), 0))
    log = OutcomeLog(path, reading=True)
    assert list(log.scan(0)) == [(n, content(n, 0)) for n in range(1, 9)]
    with pytest.raises(JournalFull, match="readonly"):
        log.put_many([(9, 0, b"more")])
    log.close()


def test_closing_waits_for_a_read(path: Path) -> None:
    log = OutcomeLog(path)
    closing = threading.Thread(target=log.close)
    with log._lock:
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
    closing.join()


def test_many_large_ones_come_back_over_many_reads(path: Path) -> None:
    large = [(n, n % 2, bytes([n]) * 900_000) for n in range(1, 31)]
    put_all(path, large)
    log = OutcomeLog(path)
    assert list(log.scan(1)) == [(n, data) for n, shard, data in large if shard == 1]
    log.close()


@pytest.mark.parametrize(
    ("put", "error", "n", "shard"),
    [
        ([(5, 0, b"five"), (7, 0, b"new"), (5, 0, b"six")], OutcomeDiffers, 5, 0),
        ([(7, 0, b"new"), (7, 0, b"newer")], OutcomeDiffers, 7, 0),
        ([(7, 0, b"new"), (5, 0, b"")], OutcomeDiffers, 5, 0),
        ([(7, 0, b"new"), (4, 0, b"four")], OutcomeOutOfOrder, 4, 0),
        ([(7, 1, b"new"), (6, 1, b"six")], OutcomeOutOfOrder, 6, 1),
        ([(1, 1, b"new"), (5, 0, b"five!")], OutcomeDiffers, 5, 0),
        ([(0, 1, b"there is no entry 0")], OutcomeOutOfOrder, 0, 1),
    ],
)
def test_nothing_is_written_over(path: Path, put: Put, error: type[Exception], n: int, shard: int) -> None:
    put_all(path, [(2, 0, b"two"), (5, 0, b"five")])
    log = OutcomeLog(path)
    with pytest.raises(error, match=f"entry {n} in shard {shard}") as caught:
        log.put_many(put)
    assert (caught.value.n, caught.value.shard) == (n, shard)  # type: ignore[attr-defined]
    assert list(log.scan(0)) == [(2, b"two"), (5, b"five")]
    assert log.last(1) == 0
    assert log.put_many([(5, 0, b"five"), (6, 0, b"six"), (6, 0, b"six")]) == 1
    log.close()


WHOLE: Put = [(n, shard, b"%d %d" % (n, shard)) for n in range(1, 8) for shard in range(3) if (n + shard) % 3]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE))), max_size=8))
def test_repeating_any_part_changes_no_byte(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("outcomes") / "outcomes.db"
    log = OutcomeLog(path)
    done = 0
    for back, end in [*pieces, (0, len(WHOLE))]:
        assert log.put_many(WHOLE[min(back, done) : end]) == max(0, end - done)
        done = max(done, end)
    log.close()
    put_all(path.with_name("once.db"), WHOLE)
    everything = "SELECT shard, n, chain, data FROM outcomes ORDER BY shard, n"
    assert stored(path, everything) == stored(path.with_name("once.db"), everything)


def stored(path: Path, statement: str, *values: object) -> list[tuple[bytes, ...]]:
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_byte_is_found_and_its_entry_named(tmp_path: Path, path: Path, seed: int) -> None:
    draw = random.Random(seed)
    put_all(path, some(range(1, 30, 3), 0), some(range(2, 30, 3), 1))
    n = draw.randrange(2, 30, 3)
    column = draw.choice(["data", "chain"])
    changed = bytearray(stored(path, f"SELECT {column} FROM outcomes WHERE shard = 1 AND n = ?", n)[0][0])
    changed[draw.randrange(len(changed))] ^= draw.randrange(1, 256)
    stored(path, f"UPDATE outcomes SET {column} = ? WHERE shard = 1 AND n = ?", bytes(changed), n)
    log = OutcomeLog(path)
    with pytest.raises(OutcomesBroken, match=f"broken at entry {n} in shard 1"):
        list(log.scan(1))
    with pytest.raises(OutcomesBroken, match=f"broken at entry {n} in shard 1"):
        log.get(n, 1)
    assert list(log.scan(0)) == [(n, content(n, 0)) for n in range(1, 30, 3)]
    log.close()


@pytest.mark.parametrize(
    ("damage", "n"),
    [
        ("DELETE FROM outcomes WHERE n = 4", 7),
        ("UPDATE outcomes SET n = 5 WHERE n = 4", 5),
        ("UPDATE outcomes SET shard = 1 WHERE n = 4", 7),
        ("UPDATE outcomes SET data = 'text' WHERE n = 4", 4),
        ("UPDATE outcomes SET chain = x'00' WHERE n = 4", 4),
    ],
)
def test_a_row_lost_or_moved_is_found(path: Path, damage: str, n: int) -> None:
    put_all(path, some(range(1, 30, 3), 0))
    stored(path, damage)
    log = OutcomeLog(path)
    with pytest.raises(OutcomesBroken, match=f"entry {n} in shard 0"):
        list(log.scan(0))
    log.close()


def test_one_shard_s_outcomes_cannot_pass_as_another_s(path: Path) -> None:
    put_all(path, some(range(1, 4), 0))
    stored(path, "UPDATE outcomes SET shard = 1")
    log = OutcomeLog(path)
    with pytest.raises(OutcomesBroken, match="entry 1 in shard 1"):
        list(log.scan(1))
    log.close()


def test_a_full_disk_is_named_and_what_was_put_stays(path: Path) -> None:
    log = OutcomeLog(path)
    log._connection.execute("PRAGMA max_page_count = 40")
    done = 0
    with pytest.raises(JournalFull, match="full"):
        while True:
            log.put_many(some(range(done + 1, done + 4), 0))
            done += 3
    assert [n for n, _ in log.scan(0)] == list(range(1, done + 1))
    log._connection.execute("PRAGMA max_page_count = 4000")
    assert log.put_many(some(range(done + 1, done + 4), 0)) == 3
    log.close()


def test_what_is_no_outcome_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_bytes(b"a letter to a friend\n" * 100)
    stored(tmp_path / "stranger.db", "CREATE TABLE outcomes (a)")
    for name in ("letter.db", "stranger.db"):
        with pytest.raises(OutcomesBroken, match=name):
            OutcomeLog(tmp_path / name)


def test_two_processes_put_and_the_killed_one_is_caught_up(path: Path, tmp_path: Path) -> None:
    draw = random.Random(3)
    seen = 0
    for _ in range(6):
        process = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, cwd=ROOT,
                                   env={"PYTHONPATH": str(ROOT)})  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        log = OutcomeLog(path)
        log.put_many(some(range(log.last(9) + 1, log.last(9) + 4), 9))
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
        found = list(log.scan(1))
        assert found == [(n, content(n, 1)) for n in range(1, len(found) + 1)]
        assert len(found) > seen
        seen = len(found)
        log.close()
    copy = Path(shutil.copy(path, tmp_path / "copy.db"))
    log = OutcomeLog(copy)
    assert [n for n, _ in log.scan(9)] == list(range(1, 19))
    log.close()


if __name__ == "__main__":
    endless = OutcomeLog(Path(sys.argv[1]))
    while True:
        endless.put_many(some(range(endless.last(1) + 1, endless.last(1) + 4), 1))
        print(endless.last(1), flush=True)

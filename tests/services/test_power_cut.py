"""Power cut: a run killed at any moment loses and repeats nothing it acknowledged, and goes on to the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import crash
import pytest

from ledger.journal import JournalLocked
from ledger.journal.outcomes import OutcomeDiffers, OutcomeLog
from services import snapshots
from services.auditor import audit
from services.heads import HeadBroken, HeadDiffers
from services.lockstep import (
    HEADS,
    OUTCOME_LOG,
    SETTINGS,
    Lockstep,
    RunDiffers,
    Settings,
    SettingsBroken,
    SettingsDiffer,
)
from services.snapshots import SNAPSHOTS, present, write_whole

Found = TypeVar("Found")
ROOT = Path(__file__).parents[2]
SHORT: dict[str, Any] = {"shards": 2, "snapshot_every": 25, "steps": 24, "accounts": 40}
"""as the fixture `short` was cleared"""
DEEP: dict[str, Any] = {"shards": 2, "snapshot_every": 200}
"""as the fixture `cleared` was"""


def started(command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen([sys.executable, *command], env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, **streams)


def found_in(read: Callable[[], Found], nothing: Found) -> Found:
    """What is there, or nothing where the run was killed before it made the file."""
    try:
        return read()
    except FileNotFoundError:
        return nothing


class Killed:
    """A run in a process of its own that is started over and over, and killed."""

    def __init__(self, directory: Path, terms: dict[str, Any], expected: dict[str, Any]) -> None:
        self.directory = directory
        self.acknowledged: list[int] = []
        self._command = [str(ROOT / "tests" / "crash.py"), str(directory), json.dumps(terms)]
        self._shards = terms["shards"]
        self._expected = expected
        self.kills = 0

    def round(self, more: int, delay: float) -> bool:
        """Run until `more` entries more are acknowledged and `delay` seconds are over, and kill; True: it had ended."""
        process = started(self._command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        told = b""
        for _ in range(more):
            told += process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
        process.stdout.close()
        ended = process.wait() == 0
        self.acknowledged += [int(line) for line in told.split()]
        self._look(ended)
        return ended

    def _look(self, ended: bool) -> None:
        stored = found_in(lambda: crash.entries(self.directory), [])
        assert stored == self._expected["entries"][: len(stored)]
        # one entry may be on the disk that the kill kept from being acknowledged; it is taken as it is
        beyond = set(range(len(stored))) - set(self.acknowledged)
        assert sorted(set(self.acknowledged)) == self.acknowledged, "acknowledged twice or out of order"
        assert max(self.acknowledged, default=-1) < len(stored), "acknowledged and lost"
        assert len(beyond) <= self.kills + (not ended)
        self.kills += not ended
        told = found_in(lambda: crash.outcomes(self.directory, self._shards), {})
        assert told.items() <= self._expected["outcomes"].items()
        whole = found_in(lambda: {path.name: path.read_bytes() for _, _, path in present(self.directory)}, {})
        assert whole.items() <= self._expected["snapshots"].items()
        assert self._expected["heads"].startswith(found_in((self.directory / HEADS).read_bytes, b""))


def kill(folder: Path, terms: dict[str, Any], expected: dict[str, Any], seed: int, kills: int) -> None:
    """Kill runs so often at random points, each directory's until it ends, and compare what they end with."""
    draw = random.Random(seed)
    entries = len(expected["entries"])
    done = 0
    while done < kills:
        killed = Killed(folder / f"after{done}", terms, expected)
        ended = False
        while not ended and done + killed.kills < kills:
            more = draw.choice([0, 1, 2, draw.randrange(1, entries // 8)])
            # before anything more is told it starts, reads what is there and folds it again
            ended = killed.round(
                more, draw.uniform(0.4, 1.4) if more == 0 else draw.choice([0.0, draw.uniform(0, 0.1)])
            )
        if not ended:
            assert killed.round(entries + 1, 0.0), "left alone it ends"
        assert crash.contents(killed.directory, terms["shards"]) == expected
        assert audit(killed.directory).agrees
        done += killed.kills


def test_a_short_run_killed_again_and_again(short: Path, tmp_path: Path) -> None:
    kill(tmp_path, SHORT, crash.contents(short, 2), seed=1, kills=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_short_run_killed_many_times(short: Path, tmp_path: Path, seed: int) -> None:
    kill(tmp_path, SHORT, crash.contents(short, 2), seed, kills=20)


@pytest.mark.slow
def test_the_crash_killed_in_its_liquidations(cleared: Path, tmp_path: Path) -> None:
    kill(tmp_path, DEEP, crash.contents(cleared, 2), seed=4, kills=15)


def test_an_audit_killed_changes_nothing(short: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))

    def held() -> dict[str, bytes]:
        # SQLite's shared memory and empty log come and go with readers
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    before = held()
    draw = random.Random(5)
    for _ in range(3):
        process = started(["-m", "services.cli", "audit", str(directory), "--json"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        time.sleep(draw.uniform(0.7, 1.3))
        process.kill()
        process.communicate()
        assert held() == before
    assert not any(path.stat().st_size for path in directory.glob("*-wal"))
    assert audit(directory).agrees
    assert held() == before


# --- going on with a directory ----------------------------------------------------------------------------------------


def test_what_was_written_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"before")
    done: list[str] = []
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patched:

            def cut(*_: object) -> None:
                done.append(path.read_text())
                raise OSError("the power is cut")

            patched.setattr(*((snapshots.os, "fsync") if name == "fsync" else (Path, "replace")), cut)
            with pytest.raises(OSError, match="the power is cut"):
                write_whole(path, b"after")
    assert (done, path.read_bytes()) == (["before", "before"], b"before")
    order: list[str] = []
    flushed, replaced = os.fsync, Path.replace
    monkeypatch.setattr(snapshots.os, "fsync", lambda fd: order.append("flush") or flushed(fd))
    monkeypatch.setattr(Path, "replace", lambda a, b: order.append("replace") or replaced(a, b))
    write_whole(path, b"after")
    assert (order, path.read_bytes()) == (["flush", "replace", "flush"], b"after")


def lose_a_snapshot(directory: Path) -> None:
    next(path for shard, _, path in present(directory) if shard == 1).unlink()


def tear_a_snapshot(directory: Path) -> None:
    path = next(path for _, _, path in present(directory))
    path.write_bytes(path.read_bytes()[:1000])


def leave_a_part(directory: Path) -> None:
    path = next(path for _, _, path in present(directory))
    path.rename(path.with_name(path.name + ".part"))


def tear_the_last_head(directory: Path) -> None:
    path = directory / HEADS
    path.write_bytes(path.read_bytes()[:-30])


def lose_the_heads(directory: Path) -> None:
    (directory / HEADS).unlink()


def lose_the_last_outcomes(directory: Path) -> None:
    lost = Path(f"{directory / OUTCOME_LOG}")
    lost.unlink()


def lose_the_settings(directory: Path) -> None:
    (directory / SETTINGS).unlink()


@pytest.mark.parametrize(
    "loss",
    [
        lose_a_snapshot,
        tear_a_snapshot,
        leave_a_part,
        tear_the_last_head,
        lose_the_heads,
        lose_the_last_outcomes,
        lose_the_settings,
    ],
)  # fmt: skip
def test_what_follows_from_the_journal_is_made_again(short: Path, tmp_path: Path, loss: Any) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))
    loss(directory)
    acknowledged: list[int] = []
    crash.clear(directory, **SHORT, acknowledged=acknowledged.append)
    assert acknowledged == []
    assert crash.contents(directory, 2) == crash.contents(short, 2)
    assert {p.name for p in (directory / SNAPSHOTS).iterdir()} == {p.name for p in (short / SNAPSHOTS).iterdir()}


def change_a_head(directory: Path) -> None:
    text = (directory / HEADS).read_text()
    (directory / HEADS).write_text(
        text.replace('"journal": "', '"journal": "0', 1).replace('", "merkle"', '", "merkle"')
    )


def cover_more(directory: Path) -> None:
    lines = (directory / HEADS).read_text().splitlines()
    lines.append(json.dumps(json.loads(lines[-1]) | {"entries": 10**6}))
    (directory / HEADS).write_text("".join(line + "\n" for line in lines))


def spoil_a_head(directory: Path) -> None:
    (directory / HEADS).write_text("no head\n" + (directory / HEADS).read_text())


def change_outcomes(directory: Path) -> None:
    (directory / OUTCOME_LOG).unlink()
    log = OutcomeLog(directory / OUTCOME_LOG)
    log.put_many([(1, 0, b"something else")])
    log.close()


def spoil_the_settings(directory: Path) -> None:
    (directory / SETTINGS).write_text('{"shards": 2}')


def nothing(directory: Path) -> None:
    """The directory as it is."""


REFUSALS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    # what was done to the directory, what this run has else, the refusal
    (nothing, {"seed": crash.SEED + 1}, RunDiffers, r"entry at offset [0-9]+ is not what this run appends there"),
    (nothing, {"steps": 12}, RunDiffers, r"entry at offset [0-9]+ is not what this run appends there"),
    (nothing, {"shards": 4}, SettingsDiffer, r"^the run in this directory has shards 2, not 4$"),
    (nothing, {"accounts": 30}, SettingsDiffer, r"has accounts 56, not 46$"),
    (nothing, {"snapshot_every": 50, "shards": 1}, SettingsDiffer, r"has shards 2, not 1, snapshot_every 25, not 50$"),
    (change_a_head, {}, HeadDiffers, r"the head published after [0-9]+ entries is not that of those that are here"),
    (cover_more, {}, HeadDiffers, r"the head published after 1000000 entries"),
    (spoil_a_head, {}, HeadBroken, r"heads.jsonl, line 1: no head that was published here"),
    (change_outcomes, {}, OutcomeDiffers, r"the outcomes of entry 1 in shard 0 differ from those stored"),
    (spoil_the_settings, {}, SettingsBroken, r"settings.json holds no settings of a run"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "otherwise", "error", "what"), REFUSALS)
def test_a_directory_of_something_else_is_refused_and_left_as_it_is(
    short: Path, tmp_path: Path, damage: Any, otherwise: dict[str, Any], error: type[Exception], what: str
) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))
    damage(directory)
    before = crash.contents(directory, 2)
    settings = (directory / SETTINGS).read_bytes()
    with pytest.raises(error, match=what):
        crash.clear(directory, **(SHORT | otherwise))
    assert crash.contents(directory, 2) == before
    assert (directory / SETTINGS).read_bytes() == settings


def test_a_directory_has_one_run_at_a_time(short: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(short, tmp_path / "run"))
    before = crash.contents(directory, 2)
    running = Lockstep(directory, Settings.read(directory))
    with pytest.raises(JournalLocked):
        crash.clear(directory, **(SHORT | {"shards": 4}))
    running.abandon()
    assert crash.contents(directory, 2) == before


def test_a_run_cut_short_is_gone_on_with(short: Path, tmp_path: Path) -> None:
    acknowledged: list[int] = []
    crash.clear(tmp_path, **(SHORT | {"steps": 12}), acknowledged=acknowledged.append)
    first = len(acknowledged)
    crash.clear(tmp_path, **SHORT, acknowledged=acknowledged.append)
    found, expected = crash.contents(tmp_path, 2), crash.contents(short, 2)
    heads = found.pop("heads").splitlines()
    assert set(expected.pop("heads").splitlines()) < set(heads)
    assert json.loads(heads[-1])["entries"] == len(found["entries"])
    assert found == expected
    assert acknowledged == list(range(len(found["entries"])))
    assert 0 < first < len(acknowledged)
    assert audit(tmp_path).agrees

"""Children of a supervisor come back when they die, and none is left when it ends, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.supervisor import Child, ChildRefused, supervised

WITHIN = 15.0
WAITS = 'import signal, time; print(\'{"message": "up", "level": "info"}\', flush=True); time.sleep(1000)'
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)"
TREE = f"""
import sys
from services.supervisor import Child, supervised
waits = {WAITS!r}
with supervised(Child("one", (sys.executable, "-c", waits)), Child("two", (sys.executable, "-c", waits)),
                say=lambda line: print(line, flush=True)) as tree:
    print("pids", tree.process_id("one"), tree.process_id("two"), flush=True)
    tree.run()
"""


def python(name: str, code: str, **how: object) -> Child:
    return Child(name, (sys.executable, "-c", code), **how)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + WITHIN
    while not (true := what()) and time.monotonic() < until:
        time.sleep(0.01)
    return true


def test_a_killed_child_comes_back_and_is_counted() -> None:
    said: list[str] = []
    with supervised(python("one", WAITS), python("two", WAITS), say=said.append) as tree:
        assert tree.wait_for(lambda: len(said) == 2, WITHIN)
        assert sorted(said) == [f'{{"process": "{name}", "message": "up", "level": "info"}}' for name in ("one", "two")]
        first, other = tree.process_id("one"), tree.process_id("two")
        assert first and other
        os.kill(first, signal.SIGKILL)
        assert tree.wait_for(lambda: tree.process_id("one") not in (None, first), WITHIN)
        assert tree.restarts() == {"one": 1, "two": 0}
        assert tree.process_id("two") == other
        second = tree.process_id("one")
    assert second and not alive(second) and not alive(other)
    assert any("status -9" in line for line in said)


def test_one_that_dies_at_once_is_tried_ever_more_slowly() -> None:
    said: list[str] = []
    with supervised(python("one", "raise SystemExit(1)"), say=said.append) as tree:
        assert tree.wait_for(lambda: tree.restarts()["one"] == 3, WITHIN)
    waits = [line.rsplit("starts again in ")[1].split()[0] for line in said if "starts again" in line]
    assert [float(one) for one in waits[:3]] == [0.1, 0.2, 0.4]


def test_one_that_runs_once_is_not_started_again_unless_it_failed() -> None:
    counts = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x'); "
    counts += "raise SystemExit(p.read_text() == 'x')"
    with (
        tempfile.NamedTemporaryFile("r") as file,
        supervised(Child("one", (sys.executable, "-c", counts, file.name), once=True)) as tree,
    ):
        assert tree.wait_for(lambda: tree.restarts()["one"] == 1 and tree.process_id("one") is None, WITHIN)
        assert not tree.wait_for(lambda: tree.restarts()["one"] > 1, 0.5)
        assert file.read() == "xx"


def test_one_that_a_person_must_help_ends_the_tree() -> None:
    refusing = python("one", "print('novate: no key file'); raise SystemExit(2)")
    with pytest.raises(ChildRefused, match="one: novate: no key file"), supervised(python("two", WAITS)) as tree:
        tree.start(refusing)
        other = tree.process_id("two")
        tree.run()
    assert other and not alive(other)


def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.supervisor.STOP_WITHIN", 0.3)
    said: list[str] = []
    with supervised(python("deaf", DEAF), say=said.append) as tree:
        assert tree.wait_for(lambda: bool(said), WITHIN)
        pid = tree.process_id("deaf")
    assert pid and not alive(pid)


def test_those_of_higher_rank_end_first() -> None:
    tells = "import signal, sys, time\ndef end(*_): time.sleep(.2); print('ended', flush=True); sys.exit()\n"
    tells += "signal.signal(signal.SIGTERM, end); print('up', flush=True)\nwhile True: time.sleep(1)"
    said: list[str] = []
    with supervised(python("base", tells, rank=0), python("front", tells, rank=2), say=said.append) as tree:
        assert tree.wait_for(lambda: len(said) == 2, WITHIN)
    assert [json.loads(line)["process"] for line in said if "ended" in line] == ["front", "base"]


def test_a_line_without_an_end_and_one_that_is_no_json_are_told() -> None:
    said: list[str] = []
    with supervised(python("one", "print('[1]'); print('last words', end='')"), say=said.append) as tree:
        assert tree.wait_for(lambda: tree.restarts()["one"] == 1, WITHIN)
    told = [json.loads(line) for line in said if '"one"' in line]
    assert {"process": "one", "message": "[1]"} in told and {"process": "one", "message": "last words"} in told


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nobody_is_left_when_the_supervisor_ends(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()[1:]]
        assert len(pids) == 2 and [json.loads(supervisor.stdout.readline())["message"] for _ in pids] == ["up", "up"]
        assert all(map(alive, pids))
        supervisor.send_signal(how)
        assert eventually(lambda: not any(map(alive, pids)))
        assert supervisor.wait(WITHIN) == (-how if how == signal.SIGKILL else 0)

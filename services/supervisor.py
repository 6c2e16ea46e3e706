"""A tree of child processes: started, started again when they die, stopped together; their log lines with their name.

One thread and one loop, so nothing but that thread may start a child: the system ends a child when it does.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

FIRST_WAIT: Final = 0.1
"""seconds until a child that died is started again; doubled each time it dies soon"""
LONGEST_WAIT: Final = 10.0
SETTLED: Final = 10.0
"""seconds after which a child that dies is no longer one that dies soon"""
STOP_WITHIN: Final = 20.0
"""seconds that children have to end after SIGTERM; SIGKILL then"""
REFUSED: Final = 2
"""the exit status of a child that a person has to help: it would only die again"""

_PR_SET_PDEATHSIG: Final = 1
_LINE: Final = 1 << 20
"""bytes of a line; a longer one is cut there"""
_LAST_READS: Final = 64
_STEP: Final = 0.2


class Child(NamedTuple):
    """A process of the tree. `orphaned` is the signal that it gets when the supervisor itself is killed: SIGKILL, but
    SIGTERM for one that has children of its own to end. Those with a higher `rank` are stopped first. One that runs
    `once` is not started again when it ends with status 0."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = {}
    orphaned: signal.Signals = signal.SIGKILL
    rank: int = 1
    once: bool = False


class ChildRefused(Exception):  # noqa: N818 - named for what is found
    """A child ended with REFUSED; says what it said last."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"{name}: {said}")
        self.name = name


@dataclass
class _Running:
    """A child and what becomes of it."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started: float = 0.0
    wait: float = FIRST_WAIT
    due: float | None = None
    """when it is to be started again"""
    line: bytearray = field(default_factory=bytearray)
    said: str = ""


class Supervisor:
    """Use it in a `with`: at its end every child has ended. `say` gets each log line, JSON without its end.

    To be used from the main thread alone: it takes SIGTERM and SIGINT while the `with` lasts.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say or _to_stderr
        self._children: dict[str, _Running] = {}
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        self._woken = wake
        self._old_wake = signal.set_wakeup_fd(wake)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for one in (signal.SIGTERM, signal.SIGINT):
            self._before[one] = signal.signal(one, self._asked)
        # a child's end wakes the loop
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            signal.set_wakeup_fd(self._old_wake)
            for one, handler in self._before.items():
                signal.signal(one, handler)
            self._selector.close()
            os.close(self._wake)
            os.close(self._woken)

    @property
    def stopping(self) -> bool:
        """Whether SIGTERM or SIGINT has come."""
        return self._stopping

    def start(self, child: Child) -> None:
        """Add a child to the tree and start it. Raises OSError where its command cannot be run at all."""
        if child.name in self._children:
            raise ValueError(f"there is a child {child.name!r} already")
        running = _Running(child)
        self._children[child.name] = running
        self._launch(running)

    def process_id(self, name: str) -> int | None:
        """A child's process, None while it does not run."""
        process = self._children[name].process
        return process.pid if process is not None else None

    def restarts(self) -> dict[str, int]:
        """How often each child was started again."""
        return {name: one.restarts for name, one in self._children.items()}

    def wait_for(self, what: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Look after the children until `what` is true, the time is over or a stop is asked for; whether it is true.

        Raises ChildRefused.
        """
        until = time.monotonic() + seconds
        while not (true := what()) and not self._stopping and time.monotonic() < until:
            self._turn(min(_STEP, max(until - time.monotonic(), 0.0)))
        return true

    def run(self) -> None:
        """Look after the children until SIGTERM or SIGINT. Raises ChildRefused."""
        self.wait_for(lambda: False)

    def _asked(self, *_: object) -> None:
        self._stopping = True

    def _launch(self, running: _Running) -> None:
        parent = os.getpid()
        child = running.child
        # Each child is a group of its own: a Ctrl-C goes to the supervisor alone, which passes it on in order.
        running.process = subprocess.Popen(
            child.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.environment}, process_group=0,
            preexec_fn=lambda: _ends_with(parent, child.orphaned),
        )  # fmt: skip
        assert running.process.stdout is not None
        os.set_blocking(running.process.stdout.fileno(), False)
        self._selector.register(running.process.stdout, selectors.EVENT_READ, running)
        running.started, running.due = time.monotonic(), None

    def _turn(self, seconds: float) -> None:
        """Read what children say, see who has died, start who is due."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                _drain(self._wake)
            else:
                self._read(key.data)
        for running in self._children.values():
            self._look(running)

    def _look(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process is not None and (code := running.process.poll()) is not None:
            self._buried(running)
            if self._stopping:
                return
            if code == 0 and running.child.once:
                return
            if code == REFUSED:
                raise ChildRefused(running.child.name, running.said or f"ended with status {code}")
            wait = FIRST_WAIT if now - running.started > SETTLED else running.wait
            running.wait = min(wait * 2, LONGEST_WAIT)
            running.due = now + wait
            self._tell(running, f"ended with status {code}, starts again in {wait:g} s")
        if running.due is not None and now >= running.due and not self._stopping:
            running.restarts += 1
            self._launch(running)

    def _read(self, running: _Running) -> bool:
        """Pass on what a child has said; whether there may be more at once."""
        assert running.process is not None and running.process.stdout is not None
        output = running.process.stdout
        try:
            data = os.read(output.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(output)
            output.close()
            return False
        *lines, rest = (bytes(running.line) + data).split(b"\n")
        for line in lines:
            self._pass_on(running, line)
        running.line = bytearray(rest)
        if len(rest) >= _LINE:
            self._end_line(running)
        return True

    def _end_line(self, running: _Running) -> None:
        self._pass_on(running, bytes(running.line))
        running.line.clear()

    def _buried(self, running: _Running) -> None:
        """Take what a dead child had still to say, and let go of it."""
        assert running.process is not None and running.process.stdout is not None
        output = running.process.stdout
        # what children of its own say from now on is not waited for
        for _ in range(_LAST_READS):
            if output.closed or not self._read(running):
                break
        if not output.closed:
            self._selector.unregister(output)
            output.close()
        self._end_line(running)
        running.process = None

    def _pass_on(self, running: _Running, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if not text:
            return
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            told = {"message": text}
        running.said = str(told.get("message", text))
        self._say(json.dumps({"process": running.child.name, **told}, ensure_ascii=False))

    def _tell(self, running: _Running, message: str) -> None:
        told = {"process": "supervisor", "level": "warning", "child": running.child.name, "message": message}
        self._say(json.dumps(told | {"restarts": running.restarts}))

    def _stop(self) -> None:
        """Those of the highest rank first; who has not ended in time is killed."""
        self._stopping = True
        for rank in sorted({one.child.rank for one in self._children.values()}, reverse=True):
            mine = [one for one in self._children.values() if one.child.rank == rank]
            until = time.monotonic() + STOP_WITHIN
            for one in mine:
                _send(one, signal.SIGTERM)
            while any(one.process for one in mine):
                if time.monotonic() > until:
                    for one in mine:
                        _send(one, signal.SIGKILL)
                self._turn(0.05)


def _send(running: _Running, how: signal.Signals) -> None:
    if running.process is not None:
        running.process.send_signal(how)
        running.process.send_signal(signal.SIGCONT)  # a paused one would not hear it


def _ends_with(parent: int, how: signal.Signals) -> None:
    """In the child, before it becomes another program: the system sends it `how` when its parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
    if os.getppid() != parent:  # it went in between
        os._exit(1)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def supervised(*children: Child, say: Callable[[str], None] | None = None) -> Iterator[Supervisor]:
    """A supervisor whose children have been started."""
    with Supervisor(say) as tree:
        for child in children:
            tree.start(child)
        yield tree

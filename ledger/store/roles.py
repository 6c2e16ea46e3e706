"""Logins of the store: a regulator's, a member's, the projector's. Given and taken by who may make roles.

Who grants one raises ValueError too, where its name is empty or longer than LONGEST_LOGIN.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.errors import DuplicateObject

from ledger.store.faults import LoginTaken, StoreAway
from ledger.store.migrating import OWNER

REGULATOR: Final = "novate_regulator"
MEMBER: Final = "novate_member"
LONGEST_LOGIN: Final = 63
"""bytes of a login's name: PostgreSQL would cut a longer one, and its owner would not be known by it"""
CONNECTIONS: Final = 16
"""sessions that one reader's login may have at a time: the projector always finds one free"""
READING: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "idle_in_transaction_session_timeout": "10min",
}
"""A reader's settings, there against accidents; what it may not do follows from its rights alone."""


def grant_regulator(url: str, login: str, password: str) -> None:
    """Make a login that reads every row. Raises LoginTaken, StoreAway."""
    with _administering(url) as session:
        _create(session, login, password, REGULATOR)


def grant_member(url: str, login: str, member: int, password: str) -> None:
    """Make a login that reads the rows of a member's accounts, those opened later too. Raises LoginTaken, StoreAway."""
    with _administering(url) as session:
        _create(session, login, password, MEMBER)
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        session.execute("INSERT INTO logins (login, member) VALUES (%s, %s)", (login, member))


def grant_projector(url: str, login: str, password: str) -> None:
    """Make the login that writes. Raises LoginTaken, StoreAway."""
    with _administering(url) as session:
        _create(session, login, password, OWNER)


def revoke(url: str, login: str) -> None:
    """End a login that was granted here, its open sessions too; nothing where there is none. Raises StoreAway."""
    with _administering(url) as session:
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        session.execute("DELETE FROM logins WHERE login = %s", (login,))
        session.execute("RESET ROLE")
        groups = (REGULATOR, MEMBER, OWNER)
        granted = session.execute(
            "SELECT 1 FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles WHERE rolname = %s)"
            " AND roleid IN (SELECT oid FROM pg_roles WHERE rolname = ANY (%s))",
            (login, list(groups)),
        ).fetchone()
        if not granted:
            return
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (login,))
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


def _create(session: psycopg.Connection[Any], login: str, password: str, group: str) -> None:
    if not 0 < len(login.encode()) <= LONGEST_LOGIN:
        raise ValueError(f"a login's name has 1 to {LONGEST_LOGIN} bytes, not {len(login.encode())}")
    # What the server keeps is made here: the password itself never travels, and no log of statements can hold it.
    secret = session.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    name = sql.Identifier(login)
    try:
        session.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOCREATEDB NOCREATEROLE NOBYPASSRLS CONNECTION LIMIT {} PASSWORD {}").format(
                name, sql.Literal(CONNECTIONS), sql.Literal(secret)
            )
        )
    except DuplicateObject as error:
        raise LoginTaken(f"there is a role {login!r} already") from error
    # A member's login cannot put on its group: it reads as itself.
    putting_on = sql.SQL("TRUE" if group == OWNER else "FALSE")
    session.execute(sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET {}").format(sql.Identifier(group), name, putting_on))
    if group != OWNER:
        for setting, value in READING.items():
            session.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )


@contextmanager
def _administering(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session whose statements are one transaction."""
    try:
        with psycopg.connect(url) as session:
            yield session
    except psycopg.OperationalError as error:
        raise StoreAway(str(error)) from error

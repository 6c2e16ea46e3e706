"""`novate login` against a real PostgreSQL: who gets in, and what it then reads."""

from __future__ import annotations

import psycopg
import pytest
from happenings import founded
from postgres import fresh
from storing import fed, feed
from typer.testing import CliRunner
from world import START

from ledger.store.projection import Projection
from schemas import events as e
from schemas.kinds import Segregation
from services.cli_system import app
from services.database import Database

MINE, THEIRS = 32, 33


@pytest.fixture(scope="module")
def url(postgres: Database) -> str:
    """An account of member 7, and one of member 8."""
    world = founded(2)
    for account, member in ((MINE, 7), (THEIRS, 8)):
        world.send(
            e.AccountOpened(
                account=account, segregation=Segregation.INDIVIDUAL, liquidator=0, profile=3, member=member,
                owner=account, time=START, name=f"A-{account}",
            )
        )  # fmt: skip
        world.deposit(account, 1_000_000)
    url = fresh(postgres)
    projection = Projection(url)
    feed(projection, fed(world), 50)
    projection.close()
    return url


def novate(*arguments: str, status: int = 0, **environment: str) -> str:
    told = CliRunner().invoke(app, ["login", *arguments], env=environment)
    assert told.exit_code == status, told.output
    return told.output.strip()


def accounts(address: str) -> set[int]:
    with psycopg.connect(address) as session:
        return {account for (account,) in session.execute("SELECT account FROM accounts WHERE account >= 32")}


def test_a_member_reads_its_own_accounts_and_a_regulator_all(url: str) -> None:
    member = novate("member", "7", "login_seven", "--url", url)
    regulator = novate("regulator", "login_authority", DATABASE_URL=url)
    try:
        assert accounts(member) == {MINE}
        assert accounts(regulator) == {MINE, THEIRS}
        for address in (member, regulator):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(address) as session:
                session.execute("SET transaction_read_only = off")
                session.execute("DELETE FROM accounts")
    finally:
        for login in ("login_seven", "login_authority"):
            novate("end", login, "--url", url)
    for address in (member, regulator):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(address)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("member", "7", "postgres"), "'postgres' already"),
        (("regulator", "x" * 64), "1 to 63 bytes"),
        (("regulator", ""), "1 to 63 bytes"),
    ],
)
def test_a_name_that_cannot_be_a_new_login_is_refused(url: str, arguments: tuple[str, ...], what: str) -> None:
    assert what in novate(*arguments, "--url", url, status=2)


def test_a_store_must_be_named() -> None:
    assert "DATABASE_URL" in novate("regulator", "x", status=2, DATABASE_URL="")

"""Who may read what: a member's login against every table, view and function of another's; nobody but the projector
writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from happenings import founded
from postgres import as_login, fresh
from psycopg import sql
from storing import dump, fed, feed
from world import PERP_BTC, PERP_ETH, START

from ledger.store.faults import LoginTaken
from ledger.store.projection import Projection
from ledger.store.roles import grant_member, grant_projector, grant_regulator, revoke
from ledger.store.tables import TABLES
from schemas import events as e
from schemas.kinds import LinkKind, Segregation
from services.database import Database

PASSWORD = "correct horse"
MINE, OTHERS = (32, 33), (34, 35)
"""accounts of member 7 and of member 8"""
PUBLIC = {
    "codes", "assets", "underlyings", "instruments", "instrument_changes", "index_changes", "funding_rates",
    "settlement_prices", "parameter_changes", "profiles", "instrument_marks", "asset_marks", "underlying_marks",
    "marks", "funding", "parameters", "oracle_prices", "policies", "policy_layers", "policies_published",
    "withdrawals_held", "members_defaulted",
}  # fmt: skip
CLOSED = {
    "logins", "places", "net_positions", "house_balances", "mark_totals", "snapshots", "backer_deposits", "backers",
    "default_fund_parts", "gains_reported", "open_interest", "owner_interest", "stress_results", "stress_runs",
}  # fmt: skip
OWNING = ("account", "intended", "debit", "credit", "bidder")
VIEWS = (
    "balances",
    "positions",
    "marks_done",
    "rungs",
    "calls",
    "trades",
    "liquidations",
    "fund_movements",
    "withdrawals",
)
FUNCTIONS = (
    "balances_at(1000000)", "positions_at(1000000)", "book_at(1000000)", "balances_as_of('infinity')",
    "positions_as_of('infinity')", "book_as_of('infinity')",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(postgres: Database) -> Iterator[str]:
    """Two members who both trade, fall, are sold out, withdraw and are refused; each with a login."""
    world = founded(2)
    for account in (*MINE, *OTHERS):
        member = 7 if account in MINE else 8
        world.send(
            e.AccountOpened(
                account=account, segregation=Segregation.INDIVIDUAL, liquidator=account % 2, profile=3, member=member,
                owner=account, time=START, name=f"A-{account}",
            )
        )  # fmt: skip
        world.deposit(account, 3_000_000_000)
    for first in (32, 34):
        world.send(e.AccountLinked(link=LinkKind.OWNER, removed=0, account=first, other=first + 1, time=START))
        world.send(e.AccountChanged(status=0, profile=3, account=first, time=START, effective=START))
        world.send(e.WithdrawalRequested(asset=0, account=first + 1, withdrawal=1, time=START, amount=1_000))
        world.send(e.OrderOpened(venue=1, instrument=99, account=first, time=START, order=1, quantity=1, price=1))
        world.send(e.OrderOpened(venue=1, instrument=PERP_BTC, account=first, time=START, order=2, quantity=5, price=1))
        world.trade(first, 16, PERP_BTC, 1_500, 800_000, buyer_fee=100)
        world.trade(first + 1, 17, PERP_ETH, 15, 20_000)
        world.trade(first + 1, 16, 5, 10, 800_000)
    world.mark(btc=7_900)
    world.send(e.AccountChanged(status=2, profile=3, account=33, time=START, effective=START))
    world.send(e.AccountChanged(status=2, profile=3, account=35, time=START, effective=START))
    world.mark(btc=5_800)
    for first in (32, 34):
        world.trade(first + 1, 17, PERP_ETH, 1, 20_000)  # closed: to suspense
        planned = {"instrument": PERP_BTC, "account": first, "auction": first, "mark": world.marks}
        world.send(e.LiquidationPlanned(quantity=-50, start=50, step=50, floor=500, **planned))
        won = {"instrument": PERP_BTC, "auction": first, "bid": 1, "quantity": 50, "price": 575_000}
        world.send(e.Bid(time=START, bidder=20, **won), e.Awarded(account=first, bidder=20, **won))
    world.mark(btc=5_000)
    url = fresh(postgres)
    grant_member(url, "seven", 7, PASSWORD)
    grant_member(url, "eight", 8, PASSWORD)
    grant_regulator(url, "authority", PASSWORD)
    grant_projector(url, "writer", PASSWORD)
    projection = Projection(as_login(url, "writer", PASSWORD))
    feed(projection, fed(world), 50)
    projection.close()
    yield url
    for login in ("seven", "eight", "authority", "writer"):
        revoke(url, login)


def connect(url: str, login: str) -> psycopg.Connection[Any]:
    return psycopg.connect(as_login(url, login, PASSWORD), autocommit=True)


def read(url: str, login: str, what: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with connect(url, login) as session:
        found = session.execute(f"SELECT * FROM {what}".encode())
        return [one.name for one in found.description or ()], found.fetchall()


def owners(names: list[str], rows: list[tuple[Any, ...]]) -> list[set[int]]:
    """Each row's accounts, of whatever column names them."""
    at = [names.index(name) for name in OWNING if name in names]
    return [{row[one] for one in at} for row in rows]


def test_a_regulator_reads_every_row(url: str) -> None:
    everything = dump(url, leave=("logins",))
    for table, rows in everything.items():
        assert sorted(read(url, "authority", table)[1], key=repr) == sorted(rows, key=repr)
    for what in (*VIEWS, "totals", *FUNCTIONS):
        assert read(url, "authority", what)[1]


@pytest.mark.parametrize("table", sorted({one.name for one in TABLES} - CLOSED))
def test_a_member_reads_its_own_rows_and_all_of_them(url: str, table: str) -> None:
    names, rows = read(url, "authority", table)
    mine = read(url, "seven", table)[1]
    if table in PUBLIC:
        assert sorted(mine, key=repr) == sorted(rows, key=repr)
        return
    expected = [row for row, held in zip(rows, owners(names, rows), strict=True) if held & set(MINE)]
    assert sorted(mine, key=repr) == sorted(expected, key=repr)
    assert len(mine) < len(rows) or not rows


def test_both_members_have_rows_where_the_comparison_counts(url: str) -> None:
    full = {
        "accounts", "account_changes", "account_links", "rejections", "margins", "liquidations_due",
        "liquidation_positions", "liquidation_balances", "auctions_opened", "withdrawal_answers", "registrations",
        "postings", "position_moves", "legs", "transfers",
    }  # fmt: skip
    for table in full:
        for login in ("seven", "eight"):
            assert read(url, login, table)[1], f"{login} has nothing in {table}"


@pytest.mark.parametrize("table", sorted(CLOSED | {"totals", "pg_authid", "pg_statistic"}))
def test_a_member_does_not_read_the_houses_tables(url: str, table: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(url, "seven", table)


@pytest.mark.parametrize("what", [*(one for one in VIEWS if one != "marks_done"), *FUNCTIONS])
def test_views_and_functions_show_a_member_its_own(url: str, what: str) -> None:
    names, rows = read(url, "seven", what)
    assert all(held & set(MINE) for held in owners(names, rows))
    everything = owners(*read(url, "authority", what))
    if what not in ("fund_movements",):
        assert len(rows) == sum(bool(held & set(MINE)) for held in everything)
        assert 0 < len(rows) < len(everything)
    else:
        assert rows == []


ATTEMPTS = (
    "SELECT * FROM balances_at(1000) WHERE account = 34",
    "SELECT * FROM balances WHERE account IN (34, 35) OR true AND account NOT IN (32, 33)",
    "SELECT * FROM postings p, LATERAL (SELECT account FROM legs WHERE account = 34) l",
    "SELECT * FROM accounts WHERE account IN (SELECT account FROM postings) AND member = 8",
    "SELECT own FROM own_accounts() own WHERE own IN (34, 35)",
    "SELECT 1 FROM pg_stats WHERE tablename IN ('postings', 'legs', 'accounts')",
    # A function of the member's own would be asked about rows before the policy is, were they not kept apart.
    "SELECT 1 FROM postings WHERE account IN (34, 35) AND 1 / (account - 34) IS NOT NULL",
)


@pytest.mark.parametrize("question", ATTEMPTS)
def test_no_question_reaches_another_members_rows(url: str, question: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("ANALYZE")
    with connect(url, "seven") as session:
        assert session.execute(question.encode()).fetchall() == []


FORBIDDEN = (
    "INSERT INTO postings SELECT * FROM postings LIMIT 1",
    "INSERT INTO logins VALUES ('seven', 8)",
    "UPDATE accounts SET member = 7",
    "UPDATE logins SET member = 8",
    "DELETE FROM legs",
    "TRUNCATE postings",
    "DROP TABLE legs",
    "DROP VIEW balances",
    "ALTER TABLE postings DISABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON postings USING (true)",
    "CREATE OR REPLACE FUNCTION member_of_login() RETURNS bigint LANGUAGE sql AS 'SELECT 8'",
    "CREATE TABLE public.mine (x int)",
    "CREATE TEMP TABLE accounts (account bigint, member bigint)",
    "CREATE SCHEMA seven",
    "CREATE FUNCTION peek(bigint) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
    "SELECT * FROM legs FOR UPDATE",
    "BEGIN; LOCK TABLE postings IN ACCESS EXCLUSIVE MODE",
    "SET ROLE novate_projector",
    "SET ROLE novate_regulator",
    "SET ROLE novate_member",
    "SET ROLE eight",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION eight",
    "ALTER ROLE seven SUPERUSER",
    "ALTER ROLE seven BYPASSRLS",
    "GRANT novate_regulator TO seven",
    "COPY postings TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
)


@pytest.mark.parametrize("login", ["seven", "authority"])
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_readers_change_nothing_and_become_nobody_else(url: str, login: str, statement: str) -> None:
    if (login, statement) == ("authority", "ALTER ROLE seven SUPERUSER"):
        statement = "ALTER ROLE authority SUPERUSER"
    with connect(url, login) as session:
        session.execute("SET default_transaction_read_only = off")  # it is there against accidents alone
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)):
            session.execute(statement.encode())


def test_row_security_cannot_be_turned_off(url: str) -> None:
    with connect(url, "seven") as session:
        session.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT * FROM postings")


def test_a_members_balances_are_read_from_its_accounts_index(url: str) -> None:
    with connect(url, "seven") as session:
        session.execute("SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in session.execute("EXPLAIN SELECT * FROM balances_at(1000)"))
    assert "postings_of_account" in plan
    assert "Filter: (account" not in plan


def test_a_login_of_no_member_and_a_wrong_password(url: str) -> None:
    grant_member(url, "nine", 9, PASSWORD)
    assert read(url, "nine", "balances")[1] == []
    revoke(url, "nine")
    for login, password in (("nine", PASSWORD), ("seven", "wrong"), ("novate_projector", ""), ("postgres", PASSWORD)):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(as_login(url, login, password))


def test_an_account_opened_later_is_seen(url: str) -> None:
    grant_member(url, "ten", 10, PASSWORD)
    with connect(url, "ten") as session, psycopg.connect(url, autocommit=True) as admin:
        assert session.execute("SELECT * FROM own_accounts()").fetchall() == []
        admin.execute("UPDATE accounts SET member = 10 WHERE account = 16")
        assert session.execute("SELECT DISTINCT account FROM postings").fetchall() == [(16,)]
        admin.execute("UPDATE accounts SET member = 1 WHERE account = 16")
    revoke(url, "ten")


@pytest.mark.parametrize("login", ["seven", "postgres", "novate_projector"])
def test_a_name_that_is_taken_is_refused(url: str, login: str) -> None:
    with pytest.raises(LoginTaken, match=login):
        grant_member(url, login, 8, PASSWORD)
    revoke(url, "postgres")  # no login of ours: left alone
    assert read(url, "seven", "accounts")[1]


@pytest.mark.parametrize("login", ['x"; DROP TABLE legs; --', "o'neill", "über uns"])
def test_a_name_is_a_name_whatever_it_holds(url: str, login: str) -> None:
    grant_member(url, login, 7, PASSWORD)
    with psycopg.connect(url) as admin:
        told = admin.execute("SELECT member FROM logins WHERE login = %s", (login,)).fetchall()
        secret = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (login,)).fetchone()
    assert told == [(7,)]
    assert secret is not None and secret[0].startswith("SCRAM-SHA-256$")
    revoke(url, login)
    with psycopg.connect(url) as admin:
        assert not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,)).fetchone()
        assert admin.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier("legs"))).fetchone()

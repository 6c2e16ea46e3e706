"""The store on a real server: migrations, what a regulator reads, repeats, kills, backups, a second projector."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from happenings import Happening, founded, happen, happenings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mayhem import COURSES, Setting, Step, unfolded
from postgres import fresh, server
from storing import Fed, dump, fed, feed
from world import HOUR, PERP_BTC, PERP_ETH, START, World

from ledger.postings import moves_of, postings_of
from ledger.store.faults import StoreAway, StoreMoved, StoreOutdated, StoreRefused
from ledger.store.migrating import OWNER, REVISION, downgrade, migrate, revision_of
from ledger.store.projection import Place, Projection
from ledger.store.rows import part_of
from ledger.store.tables import BYTES, NUMERIC, OUTCOME_TABLES, TABLES
from schemas import events as e
from schemas.kinds import Parameter
from schemas.wire import messages_of
from services.database import Database

SHARDS = 3


@pytest.fixture(scope="module")
def world() -> World:
    """Trades, spot included, a fall that calls and liquidates, awards, a withdrawal, funding, a rejected listing."""
    world = founded(SHARDS)
    world.send(e.WithdrawalRequested(asset=0, account=16, withdrawal=2**64 - 1, time=START, amount=1_000_000))
    world.send(e.WithdrawalRequested(asset=0, account=17, withdrawal=2, time=START, amount=2**50))
    world.trade(16, 17, 1, 5, 800_000, buyer_fee=100, seller_fee=-20)
    world.trade(18, 19, PERP_BTC, 1_500, 800_000, buyer_fee=700, seller_fee=300)
    world.trade(70_000, 16, PERP_BTC, 1, 800_000)
    twice = world.state.facts.instruments[PERP_ETH]
    world.send(twice)  # INSTRUMENT_EXISTS: no row
    world.open(21)
    world.open(21)  # ACCOUNT_EXISTS
    world.send(e.FundingRate(instrument=PERP_BTC, time=START, effective=START, rate=10**6))
    closing = e.ParameterChanged(
        parameter=Parameter.CLOSE_DEFAULTED, scope=0, time=START, effective=world.time + HOUR, value=1
    )
    world.send(closing, e.FeeCharged(account=21, time=START, effective=START, amount=50))
    for price in (7_900, 5_500):
        world.mark(btc=price)
    sold = {"instrument": PERP_BTC, "account": 18, "auction": 2**63}
    world.send(e.LiquidationPlanned(mark=world.marks, quantity=-50, start=50, step=50, floor=500, **sold))
    won = {"instrument": PERP_BTC, "bidder": 20, "auction": 2**63, "bid": 1, "quantity": 50, "price": 545_000}
    world.send(e.Bid(time=START, **won), e.Awarded(account=18, **won))
    for price in (5_000, 6_000):
        world.mark(btc=price)
    world.send(e.FundPaid(asset=0, account=21, mark=world.marks, amount=50))
    world.mark()  # closes account 21, which is no call
    world.trade(16, 20, PERP_ETH, 7, 20_000)
    return world


@pytest.fixture(scope="module")
def stream(world: World) -> Fed:
    return fed(world)


@pytest.fixture(scope="module")
def undisturbed(postgres: Database, stream: Fed) -> dict[str, list[tuple[Any, ...]]]:
    url = fresh(postgres)
    projection = Projection(url)
    feed(projection, stream, len(stream.outcomes))
    projection.close()
    return dump(url)


@pytest.fixture
def url(postgres: Database) -> str:
    return fresh(postgres)


@pytest.fixture
def projection(url: str) -> Iterator[Projection]:
    one = Projection(url)
    yield one
    one.close()


def ask(url: str, question: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as session:
        return session.execute(question.encode(), values or None).fetchall()


# --- tables -----------------------------------------------------------------------------------------------------------


def left(url: str) -> list[Any]:
    """Whatever of ours is in a database."""
    return ask(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )


def test_from_empty_to_head_and_back(postgres: Database) -> None:
    url = fresh(postgres, migrated=False)
    with psycopg.connect(url) as session:
        assert revision_of(session) is None
    for revision in ("1", "2", REVISION):
        migrate(url, revision)
        with psycopg.connect(url) as session:
            assert revision_of(session) == revision
    first = columns(url)
    for revision in ("2", "1", "base"):
        downgrade(url, revision)
    assert left(url) == []
    migrate(url)
    migrate(url)
    assert columns(url) == first


def columns(url: str) -> list[Any]:
    return ask(
        url,
        "SELECT table_name, column_name, data_type, is_nullable, numeric_precision FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    )


def test_the_head_is_what_the_code_expects(url: str) -> None:
    found = defaultdict(list)
    for table, column, kind, nullable, precision in columns(url):
        found[table].append((column, kind))
        if table in {one.name for one in TABLES}:
            assert nullable == "NO"
            assert kind != NUMERIC or precision == 20
    for table in TABLES:
        assert found[table.name] == [(column.name, column.sql) for column in table.columns]
    assert BYTES in dict(found["snapshots"]).values()
    owners = ask(url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s",
                 "alembic_version")  # fmt: skip
    assert owners == [(OWNER,)]


def test_codes_are_the_enums(url: str) -> None:
    import schemas.kinds as kinds
    from schemas.chart import House

    for enum in {name for (name,) in ask(url, "SELECT DISTINCT enum FROM codes")}:
        members = House if enum == "House" else getattr(kinds, enum)
        found = dict(ask(url, "SELECT name, code FROM codes WHERE enum = %s", enum))
        assert found == {one.name: one.value for one in members}


def test_every_table_and_column_says_what_it_is(url: str) -> None:
    silent = ask(
        url,
        """SELECT c.relname, a.attname FROM pg_class c
           LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'alembic_version'
             AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)""",
    )
    assert silent == []
    functions = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert ask(url, functions + " AND obj_description(oid, 'pg_proc') IS NULL") == []


def test_a_database_of_another_revision_is_refused(postgres: Database) -> None:
    url = fresh(postgres, migrated=False)
    with pytest.raises(StoreOutdated, match="none"):
        Projection(url).place()
    migrate(url, "2")
    with pytest.raises(StoreOutdated, match="revision 2"):
        Projection(url).take([], [])


# --- what is read -----------------------------------------------------------------------------------------------------


def held(world: World, until: int) -> tuple[dict[Any, int], dict[Any, int]]:
    """Balances and positions after entry `until`, from the plain postings."""
    balances: defaultdict[Any, int] = defaultdict(int)
    positions: defaultdict[Any, int] = defaultdict(int)
    for data in fed(world).outcomes:
        part = part_of(data)
        if part.n <= until:
            for outcome in messages_of(part.runs):
                for account, asset, amount in postings_of(outcome, world.state.facts.instruments):
                    balances[(account, asset)] += amount
                for account, instrument, lots in moves_of(outcome, world.state.facts.instruments):
                    positions[(account, instrument)] += lots
    return {k: v for k, v in balances.items() if v}, {k: v for k, v in positions.items() if v}


def test_the_books_now_and_as_of_every_mark(world: World, stream: Fed, url: str, projection: Projection) -> None:
    place = feed(projection, stream, 1000)
    last = world.clearing.sequence.n
    assert max(place.shards.values()) == last and len(place.shards) == SHARDS

    def book(source: str, number: str, amount: str, *values: Any) -> dict[Any, int]:
        rows = ask(url, f"SELECT account, {number}, {amount} FROM {source}", *values)
        return {(account, one): int(total) for account, one, total in rows}

    balances, positions = held(world, last)
    assert book("balances", "asset", "amount") == balances
    assert book("positions", "instrument", "lots") == positions
    for account, asset in balances:
        assert balances[(account, asset)] == world.balance(account, asset)
    marks = ask(url, "SELECT n, mark, time FROM marks_done ORDER BY n")
    assert [mark for _, mark, _ in marks] == list(range(1, world.marks + 1))
    for n, _, time in marks:
        for later in (timedelta(0), timedelta(minutes=14)):
            assert ask(url, "SELECT n_as_of(%s)", time + later) == [(n,)]
            was = held(world, n)
            assert book("balances_as_of(%s)", "asset", "amount", time + later) == was[0]
            assert book("positions_as_of(%s)", "instrument", "lots", time + later) == was[1]
        rows = ask(url, "SELECT account, holding, number, amount FROM book_as_of(%s)", time)
        assert {(a, x): int(v) for a, what, x, v in rows if what == "balance"} == was[0]
        assert {(a, x): int(v) for a, what, x, v in rows if what == "position"} == was[1]
    assert ask(url, "SELECT * FROM book_as_of(%s)", marks[0][2] - timedelta(microseconds=1)) == []
    assert marks[-1][2] == datetime.fromtimestamp(world.time // 10**6, UTC)


def test_a_mark_counts_once_every_shard_has_answered(stream: Fed, url: str, projection: Projection) -> None:
    n, mark, _ = _last_mark(stream)
    behind = [data for data in stream.outcomes if (part_of(data).shard, part_of(data).n) != (1, n)]
    behind = [data for data in behind if part_of(data).shard != 1 or part_of(data).n < n]
    projection.take(stream.facts, behind)
    assert ask(url, "SELECT max(mark) FROM marks") == [(mark,)]
    assert ask(url, "SELECT n_as_of('infinity')")[0][0] < n
    feed(projection, stream, 1000)
    assert ask(url, "SELECT n_as_of('infinity')") == [(n,)]


def _last_mark(stream: Fed) -> tuple[int, int, int]:
    found = [
        (part.n, one.mark, one.time)
        for part in map(part_of, stream.outcomes)
        for one in messages_of(part.runs)
        if type(one).__name__ == "MarkDone"
    ]
    return found[-1]


def test_rows_say_what_happened(world: World, stream: Fed, url: str, projection: Projection) -> None:
    feed(projection, stream, 1000)
    assert ask(url, "SELECT sum(amount) FROM postings GROUP BY n, asset HAVING sum(amount) <> 0") == []
    assert ask(url, "SELECT count(*) FROM instruments") == [(len(world.state.facts.instruments),)]
    assert ask(url, "SELECT account FROM accounts ORDER BY account") == [(a,) for a in (16, 17, 18, 19, 20, 21)]
    assert ask(url, "SELECT symbol, price_scale FROM instruments WHERE instrument = %s", PERP_BTC) == [
        ("BTC-PERP", 100)
    ]
    assert (16, 2**64 - 1, "approved", "NONE") in ask(url, "SELECT account, withdrawal, what, reason FROM withdrawals")
    assert (17, 2, "refused", "WITHDRAWAL_UNCOVERED") in ask(
        url, "SELECT account, withdrawal, what, reason FROM withdrawals"
    )
    assert ask(url, "SELECT count(*) FROM calls")[0][0] > 0
    assert ask(url, "SELECT account, before FROM rungs WHERE after = 'CLOSED'") == [(21, "DEFICIT")]
    assert ask(url, "SELECT DISTINCT after FROM calls WHERE after NOT IN ('CALLED', 'LIQUIDATING', 'DEFICIT')") == []
    told = ask(
        url, "SELECT what, account, quantity FROM liquidations WHERE account IN (18, 20) ORDER BY n, index, account"
    )
    assert {("opened", 18, -50), ("award", 18, -50), ("award", 20, 50), ("closed", 18, 0)} <= set(told)
    assert ask(url, "SELECT DISTINCT auction FROM auctions_opened") == [(2**63,)]
    suspense = ask(url, "SELECT intended, reason FROM trades WHERE account = 6 AND intended = 70000")
    assert suspense == [(70_000, "UNKNOWN_ACCOUNT")]
    ((price, fee),) = ask(url, "SELECT price, fee FROM trades WHERE symbol = 'BTC-USD' AND fee > 0")
    assert (float(price), float(fee)) == (8000.0, 0.0001)
    fund = ask(url, "SELECT sum(amount) FROM fund_movements WHERE asset = 'USD'")[0][0]
    assert fund == world.balance(3)
    totals = ask(url, "SELECT accounts FROM totals ORDER BY n DESC LIMIT 1")
    assert totals == [(6,)]
    for (table,) in ask(url, "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'"):
        ask(url, f"SELECT * FROM {table}")


@given(st.sampled_from([1, 3]), happenings(12), st.integers(1, 40))
@settings(max_examples=12, deadline=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
def test_any_course_is_taken_and_gives_the_books(
    postgres: Database, shards: int, course: list[Happening], size: int
) -> None:
    world = founded(shards)
    happen(world, course)
    url = fresh(postgres)
    projection = Projection(url)
    feed(projection, fed(world), size)
    projection.close()
    balances, positions = held(world, world.clearing.sequence.n)
    assert {(a, x): int(v) for a, x, v in ask(url, "SELECT account, asset, amount FROM balances")} == balances
    assert {(a, x): int(v) for a, x, v in ask(url, "SELECT account, instrument, lots FROM positions")} == positions
    listed = {one for (one,) in ask(url, "SELECT instrument FROM instruments")}
    assert listed == set(world.state.facts.instruments)
    opened = {one for (one,) in ask(url, "SELECT account FROM accounts")}
    assert opened == {a for a in range(16, 64) if any(s.exists(a) for s in world.clearing.states)}


@given(COURSES)
@settings(max_examples=6, deadline=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
def test_default_management_is_told_row_by_row(postgres: Database, course: tuple[Setting, list[Step]]) -> None:
    world = unfolded(course, 3)
    url = fresh(postgres)
    projection = Projection(url)
    feed(projection, fed(world), 50)
    projection.close()
    balances, _ = held(world, world.clearing.sequence.n)
    assert {(a, x): int(v) for a, x, v in ask(url, "SELECT account, asset, amount FROM balances")} == balances
    told = Counter(type(one) for one in world.said)
    for kind, table in OUTCOME_TABLES.items():
        assert ask(url, f"SELECT count(*) FROM {table.name}") == [(told[kind],)], table.name
    borne = ask(url, "SELECT count(*) FROM losses")
    assert borne == ask(url, "SELECT count(*) FROM losses_borne")


# --- order, repeats, faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_give_the_same_rows(
    stream: Fed, url: str, projection: Projection, undisturbed: Any, size: int
) -> None:
    feed(projection, stream, size)
    assert dump(url) == undisturbed


def test_repeats_are_dropped(stream: Fed, url: str, projection: Projection, undisturbed: Any) -> None:
    half = len(stream.outcomes) // 2
    projection.take(stream.facts, stream.outcomes[:half] * 2)
    projection.take(stream.facts * 2, stream.outcomes)
    place = projection.take(stream.facts, stream.outcomes)
    assert dump(url) == undisturbed
    assert place == Projection(url).place()


def test_shards_far_apart_and_facts_that_come_late(
    stream: Fed, url: str, projection: Projection, undisturbed: Any
) -> None:
    by_shard = {s: [d for d in stream.outcomes if part_of(d).shard == s] for s in range(SHARDS)}
    waits = projection.take([], by_shard[2])
    assert waits.facts == 0 and waits.of(2) < part_of(by_shard[2][-1]).n, "legs wait for their listings"
    assert projection.take(stream.facts, by_shard[2]).facts == 0, "facts wait for shard 0, who refuses some"
    place = projection.take([], by_shard[0])
    assert 0 < place.of(0) < part_of(by_shard[0][-1]).n
    # What shard 0 refused is now asked of the store.
    place = projection.take(stream.facts, by_shard[0])
    for _ in range(2):
        for shard in (2, 0, 1):
            place = projection.take(stream.facts, by_shard[shard])
    assert dump(url) == undisturbed
    assert place.facts == stream.facts[-1].n


def test_a_second_projector_changes_nothing(stream: Fed, url: str, undisturbed: Any) -> None:
    one, other = Projection(url), Projection(url)
    for at in range(0, len(stream.outcomes), 5):
        (one if at % 2 else other).take(stream.facts, stream.outcomes[: at + 5])
        (other if at % 3 else one).take(stream.facts, stream.outcomes[max(0, at - 7) : at + 5])
    one.take(stream.facts, stream.outcomes)
    assert dump(url) == undisturbed
    one.close()
    other.close()


def test_a_projector_that_hangs_in_a_transaction_is_cut_off(
    stream: Fed, url: str, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.projection.SESSION",
                        ("SET idle_in_transaction_session_timeout = '1s'", "SET lock_timeout = '200ms'"))  # fmt: skip
    hung = Projection(url)
    hung.place()
    session: Any = hung._session
    place = Place()
    with pytest.raises(psycopg.Error), session.transaction():
        session.execute("INSERT INTO places VALUES (65535, 0)")
        with pytest.raises(StoreAway):
            projection.take(stream.facts, stream.outcomes)
        while place == Place():
            with suppress(StoreAway):
                place = projection.take(stream.facts, stream.outcomes)
        session.execute("UPDATE places SET n = 0")
    assert Projection(url).place() == place


def test_a_batch_that_cannot_be_written_leaves_nothing(stream: Fed, url: str, projection: Projection) -> None:
    half = len(stream.outcomes) // 2
    projection.take(stream.facts, stream.outcomes[:half])
    before = dump(url)
    with psycopg.connect(url) as session:  # a row in the place of the last one that is to come
        n = part_of(stream.outcomes[-1]).n
        session.execute("INSERT INTO position_moves VALUES (%s, 0, 0, 0, 0, 0, 16, 0, 0)", (n,))
        shard = part_of(stream.outcomes[-1]).shard
        session.execute("UPDATE position_moves SET shard = %s WHERE n = %s", (shard, n))
    with pytest.raises(StoreRefused, match="position_moves"):
        projection.take(stream.facts, stream.outcomes)
    with psycopg.connect(url) as session:
        session.execute("DELETE FROM position_moves WHERE n = %s", (n,))
    assert dump(url) == before
    projection.take(stream.facts, stream.outcomes)


def test_bytes_that_are_no_outcomes_stop_the_batch(stream: Fed, url: str, projection: Projection) -> None:
    with pytest.raises(ValueError):
        projection.take(stream.facts, [*stream.outcomes, b"no outcomes"])
    assert projection.place() == Place()


def test_an_older_backup_goes_on_from_its_own_place(stream: Fed, postgres: Database, undisturbed: Any) -> None:
    url = fresh(postgres)
    projection = Projection(url)
    half = len(stream.outcomes) // 2
    projection.take(stream.facts, stream.outcomes[:half])
    projection.close()
    name = url.rpartition("/")[2]
    with psycopg.connect(postgres.url, autocommit=True) as session:  # the backup: the database as it is now
        session.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name}".encode())
    place = projection.take(stream.facts, stream.outcomes)
    with psycopg.connect(postgres.url, autocommit=True) as session:  # and restored under the projector
        session.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        session.execute(f"ALTER DATABASE {name}_backup RENAME TO {name}".encode())
    rest = stream.above(place)
    with pytest.raises(StoreAway):
        projection.take(rest.facts, rest.outcomes)
    for _ in range(2):  # it must not write on and leave a hole
        with pytest.raises(StoreMoved):
            projection.take(rest.facts, rest.outcomes)
    assert projection.place() != place
    feed(projection, stream, 9)
    projection.close()
    assert dump(url) == undisturbed


def test_dropped_and_rebuilt(stream: Fed, url: str, projection: Projection, undisturbed: Any) -> None:
    feed(projection, stream, 11)
    projection.close()
    downgrade(url)
    migrate(url)
    feed(Projection(url), stream, 3)
    assert dump(url) == undisturbed


def test_killed_again_and_again(stream: Fed, undisturbed: Any) -> None:
    """Kill -9 between batches: nothing lost, nothing twice."""
    with server() as database:
        url = fresh(database)
        projection = Projection(url)
        kills, rest, place = 0, stream, Place()
        while rest.outcomes:
            if kills < 8 and len(rest.outcomes) % 3 == 0:
                database.kill()
                kills += 1
                with pytest.raises(StoreAway):
                    projection.take(rest.facts, rest.outcomes[:4])
                database.start()
            try:
                place = projection.take(rest.facts, rest.outcomes[:4])
            except StoreAway:
                continue
            rest = rest.above(place)
        projection.close()
        assert kills >= 5
        assert dump(url) == undisturbed

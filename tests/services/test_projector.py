"""The projector brings a directory, and Kafka's records, into the store as they are, whatever the store does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import crash
import pytest
from postgres import fresh, server
from storing import Fed, dump, feed, streams

from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from ledger.sequence import FACTS_SHARD
from ledger.shardwire import encode_shard
from ledger.snapshot import SnapshotBroken
from ledger.store.migrating import downgrade, migrate
from ledger.store.projection import Projection
from ledger.store.rows import part_of
from services.database import Database
from services.lockstep import JOURNAL, OUTCOME_LOG, Settings
from services.processors.records import Record, Topic
from services.projector import Feeding, Measured, Projecting, follow

WITHIN = 30.0
SHARDS = 2


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    crash.clear(folder, shards=SHARDS, snapshot_every=0, steps=24, accounts=40)
    return folder


@pytest.fixture(scope="module")
def stream(directory: Path) -> Fed:
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        return streams(Settings.read(directory), [data for _, data in reader.read(0, 10**6)])


@pytest.fixture(scope="module")
def wanted(stream: Fed, postgres: Database) -> Any:
    url = fresh(postgres)
    with closing(Projection(url)) as projection:
        feed(projection, stream, 50)
    return dump(url)


@pytest.fixture(scope="module")
def records(stream: Fed) -> list[Record]:
    """The topics' records, those of a topic in order, the topics as unlike each other as they can come."""
    facts = [Record(Topic.FACTS, 0, at, encode_shard(one)) for at, one in enumerate(stream.facts)]
    shards = [[data for data in stream.outcomes if part_of(data).shard == shard] for shard in range(SHARDS)]
    outcomes = [
        Record(Topic.OUTCOMES, s, at, data) for s, all_of in enumerate(shards) for at, data in enumerate(all_of)
    ]
    return [*[one for one in outcomes if one.partition == 1], *facts, *[one for one in outcomes if one.partition == 0]]


def eventually(what: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


@contextmanager
def following(directory: Path, url: str) -> Iterator[Measured]:
    measured, stop = Measured(), threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with closing(Feeding(url, measured, lambda: not stop.is_set())) as feeding:
                follow(directory, feeding, lambda: not stop.is_set())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield measured
    finally:
        stop.set()
        thread.join(WITHIN)
    assert not thread.is_alive() and not raised, raised


def stored(measured: Measured, stream: Fed) -> bool:
    last = {str(shard): 0 for shard in range(SHARDS)}
    for data in stream.outcomes:
        part = part_of(data)
        last[str(part.shard)] = part.n
    last["facts"] = stream.facts[-1].n
    get = measured.registry.get_sample_value
    return all(get("novate_store_n", {"stream": name}) == n for name, n in last.items())


def test_a_directory_is_brought_into_the_store(directory: Path, stream: Fed, postgres: Database, wanted: Any) -> None:
    url = fresh(postgres)
    with following(directory, url) as measured:
        eventually(lambda: stored(measured, stream))
    assert dump(url) == wanted
    rows = sum(len(run.rows) for data in stream.outcomes for run in part_of(data).runs)
    assert measured.registry.get_sample_value("novate_store_outcomes_total") == rows
    assert measured.registry.get_sample_value("novate_store_lag_entries", {"stream": "0"}) == 0
    with following(directory, url) as again:  # there is nothing more to say
        eventually(lambda: again.registry.get_sample_value("novate_store_away") == 0)
    assert dump(url) == wanted


def test_a_directory_that_grows_under_it(directory: Path, stream: Fed, postgres: Database, wanted: Any,
                                         tmp_path: Path) -> None:  # fmt: skip
    url = fresh(postgres)
    with following(tmp_path / "run", url) as measured:
        ledger = threading.Thread(
            target=crash.clear, args=(tmp_path / "run",),
            kwargs={"shards": SHARDS, "snapshot_every": 0, "steps": 24, "accounts": 40},
        )  # fmt: skip
        ledger.start()
        eventually(lambda: stored(measured, stream))
        ledger.join()
    assert dump(url) == wanted


def test_a_store_that_is_away_killed_and_emptied(directory: Path, stream: Fed, wanted: Any,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("services.projector.MOST_HELD", 1 << 14)
    monkeypatch.setattr("services.projector._LONGEST_WAIT", 0.1)
    with server() as database:
        url = fresh(database, migrated=False)
        with following(directory, url) as measured:
            away = lambda: measured.registry.get_sample_value("novate_store_away") == 1  # noqa: E731
            eventually(away)  # the tables are not there yet
            migrate(url)
            eventually(lambda: (measured.registry.get_sample_value("novate_store_transactions_total") or 0) > 2)
            database.kill()
            time.sleep(0.1)
            database.start()
            eventually(lambda: stored(measured, stream))
            assert dump(url) == wanted
        downgrade(url)
        migrate(url)
        with following(directory, url) as measured:
            eventually(lambda: stored(measured, stream))
        assert dump(url) == wanted


def test_restored_to_an_older_place_while_it_runs(directory: Path, stream: Fed, postgres: Database, wanted: Any,
                                                  tmp_path: Path) -> None:  # fmt: skip
    """Emptied under a projector that goes on: it takes the whole history again."""
    steps = {"shards": SHARDS, "snapshot_every": 0, "accounts": 40}
    crash.clear(tmp_path / "run", steps=12, **steps)
    url = fresh(postgres)
    with following(tmp_path / "run", url) as measured:
        eventually(lambda: (measured.registry.get_sample_value("novate_store_n", {"stream": "0"}) or 0) > 20)
        downgrade(url)
        migrate(url)
        crash.clear(tmp_path / "run", steps=24, **steps)  # what is new shows it that the store has moved
        eventually(lambda: stored(measured, stream) and dump(url) == wanted)


# --- Kafka's records --------------------------------------------------------------------------------------------------


def projecting(url: str, snapshot: bytes | None = None) -> Projecting:
    settings = Settings(SHARDS, 100, 0)
    return Projecting(settings, Feeding(url, Measured()), snapshot)


def given(part: Projecting, records: list[Record]) -> None:
    places = part.places()
    for record in records:
        if record.offset >= places[record.topic, record.partition]:
            assert part.take(record) == ()


@pytest.mark.parametrize("batch", [1, 1 << 30])
def test_records_in_any_order_and_twice(records: list[Record], postgres: Database, wanted: Any, batch: int,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("services.projector.BATCH", batch)
    url = fresh(postgres)
    part = projecting(url)
    given(part, [*records[:40], *records])
    part.live()
    assert dump(url) == wanted


def test_it_goes_on_from_its_snapshot_unless_the_store_went_back(
    records: list[Record], postgres: Database, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.projector.KEEP_EVERY", 1)
    url = fresh(postgres)
    part = projecting(url)
    in_order = sorted(records, key=lambda one: one.offset)
    given(part, in_order[: len(records) // 2])
    part.live()
    snapshot = part.snapshot()
    assert snapshot is not None and part.snapshot() is None
    again = projecting(url, snapshot.data)
    assert again.places() == part.places() and min(again.places().values()) > 5
    given(again, in_order)
    again.live()
    assert dump(url) == wanted
    with pytest.raises(SnapshotBroken):
        projecting(url, snapshot.data[:-9] + b"{" + snapshot.data[-8:])
    with pytest.raises(SnapshotBroken, match="further back"):
        projecting(fresh(postgres), snapshot.data)


def test_bytes_that_are_no_record_are_passed_over(postgres: Database) -> None:
    part = projecting(fresh(postgres))
    for topic in (Topic.FACTS, Topic.OUTCOMES):
        assert part.take(Record(topic, 0, 0, b"no record")) == ()
    part.live()
    assert part._feeding.place.of(FACTS_SHARD) == 0


def test_outcomes_are_there(directory: Path) -> None:
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        assert log.last(0) > 50

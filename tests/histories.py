"""A history as plain lists, laid out as each source of the audit has it: a directory, an archive, a Kafka cluster."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import crash

from ledger.archive import Kind, Stretch, genesis, linked, sealed
from ledger.journal import topics
from ledger.journal.kafka import KafkaPublisher, Record
from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteJournal
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, SETTINGS, Settings
from services.processors.records import key_of
from services.snapshots import SNAPSHOTS
from services.sources import SEGMENTS


@dataclass(frozen=True)
class History:
    """What was published: entries, each shard's (n, outcomes), lines of heads; and the run that it was taken from."""

    run: Path
    settings: Settings
    entries: Sequence[bytes]
    outcomes: Sequence[Sequence[tuple[int, bytes]]]
    heads: Sequence[bytes]

    def with_outcomes(self, shard: int, rows: Sequence[tuple[int, bytes]]) -> "History":
        return replace(self, outcomes=[rows if s == shard else old for s, old in enumerate(self.outcomes)])


def history_of(run: Path) -> History:
    settings = Settings.read(run)
    every = crash.outcomes(run, settings.shards)
    shards = [[(n, data) for (n, of), data in every.items() if of == shard] for shard in range(settings.shards)]
    heads = (run / HEADS).read_bytes().splitlines(keepends=True)
    return History(run, settings, crash.entries(run), shards, heads)


def as_directory(history: History, directory: Path) -> Path:
    directory.mkdir()
    with closing(SqliteJournal(directory / JOURNAL)) as journal:
        journal.append_many(history.entries)
    with closing(OutcomeLog(directory / OUTCOME_LOG)) as log:
        log.put_many((n, shard, data) for shard, rows in enumerate(history.outcomes) for n, data in rows)
    shutil.copytree(history.run / SNAPSHOTS, directory / SNAPSHOTS)
    (directory / HEADS).write_bytes(b"".join(history.heads))
    (directory / SETTINGS).write_bytes(history.settings.line())
    return directory


def as_archive(history: History, folder: Path, pieces: int = 3) -> Path:
    """Segments that fit whatever the history holds, as somebody who forges one would make them."""
    (folder / SEGMENTS).mkdir(parents=True)
    _segments(folder, Stretch(Kind.JOURNAL, 0, 0, 0), list(enumerate(history.entries)), pieces)
    for shard, rows in enumerate(history.outcomes):
        _segments(folder, Stretch(Kind.OUTCOMES, shard, 1, 0), rows, pieces)
    (folder / HEADS).write_bytes(b"".join(history.heads))
    (folder / SETTINGS).write_bytes(history.settings.line())
    return folder


def _segments(folder: Path, chain: Stretch, rows: Sequence[tuple[int, bytes]], pieces: int) -> None:
    before, first = genesis(chain), chain.first
    size = -(-len(rows) // pieces)
    for at in range(0, len(rows), size):
        made, link = [], before
        for number, data in rows[at : at + size]:
            made.append(linked(chain, link, number, data))
            link = made[-1].link
        name, data = sealed(chain._replace(first=first, last=made[-1].number), before, made)
        (folder / SEGMENTS / name).write_bytes(data)
        before, first = link, made[-1].number + 1


def as_cluster(history: History, address: str, prefix: str) -> str:
    """Write the history's topics; returns the prefix."""
    wanted = {topics.JOURNAL, topics.OUTCOMES, topics.HEADS, topics.SETTINGS}
    names = {topics.topic_name(prefix, one): one for one in wanted}
    topics.make(address, [one for one in topics.topics(prefix, history.settings.shards) if one.name in names])

    def record(topic: str, partition: int, number: int, value: bytes) -> Record:
        return Record(topics.topic_name(prefix, topic), partition, key_of(number), value)

    with closing(KafkaPublisher(address)) as publisher:
        publisher.publish(
            [
                record(topics.SETTINGS, 0, 0, history.settings.line()),
                *(record(topics.JOURNAL, 0, 0, entry) for entry in history.entries),
                *(record(topics.OUTCOMES, s, n, d) for s, rows in enumerate(history.outcomes) for n, d in rows),
                *(record(topics.HEADS, 0, number, line) for number, line in enumerate(history.heads)),
            ]
        )
    return prefix

"""Where a history lies: an embedded directory, an archive's files or a Kafka cluster, read for the audit in one way."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import Final, Protocol

from ledger.archive import Kind, SegmentBroken, Stretch, genesis, named, rows_of
from ledger.journal import JournalBroken
from ledger.journal.kafka import KafkaReader, PartitionReader, Stored
from ledger.journal.outcomes import OutcomeLog, OutcomesBroken
from ledger.journal.sqlite import SqliteReader
from ledger.journal.topics import HEADS as HEADS_TOPIC
from ledger.journal.topics import JOURNAL as JOURNAL_TOPIC
from ledger.journal.topics import OUTCOMES as OUTCOMES_TOPIC
from ledger.journal.topics import PREFIX, topic_name
from ledger.journal.topics import SETTINGS as SETTINGS_TOPIC
from services.ahead import ahead
from services.heads import Head, HeadBroken, heads_in, read_heads
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Settings, SettingsBroken
from services.processors.records import number_of
from services.snapshots import present, snapshot_path

SEGMENTS: Final = "segments"
"""the folder of an archive's segments"""
PATIENCE: Final = 30.0
"""seconds that the outcomes of an entry have to come, where a cluster is audited while it runs"""
_SLICE: Final = 0.2
_KEY_BYTES: Final = 8


class Difference(Exception):  # noqa: N818 - what an audit finds; it becomes its verdict
    """Something is not what the journal gives, or is missing. `where` names the place."""

    def __init__(self, what: str, **where: int | str) -> None:
        super().__init__(what)
        self.where = where


class Source(Protocol):
    """A history as it was published. Reading raises JournalBroken, OutcomesBroken or Difference where it is damaged."""

    @property
    def settings(self) -> Settings:
        """How the journal was folded."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where files lie beside the history."""
        ...

    @property
    def keeps_snapshots(self) -> bool:
        """Whether every snapshot must be here."""
        ...

    def heads(self) -> dict[int, Head]:
        """The heads that were published, by the number of entries they cover, in order."""
        ...

    def end(self) -> int:
        """How many entries there are."""
        ...

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of all of them."""
        ...

    def outcomes(self, shard: int) -> Iterator[tuple[int, bytes]]:
        """(n, bytes) of a shard's outcomes, repeats left out. A source that grows waits for more until `finished`."""
        ...

    def finished(self) -> None:
        """No more outcomes are due: those that were there at the beginning are the rest."""
        ...

    def snapshots(self) -> Iterator[tuple[int, int, str]]:
        """(shard, n, name) of every snapshot that is here."""
        ...

    def snapshot(self, shard: int, n: int) -> bytes | None:
        """A snapshot; None where it is not here."""
        ...

    def close(self) -> None:
        """Let go of it; a second close does nothing."""
        ...


def opened(path: Path) -> Source:
    """The archive or embedded directory at a path. Raises FileNotFoundError where it holds neither, SettingsBroken."""
    return ArchiveSource(path) if (path / SEGMENTS).is_dir() else DirectorySource(path)


class DirectorySource:
    """An embedded directory. Raises FileNotFoundError where it holds no run, SettingsBroken, Difference where its
    outcomes are not there."""

    keeps_snapshots = True

    def __init__(self, directory: Path) -> None:
        self.folder: Path | None = directory
        self.settings = Settings.read(directory)
        self._directory = directory
        with ExitStack() as files:
            try:
                self._log = OutcomeLog(directory / OUTCOME_LOG, reading=True)
            except FileNotFoundError:
                raise Difference(f"the outcomes, {OUTCOME_LOG}, are missing", part="outcomes", n=1, shard=0) from None
            files.callback(self._log.close)
            self._reader = SqliteReader(directory / JOURNAL)
            files.callback(self._reader.close)
            self._files = files.pop_all()

    def heads(self) -> dict[int, Head]:
        """See Source."""
        return _heads_file(self._directory / HEADS)

    def end(self) -> int:
        """See Source."""
        return self._reader.end()

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        return ahead(self._reader.read(0, self._reader.end()))

    def outcomes(self, shard: int) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        return ahead(self._log.scan(shard))

    def finished(self) -> None:
        """See Source."""

    def snapshots(self) -> Iterator[tuple[int, int, str]]:
        """See Source."""
        return ((shard, n, path.name) for shard, n, path in present(self._directory))

    def snapshot(self, shard: int, n: int) -> bytes | None:
        """See Source."""
        path = snapshot_path(self._directory, shard, n)
        return path.read_bytes() if path.exists() else None

    def close(self) -> None:
        """See Source."""
        self._files.close()


class ArchiveSource:
    """An archive's files (services/archiver.py). Raises FileNotFoundError where there are no settings, SettingsBroken.

    Of two segments that begin at one place the longer one is read: the other one was sealed before it.
    """

    keeps_snapshots = False

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self.settings = Settings.read(folder)
        self._folder = folder
        self._longest: dict[tuple[Kind, int], dict[int, tuple[Stretch, str]]] = {}
        for path in sorted((folder / SEGMENTS).iterdir()):
            if (told := named(path.name)) is not None:
                one = told.stretch
                by_first = self._longest.setdefault((one.kind, one.shard), {})
                if one.first not in by_first or by_first[one.first][0].last < one.last:
                    by_first[one.first] = (one, path.name)

    def heads(self) -> dict[int, Head]:
        """See Source."""
        return _heads_file(self._folder / HEADS)

    def end(self) -> int:
        """See Source."""
        segments = self._longest.get((Kind.JOURNAL, 0), {})
        return max((one.last + 1 for one, _ in segments.values()), default=0)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        return ahead(self._journal())

    def outcomes(self, shard: int) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        return ahead(self._shard(shard))

    def finished(self) -> None:
        """See Source."""

    def snapshots(self) -> Iterator[tuple[int, int, str]]:
        """See Source."""
        return iter(())

    def snapshot(self, shard: int, n: int) -> bytes | None:  # noqa: ARG002
        """See Source."""
        return None

    def close(self) -> None:
        """See Source."""

    def _journal(self) -> Iterator[tuple[int, bytes]]:
        try:
            yield from self._rows(Stretch(Kind.JOURNAL, 0, 0, -1))
        except SegmentBroken as found:
            raise JournalBroken(found.name, found.number, found.what) from found

    def _shard(self, shard: int) -> Iterator[tuple[int, bytes]]:
        try:
            yield from self._rows(Stretch(Kind.OUTCOMES, shard, 1, 0))
        except SegmentBroken as found:
            raise OutcomesBroken(found.name, found.number, shard, found.what) from found

    def _rows(self, before: Stretch) -> Iterator[tuple[int, bytes]]:
        """The rows of all segments of a kind and shard, each segment following the one before it."""
        link, due = genesis(before), before.first
        for one, name in sorted(self._longest.get((before.kind, before.shard), {}).values()):
            if one.first < due and one.last < due:
                continue  # sealed before a longer one was closed
            if one.first != due:
                raise SegmentBroken(name, one, due, f"the segment that begins at {due} is missing")
            try:
                data = (self._folder / SEGMENTS / name).read_bytes()
            except OSError as error:
                raise SegmentBroken(name, one, due, f"it cannot be read: {error.strerror}") from error
            for row in rows_of(name, data, link):
                yield row.number, row.data
                link = row.link
            due = one.last + 1


class ClusterSource:
    """A Kafka cluster, also while it runs: what is in the journal at the beginning is audited, and the outcomes of its
    last entries have `patience` seconds each to come. Raises JournalUnreachable, FileNotFoundError where a topic is
    missing or the settings are, SettingsBroken.

    A repeat in OUTCOMES or HEADS must be equal to what it repeats; one that is not is a difference.
    """

    keeps_snapshots = False

    def __init__(self, address: str, prefix: str = PREFIX, *, patience: float = PATIENCE) -> None:
        self.folder: Path | None = None
        self._address = address
        self._topic = topic_name(prefix, OUTCOMES_TOPIC)
        self._patience = patience
        self._over = Event()
        self._second: dict[int, PartitionReader] = {}
        self.settings = cluster_settings(address, prefix)
        with ExitStack() as readers:

            def reader(topic: str, partition: int = 0) -> PartitionReader:
                return readers.enter_context(closing(PartitionReader(address, topic_name(prefix, topic), partition)))

            # The journal's end is asked last: every outcome and head before the other ends follows from what is there.
            self._heads = reader(HEADS_TOPIC)
            self._heads_end = self._heads.end()
            self._shards = [reader(OUTCOMES_TOPIC, shard) for shard in range(self.settings.shards)]
            self._ends = [one.end() for one in self._shards]
            self._journal = readers.enter_context(closing(KafkaReader(address, topic_name(prefix, JOURNAL_TOPIC))))
            self._end = self._journal.end()
            self._readers = readers.pop_all()

    def heads(self) -> dict[int, Head]:
        """See Source."""
        lines = dict.fromkeys(one.value or b"" for one in self._heads.read(0, self._heads_end))  # repeats left out
        try:
            return heads_in(lines, HEADS_TOPIC)
        except HeadBroken as error:
            raise Difference(str(error), part="heads", line=error.line) from None

    def end(self) -> int:
        """See Source."""
        return self._end

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        return ahead(self._journal.read(0, self._end))

    def outcomes(self, shard: int) -> Iterator[tuple[int, bytes]]:
        """See Source."""
        numbers, offsets = array("Q"), array("Q")
        for record in self._records(shard):
            n, data = self._numbered(shard, record)
            if not numbers or n > numbers[-1]:
                numbers.append(n)
                offsets.append(record.offset)
                yield n, data
                continue
            at = bisect_left(numbers, n)
            if numbers[at] != n:
                raise Difference(
                    f"outcomes of n {n} in shard {shard} stand after those of n {numbers[-1]}",
                    part="outcomes", n=n, shard=shard,
                )  # fmt: skip
            first = next(iter(self._again(shard).read(offsets[at], 1)))
            if first.value != data:
                raise Difference(
                    f"outcomes of n {n} in shard {shard} were written a second time as others, at offset"
                    f" {record.offset}", part="outcomes", n=n, shard=shard,
                )  # fmt: skip

    def finished(self) -> None:
        """See Source."""
        self._over.set()

    def snapshots(self) -> Iterator[tuple[int, int, str]]:
        """See Source."""
        return iter(())

    def snapshot(self, shard: int, n: int) -> bytes | None:  # noqa: ARG002
        """See Source."""
        return None

    def close(self) -> None:
        """See Source."""
        self._readers.close()

    def _again(self, shard: int) -> PartitionReader:
        """A second reader of a shard's outcomes, for what they repeat; most clusters need none."""
        if shard not in self._second:
            one = PartitionReader(self._address, self._topic, shard)
            self._second[shard] = self._readers.enter_context(closing(one))
        return self._second[shard]

    def _records(self, shard: int) -> Iterator[Stored]:
        reader, end = self._shards[shard], self._ends[shard]
        yield from ahead(reader.read(0, end))
        offset, deadline = end, time.monotonic() + self._patience
        while not self._over.is_set() and time.monotonic() < deadline:
            for record in reader.tail(offset, _SLICE):
                if self._over.is_set():
                    return
                yield record
                offset, deadline = record.offset + 1, time.monotonic() + self._patience

    def _numbered(self, shard: int, record: Stored) -> tuple[int, bytes]:
        if record.key is None or len(record.key) != _KEY_BYTES or record.value is None:
            raise Difference(
                f"the record at offset {record.offset} of shard {shard}'s outcomes is none",
                part="outcomes", n=0, shard=shard,
            )  # fmt: skip
        return number_of(record.key), record.value


def cluster_settings(address: str, prefix: str = PREFIX) -> Settings:
    """The settings of a cluster: the first record of its topic. Raises FileNotFoundError where there are none yet,
    JournalUnreachable, SettingsBroken."""
    topic = topic_name(prefix, SETTINGS_TOPIC)
    with closing(PartitionReader(address, topic)) as reader:
        first = next(iter(reader.read(0, 1)), None)
    if first is None:
        raise FileNotFoundError(f"{address}: no settings in {topic}")
    if first.value is None:
        raise SettingsBroken(f"{address}/{topic} holds no settings of a run")
    return Settings.parsed(first.value, f"{address}/{topic}")


def _heads_file(path: Path) -> dict[int, Head]:
    try:
        return read_heads(path)
    except FileNotFoundError:
        raise Difference(f"the published heads, {path.name}, are missing", part="heads", line=1) from None
    except HeadBroken as error:
        raise Difference(str(error), part="heads", line=error.line) from None

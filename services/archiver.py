"""The archive: a folder of closed segments, heads and settings, from which everything can be replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from ledger.archive import named
from ledger.journal.kafka import KafkaPublisher, PartitionReader
from ledger.journal.kafka import Record as Published
from ledger.journal.outcomes import OutcomeLog, OutcomesBroken
from ledger.journal.sqlite import SqliteReader
from ledger.journal.topics import topic_name
from ledger.snapshot import SnapshotBroken
from services.heads import HeadsFile
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Settings
from services.processors.archiving import BYTES, ENTRIES, Archiving, Closed, published
from services.processors.records import Record, Topic, Write
from services.snapshots import write_whole
from services.sources import SEGMENTS, cluster_settings

CHECKPOINT: Final = "archiver.checkpoint"
"""where the archiver goes on; can be deleted, the archive is then made again and compared"""
MOST_WAITING: Final = 256
"""entries, or outcomes of a shard, that may wait for the others; no more are read until then"""
_TELL: Final = 1.0
_SLICE: Final = 0.05
"""seconds to wait for a record of one topic before the others are looked at"""


class ArchiveStopped(RuntimeError):  # noqa: N818 - named for what is found
    """The folder refused a write. What is there is whole; started again, the archiver goes on from there."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: nothing more is archived: {what}")
        self.where = where
        self.what = what


class SegmentDiffers(RuntimeError):  # noqa: N818
    """A segment of the same stretch is there with other bytes: this archive is another history's, or was changed."""

    def __init__(self, there: str, made: str) -> None:
        super().__init__(f"{there} is in the archive, what is archived now is {made}")


class Measured:
    """What an archiver tells, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stored = Gauge("novate_archive_entries", "Entries in closed segments", registry=self.registry)
        self._lag = Gauge("novate_archive_lag_entries", "Entries not in closed segments yet", registry=self.registry)

    def told(self, stored: int, end: int) -> None:
        """So many entries are in closed segments, out of so many."""
        self._stored.set(stored)
        self._lag.set(end - stored)


class ArchiveFolder:
    """The archive, open for writing. Made where it is not there.

    Raises SettingsDiffer, SettingsBroken, HeadBroken where the folder is another history's, ArchiveStopped where it
    cannot be made.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        try:
            (folder / SEGMENTS).mkdir(parents=True, exist_ok=True)
            settings.settle(folder)
            self._heads = HeadsFile(folder / HEADS)
        except OSError as error:
            raise ArchiveStopped(str(folder), str(error)) from error

    def store(self, closed: Closed) -> None:
        """Write segments, then their head; when it returns all are on the disk. What is there already is compared.

        Raises ArchiveStopped, SegmentDiffers, HeadDiffers.
        """
        try:
            for name, data in closed.segments:
                path = self._folder / SEGMENTS / name
                if path.exists() and path.read_bytes() == data:
                    continue
                self._refuse_another(name)
                write_whole(path, data)
            self._heads.publish(closed.head)
        except OSError as error:
            raise ArchiveStopped(str(self._folder), str(error)) from error

    def checkpoint(self, data: bytes) -> None:
        """Keep an archiver's snapshot. Raises ArchiveStopped."""
        try:
            write_whole(self._folder / CHECKPOINT, data)
        except OSError as error:
            raise ArchiveStopped(str(self._folder), str(error)) from error

    def restored(self, make: Callable[[bytes | None], Archiving]) -> Archiving:
        """What `make` makes of the snapshot kept; of None where there is none, or a damaged one."""
        try:
            return make((self._folder / CHECKPOINT).read_bytes())
        except (FileNotFoundError, SnapshotBroken):
            return make(None)

    def close(self) -> None:
        """Let go of the folder; a second close does nothing."""
        self._heads.close()

    def _refuse_another(self, name: str) -> None:
        made = named(name)
        for path in (self._folder / SEGMENTS).iterdir():
            there = named(path.name)
            if made and there and there.stretch == made.stretch and there.digest != made.digest:
                raise SegmentDiffers(path.name, name)


def archive_directory(directory: Path, folder: Path, *, entries: int = ENTRIES, size: int = BYTES) -> int:
    """Archive an embedded directory to its end; returns the number of entries.

    Raises what reading the directory and writing the folder raises (SqliteReader, OutcomeLog, ArchiveFolder), and
    OutcomesBroken where outcomes are missing.
    """
    settings = Settings.read(directory)
    with ExitStack() as opened:
        log = opened.enter_context(closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)))
        reader = opened.enter_context(closing(SqliteReader(directory / JOURNAL)))
        out = opened.enter_context(closing(ArchiveFolder(folder, settings)))
        archiving = Archiving(settings, entries=entries, size=size)
        end = reader.end()
        told = [enumerate(data for _, data in log.scan(shard)) for shard in range(settings.shards)]
        for offset, data in reader.read(0, end):
            archiving.take(Record(Topic.JOURNAL, 0, offset, data))
            while (shard := archiving.missing) is not None and (row := next(told[shard], None)) is not None:
                archiving.take(Record(Topic.OUTCOMES, shard, *row))
            _store(out, archiving)
        if (shard := archiving.missing) is not None:
            raise OutcomesBroken(str(directory / OUTCOME_LOG), archiving.n + 1, shard, "missing")
        if (rest := archiving.seal()) is not None:
            out.store(rest)
    return end


def archive_cluster(
    address: str,
    prefix: str,
    folder: Path,
    stop: Callable[[], bool],
    *,
    entries: int = ENTRIES,
    size: int = BYTES,
    seal: bool = False,
    tell: Callable[[int, int], None] = lambda _stored, _end: None,
) -> Archiving:
    """Archive a cluster's journal and outcomes until `stop` says so, publishing each head when its segments are stored.

    About once a second `tell` hears how many entries are in closed segments, and how many the journal has.
    With `seal` what is archived but not in closed segments yet is written too, for a history that ends. Raises what
    reading and writing raises: JournalUnreachable, JournalBroken, JournalFull, OutcomeDiffers, and what ArchiveFolder
    does. Made again over the same folder it goes on.
    """
    with ExitStack() as opened:
        settings = cluster_settings(address, prefix)
        out = opened.enter_context(closing(ArchiveFolder(folder, settings)))
        publisher = opened.enter_context(closing(KafkaPublisher(address)))
        archiving = out.restored(lambda data: Archiving(settings, data, entries=entries, size=size))
        readers = {
            place: opened.enter_context(closing(PartitionReader(address, topic_name(prefix, place[0]), place[1])))
            for place in archiving.places()
        }

        def publish(writes: Sequence[Write]) -> None:
            publisher.publish(
                Published(topic_name(prefix, one.topic), one.partition, one.key, one.value) for one in writes
            )

        journal, told = readers[Topic.JOURNAL, 0], -_TELL
        while not stop():
            if time.monotonic() - told >= _TELL:
                told = time.monotonic()
                tell(archiving.stored, journal.end())
            moved = False
            for place, reader in readers.items():
                waits = archiving.waits if place[0] == Topic.JOURNAL else archiving.ahead(place[1])
                if waits >= MOST_WAITING:
                    continue
                writes: list[Write] = []
                offset = archiving.places()[place]
                for record in reader.tail(offset, 0.0 if moved else _SLICE, MOST_WAITING):
                    writes += archiving.take(Record(place[0], place[1], record.offset, record.value or b""))
                    moved = True
                _store(out, archiving)
                publish(writes)
                if (kept := archiving.snapshot()) is not None:
                    out.checkpoint(kept.data)
        if seal and (rest := archiving.seal()) is not None:
            out.store(rest)
            publish([published(rest.head)])
        return archiving


def _store(out: ArchiveFolder, archiving: Archiving) -> None:
    for one in archiving.closed():
        out.store(one)

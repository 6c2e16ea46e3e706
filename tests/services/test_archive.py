"""The archive: equal files whoever makes them, stopped and gone on with, and any byte changed is found by its place."""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from histories import History, as_cluster, history_of

from ledger.archive import SegmentBroken, Stretch, named, rows_of
from ledger.journal.outcomes import OutcomeDiffers
from ledger.snapshot import SnapshotBroken
from services.archiver import (
    CHECKPOINT,
    ArchiveFolder,
    ArchiveStopped,
    SegmentDiffers,
    archive_cluster,
    archive_directory,
)
from services.auditor import audit
from services.broker import Broker
from services.heads import read_heads
from services.lockstep import HEADS, SettingsDiffer
from services.processors.archiving import Archiving, Closed
from services.processors.records import Record, Topic
from services.sources import SEGMENTS, ClusterSource

ENTRIES = 25
"""entries a segment in these tests"""


@pytest.fixture(scope="module")
def history(short: Path) -> History:
    return history_of(short)


@pytest.fixture(scope="module")
def archived(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("archived") / "archive"
    archive_directory(short, folder, entries=ENTRIES)
    return folder


@pytest.fixture
def folder(archived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archived, tmp_path / "archive"))


def segments(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / SEGMENTS).iterdir())}


def records(history: History) -> list[Record]:
    """The journal's and the outcomes' records as a cluster that keeps up would give them."""
    told: list[Record] = []
    next_of = [0] * len(history.outcomes)
    for offset, data in enumerate(history.entries):
        told.append(Record(Topic.JOURNAL, 0, offset, data))
        for shard, rows in enumerate(history.outcomes):
            while next_of[shard] < len(rows) and rows[next_of[shard]][0] <= offset + 1:
                told.append(Record(Topic.OUTCOMES, shard, next_of[shard], rows[next_of[shard]][1]))
                next_of[shard] += 1
    return told


def closed_by(archiving: Archiving, told: list[Record]) -> list[Closed]:
    for record in told:
        archiving.take(record)
    return archiving.closed()


def after(rounds: int) -> Callable[[], bool]:
    """Stop after so many looks at all topics."""
    left = iter(range(rounds))
    return lambda: next(left, None) is None


# --- equal files ------------------------------------------------------------------------------------------------------


def test_segments_hold_the_history_and_the_audit_agrees(archived: Path, history: History) -> None:
    verdict = audit(archived)
    assert verdict.agrees, verdict.line()
    assert (verdict.entries, verdict.covered) == (len(history.entries),) * 2
    assert verdict.outcomes == sum(map(len, history.outcomes))
    covers = [told.stretch for name in segments(archived) if (told := named(name)) and told.stretch.kind == "journal"]
    ends = [*range(ENTRIES - 1, len(history.entries), ENTRIES), len(history.entries) - 1]
    assert covers == [
        Stretch(one.kind, 0, k * ENTRIES, end) for k, (one, end) in enumerate(zip(covers, ends, strict=True))
    ]
    assert sorted(read_heads(archived / HEADS)) == [end + 1 for end in ends]


@pytest.mark.parametrize("seed", range(6))
def test_however_topics_are_read_the_segments_are_equal(history: History, seed: int) -> None:
    """Outcomes far ahead or behind, repeated, and the archiver made again from its snapshot at any moment."""
    draw = random.Random(seed)
    told = records(history)
    expected = closed_by(Archiving(history.settings, entries=ENTRIES), told)
    assert len(expected) > 3
    by_place: dict[tuple[Topic, int], list[Record]] = {}
    for record in told:
        by_place.setdefault((record.topic, record.partition), []).append(record)
    archiving, kept, found = Archiving(history.settings, entries=ENTRIES), None, dict[str, bytes]()
    at = dict.fromkeys(by_place, 0)
    heads = {}
    while any(at[place] < len(rows) for place, rows in by_place.items()):
        place = draw.choice([place for place, rows in by_place.items() if at[place] < len(rows)])
        for _ in range(draw.randrange(1, 30)):
            if at[place] < len(by_place[place]):
                writes = archiving.take(by_place[place][at[place]])
                at[place] += 1
                for one in archiving.closed():
                    found |= dict(one.segments)
                    heads[one.head.entries] = one.head
                    assert [write.value for write in writes] == [one.head.line().encode()]
                if (snapshot := archiving.snapshot()) is not None:
                    kept = snapshot.data
        if draw.random() < 0.2:
            archiving = Archiving(history.settings, kept, entries=ENTRIES)
            at = {place: archiving.places()[place] for place in by_place}
        if draw.random() < 0.1:
            at = {place: draw.randrange(offset + 1) for place, offset in at.items() if place}
    assert found == {name: data for one in expected for name, data in one.segments}
    assert heads == {one.head.entries: one.head for one in expected}
    assert archiving.strange == 0


def test_bytes_cut_segments_too(history: History) -> None:
    size = sum(map(len, history.entries)) // 4
    heads = [one.head.entries for one in closed_by(Archiving(history.settings, size=size), records(history))]
    assert 2 <= len(heads) <= 4


def test_two_archivers_of_a_cluster_one_of_them_stopped_again_and_again(
    history: History, archived: Path, broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archiver._TELL", 0.0)
    rows = history.outcomes[0]
    as_cluster(history.with_outcomes(0, [*rows[:50], *rows[30:]]), broker.address, prefix)
    one, two = tmp_path / "one", tmp_path / "two"
    for rounds in (1, 2, 3):
        archive_cluster(broker.address, prefix, one, after(rounds), entries=ENTRIES)
    heard: list[tuple[int, int]] = []
    for folder in (one, two):
        archive_cluster(
            broker.address, prefix, folder, after(15), entries=ENTRIES, seal=True,
            tell=lambda stored, end: heard.append((stored, end)),
        )  # fmt: skip
    assert segments(one) == segments(two) == segments(archived)
    assert {end for _, end in heard} == {len(history.entries)}
    *closed, _sealed = read_heads(one / HEADS)
    assert {stored for stored, _ in heard} <= {0, *closed} and max(heard)[0] == closed[-1]
    assert (one / HEADS).read_bytes() == (archived / HEADS).read_bytes()
    verdicts = [audit(one), audit(lambda: ClusterSource(broker.address, prefix))]
    embedded = audit(history.run, one / HEADS)
    assert verdicts == [replace(embedded, snapshots=0)] * 2
    assert embedded.agrees


# --- stopped and gone on with -----------------------------------------------------------------------------------------


def test_a_folder_that_takes_no_more_stops_the_archiver_and_it_goes_on(
    short: Path, archived: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    archive_directory(short, folder, entries=ENTRIES)
    made = segments(folder)
    last = sorted(made)[0]
    (folder / SEGMENTS / last).unlink()
    (folder / SEGMENTS / (last + ".part")).mkdir()  # what is to be written whole cannot be opened
    with pytest.raises(ArchiveStopped, match="nothing more is archived"):
        archive_directory(short, folder, entries=ENTRIES)
    (folder / SEGMENTS / (last + ".part")).rmdir()
    archive_directory(short, folder, entries=ENTRIES)
    assert segments(folder) == segments(archived)


def test_another_history_is_not_written_over(short: Path, folder: Path, history: History) -> None:
    with pytest.raises(SettingsDiffer):
        ArchiveFolder(folder, replace(history.settings, shards=3))
    (name, *_) = segments(folder)
    path = folder / SEGMENTS / name
    path.rename(path.with_name(re.sub("[0-9a-f]{64}", "0" * 64, name)))
    with pytest.raises(SegmentDiffers, match="what is archived now is"):
        archive_directory(short, folder, entries=ENTRIES)


def test_a_damaged_checkpoint_is_made_again(history: History, folder: Path) -> None:
    archiving = Archiving(history.settings, entries=ENTRIES)
    closed_by(archiving, records(history))
    snapshot = archiving.snapshot()
    assert snapshot is not None
    out = ArchiveFolder(folder, history.settings)
    try:
        out.checkpoint(snapshot.data)
        assert out.restored(lambda data: Archiving(history.settings, data)).n == snapshot.n
        broken = bytearray(snapshot.data)
        broken[-3] ^= 1
        (folder / CHECKPOINT).write_bytes(broken)
        assert out.restored(lambda data: Archiving(history.settings, data)).n == 0
    finally:
        out.close()
    with pytest.raises(SnapshotBroken, match="other settings"):
        Archiving(replace(history.settings, moved=((5, 5, 1),)), snapshot.data)


def test_other_outcomes_of_an_entry_stop_the_archiver(history: History) -> None:
    archiving = Archiving(history.settings)
    n, data = history.outcomes[0][0]
    archiving.take(Record(Topic.OUTCOMES, 0, 0, data))
    archiving.take(Record(Topic.OUTCOMES, 0, 1, data))
    archiving.take(Record(Topic.OUTCOMES, 0, 2, b"none"))
    assert archiving.strange == 1
    with pytest.raises(OutcomeDiffers, match=f"entry {n} in shard 0"):
        archiving.take(Record(Topic.OUTCOMES, 0, 3, data[:-1] + bytes([data[-1] ^ 1])))


# --- changed ----------------------------------------------------------------------------------------------------------


def rows_in(folder: Path, name: str) -> Iterator[tuple[int, int, int]]:
    """(number, first byte, byte after the last) of each row of a segment."""
    data = (folder / SEGMENTS / name).read_bytes()
    header = 17 + 4 + int.from_bytes(data[17:21], "little")
    while header < len(data) - 32:
        number, size = (
            int.from_bytes(data[header : header + 8], "little"),
            int.from_bytes(data[header + 8 : header + 12], "little"),
        )
        yield number, header, header + 44 + size
        header += 44 + size


@pytest.mark.parametrize("seed", range(40))
def test_a_byte_of_a_segment(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    name = draw.choice(sorted(segments(folder)))
    rows = list(rows_in(folder, name))
    path = folder / SEGMENTS / name
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    data[at] ^= draw.randrange(1, 256)
    path.write_bytes(data)
    verdict = audit(folder)
    told = named(name)
    assert not verdict.agrees
    assert told
    assert name in verdict.line()
    number = next((number for number, first, end in rows if first <= at < end), told.stretch.first)
    key = "offset" if told.stretch.kind == "journal" else "n"
    place = int(verdict.where[key])
    assert verdict.where["part"] == told.stretch.kind
    if not any(first <= at < first + 8 for _, first, _ in rows):  # a row's own number can be read as another one
        assert place == number or (place <= number and place == told.stretch.first) or at < rows[0][1]


@pytest.mark.parametrize("kept", [0, 10, 30, 200, -1, -33])
def test_a_segment_cut_off(folder: Path, kept: int) -> None:
    name = sorted(segments(folder))[1]
    path = folder / SEGMENTS / name
    path.write_bytes(path.read_bytes()[:kept])
    verdict = audit(folder)
    assert name in verdict.line()
    assert ENTRIES <= int(verdict.where["offset"]) < 2 * ENTRIES


def test_what_was_torn_while_it_was_written_is_no_segment(folder: Path) -> None:
    (folder / SEGMENTS / (sorted(segments(folder))[0] + ".part")).write_bytes(b"half")
    assert audit(folder).agrees


@pytest.mark.parametrize(("at", "where"), [(0, {"offset": 0}), (1, {"offset": ENTRIES}), (-1, {"part": "outcomes"})])
def test_a_segment_that_is_missing(folder: Path, at: int, where: dict[str, int]) -> None:
    journal = [name for name in sorted(segments(folder)) if name.startswith("journal")]
    (folder / SEGMENTS / journal[at]).unlink()
    verdict = audit(folder)
    assert not verdict.agrees
    assert where.items() <= verdict.where.items()


def test_a_segment_of_another_history_does_not_follow(folder: Path) -> None:
    first, second = sorted(segments(folder))[:2]
    told = named(second)
    assert told
    with pytest.raises(SegmentBroken, match="does not follow"):
        list(rows_of(second, (folder / SEGMENTS / second).read_bytes(), b"\0" * 32))
    (folder / SEGMENTS / second).write_bytes((folder / SEGMENTS / first).read_bytes())
    assert audit(folder).where == {"part": "journal", "offset": ENTRIES}


def test_a_history_that_went_on_after_its_archive_was_sealed(short: Path, archived: Path, folder: Path) -> None:
    """The longer segment of two that begin at one place is read."""
    archive_directory(short, folder, entries=ENTRIES * 2)
    assert len(segments(folder)) > len(segments(archived))
    assert audit(folder).agrees

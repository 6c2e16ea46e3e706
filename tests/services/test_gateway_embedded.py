"""The embedded system: in lockstep it writes the run's own journal, also when it is stopped, killed or robbed of what
it derived; many requests at once share a flush; what is behind is refused by name."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from gateways import SETTINGS, quiet, trade

from ledger.journal.sqlite import SqliteReader
from schemas.events import EVENTS
from schemas.sources import Role
from schemas.wire import EntryHeader, decode_header, encode_entry, runs_of
from services import embedded
from services.auditor import audit
from services.checkpoints import CHECKPOINTS
from services.embedded import Embedded, Engine
from services.gateway.core import Overloaded, Receipt, SequenceGap, SequenceTaken, Stopped
from services.lockstep import JOURNAL, Settings
from services.run import own_inputs, run
from services.snapshots import SNAPSHOTS

ANSWERING = {Role.PRICER, Role.DESK, Role.FUND}


def entries_in(directory: Path) -> list[bytes]:
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        return [data for _, data in reader.read(0, 10**6)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[bytes]]:
    directory = tmp_path_factory.mktemp("reference")
    ledger, _ = run(directory, own_inputs(), accounts=40, seed=3, shards=3, snapshot_every=40, steps=30)
    ledger.close()
    return ledger.clearing.settings, entries_in(directory)


def settled(engine: Engine) -> None:
    engine.fold()
    while engine.answer():
        engine.fold()


def as_it_is(_: Path) -> None:
    """Nothing is lost but what was in memory."""


def no_checkpoint(directory: Path) -> None:
    shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)


def torn_checkpoint(directory: Path) -> None:
    for path in sorted((directory / CHECKPOINTS).glob("*.checkpoint"))[-1:]:
        path.write_bytes(path.read_bytes()[:-7])


def damaged_state(directory: Path) -> None:
    for path in sorted((directory / SNAPSHOTS).glob("*.snapshot"), key=lambda path: path.name[4:])[-1:]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("lose", [as_it_is, no_checkpoint, torn_checkpoint, damaged_state])
def test_killed_anywhere_it_writes_the_runs_own_journal(
    tmp_path: Path, reference: tuple[Settings, list[bytes]], lose: Callable[[Path], None]
) -> None:
    """Killed: its files let go of without a word, between an append and its fold, or between two answers."""
    settings, entries = reference
    chance = Random(lose.__name__)
    deaths = {chance.randrange(len(entries)) for _ in range(4)}
    engine = Engine(tmp_path, settings)
    skipped = 0
    while engine.offset < len(entries):
        at = engine.offset
        data = entries[at]
        if decode_header(data, EntryHeader)[0]["source"] // 1000 in ANSWERING:
            assert engine.answer()
        else:
            (told,) = engine.append([[data]])[0]
            assert isinstance(told, Receipt) and told.offset == at
        if at in deaths:
            engine.abandon()
            lose(tmp_path)
            engine = Engine(tmp_path, settings)
            skipped += len(engine.skipped)
        else:
            engine.fold()
    engine.close()
    assert entries_in(tmp_path) == entries
    assert audit(tmp_path).agrees
    assert bool(skipped) == (lose in (torn_checkpoint, damaged_state))


def test_the_thread_writes_the_runs_own_journal_too(tmp_path: Path, reference: tuple[Settings, list[bytes]]) -> None:
    settings, entries = reference
    core = Embedded(tmp_path, settings)
    for at, data in enumerate(entries):
        if decode_header(data, EntryHeader)[0]["source"] // 1000 in ANSWERING:
            continue
        quiet(core)
        told = core.submit([data]).result()
        assert [one.offset for one in told if isinstance(one, Receipt)] == [at]
    quiet(core)
    core.close()
    written = entries_in(tmp_path)
    assert written == entries


def lone(source: int, sequence: int) -> bytes:
    return encode_entry(source, sequence, runs_of(EVENTS, [trade(sequence)]))


def test_requests_that_come_together_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Embedded(tmp_path, SETTINGS)
    flushes = []
    whole = core._engine._journal.append_many
    monkeypatch.setattr(
        core._engine._journal, "append_many", lambda entries: flushes.append(len(entries)) or whole(entries)
    )

    async def many() -> list[object]:
        return [*await asyncio.gather(*(core.append([lone(1000 + k, 1), lone(1000 + k, 2)]) for k in range(50)))]

    told = asyncio.run(many())
    core.close()
    assert [[one.sequence for one in pair] for pair in told] == [[1, 2]] * 50  # type: ignore[attr-defined]
    assert sum(flushes) == 100 and len(flushes) < 25, flushes
    assert len(entries_in(tmp_path)) == 100


def test_one_callers_refusal_is_not_anothers(tmp_path: Path) -> None:
    engine = Engine(tmp_path, SETTINGS)
    told = engine.append(
        [[lone(1000, 1), lone(1000, 3), lone(1000, 2)], [lone(1001, 1)], [lone(1000, 2)], [lone(1000, 1)]]
    )
    kinds = [[type(one) for one in group] for group in told]
    assert kinds == [[Receipt, SequenceGap], [Receipt], [Receipt], [Receipt]]
    assert told[3] == [Receipt(1000, 1, 0, 1, repeated=True)]
    engine.fold()
    engine.close()
    assert entries_in(tmp_path) == [lone(1000, 1), lone(1001, 1), lone(1000, 2)]


def test_what_is_behind_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MOST_WAITING", 3)
    core = Embedded(tmp_path, SETTINGS)
    with core._turn:  # the engine cannot take a thing while this is held
        core._turn.acquire()
        futures = [core.submit([lone(1000, number)]) for number in range(1, 6)]
        core._turn.release()
    told = [future.result()[0] for future in futures]
    core.close()
    assert [type(one) for one in told] == [Receipt, Receipt, Receipt, Overloaded, Overloaded]


def test_closed_it_says_so(tmp_path: Path) -> None:
    core = Embedded(tmp_path, SETTINGS)
    core.close()
    assert not core.health()["ok"]
    with pytest.raises(Stopped):
        core.submit([lone(1000, 1)])


def test_broken_books_stop_everything(tmp_path: Path) -> None:
    core = Embedded(tmp_path, SETTINGS)
    core.submit([lone(1000, 1)]).result()
    quiet(core)
    core._engine.clearing.states[0].balance[3, 0] += 1
    core._engine.clearing.states[0].total[0] += 1
    core.submit([lone(1000, 2)])  # acknowledged or not: it is in the journal, or the caller hears that nobody knows
    core._thread.join()
    assert "ConservationBroken" in core.health()["why"]
    with pytest.raises(Stopped):
        core.submit([lone(1000, 3)])


def test_another_entry_under_an_old_number_is_no_repeat_after_a_restart(tmp_path: Path) -> None:
    """Else who lost its own state with the restart would be told that its new entry is there."""

    def sent(sequence: int, number: int) -> bytes:
        return encode_entry(1000, sequence, runs_of(EVENTS, [trade(number)]))

    with closing(Engine(tmp_path, SETTINGS)) as engine:
        engine.append([[sent(1, 1), sent(2, 2)]])
        engine.fold()
    with closing(Engine(tmp_path, SETTINGS)) as again:
        ((repeat,), (taken,)) = again.append([[sent(2, 2)], [sent(1, 3)]])
        assert repeat == Receipt(1000, 2, 1, 2, repeated=True)
        assert isinstance(taken, SequenceTaken) and taken.offset == 0

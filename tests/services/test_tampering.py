"""Tampering: what is changed anywhere in a directory is found by the audit against the published heads, and named."""

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import crash
import pytest

from ledger.chain import JOURNAL_GENESIS, link, link_numbered, outcomes_genesis
from schemas.events import EVENTS, Deposited
from schemas.wire import EntryHeader, Run, decode
from services.auditor import Verdict, audit
from services.heads import read_heads
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, SETTINGS, Lockstep, Settings
from services.snapshots import SNAPSHOTS, present, snapshot_path

SHARDS = 2


@pytest.fixture
def directory(short: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(short, tmp_path / "run"))


def sql(path: Path, statement: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def forge_journal(directory: Path) -> None:
    """Give every entry the chain hash that fits it, and the head row the last one."""
    chain = JOURNAL_GENESIS
    rows = sql(directory / JOURNAL, "SELECT offset, data FROM entries ORDER BY offset")
    for offset, data in rows:
        chain = link(chain, data)
        sql(directory / JOURNAL, "UPDATE entries SET chain = ? WHERE offset = ?", chain, offset)
    sql(directory / JOURNAL, "UPDATE head SET count = ?, chain = ?", len(rows), chain)


def forge_outcomes(directory: Path) -> None:
    for shard in range(SHARDS):
        chain = outcomes_genesis(shard)
        for n, data in sql(directory / OUTCOME_LOG, "SELECT n, data FROM outcomes WHERE shard = ? ORDER BY n", shard):
            chain = link_numbered(chain, n, data)
            sql(directory / OUTCOME_LOG, "UPDATE outcomes SET chain = ? WHERE shard = ? AND n = ?", chain, shard, n)


def flip(data: bytes, draw: random.Random) -> tuple[bytes, int]:
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1 :], at


def test_untouched_it_agrees(directory: Path) -> None:
    verdict = audit(directory)
    assert verdict.agrees, verdict.line()
    files = list((directory / SNAPSHOTS).iterdir())
    assert (verdict.snapshots, verdict.heads) == (len(files), len(read_heads(directory / HEADS)))
    assert verdict.covered == verdict.entries == len(crash.entries(directory))
    assert verdict.outcomes == len(crash.outcomes(directory, SHARDS))


# --- a byte -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["data", "chain"])
@pytest.mark.parametrize("seed", range(12))
def test_a_byte_of_an_entry(directory: Path, seed: int, column: str) -> None:
    draw = random.Random(seed)
    (count,) = sql(directory / JOURNAL, "SELECT count FROM head")[0]
    offset = draw.randrange(count)
    stored = sql(directory / JOURNAL, f"SELECT {column} FROM entries WHERE offset = ?", offset)[0][0]
    sql(directory / JOURNAL, f"UPDATE entries SET {column} = ? WHERE offset = ?", flip(stored, draw)[0], offset)
    verdict = audit(directory)
    assert (verdict.agrees, verdict.where) == (False, {"part": "journal", "offset": offset})


@pytest.mark.parametrize("seed", range(24))
def test_a_byte_of_an_entry_with_the_chain_made_to_fit(directory: Path, seed: int) -> None:
    draw = random.Random(1000 + seed)
    (count,) = sql(directory / JOURNAL, "SELECT count FROM head")[0]
    offset = draw.randrange(count)
    stored = sql(directory / JOURNAL, "SELECT data FROM entries WHERE offset = ?", offset)[0][0]
    sql(directory / JOURNAL, "UPDATE entries SET data = ? WHERE offset = ?", flip(stored, draw)[0], offset)
    forge_journal(directory)
    verdict = audit(directory)
    assert not verdict.agrees
    covering = min(entries for entries in read_heads(directory / HEADS) if entries > offset)
    before = max((entries for entries in read_heads(directory / HEADS) if entries <= offset), default=0)
    if verdict.where["part"] == "head":
        assert (verdict.where["first"], verdict.where["entries"]) == (before, covering)
    else:
        # what follows from the entry differs: there, or where its loss is first felt
        assert verdict.where["part"] in ("outcomes", "snapshot", "books")
        assert offset + 1 <= int(verdict.where["n"]) <= covering


@pytest.mark.parametrize("column", ["data", "chain"])
@pytest.mark.parametrize("seed", range(12))
def test_a_byte_of_an_outcome(directory: Path, seed: int, column: str) -> None:
    draw = random.Random(2000 + seed)
    shard, n = draw.choice(sql(directory / OUTCOME_LOG, "SELECT shard, n FROM outcomes"))
    at = "WHERE shard = ? AND n = ?"
    stored = sql(directory / OUTCOME_LOG, f"SELECT {column} FROM outcomes {at}", shard, n)[0][0]
    sql(directory / OUTCOME_LOG, f"UPDATE outcomes SET {column} = ? {at}", flip(stored, draw)[0], shard, n)
    verdict = audit(directory)
    assert (verdict.agrees, verdict.where) == (False, {"part": "outcomes", "n": n, "shard": shard})


@pytest.mark.parametrize("seed", range(12))
def test_a_byte_of_an_outcome_with_the_chain_made_to_fit(directory: Path, seed: int) -> None:
    draw = random.Random(3000 + seed)
    shard, n = draw.choice(sql(directory / OUTCOME_LOG, "SELECT shard, n FROM outcomes"))
    stored = sql(directory / OUTCOME_LOG, "SELECT data FROM outcomes WHERE shard = ? AND n = ?", shard, n)[0][0]
    changed, byte = flip(stored, draw)
    sql(directory / OUTCOME_LOG, "UPDATE outcomes SET data = ? WHERE shard = ? AND n = ?", changed, shard, n)
    forge_outcomes(directory)
    verdict = audit(directory)
    assert (verdict.agrees, verdict.where) == (False, {"part": "outcomes", "n": n, "shard": shard, "byte": byte})


@pytest.mark.parametrize("seed", range(12))
def test_a_byte_of_a_snapshot(directory: Path, seed: int) -> None:
    draw = random.Random(4000 + seed)
    shard, n, path = draw.choice(list(present(directory)))
    changed, byte = flip(path.read_bytes(), draw)
    path.write_bytes(changed)
    verdict = audit(directory)
    assert (verdict.agrees, verdict.where) == (False, {"part": "snapshot", "n": n, "shard": shard, "byte": byte})


@pytest.mark.parametrize("seed", range(16))
def test_a_byte_of_the_heads(directory: Path, seed: int) -> None:
    draw = random.Random(5000 + seed)
    path = directory / HEADS
    whole = path.read_bytes()
    changed, byte = flip(whole, draw)
    path.write_bytes(changed)
    verdict = audit(directory)
    line = whole[:byte].count(b"\n") + 1
    covering = sorted(json.loads(one)["entries"] for one in whole.splitlines())
    assert not verdict.agrees or (byte == len(whole) - 1 and verdict.covered == covering[-2])
    match verdict.where.get("part"):
        case "heads":  # no head any more; a line break that came or went is told of the line it came to
            assert verdict.where["line"] in (line, line + 1)
        case "head":  # a head of other entries
            assert [0, *covering][line - 1] <= int(verdict.where["entries"])
        case "journal":  # a head of more entries than there are
            assert verdict.where["offset"] == covering[-1]


def test_entries_that_no_head_covers_are_told(directory: Path) -> None:
    """An entry sent once more, past the last head: nothing follows from it, and nothing published speaks of it."""
    sql(directory / JOURNAL, "INSERT INTO entries SELECT (SELECT max(offset) + 1 FROM entries), chain, data"
        " FROM entries WHERE offset = 0")  # fmt: skip
    forge_journal(directory)
    verdict = audit(directory)
    assert (verdict.agrees, verdict.entries - verdict.covered) == (True, 1)
    assert verdict.line().endswith("; no head covers the last 1 entries")


def test_a_byte_of_the_settings(directory: Path) -> None:
    path = directory / SETTINGS
    told = json.loads(path.read_bytes())
    for name, value in (("shards", 3), ("snapshot_every", 24), ("accounts", 20)):
        path.write_text(json.dumps(told | {name: value}))
        assert not audit(directory).agrees, name


# --- more than a byte -------------------------------------------------------------------------------------------------


def lose_the_last_entry(directory: Path) -> None:
    sql(directory / JOURNAL, "DELETE FROM entries WHERE offset = (SELECT max(offset) FROM entries)")


def lose_the_last_entry_and_what_followed(directory: Path) -> None:
    (last,) = sql(directory / JOURNAL, "SELECT max(offset) FROM entries")[0]
    sql(directory / JOURNAL, "DELETE FROM entries WHERE offset = ?", last)
    sql(directory / OUTCOME_LOG, "DELETE FROM outcomes WHERE n = ?", last + 1)


def swap_entries(directory: Path) -> None:
    for old, new in ((60, -1), (61, 60), (-1, 61)):
        sql(directory / JOURNAL, "UPDATE entries SET offset = ? WHERE offset = ?", new, old)


def lose_outcomes(where: str) -> Callable[[Path], None]:
    return lambda directory: sql(directory / OUTCOME_LOG, f"DELETE FROM outcomes WHERE {where}") and None


def swap_outcomes(directory: Path) -> None:
    for old, new in ((60, -1), (61, 60), (-1, 61)):
        sql(directory / OUTCOME_LOG, "UPDATE outcomes SET n = ? WHERE n = ? AND shard = 0", new, old)


def move_outcomes(directory: Path) -> None:
    sql(directory / OUTCOME_LOG, "UPDATE outcomes SET n = 100000 WHERE n = 61 AND shard = 0")


def invent_outcomes(directory: Path) -> None:
    sql(directory / OUTCOME_LOG, "INSERT INTO outcomes SELECT shard, 100000, chain, data FROM outcomes"
        " WHERE n = 60 AND shard = 1")  # fmt: skip


def lose_a_snapshot(directory: Path) -> None:
    snapshot_path(directory, 0, 75).unlink()


def swap_shards_snapshots(directory: Path) -> None:
    path = next(path for shard, n, path in present(directory) if (shard, n) == (1, 75))
    shutil.copy(snapshot_path(directory, 0, 75), path)


def plant_a_snapshot(directory: Path) -> None:
    shutil.copy(snapshot_path(directory, 0, 75), snapshot_path(directory, 0, 76))


def lose_the_heads(directory: Path) -> None:
    (directory / HEADS).unlink()


def lose_the_outcome_log(directory: Path) -> None:
    (directory / OUTCOME_LOG).unlink()


def edit_a_head(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        lines = (directory / HEADS).read_text().splitlines()
        lines[1] = json.dumps(change(json.loads(lines[1])))
        (directory / HEADS).write_text("".join(line + "\n" for line in lines))

    return edit


def respell_a_head(directory: Path) -> None:
    """JSON that says the same in other bytes."""
    text = (directory / HEADS).read_text()
    (directory / HEADS).write_text(text.replace(": ", ":\t", 1))


def repeat_a_head(directory: Path) -> None:
    lines = (directory / HEADS).read_text().splitlines(keepends=True)
    (directory / HEADS).write_text("".join([lines[0], *lines]))


OF_HEAD_2 = "the head published after [0-9]+ entries has another"
CHANGES: list[tuple[Callable[[Path], None], bool, str, dict[str, Any]]] = [
    # what was done, whether the chains were made to fit, what the audit says, a part of where
    (lose_the_last_entry, False, "broken at offset [0-9]+: missing", {"part": "journal"}),
    (lose_the_last_entry, True, "outcomes of n [0-9]+ in shard 0 follow from no entry", {"part": "outcomes"}),
    (lose_the_last_entry_and_what_followed, True, "covers ([0-9]+) entries, the journal has", {"part": "journal"}),
    (swap_entries, False, "broken at offset 60", {"part": "journal", "offset": 60}),
    (swap_entries, True, "outcomes of n 6[12] in shard [01] (differ|stand)", {"part": "outcomes"}),
    (lose_outcomes("n = 61 AND shard = 0"), False, "broken at entry 62 in shard 0", {"part": "outcomes", "n": 62}),
    (lose_outcomes("n = 61 AND shard = 0"), True, "outcomes of n 62 in shard 0 stand where n 61 is due", {"n": 61}),
    (lose_outcomes("n > 61"), True, "outcomes of n [0-9]+ in shard [01] are missing", {"part": "outcomes"}),
    (lose_outcomes("shard = 1"), True, "outcomes of n 1 in shard 1 are missing", {"n": 1, "shard": 1}),
    (lose_the_outcome_log, True, "the outcomes, outcomes.sqlite, are missing", {"part": "outcomes"}),
    (swap_outcomes, False, "broken at entry 60 in shard 0", {"part": "outcomes", "n": 60, "shard": 0}),
    (swap_outcomes, True, "outcomes of n 60 in shard 0 differ at byte", {"part": "outcomes", "n": 60, "shard": 0}),
    (move_outcomes, True, "outcomes of n 62 in shard 0 stand where n 61 is due", {"part": "outcomes", "n": 61}),
    (invent_outcomes, True, "outcomes of n 100000 in shard 1 follow from no entry", {"n": 100_000, "shard": 1}),
    (lose_a_snapshot, True, "snapshot 000-000000000075.snapshot is missing", {"part": "snapshot", "n": 75, "shard": 0}),
    (swap_shards_snapshots, True, "snapshot 001-000000000075.snapshot differs at byte", {"n": 75, "shard": 1}),
    (plant_a_snapshot, True, "snapshot 000-000000000076.snapshot follows from no entry", {"n": 76, "shard": 0}),
    (lose_the_heads, True, "the published heads, heads.jsonl, are missing", {"part": "heads"}),
    (edit_a_head(lambda one: one | {"journal": "00" * 32}), True, f"{OF_HEAD_2} journal", {"field": "journal"}),
    (edit_a_head(lambda one: one | {"merkle": "00" * 32}), True, f"{OF_HEAD_2} merkle", {"field": "merkle"}),
    (edit_a_head(lambda one: one | {"outcomes": ["00" * 32] * 2}), True, f"{OF_HEAD_2} outcomes", {"part": "head"}),
    (edit_a_head(lambda one: one | {"n": one["n"] + 1}), True, f"{OF_HEAD_2} n", {"field": "n"}),
    (edit_a_head(lambda one: one | {"entries": one["entries"] + 1}), True, f"{OF_HEAD_2} n", {"part": "head"}),
    (edit_a_head(lambda one: one | {"entries": 10**6}), True, "heads.jsonl, line 3: no head", {"line": 3}),
    (edit_a_head(lambda one: one | {"entries": str(one["entries"])}), True, "heads.jsonl, line 2: no head", {}),
    (edit_a_head(lambda one: one | {"more": 1}), True, "heads.jsonl, line 2: no head", {"part": "heads", "line": 2}),
    (respell_a_head, True, "heads.jsonl, line 1: no head", {"part": "heads", "line": 1}),
    (repeat_a_head, True, "heads.jsonl, line 2: no head", {"part": "heads", "line": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "forged", "what", "where"), CHANGES)
def test_changes_are_named(
    directory: Path, change: Callable[[Path], None], forged: bool, what: str, where: dict[str, Any]
) -> None:
    change(directory)
    if forged:
        forge_journal(directory)
        if (directory / OUTCOME_LOG).exists():
            forge_outcomes(directory)
    verdict = audit(directory)
    assert not verdict.agrees

    assert re.search(what, verdict.line()), verdict.line()
    assert where.items() <= verdict.where.items()


# --- all of it --------------------------------------------------------------------------------------------------------


def rewritten(directory: Path, target: Path, offset: int, change: Callable[[Run], Run]) -> None:
    """Write the directory's whole history anew with one run of one entry changed, and all that follows from it."""
    ledger = Lockstep(target, Settings.read(directory))
    for number, data in enumerate(crash.entries(directory)):
        batch = decode(data, EntryHeader, EVENTS)
        runs = [change(run) if number == offset else run for run in batch.runs]
        ledger.send(batch.header["source"], runs)
    ledger.close()


def a_unit_more(run: Run) -> Run:
    rows = run.rows.copy()
    rows["amount"][0] += 1
    return replace(run, rows=rows)


def test_a_whole_directory_rewritten_is_found_against_a_head_held_elsewhere(short: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    shutil.copy(short / HEADS, held)
    honest, forged = tmp_path / "honest", tmp_path / "forged"
    deposits = [
        offset
        for offset, data in enumerate(crash.entries(short))
        if any(run.message.cls is Deposited for run in decode(data, EntryHeader, EVENTS).runs)
    ]
    rewritten(short, honest, -1, a_unit_more)
    assert crash.contents(honest, SHARDS) == crash.contents(short, SHARDS) | {"heads": (honest / HEADS).read_bytes()}
    assert audit(honest, held).agrees
    for offset in (deposits[0], deposits[-1]):
        shutil.rmtree(forged, ignore_errors=True)
        rewritten(short, forged, offset, a_unit_more)
        assert audit(forged).agrees
        verdict: Verdict = audit(forged, held)
        assert (verdict.agrees, verdict.where["part"], verdict.where["field"]) == (False, "head", "journal")
        assert int(verdict.where["first"]) <= offset < int(verdict.where["entries"])


def test_a_history_cut_off_with_its_heads_is_found_against_a_head_held_elsewhere(short: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    ledger = Lockstep(cut, Settings.read(short))
    for data in crash.entries(short)[:-1]:
        batch = decode(data, EntryHeader, EVENTS)
        ledger.send(batch.header["source"], batch.runs)
    ledger.close()
    assert audit(cut).agrees
    verdict = audit(cut, short / HEADS)
    assert (verdict.agrees, verdict.where) == (False, {"part": "journal", "offset": len(crash.entries(short)) - 1})

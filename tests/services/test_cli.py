"""The command, as a user starts it: answers, exit statuses, and one line for what the user can act on."""

import json
import os
import random
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import crash
import jsonschema
import pytest

from ledger.merkle import includes
from ledger.snapshot import digest_of
from schemas.events import EVENTS
from schemas.jsonform import from_json
from schemas.kinds import Rung
from schemas.outcomes import OUTCOMES, LiquidationDue, RungChanged
from schemas.units import format_time
from schemas.wire import OutcomeHeader, decode, encode_entry, messages_of, runs_of
from services.cli import main
from services.heads import read_heads
from services.lockstep import HEADS
from services.replay import replayed
from services.snapshots import present

ROOT = Path(__file__).parents[2]


def novate(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def answer(*arguments: object, status: int = 0) -> Any:
    return json.loads(novate(*arguments, status=status).stdout)


@pytest.fixture(scope="module")
def called(cleared: Path) -> tuple[int, int]:
    """(account, n): an account and the entry by which it was called."""
    for (n, _), data in sorted(crash.outcomes(cleared, 2).items()):
        for one in messages_of(decode(data, OutcomeHeader, OUTCOMES).runs):
            if isinstance(one, RungChanged) and one.after >= Rung.CALLED > one.before:
                return one.account, n
    raise AssertionError("nobody is called in the small crash")


# --- run and audit ----------------------------------------------------------------------------------------------------


def test_run_ends_with_an_audit_and_a_report(tmp_path: Path) -> None:
    out = tmp_path / "run"
    terms = ("run", "--out", out, "--accounts", 30, "--steps", 12, "--shards", 2)
    told = novate(*terms)
    assert "agrees: " in told.stdout
    assert told.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert (out / "report.html").read_text().lower().startswith("<!doctype html>")
    before = crash.contents(out, 2)
    again = answer(*terms, "--json")
    assert again["audit"]["agreed"] is True
    assert again == json.loads((out / "figures.json").read_text())
    assert crash.contents(out, 2) == before
    other = novate(*terms, "--seed", 2, status=2)
    assert other.stderr.startswith("novate: entry at offset ")
    assert crash.contents(out, 2) == before
    assert answer(*terms, "--seed", 2, "--fresh", "--json", "--no-audit")["audit"]["verdict"] == "not audited"
    assert crash.contents(out, 2) != before


def test_fresh_deletes_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear friend")
    told = novate("run", "--out", tmp_path, "--fresh", status=2)
    assert told.stderr == f"novate: {tmp_path} holds something that is no run; --fresh will not delete it\n"
    assert (tmp_path / "letter").read_text() == "dear friend"


def test_audit_agrees(short: Path, tmp_path: Path) -> None:
    line = novate("audit", short).stdout
    entries = len(crash.entries(short))
    assert line.startswith(f"agrees: {entries} entries, ")
    assert line.count("\n") == 1
    held = shutil.copy(short / HEADS, tmp_path)
    told = answer("audit", short, "--heads", held, "--json")
    assert (told["agrees"], told["entries"], told["heads"]) == (True, entries, len(read_heads(short / HEADS)))
    assert told["verdict"] + "\n" == line


def test_audit_names_the_first_difference(short: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(short, tmp_path / "run")
    shard, n, path = min(present(directory))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    told = novate("audit", directory, status=1)
    assert told.stdout == f"DIFFERS: snapshot {path.name} differs at byte {len(data) - 5}\n"
    found = answer("audit", directory, "--json", status=1)
    assert found["agrees"] is False
    assert found["where"] == {"part": "snapshot", "n": n, "shard": shard, "byte": len(data) - 5}


def test_audit_against_heads_held_elsewhere(short: Path, cleared: Path) -> None:
    told = answer("audit", short, "--heads", cleared / HEADS, "--json", status=1)
    assert (told["agrees"], told["where"]["part"]) == (False, "journal")


# --- asking -----------------------------------------------------------------------------------------------------------


def test_replay_to_a_position(short: Path) -> None:
    draw = random.Random(11)
    last = replayed(short).sequence.n
    for to in (draw.randrange(1, last), last):
        told = answer("replay", short, "--to", to, "--json")
        states = replayed(short, to, from_start=True).states
        assert told["position"] == to
        assert told["digests"] == [digest_of(state).hex() for state in states]
        assert (told["mark"], told["time"]) == (states[0].mark, format_time(states[0].time))
    text = novate("replay", short, "--to", last, "--from-start").stdout
    assert all(f"digest of shard {shard}: {digest}\n" in text for shard, digest in enumerate(told["digests"]))


def test_replay_past_a_damaged_snapshot(short: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(short, tmp_path / "run")
    path = max(path for shard, _, path in present(directory) if shard == 0)
    path.write_bytes(path.read_bytes()[:-1])
    told = novate("replay", directory, status=2)
    assert told.stderr == f"novate: snapshot broken: {path.name}: its SHA-256 is not the one it states\n"
    assert answer("replay", directory, "--fall-back", "--json") == answer("replay", short, "--json")


def test_explain_a_called_account(cleared: Path, called: tuple[int, int]) -> None:
    account, n = called
    told = answer("explain", cleared, "--account", account, "--at", n, "--json")
    assert (told["account"], told["position"], told["breach"]) == (account, n, True)
    assert told["rung"] != "healthy"
    assert float(told["equity"]) < float(told["maintenance"]) + float(told["buffer"])
    of = {one["type"]: one for one in told["said"]}
    changed = from_json(OUTCOMES, of["RungChanged"])
    assert f"{changed.equity / 1_000_000:.6f}" == told["equity"]
    assert f"{changed.maintenance / 1_000_000:.6f}" == told["maintenance"]
    if "LiquidationDue" in of:
        assert isinstance(from_json(OUTCOMES, of["LiquidationDue"]), LiquidationDue)
    assert told["groups"]
    text = novate("explain", cleared, "--account", account, "--at", n).stdout
    assert all(word in text for word in (told["name"], told["equity"], told["maintenance"], "RungChanged"))


def test_balance_as_of_a_time(cleared: Path, called: tuple[int, int]) -> None:
    account, n = called
    state = replayed(cleared, n).states[0]
    at = format_time(state.time)
    told = answer("balance", cleared, "--account", account, "--as-of", at, "--json")
    assert told["account"] == account
    assert told["position"] >= n
    assert told["time"] == at
    earlier = answer("balance", cleared, "--account", account, "--as-of", format_time(state.time - 1), "--json")
    assert earlier["position"] < n
    assert told["rung"] != earlier["rung"]
    text = novate("balance", cleared, "--account", account, "--as-of", at).stdout
    assert all(amount in text for amount in told["balances"].values())


def test_every_entry_reads_back_to_the_same_bytes(cleared: Path) -> None:
    lines = novate("journal", "cat", cleared).stdout.splitlines()
    entries = crash.entries(cleared)
    assert len(lines) == len(entries)
    for n, (line, data) in enumerate(zip(lines, entries, strict=True), 1):
        told = json.loads(line)
        assert (told["n"], told["offset"]) == (n, n - 1)
        events = iter([from_json(EVENTS, event) for event in told["events"]])
        runs = [run for length in told["runs"] for run in runs_of(EVENTS, islice(events, length))]
        assert encode_entry(told["source"], told["sequence"], runs) == data, f"entry {n}"


def test_some_entries(short: Path) -> None:
    lines = novate("journal", "cat", short, "--from", 7, "--to", 9).stdout.splitlines()
    assert [json.loads(line)["n"] for line in lines] == [7, 8, 9]
    reading = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "journal", "cat", str(short)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reading.stdout is not None
    assert json.loads(reading.stdout.readline())["n"] == 1
    reading.stdout.close()
    assert reading.stderr is not None
    assert reading.stderr.read() == "", "whoever has read enough is told nothing"
    reading.stderr.close()
    reading.wait()


def test_proof_of_an_entry(short: Path) -> None:
    told = answer("proof", short, "--entry", 5)
    head = max(read_heads(short / HEADS).items())[1]
    assert (told["entries"], told["entry"], told["root"], told["holds"]) == (head.entries, 5, head.merkle, True)
    root, leaf = bytes.fromhex(told["root"]), bytes.fromhex(told["leaf"])
    path = [bytes.fromhex(node) for node in told["proof"]]
    assert includes(root, head.entries, 5, leaf, path)
    assert not includes(root, head.entries, 6, leaf, path)


def test_schemas(short: Path) -> None:
    assert novate("schema", "sbe").stdout.startswith("<?xml")
    events = answer("schema", "events")
    jsonschema.Draft202012Validator.check_schema(events)
    checker = jsonschema.Draft202012Validator(events)
    line = novate("journal", "cat", short, "--from", 1, "--to", 1).stdout
    for event in json.loads(line)["events"][:20]:
        assert checker.is_valid(event)
    assert "LegPosted" in answer("schema", "outcomes")["$defs"]


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSALS = [
    # arguments ("DIR": a run's directory), what is said
    (("audit", "no/such"), r"no/such/settings.json is not there; is this the directory of a run?"),
    (("replay", "no/such"), "no/such/settings.json is not there; is this the directory of a run?"),
    (("journal", "cat", "no/such"), "no/such/journal.sqlite is not there; is this the directory of a run?"),
    (("proof", "no/such", "--entry", 0), "no/such/journal.sqlite is not there; is this the directory of a run?"),
    (("audit", "DIR", "--heads", "no/such"), "no/such is not there"),
    (("audit", "DIR", "--heads", "DIR/settings.json"), "settings.json, line 1: no head that was published here"),
    (("replay", "DIR", "--to", 0), "position 0 is not there: the journal's entries are numbered 1 to LAST"),
    (("replay", "DIR", "--to", 99_999), "position 99999 is not there: the journal's entries are numbered 1 to LAST"),
    (("explain", "DIR", "--account", 16, "--at", 99_999), "position 99999 is not there"),
    (("explain", "DIR", "--account", 5_000, "--at", 50), "account 5000 is not open at position 50"),
    (("explain", "DIR", "--account", 16, "--at", 1), "account 16 is not open at position 1"),
    (("balance", "DIR", "--account", 5_000, "--as-of", "2020-03-11T03:00:00Z"), "account 5000 is not open at position"),
    (("balance", "DIR", "--account", 3, "--as-of", "2020-03-11T03:00:00Z"), "account 3 is not open at position"),
    (("balance", "DIR", "--account", -1, "--as-of", "2020-03-11T03:00:00Z"), "account -1 is not open at position"),
    (("balance", "DIR", "--account", 16, "--as-of", "yesterday"), "--as-of: 'yesterday' is no UTC time like"),
    (("balance", "DIR", "--account", 16, "--as-of", "2020-02-30T00:00:00Z"), "day 30 is not within 1 to 29"),
    (("balance", "DIR", "--account", 16, "--as-of", "2019-03-11T03:00:00Z"), "2019-03-11T03:00:00Z is before the"),
    (("proof", "DIR", "--entry", 99_999), "entry 99999 is not there: the journal's offsets are 0 to END"),
    (("proof", "DIR", "--entry", -1), "entry -1 is not there: the journal's offsets are 0 to END"),
    (("schema", "avro"), "avro is no form: sbe, events, outcomes, margin-portfolio"),
    (("run", "--out", "DIR", "--accounts", 40, "--shards", 3), "the run in this directory has shards 2, not 3"),
    (("run", "--out", "DIR/settings.json"), "settings.json"),
    (("run", "--out", "DIR", "--prices", "no/such"), "no/such"),
    (("run", "--out", "DIR", "--deposits", "DIR/settings.json"), "--deposits and --trades need --account-file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "what"), REFUSALS, ids=[" ".join(map(str, one[0])) for one in REFUSALS])
def test_what_cannot_be_done_is_one_line(
    short: Path,
    arguments: tuple[object, ...],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = len(crash.entries(short))
    before = crash.contents(short, 2)
    monkeypatch.setattr(sys, "argv", ["novate", *(str(one).replace("DIR", str(short)) for one in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, line = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert line.startswith("novate: ")
    assert line.count("\n") == 1, line
    assert what.replace("LAST", str(last)).replace("END", str(last - 1)) in line
    assert crash.contents(short, 2) == before

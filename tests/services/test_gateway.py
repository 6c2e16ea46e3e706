"""The gateway on a port: receipts, repeats and gaps, proofs, previews, notices, and what it tells of itself."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import jsonschema
import pytest
from gateways import MINE, established, gateway, oracle, quiet, trade
from world import START

from ledger.journal.sqlite import SqliteReader
from ledger.merkle import includes, leaf_hash
from schemas.events import EVENTS
from schemas.jsonform import to_json
from schemas.sources import Role, source
from schemas.wire import EntryHeader, decode_header, encode_entry, runs_of
from services.auditor import audit
from services.client import Client, GatewayRefused
from services.embedded import Embedded
from services.gateway.keys import Keys
from services.lockstep import JOURNAL

EXCHANGE = source(Role.EXCHANGE)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[str, Keys, Embedded]]:
    with gateway(tmp_path) as one:
        yield one


@pytest.fixture
def client(running: tuple[str, Keys, Embedded]) -> Iterator[Client]:
    address, keys, core = running
    with Client(address, keys["local"]) as one:
        established(one)
        quiet(core)
        yield one


def entry(sequence: int, *numbers: int) -> bytes:
    return encode_entry(EXCHANGE, sequence, runs_of(EVENTS, [trade(number) for number in numbers]))


def test_a_receipt_is_the_place_in_the_journal(client: Client, tmp_path: Path) -> None:
    first, second = client.append(entry(1, 1)), client.send(EXCHANGE, [trade(2), trade(3)])
    assert (first.sequence, second.sequence, first.repeated) == (1, 2, False)
    with closing(SqliteReader(tmp_path / JOURNAL)) as reader:
        stored = dict(reader.read(0, 1000))
    assert stored[first.offset] == entry(1, 1)
    assert stored[second.offset] == entry(2, 2, 3)
    assert (first.n, second.n) == (first.offset + 1, second.offset + 1)  # nothing here was repeated or quarantined


def test_a_repeat_gets_the_first_receipt_and_is_there_once(client: Client, tmp_path: Path) -> None:
    first = client.append(entry(1, 1))
    for _ in range(3):
        again = client.append(entry(1, 1))
        assert again == first._replace(repeated=True)
    with closing(SqliteReader(tmp_path / JOURNAL)) as reader:
        sent = [data for _, data in reader.read(0, 1000) if decode_header(data, EntryHeader)[0]["source"] == EXCHANGE]
    assert sent == [entry(1, 1)]


def test_a_number_is_not_taken_twice_for_different_events(client: Client) -> None:
    first = client.append(entry(1, 1))
    with pytest.raises(GatewayRefused) as refused:
        client.append(entry(1, 2))
    assert (refused.value.status, refused.value.name, refused.value.told["offset"]) == (
        409,
        "SequenceTaken",
        first.offset,
    )


def test_a_gap_is_refused_with_the_number_expected(client: Client) -> None:
    client.append(entry(1, 1))
    with pytest.raises(GatewayRefused) as refused:
        client.append(entry(3, 3))
    assert (refused.value.status, refused.value.name, refused.value.told["expected"]) == (409, "SequenceGap", 2)
    assert client.expected(EXCHANGE) == 2


def test_a_batch_stops_at_its_first_refusal(client: Client) -> None:
    assert [one.sequence for one in client.append_many([entry(1, 1), entry(2, 2)])] == [1, 2]
    with pytest.raises(GatewayRefused) as refused:
        client.append_many([entry(2, 2), entry(3, 3), entry(5, 5), entry(4, 4)])
    told = refused.value.told["receipts"]
    assert [(one["sequence"], one["repeated"]) for one in told] == [(2, True), (3, False)]
    assert (refused.value.name, client.expected(EXCHANGE)) == ("SequenceGap", 4)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/entries", {"source": EXCHANGE, "sequence": 1, "events": [to_json(EVENTS, trade(1))]}),
        ("/v1/events", {"source": EXCHANGE, "sequence": 1, "event": to_json(EVENTS, trade(1))}),
        ("/v1/batches", {"entries": [{"source": EXCHANGE, "sequence": 1, "events": [to_json(EVENTS, trade(1))]}]}),
    ],
)
def test_the_json_form_is_the_same_entry(client: Client, tmp_path: Path, path: str, form: dict[str, object]) -> None:
    told = client.request("POST", path, httpx.Request("POST", "http://x", json=form).content, "application/json")
    receipt = told["receipts"][0] if "receipts" in told else told
    with closing(SqliteReader(tmp_path / JOURNAL)) as reader:
        assert next(reader.read(receipt["offset"], 1))[1] == entry(1, 1)


def test_a_proof_shows_the_entry_under_a_published_head(client: Client, tmp_path: Path) -> None:
    receipt = client.append(entry(1, 1))
    told = client.proof(receipt.offset or 0)
    head, path = told["head"], [bytes.fromhex(one) for one in told["path"]]
    assert told["leaf"] == leaf_hash(entry(1, 1)).hex()
    assert includes(bytes.fromhex(head["merkle"]), head["entries"], told["offset"], leaf_hash(entry(1, 1)), path)
    assert not includes(bytes.fromhex(head["merkle"]), head["entries"], told["offset"], leaf_hash(entry(1, 2)), path)
    assert client.head()["entries"] >= head["entries"]
    with pytest.raises(GatewayRefused, match="ProofUnknown"):
        client.proof(10**6)


def test_what_the_gateway_took_is_what_an_audit_finds(tmp_path: Path) -> None:
    with gateway(tmp_path) as (address, keys, core), Client(address, keys["local"]) as client:
        established(client)
        for number in range(1, 40):
            client.append(entry(number, number))
        client.send(source(Role.ORACLE), oracle(START + 120 * 10**6, 7900.0))
        quiet(core)
        client.proof(3)
    verdict = audit(tmp_path)
    assert verdict.agrees, verdict.line()
    assert verdict.snapshots and verdict.covered == verdict.entries


def test_opened_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with gateway(tmp_path) as (address, keys, core), Client(address, keys["local"]) as client:
        established(client)
        first = client.append(entry(1, 1))
        quiet(core)
        before, proof = client.account(MINE), client.proof(first.offset or 0)
    with gateway(tmp_path) as (address, keys, core), Client(address, keys["local"]) as client:
        assert core._engine.skipped == []
        assert client.account(MINE) == before
        assert client.proof(first.offset or 0)["path"] is not None
        assert client.proof(first.offset or 0)["leaf"] == proof["leaf"]
        assert client.expected(EXCHANGE) == 2
        assert client.append(entry(1, 1)).repeated
        assert not client.append(entry(2, 2)).repeated
        client.send(source(Role.ORACLE), oracle(START + 120 * 10**6, 8100.0))
        quiet(core)
        assert core.health()["mark"] == 2
    assert audit(tmp_path).agrees


def test_an_order_is_previewed_before_it_is_matched(client: Client) -> None:
    fine = client.preview(MINE, [(3, 10, 800_000)])
    assert fine["accepted"] and float(fine["after"]["initial"]) > float(fine["before"]["initial"])
    refused = client.preview(MINE, [(3, 10**7, 800_000)])
    assert (refused["accepted"], refused["reason"]) == (False, "INITIAL_MARGIN_SHORT")


def test_an_account_is_explained(client: Client) -> None:
    client.append(entry(1, 1))
    told = client.explain(MINE)
    assert told["equity"] == client.account(MINE)["margin"]["equity"]
    assert client.account(MINE)["positions"][0]["lots"] == 10


def fall(client: Client) -> None:
    """A position too large for what is left after the price falls: MINE is called."""
    client.append(encode_entry(EXCHANGE, 1, runs_of(EVENTS, [trade(1, quantity=60_000)])))
    client.send(source(Role.ORACLE), oracle(START + 120 * 10**6, 7600.0))


def test_notices_are_heard_live_and_again_from_any_entry(client: Client, running: tuple[str, Keys, Embedded]) -> None:
    fall(client)
    heard = []
    for one in client.notices(0, kinds=["RungChanged", "LiquidationDue"], seconds=20):
        heard.append(one)
        if any(told["type"] == "RungChanged" and told["account"] == MINE for told in one.notices):
            break
    quiet(running[2])
    everything = list(client.notices(0, seconds=0))
    assert [one.n for one in everything] == sorted({one.n for one in everything})
    middle = everything[len(everything) // 2].n
    assert list(client.notices(middle, seconds=0)) == [one for one in everything if one.n > middle]
    kinds = {told["type"] for one in everything for told in one.notices}
    assert {"MarkDone", "RungChanged", "OracleAccepted"} <= kinds and not kinds & {"Posted", "NetPosition"}


def test_a_stream_resumes_after_the_last_event_it_had(running: tuple[str, Keys, Embedded], client: Client) -> None:
    address = running[0]
    told = list(client.notices(0, seconds=0))
    request = client._signed("GET", "/v1/notices?seconds=0", b"", None)
    request.headers["Last-Event-ID"] = str(told[0].n)
    text = httpx.Client(base_url=address).send(request).text
    assert [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")] == [one.n for one in told[1:]]


def test_notices_older_than_memory_come_from_the_outcomes(tmp_path: Path) -> None:
    with gateway(tmp_path) as (address, keys, core), Client(address, keys["local"]) as client:
        established(client)
        quiet(core)
        live = list(client.notices(0, seconds=0))
    with gateway(tmp_path) as (address, keys, core), Client(address, keys["local"]) as client:
        assert list(client.notices(0, seconds=0)) == live


def test_it_tells_its_schemas(running: tuple[str, Keys, Embedded]) -> None:
    http = httpx.Client(base_url=running[0])
    for name in ("events", "outcomes"):
        jsonschema.Draft202012Validator.check_schema(http.get(f"/v1/schemas/{name}").json())
    jsonschema.validate(to_json(EVENTS, trade(1)), http.get("/v1/schemas/events").json())
    assert http.get("/v1/schemas/sbe").text.startswith("<?xml")
    told = http.get("/v1/asyncapi.json").json()
    assert {one["address"] for one in told["channels"].values()} == {
        "novate.journal",
        "novate.outcomes",
        "novate.notices",
    }
    for reference in _references(told):
        _resolved(told, reference)
    described = http.get("/openapi.json").json()
    for reference in _references(described):
        _resolved(described, reference)
    assert "Trade" in described["components"]["schemas"] and "Mark" not in described["components"]["schemas"]


def _references(told: object) -> Iterator[str]:
    if isinstance(told, dict):
        if isinstance(told.get("$ref"), str):
            yield told["$ref"]
        for one in told.values():
            yield from _references(one)
    elif isinstance(told, list):
        for one in told:
            yield from _references(one)


def _resolved(told: dict[str, object], reference: str) -> None:
    at: object = told
    for part in reference.removeprefix("#/").split("/"):
        assert isinstance(at, dict) and part in at, reference
        at = at[part]


def test_health_and_metrics(client: Client, running: tuple[str, Keys, Embedded]) -> None:
    client.append(entry(1, 1))
    quiet(running[2])
    assert client.health()["ok"]
    text = httpx.get(f"{running[0]}/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["novate_gateway_ok"]) == 1
    assert float(figures["novate_gateway_offset"]) == running[2].health()["offset"]
    assert float(figures["novate_gateway_entries_total"]) >= 5
    assert float(figures['novate_gateway_requests_total{method="POST",route="/v1/entries",status="201"}']) >= 5


def test_a_full_disk_stops_it_by_name_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ledger.journal.sqlite import SqliteJournal
    from services import embedded

    monkeypatch.setattr(embedded, "SqliteJournal", lambda path: SqliteJournal(path, max_bytes=1 << 20))
    with gateway(tmp_path) as (address, keys, _core), Client(address, keys["local"], patience=0.2) as client:
        established(client)
        taken = 0
        with pytest.raises(GatewayRefused) as refused:
            for number in range(1, 200):
                client.append(
                    encode_entry(EXCHANGE, number, runs_of(EVENTS, [trade(number * 1000 + k) for k in range(300)]))
                )
                taken = number
        assert (refused.value.status, refused.value.name) == (503, "Stopped")
        assert httpx.get(f"{address}/health").status_code == 503
    monkeypatch.undo()
    with gateway(tmp_path) as (address, keys, _core), Client(address, keys["local"]) as client:
        assert client.expected(EXCHANGE) == taken + 1


def test_the_clearinghouses_own_events_are_nobodys_to_send(client: Client) -> None:
    from schemas.events import Mark

    with pytest.raises(GatewayRefused) as refused:
        client.append(encode_entry(EXCHANGE, 1, runs_of(EVENTS, [Mark(mark=9, market=1, time=START)])))
    assert (refused.value.status, refused.value.name) == (403, "EventNotAllowed")
    with pytest.raises(GatewayRefused, match="SourceNotAllowed"):
        client.append(encode_entry(source(Role.PRICER), 1, runs_of(EVENTS, [Mark(mark=9, market=1, time=START)])))

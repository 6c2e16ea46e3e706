"""Who may do what at the gateway: every way in is tried without a key, with a wrong one, altered, replayed, too large,
as another member, with hostile text; and no secret is found in a log line."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MEMBER, MINE, THEIRS, established, gateway, opened, oracle, quiet, trade
from world import START

from schemas import events as e
from schemas.events import EVENTS
from schemas.jsonform import to_json
from schemas.sources import Role, source
from schemas.wire import encode_entry, runs_of
from services.client import Client, GatewayRefused
from services.embedded import Embedded
from services.gateway.keys import Key, Keys, KeysWrong, Secret, read_keys, ready_keys
from services.gateway.refusals import Refused
from services.gateway.signing import KEY, NONCE, SIGNATURE, TIME, WINDOW_MS, Gate, signature

EXCHANGE = source(Role.EXCHANGE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Keys, Embedded]]:
    with gateway(tmp_path_factory.mktemp("gateway")) as (address, keys, core):
        with Client(address, keys["local"]) as client:
            established(client)
            quiet(core)
        yield address, keys, core


def form(**more: Any) -> bytes:
    return json.dumps(more).encode()


ENTRY = form(source=EXCHANGE, sequence=10**6, events=[to_json(EVENTS, trade(1))])
WAYS = [
    ("POST", "/v1/entries", ENTRY),
    ("POST", "/v1/events", form(source=EXCHANGE, sequence=10**6, event=to_json(EVENTS, trade(1)))),
    ("POST", "/v1/batches", b'{"entries": [' + ENTRY + b"]}"),
    ("POST", "/v1/margin/preview", form(account=MINE, orders=[])),
    ("GET", f"/v1/sources/{EXCHANGE}", b""),
    ("GET", "/v1/proofs/0", b""),
    ("GET", "/v1/head", b""),
    ("GET", f"/v1/accounts/{MINE}", b""),
    ("GET", f"/v1/accounts/{MINE}/explain", b""),
    ("GET", "/v1/notices?after=0&seconds=0", b""),
]
"""every way in that asks for a key"""


def signed(key: Key, method: str, target: str, body: bytes, **changed: str) -> dict[str, str]:
    now, nonce = time.time_ns() // 1_000_000 + int(changed.pop("late", 0)), f"nonce-{time.time_ns()}"
    told = {
        KEY: key.id,
        TIME: str(now),
        NONCE: nonce,
        SIGNATURE: signature(key.secret, method, target, now, nonce, body),
        "Content-Type": "application/json",
    }
    return told | changed


def tried(address: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    answer = httpx.request(method, address + target, content=body, headers=headers, timeout=20)
    text = answer.text
    return answer.status_code, json.loads(text)["error"] if not answer.is_success else ""


def test_every_way_that_changes_or_tells_something_is_tried_here(running: tuple[str, Keys, Embedded]) -> None:
    told = httpx.get(f"{running[0]}/openapi.json").json()["paths"]
    asks = {(method.upper(), path) for path, ways in told.items() for method, way in ways.items() if "security" in way}
    open_to_all = set(told) - {path for _, path in asks}
    tried_here = {
        path.split("?")[0].replace(str(MINE), "{account}").replace(str(EXCHANGE), "{source}") for _, path, _ in WAYS
    }
    assert tried_here == {path.replace("{offset}", "0") for _, path in asks}
    assert open_to_all == {"/health", "/metrics", "/v1/schemas/{name}", "/v1/asyncapi.json"}


@pytest.mark.parametrize(("method", "target", "body"), WAYS)
def test_no_request_is_let_in_but_as_it_was_signed_and_once(
    running: tuple[str, Keys, Embedded], method: str, target: str, body: bytes
) -> None:
    address, keys, _ = running
    key = keys["local"]
    good = signed(key, method, target, body)

    def altered(**headers: str) -> tuple[int, str]:
        return tried(address, method, target, body, signed(key, method, target, body) | headers)

    assert tried(address, method, target, body, {"Content-Type": "application/json"}) == (401, "KeyMissing")
    assert altered(**{KEY: "nobody"}) == (401, "KeyUnknown")
    assert altered(**{KEY: "exchange"}) == (401, "SignatureWrong")
    assert altered(**{SIGNATURE: "0" * 64}) == (401, "SignatureWrong")
    assert altered(**{SIGNATURE: ""}) == (401, "SignatureWrong")
    assert altered(**{NONCE: "another-nonce-than-signed"}) == (401, "SignatureWrong")
    assert altered(**{TIME: str(time.time_ns() // 1_000_000 + 7)}) == (401, "SignatureWrong")
    assert altered(**{TIME: "soon"}) == (401, "SignatureMissing")
    assert altered(**{NONCE: "short"}) == (401, "SignatureMissing")
    for late in (-WINDOW_MS - 1000, WINDOW_MS + 1000):
        headers = signed(key, method, target, body, late=str(late))
        assert tried(address, method, target, body, headers) == (401, "TimeOutsideWindow")
    assert tried(address, method, target + ("&" if "?" in target else "?") + "x=1", body, signed(key, method, target, body)) == (401, "SignatureWrong")  # fmt: skip  # noqa: E501
    if body:
        assert tried(address, method, target, body + b" ", signed(key, method, target, body)) == (401, "SignatureWrong")
    other = {"GET": "HEAD", "POST": "PUT"}[method]
    assert httpx.request(other, address + target, headers=good).status_code == 405
    first = tried(address, method, target, body, good)
    assert first[0] in (200, 409), first  # a gap, where it is an entry: it was let in
    assert tried(address, method, target, body, good) == (401, "RequestReplayed")


SENDS = {path for method, path, _ in WAYS[:3]}
READS = {
    "exchange": {"preview", "account", "explain", "notices", "source"},
    "oracle": set(),
    "council": {"account", "explain", "notices"},
    "custodian": {"account", "explain", "notices"},
    "registrar": {"account", "explain"},
    "liquidator": {"notices"},
    "regulator": {"preview", "account", "explain", "notices", "source"},
    "auditor": {"preview", "account", "explain", "notices", "source"},
    "member": {"preview", "account", "explain", "notices"},
}
NAMES = ["entries", "events", "batches", "preview", "source", "proof", "head", "account", "explain", "notices"]


@pytest.mark.parametrize("role", READS)
def test_a_role_does_what_it_may_and_no_more(running: tuple[str, Keys, Embedded], role: str) -> None:
    address, keys, _ = running
    for name, (method, target, body) in zip(NAMES, WAYS, strict=True):
        status, error = tried(address, method, target, body, signed(keys[role], method, target, body))
        if name in ("proof", "head") or name in READS[role]:
            assert status == 200, (name, error)
        elif target in SENDS and role == "exchange":
            assert error == "SequenceGap", name
        else:
            named = "SourceNotAllowed" if target in SENDS or name == "source" else "RoleNotAllowed"
            assert (status, error) == (403, named), name


def test_a_member_sees_its_own_accounts_alone(running: tuple[str, Keys, Embedded]) -> None:
    address, keys, core = running
    with Client(address, keys["member"]) as member, Client(address, keys["local"]) as everyone:
        assert member.account(MINE)["member"] == MEMBER
        for ask in (member.account, member.explain, lambda account: member.preview(account, [])):
            for account in (THEIRS, 63, 3):
                with pytest.raises(GatewayRefused) as refused:
                    ask(account)
                assert (refused.value.status, refused.value.name) == (404, "AccountUnknown")
        sequence = everyone.expected(EXCHANGE)
        everyone.append(encode_entry(EXCHANGE, sequence, runs_of(EVENTS, [trade(99, quantity=60_000)])))
        everyone.send(source(Role.ORACLE), oracle(START + 10**9, 7400.0))
        quiet(core)
        heard = [told for one in member.notices(0, seconds=0) for told in one.notices]
        named = {told[name] for told in heard for name in ("account", "bidder", "intended") if name in told}
        assert named == {MINE}
        assert {told["type"] for told in heard} > {"MarkDone", "RungChanged"}
        assert {tuple(told) for told in heard if told["type"] == "MarkDone"} == {("type", "mark", "time")}
        assert not list(member.notices(0, account=THEIRS, seconds=0))
        assert THEIRS in {told.get("account") for one in everyone.notices(0, seconds=0) for told in one.notices}


@pytest.mark.parametrize("told", ["Content-Length: 1099511627776", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("method", "target", "body"), WAYS)
def test_a_body_too_large_is_cut_off(
    running: tuple[str, Keys, Embedded], method: str, target: str, body: bytes, told: str
) -> None:
    address, keys, _ = running
    host, port = address.removeprefix("http://").split(":")
    headers = signed(keys["local"], method, target, b"")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        told,
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with suppress(ConnectionError):  # it answers and closes while this still sends
            while not select.select([connection], [], [], 0)[0] and sent < 1 << 30:
                connection.sendall(piece)
                sent += len(piece)
        answer = b""
        with suppress(ConnectionError):
            while b"BodyTooLarge" not in answer and (more := connection.recv(65536)):
                answer += more
    assert answer.startswith(b"HTTP/1.1 413 ") and b"BodyTooLarge" in answer
    assert sent < 64 << 20


HOSTILE = {
    "'; DROP TABLE": False,
    "1 OR 1=1 --": False,
    '"x"); DELETE': False,
    "$(reboot)`id`": False,
    "%s%n{0}${x}": False,
    "\x1b[2J": True,
    "a\nb": True,
    "a\rb": True,
    "a\tb": True,
    "\x7f": True,
    "\u0085": True,
    "\u202egnp": True,
    "a\u2028b": True,
}
"""text and whether it is refused; else it is stored as it is"""


def named(event: Any, text: str) -> dict[str, Any]:
    field = "name" if hasattr(event, "name") else "symbol"
    return to_json(EVENTS, event) | {field: text}


@pytest.mark.parametrize(("text", "refused"), HOSTILE.items())
def test_hostile_text_is_refused_by_name_or_stored_as_it_is(
    running: tuple[str, Keys, Embedded], text: str, refused: bool
) -> None:
    address, keys, _ = running
    account = 24 + list(HOSTILE).index(text)
    council, registrar = source(Role.COUNCIL), source(Role.REGISTRAR)
    short = text.encode()[:8].decode(errors="ignore")
    instrument = to_json(EVENTS, next(one for one in _listing() if isinstance(one, e.InstrumentListed)))
    forms: list[tuple[int, dict[str, Any]]] = [
        (registrar, named(opened(account, MEMBER), text)),
        (council, named(e.AssetListed(asset=9, decimals=6, time=START, haircut=0, symbol=""), short)),
        (council, named(e.UnderlyingListed(underlying=9, time=START, lowest=1, highest=2, symbol=""), short)),
        (council, instrument | {"instrument": 40, "symbol": text}),
    ]
    with Client(address, keys["local"], patience=5) as client:
        for number, told in forms:
            body = form(source=number, sequence=client.expected(number), event=told)
            if refused:
                with pytest.raises(GatewayRefused) as error:
                    client.request("POST", "/v1/events", body, "application/json")
                assert (error.value.status, error.value.name) == (422, "TextRefused"), told
                binary = encode_entry(number, client.expected(number), runs_of(EVENTS, [_event(told)]))
                with pytest.raises(GatewayRefused, match="TextRefused"):
                    client.append(binary)
            else:
                client.request("POST", "/v1/events", body, "application/json")
        if not refused:
            assert client.account(account)["name"] == text


def _event(told: dict[str, Any]) -> Any:
    from schemas.jsonform import from_json

    return from_json(EVENTS, told)


def _listing() -> list[Any]:
    from world import listing

    return listing()


@pytest.mark.parametrize(
    ("target", "body", "named"),
    [
        ("/v1/entries", b"", "JsonWrong"),
        ("/v1/entries", b"{", "JsonWrong"),
        ("/v1/entries", b"[" * 100_000, "JsonWrong"),
        ("/v1/entries", b'{"source": ' + b"9" * 5000 + b"}", "JsonWrong"),
        ("/v1/entries", b'{"source": NaN, "sequence": 1, "events": []}', "JsonWrong"),
        ("/v1/entries", b'{"source": 1000, "source": 1000, "sequence": 1, "events": []}', "JsonWrong"),
        ("/v1/entries", b"\xff\xfe", "JsonWrong"),
        ("/v1/entries", b"null", "FormWrong"),
        ("/v1/entries", b'{"source": 1000.0, "sequence": 1, "events": []}', "FormWrong"),
        ("/v1/entries", b'{"source": 1000, "sequence": 0, "events": []}', "SequenceWrong"),
        ("/v1/entries", b'{"source": 1000, "sequence": 1, "events": []}', "EntryEmpty"),
        ("/v1/entries", b'{"source": 1000, "sequence": 1, "events": [{"type": "Tarde"}]}', "FormWrong"),
        ("/v1/batches", b'{"entries": []}', "EntryEmpty"),
        ("/v1/batches", b'{"entries": ' + json.dumps([{}] * 300).encode() + b"}", "BatchTooLong"),
        ("/v1/margin/preview", b'{"account": "20", "orders": []}', "FormWrong"),
        (
            "/v1/margin/preview",
            b'{"account": 20, "orders": [{"instrument": 3, "quantity": 1.5, "price": 1}]}',
            "FormWrong",
        ),
        ("/v1/margin/preview", b'{"account": 20, "orders": [], "member": 8}', "FormWrong"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    running: tuple[str, Keys, Embedded], target: str, body: bytes, named: str
) -> None:
    address, keys, _ = running
    assert tried(address, "POST", target, body, signed(keys["local"], "POST", target, body)) == (422, named)


def test_no_secret_is_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with gateway(tmp_path) as (address, keys, _), Client(address, keys["local"], patience=0.1) as client:
        established(client)
        client.account(MINE)
        headers = signed(keys["local"], "GET", "/v1/head", b"")
        httpx.get(f"{address}/v1/head", headers=headers | {SIGNATURE: keys["local"].secret.reveal().hex()})
        text = caplog.text + repr(keys) + str(dict(keys)) + httpx.get(f"{address}/metrics").text
    lines = [json.loads(one.message) for one in caplog.records if one.name == "novate.gateway"]
    assert {"entries", "accounts"} <= {part for line in lines for part in line["path"].split("/")}
    assert any(line["error"] == "SignatureWrong" for line in lines)
    assert {line["key"] for line in lines} >= {"local"}
    for key in keys.values():
        assert key.secret.reveal().hex() not in text
        assert repr(key.secret.reveal()) not in text
    assert headers[SIGNATURE] not in caplog.text and "A-20" not in caplog.text


def test_a_keys_file_is_its_owners_alone(tmp_path: Path) -> None:
    made = ready_keys(tmp_path)
    path = tmp_path / "keys.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert {key.id: key.secret.reveal() for key in ready_keys(tmp_path).values()} == {
        key.id: key.secret.reveal() for key in made.values()
    }
    path.chmod(0o640)
    with pytest.raises(KeysWrong, match="chmod 600"):
        read_keys(path)


def test_processes_that_start_at_once_in_a_new_directory_have_the_same_keys(tmp_path: Path) -> None:
    at_once = threading.Barrier(8)

    def started(directory: Path) -> bytes:
        at_once.wait(10)
        return ready_keys(directory)["local"].secret.reveal()

    with ThreadPoolExecutor(8) as pool:
        for k in range(20):
            directory = tmp_path / str(k)
            directory.mkdir()
            assert len(set(pool.map(started, [directory] * 8))) == 1
            assert [path.name for path in directory.iterdir()] == ["keys.toml"]


GOOD = 'id = "a"\nsecret = "' + "5a" * 32 + '"\nroles = ["exchange"]\n'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[key]\n", "TOML"),
        ("", r"\[\[key\]\]"),
        ("[[key]]\n" + GOOD.replace('"a"', '"A b"'), "its id"),
        ("[[key]]\n" + GOOD.replace("5a5a", "xyz"), "its secret"),
        ("[[key]]\n" + GOOD.replace("exchange", "king"), "its roles"),
        ("[[key]]\n" + GOOD + "sources = [2000]\n", "none of its roles"),
        ("[[key]]\n" + GOOD + "sources = [5000]\n", "none of its roles"),
        ("[[key]]\n" + GOOD + "sources = [true]\n", "whole numbers"),
        ("[[key]]\n" + GOOD + "member = -1\n", "its member"),
        ("[[key]]\n" + GOOD + 'more = ""\n', "are possible"),
        ("[[key]]\n" + GOOD.replace("exchange", "member"), "names its member"),
        ("[[key]]\n" + GOOD + "[[key]]\n" + GOOD, "there twice"),
    ],
)
def test_a_wrong_keys_file_is_refused_without_telling_a_secret(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysWrong, match=what) as refused:
        read_keys(path)
    assert "5a5a" not in str(refused.value)


def test_nonces_are_remembered_as_long_as_their_time_counts_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.gateway import signing

    monkeypatch.setattr(signing, "MOST_NONCES", 3)
    key = Key("a", Secret(bytes(32)), frozenset(), frozenset())
    gate = Gate({"a": key})

    def admitted(nonce: str, at: int, now: int, body_ms: int = 0) -> str:
        headers = {KEY: "a", TIME: str(at), NONCE: nonce, SIGNATURE: signature(key.secret, "GET", "/", at, nonce, b"")}
        try:
            gate.admitted(gate.claimed(headers, now), "GET", "/", b"", now + body_ms)
        except Refused as refused:
            return refused.name
        return "in"

    late = 10**9 + WINDOW_MS  # as far ahead of the gateway's clock as may be: it counts the longest
    assert [admitted(f"nonce-{k:012d}", late, 10**9) for k in (1, 1, 2, 3, 4)] == [
        "in", "RequestReplayed", "in", "in", "Overloaded",
    ]  # fmt: skip
    assert admitted("nonce-000000000001", late, late + WINDOW_MS) == "RequestReplayed"
    assert admitted("nonce-000000000001", late, late + WINDOW_MS + 1) == "TimeOutsideWindow"
    assert admitted("nonce-000000000005", late + WINDOW_MS, late + WINDOW_MS + 1) == "in"
    now = late + 4 * WINDOW_MS  # claimed in time, its body comes when the nonce may have been forgotten
    assert admitted("nonce-000000000006", now, now) == "in"
    assert admitted("nonce-000000000006", now, now + WINDOW_MS, 20_000) == "TimeOutsideWindow"


@pytest.mark.parametrize(("ahead", "taken"), [(-3600, True), (30, True), (90, False), (10**9, False)])
def test_an_oracle_does_not_move_time_ahead_of_the_clock(
    running: tuple[str, Keys, Embedded], ahead: int, taken: bool
) -> None:
    address, keys, _ = running
    told = oracle(time.time_ns() // 1000 + ahead * 10**6, 7400.0)[:1]
    with Client(address, keys["oracle"]) as client:
        if taken:
            assert client.send(source(Role.ORACLE), told).offset is not None
        else:
            with pytest.raises(GatewayRefused) as refused:
                client.send(source(Role.ORACLE), told)
            assert (refused.value.status, refused.value.name) == (422, "TimeAhead")

"""Requests made up from the gateway's own OpenAPI, signed: none of them is answered with a fault of the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from gateways import established, gateway, quiet
from hypothesis import HealthCheck, Phase, given, settings

from services.client import Client
from services.gateway.app import create_app
from services.gateway.keys import Key
from services.gateway.server import serving
from services.gateway.signing import KEY, NONCE, SIGNATURE, TIME, signature


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Key]]:
    with gateway(tmp_path_factory.mktemp("gateway")) as (address, keys, core):
        with Client(address, keys["local"]) as client:
            established(client)
            quiet(core)
        yield address, keys["local"]


WAYS = [
    ("POST", "/v1/entries"),
    ("POST", "/v1/events"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/margin/preview"),
    ("GET", "/v1/sources/{source}"),
    ("GET", "/v1/proofs/{offset}"),
    ("GET", "/v1/head"),
    ("GET", "/v1/accounts/{account}"),
    ("GET", "/v1/accounts/{account}/explain"),
    ("GET", "/v1/notices"),
    ("GET", "/v1/schemas/{name}"),
    ("GET", "/v1/asyncapi.json"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


def test_every_way_is_tried(running: tuple[str, Key]) -> None:
    told = httpx.get(f"{running[0]}/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, ways in told.items() for method in ways} == set(WAYS)


@pytest.mark.parametrize(("method", "path"), WAYS)
def test_no_request_finds_a_fault(running: tuple[str, Key], method: str, path: str) -> None:
    address, key = running
    operation = schemathesis.openapi.from_url(f"{address}/openapi.json")[path][method]

    @settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(operation.as_strategy())
    def tried(case: Any) -> None:
        answered(case, address, key)

    tried()


def answered(case: Any, address: str, key: Key) -> None:
    if case.path == "/v1/notices":
        case.query = {**(case.query or {}), "seconds": 0}
    sent = case.as_transport_kwargs(base_url=address)
    own = {name: value for name, value in dict(sent.get("headers") or {}).items() if "novate" not in name.lower()}
    request = httpx.Request(
        sent["method"], sent["url"], params=sent.get("params"), json=sent.get("json"), content=sent.get("data"),
        headers=own,
    )  # fmt: skip
    now, nonce = time.time_ns() // 1_000_000, secrets.token_urlsafe(18)
    target = request.url.raw_path.decode("ascii")
    request.headers.update(
        {KEY: key.id, TIME: str(now), NONCE: nonce,
         SIGNATURE: signature(key.secret, request.method, target, now, nonce, request.read())}
    )  # fmt: skip
    with httpx.Client(timeout=20) as http:
        answer = http.send(request)
    assert answer.status_code < 500, (case.path, answer.status_code, answer.text)
    assert answer.status_code != 401, answer.text
    if not answer.is_success and answer.status_code != 405:
        assert set(answer.json()) >= {"error", "message"}


def test_a_fault_is_found_where_there_is_one(running: tuple[str, Key], tmp_path: Path) -> None:
    """What the test above asserts would be seen: a fault is a 500 with a name, and takes nothing with it."""

    class Faulty:
        def health(self) -> dict[str, Any]:
            raise RuntimeError("a fault")

    with serving(create_app(Faulty(), {})) as address:  # type: ignore[arg-type]
        answer = httpx.get(f"{address}/health")
        assert (answer.status_code, answer.json()["error"]) == (500, "Unforeseen")
        assert httpx.get(f"{address}/v1/schemas/sbe").status_code == 200

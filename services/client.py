"""A small client of the gateway: signs requests, numbers entries, sends them again until they are there."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import httpx

from schemas.events import EVENTS
from schemas.wire import encode_entry, runs_of
from services.gateway.bodies import BINARY, JSON, framed
from services.gateway.core import Receipt
from services.gateway.keys import Key
from services.gateway.signing import KEY, NONCE, SIGNATURE, TIME, signature

AGAIN: Final = frozenset({429, 503})
"""answers after which the same is sent once more"""


class GatewayRefused(Exception):  # noqa: N818 - named for what it is
    """The gateway refused a request: its status, the refusal's name and what it told."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {told.get('error')}: {told.get('message')}")
        self.status = status
        self.name = str(told.get("error"))
        self.told = told


class GatewayUnreachable(Exception):  # noqa: N818
    """No answer within the time allowed. What was sent may be in the journal: sent again it is there once."""


class Heard(NamedTuple):
    """What was said of entry n, each in its JSON form; resume after n."""

    n: int
    notices: list[dict[str, Any]]


class Client:
    """One key's client. Not for several threads at once. `patience`: seconds in which a request is tried again."""

    def __init__(self, address: str, key: Key, *, patience: float = 10.0) -> None:
        self._http = httpx.Client(base_url=address, timeout=httpx.Timeout(30.0, connect=5.0))
        self._key = key
        self._patience = patience
        self._next: dict[int, int] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def send(self, source: int, events: Iterable[Any]) -> Receipt:
        """Append events as a source's next entry. Raises GatewayRefused, GatewayUnreachable."""
        sequence = self._next.get(source) or self.expected(source)
        self._next.pop(source, None)  # where this fails nobody knows whether it is taken: asked anew
        receipt = self.append(encode_entry(source, sequence, runs_of(EVENTS, events)))
        self._next[source] = sequence + 1
        return receipt

    def append(self, entry: bytes) -> Receipt:
        """Append an entry as it is. Raises GatewayRefused, GatewayUnreachable."""
        return Receipt(**self.request("POST", "/v1/entries", entry, BINARY))

    def append_many(self, entries: Sequence[bytes]) -> list[Receipt]:
        """Append entries in order, in one request. Raises GatewayRefused (`told` has the receipts of those before the
        one refused), GatewayUnreachable."""
        told = self.request("POST", "/v1/batches", framed(entries), BINARY)
        return [Receipt(**one) for one in told["receipts"]]

    def expected(self, source: int) -> int:
        """The sequence number of a source's next entry."""
        return int(self.request("GET", f"/v1/sources/{source}")["expected"])

    def preview(self, account: int, orders: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
        """Whether orders (instrument, lots, ticks) would be within an account's margin."""
        named = [{"instrument": i, "quantity": quantity, "price": price} for i, quantity, price in orders]
        body = json.dumps({"account": account, "orders": named}).encode()
        return self.request("POST", "/v1/margin/preview", body, JSON)

    def account(self, account: int) -> dict[str, Any]:
        """Where an account stands."""
        return self.request("GET", f"/v1/accounts/{account}")

    def explain(self, account: int) -> dict[str, Any]:
        """An account's margin taken apart."""
        return self.request("GET", f"/v1/accounts/{account}/explain")

    def proof(self, offset: int) -> dict[str, Any]:
        """The Merkle proof of the entry at an offset."""
        return self.request("GET", f"/v1/proofs/{offset}")

    def head(self) -> dict[str, Any]:
        """The newest published head."""
        return self.request("GET", "/v1/head")

    def health(self) -> dict[str, Any]:
        """The gateway's health; where nothing is taken it is told too, not raised."""
        told: dict[str, Any] = self._http.get("/health").json()
        return told

    def notices(
        self, after: int | None = None, *, kinds: Iterable[str] = (), account: int | None = None,
        seconds: float | None = None,
    ) -> Iterator[Heard]:  # fmt: skip
        """The notices past entry `after` (None: those to come). Where the connection breaks it is made again after
        the last one heard; with `seconds` the stream ends after that long. Raises as `send`."""
        asked: dict[str, str | float] = {}
        if named := ",".join(kinds):
            asked["kinds"] = named
        if account is not None:
            asked["account"] = account
        if seconds is not None:
            asked["seconds"] = seconds
        broken = 0.0
        while True:
            try:
                for heard in self._stream(asked | ({} if after is None else {"after": after})):
                    after, broken = heard.n, 0.0
                    yield heard
            except httpx.HTTPError as error:
                now = time.monotonic()
                broken = broken or now
                if after is None or now - broken > self._patience:
                    raise GatewayUnreachable(f"{type(error).__name__}: {error}") from error
                time.sleep(0.1)
                continue
            if seconds is not None:
                return

    def _stream(self, asked: Mapping[str, str | float]) -> Iterator[Heard]:
        request = self._signed("GET", "/v1/notices", b"", None, asked)
        request.extensions["timeout"]["read"] = 60.0  # it says something every quarter of a minute
        answer = self._http.send(request, stream=True)
        try:
            if answer.status_code != 200:
                answer.read()
                raise GatewayRefused(answer.status_code, _told(answer))
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    told = json.loads(line[6:])
                    yield Heard(told["n"], told["notices"])
        finally:
            answer.close()

    def request(self, method: str, path: str, body: bytes = b"", media: str | None = None) -> dict[str, Any]:
        """Send a signed request, again with a new signature while the gateway is busy or away; its JSON answer.

        Raises GatewayRefused, GatewayUnreachable.
        """
        ends = time.monotonic() + self._patience
        while True:
            try:
                answer = self._http.send(self._signed(method, path, body, media))
            except httpx.HTTPError as error:
                if time.monotonic() >= ends:
                    raise GatewayUnreachable(f"{type(error).__name__}: {error}") from error
                time.sleep(0.05)
                continue
            told = _told(answer)
            if answer.is_success:
                return told
            if answer.status_code not in AGAIN or time.monotonic() >= ends:
                raise GatewayRefused(answer.status_code, told)
            time.sleep(min(0.2, float(told.get("retry_seconds", 0.2))))

    def _signed(
        self, method: str, path: str, body: bytes, media: str | None, asked: Mapping[str, str | float] | None = None
    ) -> httpx.Request:
        request = self._http.build_request(method, path, content=body, params=asked or None)
        now, nonce = time.time_ns() // 1_000_000, secrets.token_urlsafe(18)
        target = request.url.raw_path.decode("ascii")
        request.headers[KEY] = self._key.id
        request.headers[TIME] = str(now)
        request.headers[NONCE] = nonce
        request.headers[SIGNATURE] = signature(self._key.secret, method, target, now, nonce, body)
        if media is not None:
            request.headers["Content-Type"] = media
        return request


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"error": "Unreadable", "message": answer.text[:200]}

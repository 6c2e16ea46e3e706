"""The gateway's routes: entries in, receipts and proofs out, questions about accounts, notices."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final, TypeVar

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas import sbe
from schemas.events import EVENTS
from schemas.jsonform import schema_of_catalogue
from schemas.outcomes import OUTCOMES
from schemas.wire import SCHEMA_ID, SCHEMA_VERSION
from services.asking import Kind, Question
from services.gateway import documents
from services.gateway.bodies import BINARY, JSON, LARGEST, Sent, entries_in, entry_in, event_in, not_ahead, parsed
from services.gateway.core import Core, Receipt
from services.gateway.keys import READS_SOURCES, Key, Keys, Right
from services.gateway.listening import Wanted, events
from services.gateway.metrics import Figures
from services.gateway.refusals import KNOWN, Refused, refused
from services.gateway.signing import Gate

LOG: Final = logging.getLogger("novate.gateway")
MOST_LISTENERS: Final = 256
BODY_SECONDS: Final = 30.0
"""for a request's body to come"""
IN_A_THREAD: Final = 1 << 15
"""bytes of JSON from which on it is read beside the event loop"""

Account = Annotated[int, Path(ge=0, lt=2**32)]
Place = Annotated[int, Path(ge=0, lt=2**63)]
T = TypeVar("T")
Number = Annotated[int | None, Query(ge=0, lt=2**63)]


class Gateway:
    """The routes' handlers over a core. For one event loop."""

    def __init__(self, core: Core, keys: Keys, prefix: str) -> None:
        self.figures = Figures(core.health)
        self._core = core
        self._gate = Gate(keys)
        self._prefix = prefix
        self._listeners = 0

    async def entry(self, request: Request) -> JSONResponse:
        """Append an entry: its events in their order, or none of them. The receipt says where it is in the journal."""
        return await self._appended(request, entry_in, LARGEST["entry"])

    async def event(self, request: Request) -> JSONResponse:
        """Append one event as an entry of its own."""
        return await self._appended(request, event_in, LARGEST["question"])

    async def batch(self, request: Request) -> JSONResponse:
        """Append entries in order. Where one is refused the answer tells the receipts of those before it; what comes
        after it was not tried."""
        key, body = await self._read(request, LARGEST["batch"])
        sent = await _formed(entries_in, body, _media(request), key)
        receipts, refusal = await self._append(sent)
        told = [one._asdict() for one in receipts]
        if refusal is not None:
            refusal.details["receipts"] = told
            raise refusal
        return JSONResponse({"receipts": told}, 200 if all(one.repeated for one in receipts) else 201)

    async def source(self, request: Request, source: Account) -> dict[str, int]:
        """The sequence number that a source's next entry must have."""
        key, _ = await self._read(request, LARGEST["none"])
        if source not in key.sources and not key.roles & READS_SOURCES:
            raise Refused(403, "SourceNotAllowed", f"key {key.id} does not speak as source {source}")
        return {"source": source, "expected": await self._core.expected(source)}

    async def proof(self, request: Request, offset: Place) -> dict[str, Any]:
        """That the entry at an offset lies under a published head: its leaf hash and the path to the Merkle root."""
        await self._read(request, LARGEST["none"])
        told = await self._core.proof(offset)
        path = [one.hex() for one in told.path]
        return {"offset": told.offset, "leaf": told.leaf.hex(), "path": path, "head": _plain(told.head)}

    async def head(self, request: Request) -> dict[str, Any]:
        """The newest published head: hash chains over journal and outcomes, and the Merkle root."""
        await self._read(request, LARGEST["none"])
        return _plain(await self._core.head())

    async def account(self, request: Request, account: Account) -> dict[str, Any]:
        """An account's balances, positions, orders, rung and margin."""
        key, _ = await self._read(request, LARGEST["none"])
        return await self._ask(key, Right.ACCOUNTS, Question(kind=Kind.STANDING, account=account, member=key.member))

    async def explained(self, request: Request, account: Account) -> dict[str, Any]:
        """An account's margin taken apart: every figure with what it is made of."""
        key, _ = await self._read(request, LARGEST["none"])
        return await self._ask(key, Right.ACCOUNTS, Question(kind=Kind.EXPLAIN, account=account, member=key.member))

    async def preview(self, request: Request) -> dict[str, Any]:
        """Whether orders would be within an account's margin, all of them together and with what rests already."""
        key, body = await self._read(request, LARGEST["question"])
        if _media(request) != JSON:
            raise Refused(415, "MediaTypeUnknown", f"send {JSON}")
        form = parsed(body)
        if not isinstance(form, dict) or set(form) != {"account", "orders"}:
            raise Refused(422, "FormWrong", "an object of account and orders is needed, with nothing else", path="$")
        if type(form["account"]) is not int:
            raise Refused(422, "FormWrong", "$.account: a whole number is needed", path="$.account")
        try:
            question = Question(kind=Kind.PREVIEW, member=key.member, **form)
        except ValidationError as error:
            first = error.errors()[0]
            path = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
            raise Refused(422, "FormWrong", f"{path}: {first['msg']}", path=path) from None
        return await self._ask(key, Right.PREVIEW, question)

    async def notices(
        self,
        request: Request,
        after: Number = None,
        kinds: Annotated[str, Query(max_length=512)] = "",
        account: Annotated[int | None, Query(ge=0, lt=2**32)] = None,
        seconds: Annotated[float | None, Query(ge=0, le=3600)] = None,
    ) -> StreamingResponse:
        """Server-sent events: what is said of each entry, from the one after `after` (or Last-Event-ID) on; without
        either, of those to come. `kinds`: names with commas between. `seconds`: end after so long."""
        key, _ = await self._read(request, LARGEST["none"])
        if not (key.may(Right.NOTICES) or key.may(Right.AUCTIONS)):
            raise _not_allowed(key, Right.NOTICES)
        named = {name for name in kinds.split(",") if name}
        unknown = named - {message.name for message in OUTCOMES.by_template.values()}
        if unknown:
            raise Refused(422, "ParameterWrong", f"kinds: no outcome is called {sorted(unknown)[0]!r:.60}")
        if self._listeners >= MOST_LISTENERS:
            raise Refused(429, "Overloaded", f"{MOST_LISTENERS} listen already", retry_seconds=5.0)
        start = _resumed(request) if after is None else after
        if start is None:
            start = int(self._core.health()["n"])
        stream = self._stream(start, key, Wanted(named, account), seconds)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def health(self) -> JSONResponse:
        """Whether entries are taken, and where the journal and the marks are."""
        told = dict(self._core.health())
        return JSONResponse(told, 200 if told["ok"] else 503)

    async def metrics(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def schema(self, name: str) -> Response:
        """`sbe`: the SBE schema of entries and outcomes. `events`, `outcomes`: JSON Schema of their JSON form."""
        if name == "sbe":
            return Response(sbe.document(), media_type="application/xml")
        catalogue = {"events": EVENTS, "outcomes": OUTCOMES}.get(name)
        if catalogue is None:
            raise Refused(404, "NotFound", "schemas are there of sbe, events and outcomes")
        return JSONResponse(schema_of_catalogue(catalogue, name), media_type="application/schema+json")

    async def asyncapi(self) -> dict[str, Any]:
        """AsyncAPI 3 of the topics journal, outcomes and notices."""
        return documents.asyncapi(self._prefix)

    async def _appended(self, request: Request, form: Callable[[bytes, str, Key], Sent], most: int) -> JSONResponse:
        key, body = await self._read(request, most)
        receipts, refusal = await self._append([await _formed(form, body, _media(request), key)])
        if refusal is not None:
            raise refusal
        return JSONResponse(receipts[0]._asdict(), 200 if receipts[0].repeated else 201)

    async def _append(self, sent: Sequence[Sent]) -> tuple[list[Receipt], Refused | None]:
        not_ahead(sent, _now_ms() * 1000)
        judged = await self._core.append([one.data for one in sent])
        receipts = [one for one in judged if isinstance(one, Receipt)]
        fresh = [one for one, receipt in zip(sent, receipts, strict=False) if not receipt.repeated]
        self.figures.entries.inc(len(fresh))
        self.figures.events.inc(sum(one.events for one in fresh))
        last = judged[-1]
        return receipts, None if isinstance(last, Receipt) else refused(last)

    async def _ask(self, key: Key, right: Right, question: Question) -> dict[str, Any]:
        if not key.may(right):
            raise _not_allowed(key, right)
        return await self._core.ask(question.account, question)

    async def _stream(self, after: int, key: Key, wanted: Wanted, seconds: float | None) -> AsyncIterator[bytes]:
        self._listeners += 1
        self.figures.listeners.set(self._listeners)
        try:
            told = events(self._core.notices(after), key, wanted, self._core.member_of, seconds)
            async with aclosing(told) as stream:  # type: ignore[type-var]  # it is a generator
                async for piece in stream:
                    yield piece
        finally:
            self._listeners -= 1
            self.figures.listeners.set(self._listeners)

    async def _read(self, request: Request, most: int) -> tuple[Key, bytes]:
        """The key a request is signed with and its body, which is cut off where it is too large. Raises Refused."""
        claim = self._gate.claimed(request.headers, _now_ms())
        body = await _body(request, most)
        target = request.scope["raw_path"].decode("latin-1")
        if query := request.scope["query_string"]:
            target += "?" + query.decode("latin-1")
        key = self._gate.admitted(claim, request.method, target, body, _now_ms())
        request.scope["novate.key"] = key.id
        return key, body


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(head: Any) -> dict[str, Any]:
    return {
        "entries": head.entries,
        "n": head.n,
        "journal": head.journal,
        "merkle": head.merkle,
        "outcomes": list(head.outcomes),
    }


def _not_allowed(key: Key, right: Right) -> Refused:
    return Refused(403, "RoleNotAllowed", f"key {key.id}, {', '.join(sorted(key.roles))}, may not {right.value}")


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _resumed(request: Request) -> int | None:
    told = request.headers.get("last-event-id")
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) < 19):
        raise Refused(422, "ParameterWrong", "Last-Event-ID: the number of an entry is needed")
    return int(told)


async def _body(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "0")
    too_large = Refused(413, "BodyTooLarge", f"at most {most} bytes here: send less at once", limit=most)
    if len(told) > 18 or (told.isdigit() and int(told) > most):
        raise too_large
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise too_large
                pieces.append(piece)
    except TimeoutError:
        raise Refused(408, "BodyTooSlow", f"the body did not come within {BODY_SECONDS:g} s") from None
    return b"".join(pieces)


async def _formed(form: Callable[[bytes, str, Key], T], body: bytes, media: str, key: Key) -> T:
    if media != BINARY and len(body) >= IN_A_THREAD:
        return await asyncio.to_thread(form, body, media, key)
    return form(body, media, key)


class Observed:
    """Around the application: logs a line of JSON for each request, counts it, and names what nobody foresaw."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # answered by `unforeseen`, where no answer had begun; it takes nothing else with it
            LOG.exception("unforeseen")
            scope["novate.error"] = "Unforeseen"
        finally:
            self._told(scope, status, time.perf_counter() - begun)

    def _told(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        error = scope.get("novate.error", "")
        self._figures.requests.labels(route, scope["method"] if status != 405 else "other", str(status)).inc()
        self._figures.seconds.labels(route).observe(seconds)
        if error:
            self._figures.refused.labels(error).inc()
        line = {
            "time": time.time(),
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "error": error,
            "key": scope.get("novate.key", ""),
            "seconds": round(seconds, 6),
        }
        LOG.info(json.dumps(line))


def create_app(core: Core, keys: Keys, prefix: str = "novate") -> ASGIApp:
    """The gateway as an ASGI application. `prefix` is what the topics' names begin with, for AsyncAPI."""
    gateway = Gateway(core, keys, prefix)
    app = FastAPI(title="Novate", version=f"{SCHEMA_ID}.{SCHEMA_VERSION}", docs_url=None, redoc_url=None)
    _routes(app, gateway)

    async def answered(request: Request, error: Exception) -> Response:
        known = _named(error)
        if known is None:
            raise error
        request.scope["novate.error"] = known.name
        headers = {"Retry-After": str(max(1, round(known.details.get("retry_seconds", 1))))}
        return JSONResponse(known.body(), known.status, headers if known.status in (429, 503) else None)

    async def unforeseen(_request: Request, _error: Exception) -> Response:
        return JSONResponse(Refused(500, "Unforeseen", "the gateway has a fault: it was logged").body(), 500)

    app.add_exception_handler(Exception, unforeseen)
    for kind in (HTTPException, RequestValidationError, *KNOWN):
        app.add_exception_handler(kind, answered)
    described: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not described:
            described.update(_described(app))
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # as the framework would have it
    return Observed(app, gateway.figures)


def _named(error: Exception) -> Refused | None:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return Refused(422, "ParameterWrong", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    if isinstance(error, HTTPException):
        names = {404: "NotFound", 405: "MethodNotAllowed"}
        return Refused(error.status_code, names.get(error.status_code, "RequestWrong"), "see /openapi.json")
    return refused(error)


def _routes(app: FastAPI, gateway: Gateway) -> None:
    signed: dict[str, Any] = {"security": [{name: [] for name in documents.SECURITY}]}
    posts: list[tuple[str, Any, dict[str, Any]]] = [
        ("/v1/entries", gateway.entry, documents.body_of(documents.ENTRY_FORM, binary=True)),
        ("/v1/events", gateway.event, documents.body_of(documents.EVENT_FORM, binary=False)),
        ("/v1/batches", gateway.batch, documents.body_of(documents.BATCH_FORM, binary=True)),
        ("/v1/margin/preview", gateway.preview, documents.body_of(documents.PREVIEW_FORM, binary=False)),
    ]
    gets: list[tuple[str, Any]] = [
        ("/v1/sources/{source}", gateway.source),
        ("/v1/proofs/{offset}", gateway.proof),
        ("/v1/head", gateway.head),
        ("/v1/accounts/{account}", gateway.account),
        ("/v1/accounts/{account}/explain", gateway.explained),
        ("/v1/notices", gateway.notices),
    ]
    opened: list[tuple[str, Any]] = [
        ("/v1/schemas/{name}", gateway.schema),
        ("/v1/asyncapi.json", gateway.asyncapi),
        ("/health", gateway.health),
        ("/metrics", gateway.metrics),
    ]
    failing: dict[int | str, dict[str, Any]] = {
        "default": {"description": "Refused, by name", "content": {JSON: {"schema": documents.ERROR_FORM}}}
    }
    for path, handler, body in posts:
        app.add_api_route(
            path, handler, methods=["POST"], openapi_extra=body | signed, responses=failing, response_model=None
        )
    for path, handler in gets:
        app.add_api_route(path, handler, openapi_extra=signed, responses=failing, response_model=None)
    for path, handler in opened:
        app.add_api_route(path, handler, responses=failing, response_model=None)


def _described(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(title=app.title, version=app.version, routes=app.routes)
    parts = told.setdefault("components", {})
    parts.setdefault("schemas", {}).update(documents.event_schemas())
    parts["securitySchemes"] = documents.SECURITY
    return told

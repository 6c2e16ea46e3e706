"""What the gateway tells of itself: AsyncAPI of the topics, and pieces of OpenAPI that follow from the catalogues."""

from __future__ import annotations

import json
from typing import Any, Final

from schemas.events import EVENTS
from schemas.jsonform import schema_of_catalogue
from schemas.message import Catalogue
from schemas.outcomes import OUTCOMES
from schemas.sources import ALLOWED, Role
from schemas.wire import SCHEMA_ID, SCHEMA_VERSION
from services.gateway.bodies import BINARY, JSON
from services.gateway.signing import KEY, NONCE, SIGNATURE, TIME

OWN: Final = ALLOWED[Role.PRICER] | ALLOWED[Role.DESK] | ALLOWED[Role.FUND]
"""events of the clearinghouse's own services: no request may hold them"""


def asyncapi(prefix: str) -> dict[str, Any]:
    """The AsyncAPI 3 document of the topics an exchange reads and writes."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Novate", "version": f"{SCHEMA_ID}.{SCHEMA_VERSION}"},
        "defaultContentType": BINARY,
        "channels": {
            "journal": _channel(f"{prefix}.journal", "Entries: one partition, the only order.", "entry"),
            "outcomes": _channel(f"{prefix}.outcomes", "All outcomes; a partition for each shard.", "outcomes"),
            "notices": _channel(
                f"{prefix}.notices", "Outcomes less what concerns the books alone; as outcomes.", "outcomes"
            ),
        },
        "operations": {
            "sendEntry": {
                "action": "send",
                "channel": {"$ref": "#/channels/journal"},
                "summary": "With acks=all and an idempotent producer, key: the source's number (u32 little-endian).",
            },
            "readOutcomes": {"action": "receive", "channel": {"$ref": "#/channels/outcomes"}},
            "readNotices": {"action": "receive", "channel": {"$ref": "#/channels/notices"}},
        },
        "components": {
            "messages": {
                "entry": _message("Entry", "EntryHeader and runs of events as SBE", EVENTS, "events"),
                "outcomes": _message("Outcomes", "OutcomeHeader and runs of outcomes as SBE", OUTCOMES, "outcomes"),
            }
        },
    }


def _channel(address: str, words: str, message: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": words,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _message(title: str, words: str, catalogue: Catalogue, name: str) -> dict[str, Any]:
    schema = schema_of_catalogue(catalogue, name)
    told = json.dumps(schema).replace("#/$defs/", f"#/components/messages/{title.lower()}/payload/$defs/")
    return {
        "name": title,
        "title": title,
        "summary": f"{words} (GET /v1/schemas/sbe). The payload's schema is that of one message in its JSON form.",
        "contentType": BINARY,
        "payload": json.loads(told),
    }


def event_schemas() -> dict[str, Any]:
    """Each event that a request may hold as an OpenAPI component, and `Event`, any of them."""
    whole = schema_of_catalogue(EVENTS, "events")
    names = [message.name for message in EVENTS.by_template.values() if message.cls not in OWN]
    parts = {name: whole["$defs"][name] for name in names}
    return parts | {"Event": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]}}


_NUMBERS: Final = {
    "source": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    "sequence": {"type": "integer", "minimum": 1, "maximum": 2**64 - 2},
}
_EVENT: Final = {"$ref": "#/components/schemas/Event"}


def _form(**more: Any) -> dict[str, Any]:
    properties = dict(more)
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


ENTRY_FORM: Final = _form(**_NUMBERS, events={"type": "array", "minItems": 1, "items": _EVENT})
EVENT_FORM: Final = _form(**_NUMBERS, event=_EVENT)
BATCH_FORM: Final = _form(entries={"type": "array", "minItems": 1, "maxItems": 256, "items": ENTRY_FORM})
PREVIEW_FORM: Final = _form(
    account={"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    orders={
        "type": "array",
        "maxItems": 256,
        "items": _form(
            instrument={"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
            quantity={"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            price={"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        ),
    },
)
ERROR_FORM: Final = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
    "required": ["error", "message"],
}


def body_of(form: dict[str, Any], *, binary: bool) -> dict[str, Any]:
    """A route's `openapi_extra`: its body."""
    content: dict[str, Any] = {JSON: {"schema": form}}
    if binary:
        content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}


SECURITY: Final = {
    name.lower(): {"type": "apiKey", "in": "header", "name": name, "description": words}
    for name, words in {
        KEY: "the key's id",
        TIME: "milliseconds since 1970",
        NONCE: "16 to 64 of A-Z a-z 0-9 _ -, new for each request",
        SIGNATURE: "HMAC-SHA256 in hex over method, path with query, time, nonce and the body's SHA-256, a line each",
    }.items()
}
"""the four headers of a signed request"""

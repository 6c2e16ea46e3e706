"""Request bodies as entries: the JSON form and SBE bytes, bounded, and checked for what no entry may hold."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.events import EVENTS, ProfileText
from schemas.jsonform import FormError, from_json
from schemas.limits import MAX_ENTRY_BYTES
from schemas.sources import ALLOWED, SOURCES_PER_ROLE, Role, allowed
from schemas.wire import EntryHeader, Run, decode, encode_entry, runs_of
from services.gateway.keys import Key
from services.gateway.refusals import Refused

BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
MOST_ENTRIES: Final = 256
"""in one batch"""
_FRAME: Final = struct.Struct("<I")
_UNPRINTED: Final = frozenset("\0\u2028\u2029\u202a\u202b\u202c\u202d\u202e") | {chr(one) for one in range(0x80, 0xA0)}
"""beside ASCII's control characters: what ends a line or turns its direction"""
_NEWLINES: Final = frozenset({ProfileText})
"""events whose text has lines"""


MOST_AHEAD: Final = 60_000_000
"""microseconds that an oracle may be ahead of this machine's clock"""


class Sent(NamedTuple):
    """An entry that may go to the journal."""

    source: int
    sequence: int
    events: int
    data: bytes
    latest: int
    """the latest time that an oracle tells in it, microseconds; 0 where none does"""


def entry_in(body: bytes, media: str, key: Key) -> Sent:
    """One entry: SBE bytes, or `{source, sequence, events}`. Raises Refused, FormError, WireError."""
    if media == BINARY:
        return _binary(body, key)
    form = _object(_parsed(body, media), {"source", "sequence", "events"}, "$")
    return _formed(form, form["events"], "$", key)


def event_in(body: bytes, media: str, key: Key) -> Sent:
    """One event as an entry of its own: `{source, sequence, event}`. Raises as `entry_in`."""
    if media == BINARY:
        raise _unknown(media, JSON)
    form = _object(_parsed(body, media), {"source", "sequence", "event"}, "$")
    return _formed(form, [form["event"]], "$", key)


def entries_in(body: bytes, media: str, key: Key) -> list[Sent]:
    """A batch: entries one after the other, each after its length (u32 LE), or `{entries: [...]}`. Raises as
    `entry_in`."""
    if media == BINARY:
        sent = [_binary(piece, key) for piece in _frames(body)]
    else:
        entries = _object(_parsed(body, media), {"entries"}, "$")["entries"]
        if not isinstance(entries, list):
            raise _wrong("$.entries", "an array is needed")
        _bounded(len(entries))
        forms = [_object(one, {"source", "sequence", "events"}, f"$.entries[{at}]") for at, one in enumerate(entries)]
        sent = [_formed(one, one["events"], f"$.entries[{at}]", key) for at, one in enumerate(forms)]
    if not sent:
        raise Refused(422, "EntryEmpty", "a batch holds at least one entry")
    return sent


def framed(entries: Sequence[bytes]) -> bytes:
    """Entries as the body of a batch."""
    return b"".join(part for entry in entries for part in (_FRAME.pack(len(entry)), entry))


def _frames(body: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        size = _FRAME.unpack_from(body, at)[0] if len(body) - at >= _FRAME.size else len(body)
        at += _FRAME.size
        if size > len(body) - at:
            raise Refused(422, "EntryUnreadable", f"entry {len(pieces)} is cut off: {len(body)} bytes are there")
        pieces.append(body[at : at + size])
        at += size
        _bounded(len(pieces))
    return pieces


def _bounded(entries: int) -> None:
    if entries > MOST_ENTRIES:
        raise Refused(422, "BatchTooLong", f"at most {MOST_ENTRIES} entries in a batch: send the rest in the next")


def _binary(data: bytes, key: Key) -> Sent:
    batch = decode(data, EntryHeader, EVENTS)
    source, sequence = batch.header["source"], batch.header["sequence"]
    _check(source, sequence, batch.runs, key)
    return Sent(source, sequence, len(batch), data, _latest(batch.runs))


def _formed(form: dict[str, Any], events: object, path: str, key: Key) -> Sent:
    source, sequence = _whole(form, "source", 2**32, path), _whole(form, "sequence", 2**64, path)
    _may_speak(source, key)  # before the work of reading what it says
    if not isinstance(events, list):
        raise _wrong(f"{path}.events", "an array is needed")
    messages = []
    for at, one in enumerate(events):
        try:
            messages.append(from_json(EVENTS, one))
        except FormError as error:
            raise FormError(error.fault, f"{path}.events[{at}]{error.path[1:]}", error.what) from None
    runs = runs_of(EVENTS, messages)
    _check(source, sequence, runs, key)
    return Sent(source, sequence, len(messages), encode_entry(source, sequence, runs), _latest(runs))


def _latest(runs: Sequence[Run]) -> int:
    told = [int(run.rows["time"].max()) for run in runs if run.message.cls in ALLOWED[Role.ORACLE] and len(run.rows)]
    return max(told, default=0)


def not_ahead(sent: Sequence[Sent], now: int) -> None:
    """Refuses an oracle's time further ahead of the clock (`now`, microseconds) than MOST_AHEAD: the fold's time would
    move there, and every honest price after it would be late."""
    for one in sent:
        if one.latest > now + MOST_AHEAD:
            ahead = f"a time {(one.latest - now) / 1e6:.0f} s ahead, at most {MOST_AHEAD // 10**6} s is taken"
            raise Refused(422, "TimeAhead", f"source {one.source}, entry {one.sequence}: {ahead}")


def _check(source: int, sequence: int, runs: Sequence[Run], key: Key) -> None:
    _may_speak(source, key)
    if not 0 < sequence < 2**64 - 1:
        raise Refused(422, "SequenceWrong", f"sequence {sequence}: a source's first entry has 1")
    if not runs:
        raise Refused(422, "EntryEmpty", "an entry holds at least one event")
    may_send = allowed(source)
    for run in runs:
        if run.message.cls not in may_send:
            role = Role(source // SOURCES_PER_ROLE)
            sender = ", ".join(one.name.lower() for one in Role if run.message.cls in ALLOWED[one])
            what = f"source {source}, {role.name.lower()}, does not send {run.message.name}: that is for {sender}"
            raise Refused(403, "EventNotAllowed", what)
        _check_text(run)


def _may_speak(source: int, key: Key) -> None:
    if source not in key.sources:
        mine = ", ".join(map(str, sorted(key.sources))) or "none"
        raise Refused(403, "SourceNotAllowed", f"key {key.id} does not speak as source {source}; its sources: {mine}")


def _check_text(run: Run) -> None:
    """Refuses control characters: whoever prints a name must not be made to print commands to a terminal."""
    for field in run.message.fields:
        if field.wire.form != "text" or not len(run.rows):
            continue
        column = np.ascontiguousarray(run.rows[field.name])
        raw = column.view(np.uint8).reshape(len(column), -1)
        control = ((raw < 0x20) & (raw != 0)) | (raw == 0x7F)
        if run.message.cls in _NEWLINES:
            control &= (raw != 0x0A) & (raw != 0x09)
        rows = np.flatnonzero(control.any(axis=1))
        texts = {*np.unique(column).tolist()} if not len(rows) else set()
        if len(rows) or any(_unreadable(text) for text in texts):
            what = "holds a control character, or is no UTF-8"
            where = f"row {int(rows[0])}: " if len(rows) else ""
            raise Refused(422, "TextRefused", f"{where}{run.message.name}.{field.name} {what}")


def _unreadable(text: bytes) -> bool:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return any(letter in _UNPRINTED for letter in decoded)


def _parsed(body: bytes, media: str) -> object:
    if media != JSON:
        raise _unknown(media, f"{JSON} or {BINARY}")
    return parsed(body)


def parsed(body: bytes) -> object:
    """A body's JSON. Raises Refused(JsonWrong): also where a key stands twice, or a number is no number."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(422, "JsonWrong", f"the body is no JSON: {str(error)[:120]}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return told


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _unknown(media: str, wanted: str) -> Refused:
    return Refused(415, "MediaTypeUnknown", f"Content-Type {media[:60]!r}: send {wanted}")


def _object(form: object, names: set[str], path: str) -> dict[str, Any]:
    if not isinstance(form, dict) or set(form) != names:
        raise _wrong(path, f"an object of {', '.join(sorted(names))} is needed, with nothing else")
    return form


def _whole(form: dict[str, Any], name: str, limit: int, path: str) -> int:
    value = form[name]
    if type(value) is not int or not 0 <= value < limit:
        raise _wrong(f"{path}.{name}", f"a whole number below {limit} is needed")
    return value


def _wrong(path: str, what: str) -> Refused:
    return Refused(422, "FormWrong", f"{path}: {what}", path=path)


LARGEST: Final = {"entry": 8 * MAX_ENTRY_BYTES, "batch": 16 * MAX_ENTRY_BYTES, "question": 1 << 16, "none": 1 << 10}
"""bytes of a request's body: JSON takes several times an entry's bytes"""

"""The SBE 1.0 XML of every message, so that an exchange's own FIX tools can write and read what `schemas.wire` does.

A header message keeps its fields in the root block; every other one has an empty root block and one group, `rows`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final
from xml.etree import ElementTree as Xml

from schemas.events import EVENTS
from schemas.message import Catalogue, Field, Message, Wire
from schemas.outcomes import OUTCOMES
from schemas.wire import HEADERS, SCHEMA_ID, SCHEMA_VERSION

NAMESPACE: Final = "http://fixprotocol.io/2016/sbe"
ROWS: Final = "rows"
_RANGES: Final = {
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_HEADER: Final = ("blockLength", "templateId", "schemaId", "version")
_GROUP_SIZE: Final = ("blockLength", "numInGroup")
_ROWS_ID: Final = 1
_FIRST_FIELD_ID: Final = 2


def type_name(field: Field) -> str:
    """The name of a field's type, as `schemas.message` spells it (U16, Time, Text24, I64x16) or its enum's."""
    if field.enum is not None:
        return field.enum.__name__
    wire = field.wire
    if wire.form == "time":
        return "Time"
    if wire.form in ("text", "bytes"):
        return f"{wire.form.capitalize()}{wire.length}"
    number = f"{'U' if wire.sbe.startswith('u') else 'I'}{wire.sbe.lstrip('uint')}"
    return f"{number}x{wire.length}" if wire.form == "array" else number


def document() -> str:
    """The schema of headers, events and outcomes as XML text; the same definitions give the same text."""
    catalogues = (HEADERS, EVENTS, OUTCOMES)
    return schema_of(SCHEMA_ID, SCHEMA_VERSION, catalogues, headers=frozenset(HEADERS.by_template))


def schema_of(number: int, version: int, catalogues: Iterable[Catalogue], headers: frozenset[int]) -> str:
    """The XML of catalogues. Templates named in `headers` keep their fields in the root block.

    Raises ValueError where two catalogues use one template number.
    """
    messages: dict[int, Message] = {}
    for catalogue in catalogues:
        for template, message in catalogue.by_template.items():
            if template in messages:
                raise ValueError(f"template {template} is both {messages[template].name} and {message.name}")
            messages[template] = message
    root = Xml.Element(
        "sbe:messageSchema",
        {
            "xmlns:sbe": NAMESPACE,
            "package": "novate",
            "id": str(number),
            "version": str(version),
            "semanticVersion": f"{version}.0",
            "byteOrder": "littleEndian",
            "headerType": "messageHeader",
            "description": "Entries of the journal and of outcomes: a header message, then runs of one template each",
        },
    )
    root.append(_types(messages.values()))
    for template in sorted(messages):
        root.append(_message(messages[template], template in headers))
    Xml.indent(root)
    text = Xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}\n'


def _types(messages: Iterable[Message]) -> Xml.Element:
    types = Xml.Element("types")
    types.append(_composite("messageHeader", _HEADER))
    types.append(_composite("groupSizeEncoding", _GROUP_SIZE))
    columns = {type_name(field): field for message in messages for field in message.fields}
    for name in sorted(columns):
        field = columns[name]
        types.append(_type(name, field.wire) if field.enum is None else _enum(field.enum))
    return types


def _composite(name: str, parts: tuple[str, ...]) -> Xml.Element:
    composite = Xml.Element("composite", {"name": name})
    for part in parts:
        Xml.SubElement(composite, "type", {"name": part, "primitiveType": "uint16"})
    return composite


def _type(name: str, wire: Wire) -> Xml.Element:
    made = Xml.Element("type", {"name": name, "primitiveType": wire.sbe})
    if wire.length > 1:
        made.set("length", str(wire.length))
    if wire.form == "text":
        made.set("characterEncoding", "UTF-8")
        made.set("description", "UTF-8, padded with NUL")
        return made
    # said outright: by default SBE keeps one value of every type back for "null", and here every value is one
    low, high = _RANGES[wire.sbe]
    made.set("minValue", str(low))
    made.set("maxValue", str(high))
    if wire.form == "time":
        made.set("description", "microseconds since 1970-01-01T00:00:00Z")
    return made


def _enum(enum: type[IntEnum]) -> Xml.Element:
    made = Xml.Element(
        "enum", {"name": enum.__name__, "encodingType": "uint8", "description": one_line(enum.__doc__ or "")}
    )
    for member in enum:
        Xml.SubElement(made, "validValue", {"name": member.name}).text = str(member.value)
    return made


def _message(message: Message, header: bool) -> Xml.Element:
    width = str(message.dtype.itemsize)
    made = Xml.Element(
        "sbe:message",
        {
            "name": message.name,
            "id": str(message.template),
            "blockLength": width if header else "0",
            "description": one_line(message.doc),
        },
    )
    block = made
    if not header:
        block = Xml.SubElement(
            made,
            "group",
            {"name": ROWS, "id": str(_ROWS_ID), "blockLength": width, "dimensionType": "groupSizeEncoding"},
        )
    for number, field in enumerate(message.fields, _FIRST_FIELD_ID):
        Xml.SubElement(
            block,
            "field",
            {
                "name": field.name,
                "id": str(number),
                "type": type_name(field),
                "offset": str(message.offset(field.name)),
            },
        )
    return made


def one_line(doc: str) -> str:
    """A docstring as one line of text."""
    return " ".join(doc.split())

"""The published XML is enough: a decoder that knows nothing else reads what the wire writes, for every message."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_messages, messages

from schemas.events import EVENTS
from schemas.message import Catalogue, Message
from schemas.outcomes import OUTCOMES
from schemas.sbe import NAMESPACE, document, schema_of
from schemas.wire import HEADERS, SCHEMA_ID, SCHEMA_VERSION, EntryHeader, OutcomeHeader, encode, runs_of

DIRECTIONS = [(EVENTS, EntryHeader), (OUTCOMES, OutcomeHeader)]
EVERY = [(catalogue, kind, one) for catalogue, kind in DIRECTIONS for one in catalogue.by_template.values()]
every_message = pytest.mark.parametrize(("catalogue", "kind", "definition"), EVERY, ids=[one.name for *_, one in EVERY])

# SBE 1.0, table of primitive types
PRIMITIVES = {"char": "c", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int64": "q"}


@dataclass
class Read:
    """A message as the decoder found it."""

    name: str
    block: dict[str, Any]
    groups: dict[str, list[dict[str, Any]]]


class Decoder:
    """SBE by the book, driven by the XML alone: header, root block, groups; unknown types are an error."""

    def __init__(self, text: str) -> None:
        root = Xml.fromstring(text)
        assert root.tag == f"{{{NAMESPACE}}}messageSchema"
        self.order = {"littleEndian": "<", "bigEndian": ">"}[root.attrib["byteOrder"]]
        self.schema, self.version = int(root.attrib["id"]), int(root.attrib["version"])
        self.types: dict[str, Xml.Element] = {one.attrib["name"]: one for part in root.findall("types") for one in part}
        self.header = self.types[root.attrib["headerType"]]
        self.messages = {int(one.attrib["id"]): one for one in root.findall(f"{{{NAMESPACE}}}message")}

    def value(self, kind: Xml.Element, data: bytes, position: int) -> tuple[Any, int]:
        if kind.tag == "enum":
            code = PRIMITIVES[kind.attrib["encodingType"]]
            (number,) = struct.unpack_from(self.order + code, data, position)
            names = {int(one.text or ""): one.attrib["name"] for one in kind.findall("validValue")}
            return names[number], struct.calcsize(self.order + code)
        assert kind.tag == "type"
        primitive, length = kind.attrib["primitiveType"], int(kind.attrib.get("length", "1"))
        layout = f"{self.order}{length}{PRIMITIVES[primitive]}"
        if primitive == "char":
            (joined,) = struct.unpack_from(f"{length}s", data, position)
            return joined.split(b"\0")[0].decode(kind.attrib["characterEncoding"]), length
        values = struct.unpack_from(layout, data, position)
        if "minValue" in kind.attrib:
            low, high = int(kind.attrib["minValue"]), int(kind.attrib["maxValue"])
            assert all(low <= value <= high for value in values)
        return values if length > 1 else values[0], struct.calcsize(layout)

    def composite(self, kind: Xml.Element, data: bytes, position: int) -> tuple[dict[str, int], int]:
        assert kind.tag == "composite"
        values, size = {}, 0
        for part in kind:
            values[part.attrib["name"]], width = self.value(part, data, position + size)
            size += width
        return values, size

    def block(self, element: Xml.Element, length: int, data: bytes, position: int) -> dict[str, Any]:
        values, place = {}, 0
        for field in element.findall("field"):
            assert int(field.attrib["offset"]) == place, "fields lie side by side"
            values[field.attrib["name"]], width = self.value(self.types[field.attrib["type"]], data, position + place)
            place += width
        assert place == length == int(element.attrib["blockLength"])
        return values

    def messages_of(self, data: bytes) -> list[Read]:
        position, found = 0, []
        while position < len(data):
            header, size = self.composite(self.header, data, position)
            assert (header["schemaId"], header["version"]) == (self.schema, self.version)
            element = self.messages[header["templateId"]]
            position += size
            block = self.block(element, header["blockLength"], data, position)
            position += header["blockLength"]
            groups: dict[str, list[dict[str, Any]]] = {}
            for group in element.findall("group"):
                dimension, size = self.composite(self.types[group.attrib["dimensionType"]], data, position)
                position += size
                rows = groups.setdefault(group.attrib["name"], [])
                for _ in range(dimension["numInGroup"]):
                    rows.append(self.block(group, dimension["blockLength"], data, position))
                    position += dimension["blockLength"]
            found.append(Read(element.attrib["name"], block, groups))
        assert position == len(data)
        return found


DECODER = Decoder(document())


def as_sbe(definition: Message, message: Any) -> dict[str, Any]:
    """A message's values as an SBE reader sees them: enums by name, bytes as numbers."""
    values: dict[str, Any] = {}
    for field in definition.fields:
        value = getattr(message, field.name)
        values[field.name] = value.name if field.enum else tuple(value) if field.wire.form == "bytes" else value
    return values


def header(kind: type[Any], rows: int) -> Any:
    if kind is EntryHeader:
        return EntryHeader(source=2**32 - 1, events=rows, sequence=2**64 - 1)
    return OutcomeHeader(shard=3, shards=65535, outcomes=rows, n=1, previous=0)


# few examples each: there are seventy messages
@every_message
@settings(max_examples=30)
@given(data=st.data())
def test_a_reader_of_the_xml_reads_every_message(
    catalogue: Catalogue, kind: type[Any], definition: Message, data: st.DataObject
) -> None:
    told = data.draw(st.lists(messages(definition), min_size=1, max_size=3))
    opening = header(kind, len(told))
    first, second = DECODER.messages_of(encode(opening, runs_of(catalogue, told)))
    assert first == Read(kind.__name__, as_sbe(HEADERS.by_class[kind], opening), {})
    assert second == Read(definition.name, {}, {"rows": [as_sbe(definition, one) for one in told]})


@pytest.mark.parametrize(("catalogue", "kind"), DIRECTIONS, ids=["events", "outcomes"])
@given(data=st.data())
def test_a_reader_of_the_xml_reads_a_batch_in_order(catalogue: Catalogue, kind: type[Any], data: st.DataObject) -> None:
    told = data.draw(st.lists(any_messages(catalogue), max_size=8))
    _, *runs = DECODER.messages_of(encode(header(kind, len(told)), runs_of(catalogue, told)))
    found = [(run.name, row) for run in runs for row in run.groups["rows"]]
    assert found == [(type(one).__name__, as_sbe(catalogue.by_class[type(one)], one)) for one in told]


def test_the_document_is_whole_and_the_same_each_time() -> None:
    assert document() == document()
    root = Xml.fromstring(document())
    assert (root.attrib["id"], root.attrib["version"]) == (str(SCHEMA_ID), str(SCHEMA_VERSION))
    defined = {number: one.name for each in (HEADERS, EVENTS, OUTCOMES) for number, one in each.by_template.items()}
    assert {number: one.attrib["name"] for number, one in DECODER.messages.items()} == defined
    assert list(DECODER.messages) == sorted(defined)


@every_message
def test_ids_are_the_messages_own(catalogue: Catalogue, kind: type[Any], definition: Message) -> None:
    element = DECODER.messages[definition.template]
    ids = [one.attrib["id"] for one in element.iter() if one.tag in ("field", "group")]
    assert len(ids) == len(set(ids)) == len(definition.fields) + 1
    assert element.attrib["description"].split() == definition.doc.split()


def test_names_are_names_to_a_code_generator() -> None:
    for element in Xml.fromstring(document()).iter():
        if "name" in element.attrib:
            assert element.attrib["name"].isidentifier()


def test_every_enum_leaves_the_null_value_free() -> None:
    enums = [one for one in DECODER.types.values() if one.tag == "enum"]
    assert enums
    for enum in enums:
        assert all(0 <= int(one.text or "") < 255 for one in enum)


def test_a_template_of_two_catalogues_is_refused() -> None:
    with pytest.raises(ValueError, match="template 1 is both EntryHeader and EntryHeader"):
        schema_of(1, 1, (HEADERS, HEADERS), frozenset())

"""Entries as bytes: every message there and back, every damage refused by reason and position, layouts as published.

`python tests/schemas/test_wire.py` publishes the layouts of a new schema version; a published version never changes.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_messages, messages

from schemas.events import EVENTS, AccountOpened, MarketClosed, OrderCancelled, ProfileText, RiskArray, Trade
from schemas.kinds import Reason, Segregation
from schemas.limits import MAX_ENTRY_BYTES, MAX_RUN_ROWS
from schemas.message import U8, Catalogue, Message, define
from schemas.outcomes import OUTCOMES
from schemas.wire import (
    HEADERS,
    SCHEMA_ID,
    SCHEMA_VERSION,
    EntryHeader,
    OutcomeHeader,
    WireError,
    decode,
    encode,
    encode_entry,
    messages_of,
    rows_of,
    runs_of,
)

GOLDEN = Path(__file__).with_name("golden.json")
DIRECTIONS = [(EVENTS, EntryHeader), (OUTCOMES, OutcomeHeader)]
EVERY = [(catalogue, kind, one) for catalogue, kind in DIRECTIONS for one in catalogue.by_template.values()]
every_message = pytest.mark.parametrize(("catalogue", "kind", "definition"), EVERY, ids=[one.name for *_, one in EVERY])

TRADE = Trade(
    venue=1,
    instrument=2,
    buyer=16,
    seller=17,
    time=5,
    trade=9,
    quantity=3,
    price=4,
    buyer_fee=-1,
    seller_fee=0,
)
CANCELLED = OrderCancelled(account=16, time=6, order=1)
OPENED = AccountOpened(
    segregation=Segregation.OMNIBUS, liquidator=0, profile=0, account=16, member=1, owner=1, time=0, name="Zoë"
)
MARKET = MarketClosed(market=1, rows=0, digest=bytes(32))
ENTRY = encode_entry(7, 8, runs_of(EVENTS, [TRADE, TRADE, CANCELLED]))

# where things lie in ENTRY: a message header of four uint16, the entry's header, runs of header, group size and rows
MESSAGE, GROUP = 8, 4
FIRST_RUN = MESSAGE + HEADERS.by_class[EntryHeader].dtype.itemsize
FIRST_ROW = FIRST_RUN + MESSAGE + GROUP
SECOND_RUN = FIRST_ROW + 2 * EVENTS.by_class[Trade].dtype.itemsize
SECOND_ROW = SECOND_RUN + MESSAGE + GROUP


def header(kind: type[Any], rows: int) -> Any:
    if kind is EntryHeader:
        return EntryHeader(source=7, events=rows, sequence=8)
    return OutcomeHeader(shard=1, shards=4, outcomes=rows, n=9, previous=8)


def read(data: bytes | bytearray, catalogue: Catalogue = EVENTS, kind: type[Any] = EntryHeader) -> list[Any]:
    return messages_of(decode(data, kind, catalogue).runs)


def patched(position: int, layout: str, *values: int) -> bytearray:
    data = bytearray(ENTRY)
    struct.pack_into(layout, data, position, *values)
    return data


def refused(data: bytes | bytearray, reason: Reason, position: int, what: str = "") -> None:
    with pytest.raises(WireError) as caught:
        read(data)
    assert (caught.value.reason, caught.value.position) == (reason, position)
    assert what in caught.value.what
    assert str(caught.value) == f"{reason.name} at byte {position}: {caught.value.what}"


# --- there and back ---------------------------------------------------------------------------------------------------


# few examples each: there are seventy messages
@every_message
@settings(max_examples=30)
@given(data=st.data())
def test_every_message_through_bytes(
    catalogue: Catalogue, kind: type[Any], definition: Message, data: st.DataObject
) -> None:
    told = data.draw(st.lists(messages(definition), min_size=1, max_size=4))
    raw = encode(header(kind, len(told)), runs_of(catalogue, told))
    batch = decode(raw, kind, catalogue)
    assert messages_of(batch.runs) == told
    assert [run.message for run in batch.runs] == [definition]
    assert encode(kind(**batch.header), batch.runs) == raw


@given(st.lists(any_messages(EVENTS), max_size=12), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_a_batch_keeps_its_order(told: list[Any], source: int, sequence: int) -> None:
    raw = encode_entry(source, sequence, runs_of(EVENTS, told))
    batch = decode(raw, EntryHeader, EVENTS)
    assert messages_of(batch.runs) == told
    assert batch.header == {"source": source, "events": len(told), "sequence": sequence}
    assert len(batch) == len(told)
    assert all(a.message is not b.message for a, b in zip(batch.runs, batch.runs[1:], strict=False))


def test_an_entry_byte_by_byte() -> None:
    expected = struct.pack("<HHHH", 16, 1, SCHEMA_ID, SCHEMA_VERSION) + struct.pack("<IIQ", 7, 2, 8)
    expected += struct.pack("<HHHH", 0, 27, SCHEMA_ID, SCHEMA_VERSION) + struct.pack("<HH", 22, 2)
    expected += 2 * struct.pack("<HIqQ", 0, 16, 6, 1)
    assert encode_entry(7, 8, runs_of(EVENTS, [CANCELLED, CANCELLED])) == expected


def test_a_full_run_is_followed_by_another() -> None:
    told = [CANCELLED] * (MAX_RUN_ROWS + 1)
    runs = runs_of(EVENTS, told)
    assert [len(run.rows) for run in runs] == [MAX_RUN_ROWS, 1]
    raw = encode(OutcomeHeader(shard=0, shards=1, outcomes=len(told), n=1, previous=0), runs)
    assert read(raw, kind=OutcomeHeader) == told


def test_what_is_read_cannot_be_changed() -> None:
    for data in (ENTRY, bytearray(ENTRY), memoryview(bytearray(ENTRY))):
        for run in decode(data, EntryHeader, EVENTS).runs:
            with pytest.raises(ValueError, match="read-only"):
                run.rows["flags"] = 1


def test_no_messages_are_no_rows() -> None:
    assert runs_of(EVENTS, []) == ()
    assert len(rows_of(EVENTS.by_class[RiskArray], [])) == 0
    assert read(encode_entry(1, 1, ())) == []


# --- what does not fit is refused, never cut or wrapped ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "field", "value", "error"),
    [
        (TRADE, "price", 2**63, OverflowError),
        (TRADE, "venue", -1, OverflowError),
        (TRADE, "venue", 2**16, OverflowError),
        (TRADE, "trade", 2**64, OverflowError),
        (TRADE, "trade", np.int64(-1), OverflowError),
        (TRADE, "price", 1.5, TypeError),
        (TRADE, "price", "1", TypeError),
        (OPENED, "name", "é" * 13, ValueError),
        (OPENED, "name", "a\0", ValueError),
        (OPENED, "name", "a\0b", ValueError),
        (OPENED, "name", 5, TypeError),
        (MARKET, "digest", bytes(31), ValueError),
        (MARKET, "digest", "0" * 32, TypeError),
    ],
)
def test_values_that_do_not_fit(message: Any, field: str, value: Any, error: type[Exception]) -> None:
    definition = EVENTS.by_class[type(message)]
    values = {column.name: getattr(message, column.name) for column in definition.fields}
    assert rows_of(definition, [message])[0][field] is not None
    with pytest.raises(error):
        rows_of(definition, [definition.cls(**{**values, field: value})])


@pytest.mark.parametrize("losses", [(0,) * 15, (0,) * 17, (0,) * 15 + (2**63,), (0.5,) * 16])
def test_arrays_that_do_not_fit(losses: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, OverflowError, TypeError)):
        rows_of(EVENTS.by_class[RiskArray], [RiskArray(profile=0, first=0, instrument=1, market=1, losses=losses)])


def test_a_template_is_given_once() -> None:
    catalogue = Catalogue()

    @define(catalogue, 1)
    class First:
        """One."""

        flags: U8 = 0

    assert [message.cls for message in catalogue.by_template.values()] == [First]
    with pytest.raises(ValueError, match="template 1 is taken by First"):

        @define(catalogue, 1)
        class Second:
            """Two."""

            flags: U8 = 0


def test_templates_are_used_once_over_all_catalogues() -> None:
    templates = [template for one in (HEADERS, EVENTS, OUTCOMES) for template in one.by_template]
    assert len(templates) == len(set(templates))


# --- damage -----------------------------------------------------------------------------------------------------------


def test_truncated_at_every_byte() -> None:
    starts = {FIRST_RUN: 0, SECOND_RUN: 2}
    for length in range(len(ENTRY)):
        if length < FIRST_RUN:
            position = length
        elif length in starts:
            # cut between runs: every run can be read, the header's count tells
            refused(ENTRY[:length], Reason.MALFORMED, MESSAGE, f"tells 3 rows, {starts[length]} follow")
            continue
        elif length < FIRST_ROW:
            position = FIRST_RUN
        elif length < SECOND_RUN:
            position = FIRST_ROW
        else:
            position = SECOND_RUN if length < SECOND_ROW else SECOND_ROW
        refused(ENTRY[:length], Reason.MALFORMED, position)


def test_wrong_schema() -> None:
    for position in (0, FIRST_RUN, SECOND_RUN):
        refused(patched(position + 4, "<H", 7002), Reason.MALFORMED, position + 4, "schema 7002, known is 7001")


def test_wrong_version() -> None:
    for position in (0, FIRST_RUN, SECOND_RUN):
        for version in (0, SCHEMA_VERSION + 1, 65535):
            refused(patched(position + 6, "<H", version), Reason.UNKNOWN_VERSION, position + 6, f"version {version}")


def test_another_version_is_told_before_its_lengths() -> None:
    refused(patched(0, "<HHHH", 24, 1, SCHEMA_ID, SCHEMA_VERSION + 1), Reason.UNKNOWN_VERSION, 6)
    refused(
        patched(FIRST_RUN, "<HHHHH", 8, 23, SCHEMA_ID, SCHEMA_VERSION + 1, 90), Reason.UNKNOWN_VERSION, FIRST_RUN + 6
    )


def test_wrong_template() -> None:
    refused(patched(2, "<H", 2), Reason.MALFORMED, 2, "template 2, EntryHeader is 1")
    # an outcome's template is none of an event's, nor is a header's
    for template in (0, 1, 99, 100, 65535):
        refused(patched(FIRST_RUN + 2, "<H", template), Reason.UNKNOWN_TEMPLATE, FIRST_RUN + 2, f"template {template}")
        refused(patched(SECOND_RUN + 2, "<H", template), Reason.UNKNOWN_TEMPLATE, SECOND_RUN + 2)


def test_wrong_block_length() -> None:
    for length in (0, 15, 17, 65535):
        refused(patched(0, "<H", length), Reason.MALFORMED, 0, f"EntryHeader of {length} bytes, not 16")
    refused(patched(SECOND_RUN, "<H", 1), Reason.MALFORMED, SECOND_RUN, "root block of 1 bytes")
    for length in (0, 21, 23, 65535):
        refused(
            patched(SECOND_RUN + 8, "<H", length), Reason.MALFORMED, SECOND_RUN + 8, f"rows of {length} bytes, not 22"
        )


def test_counts_that_lie() -> None:
    for events in (0, 2, 4, 2**32 - 1):
        refused(patched(12, "<I", events), Reason.MALFORMED, MESSAGE, f"tells {events} rows, 3 follow")
    refused(patched(SECOND_RUN + 10, "<H", 0), Reason.MALFORMED, SECOND_RUN + 10, "a run of no OrderCancelled")
    for count in (2, 65535):
        refused(
            patched(SECOND_RUN + 10, "<H", count), Reason.MALFORMED, SECOND_ROW, f"{count} rows of 22 bytes, 22 bytes"
        )
    # one row too few: the bytes of the other are read as the next run
    refused(patched(FIRST_RUN + 10, "<H", 1), Reason.MALFORMED, FIRST_ROW + EVENTS.by_class[Trade].dtype.itemsize + 4)


def test_what_follows_the_last_run() -> None:
    for trailing in (b"\0", bytes(MESSAGE + GROUP - 1)):
        refused(ENTRY + trailing, Reason.MALFORMED, len(ENTRY), f"cut off after {len(trailing)} bytes")


def test_oversized_entries() -> None:
    width = EVENTS.by_class[OrderCancelled].dtype.itemsize
    most = (MAX_ENTRY_BYTES - FIRST_ROW) // width
    fitting = runs_of(EVENTS, [CANCELLED] * most)
    assert len(read(encode_entry(7, 8, fitting))) == most
    large = runs_of(EVENTS, [CANCELLED] * (most + 1))
    with pytest.raises(WireError) as caught:
        encode_entry(7, 8, large)
    assert (caught.value.reason, caught.value.position) == (Reason.MALFORMED, MAX_ENTRY_BYTES)
    told = EntryHeader(source=7, events=most + 1, sequence=8)
    refused(encode(told, large), Reason.MALFORMED, MAX_ENTRY_BYTES, f"at most {MAX_ENTRY_BYTES}")
    # an entry's outcomes may be larger than it
    outcomes = OutcomeHeader(shard=0, shards=1, outcomes=most + 1, n=1, previous=0)
    assert len(read(encode(outcomes, large), kind=OutcomeHeader)) == most + 1


def test_numbers_no_enum_has() -> None:
    data = bytearray(encode_entry(7, 8, runs_of(EVENTS, [OPENED])))
    place = EVENTS.by_class[AccountOpened].offset("segregation")
    data[FIRST_ROW + place] = 3
    assert len(decode(data, EntryHeader, EVENTS)) == 1
    refused(data, Reason.UNKNOWN_ENUM_VALUE, place, "AccountOpened.segregation = 3 is no Segregation")


def test_text_that_is_none() -> None:
    data = bytearray(encode_entry(7, 8, runs_of(EVENTS, [OPENED])))
    place = EVENTS.by_class[AccountOpened].offset("name")
    data[FIRST_ROW + place + 1] = 0xFF
    refused(data, Reason.MALFORMED, place + 1, "AccountOpened.name is no UTF-8")
    data[FIRST_ROW + place + 1] = 0
    refused(data, Reason.MALFORMED, place + 1, "AccountOpened.name goes on after a NUL")


def survives(data: bytes, catalogue: Catalogue, kind: type[Any]) -> None:
    try:
        told = read(data, catalogue, kind)
    except WireError as error:
        assert error.reason is not Reason.NONE
        assert 0 <= error.position <= len(data)
        return
    assert read(encode(header(kind, len(told)), runs_of(catalogue, told)), catalogue, kind) == told


@pytest.mark.parametrize(("catalogue", "kind"), DIRECTIONS, ids=["events", "outcomes"])
@settings(max_examples=300)
@given(data=st.data())
def test_flipped_bytes(catalogue: Catalogue, kind: type[Any], data: st.DataObject) -> None:
    told = data.draw(st.lists(any_messages(catalogue), min_size=1, max_size=4))
    damaged = bytearray(encode(header(kind, len(told)), runs_of(catalogue, told)))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    survives(bytes(damaged), catalogue, kind)


@pytest.mark.parametrize("place", range(FIRST_ROW))
def test_every_value_of_every_structural_byte(place: int) -> None:
    for value in range(256):
        survives(ENTRY[:place] + bytes([value]) + ENTRY[place + 1 :], EVENTS, EntryHeader)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    survives(data, EVENTS, EntryHeader)
    survives(ENTRY[:FIRST_RUN] + data, EVENTS, EntryHeader)
    survives(struct.pack("<HHHH", 16, 1, SCHEMA_ID, SCHEMA_VERSION) + data, EVENTS, EntryHeader)


def test_text_split_by_its_bytes() -> None:
    """A piece of text is a field of bytes: cut between characters by who writes it, never by the wire."""
    piece = ProfileText(profile=1, part=0, time=0, text="€" * 42)
    assert read(encode_entry(1, 1, runs_of(EVENTS, [piece]))) == [piece]
    with pytest.raises(ValueError, match="129 bytes of text, at most 128 fit"):
        runs_of(EVENTS, [ProfileText(profile=1, part=0, time=0, text="€" * 43)])


# --- as published -----------------------------------------------------------------------------------------------------


def layouts() -> dict[str, Any]:
    """The layout of every message and the numbers of every enum, as plain JSON."""
    told: dict[str, Any] = {"version": SCHEMA_VERSION, "messages": {}, "enums": {}}
    for catalogue in (HEADERS, EVENTS, OUTCOMES):
        for template, message in sorted(catalogue.by_template.items()):
            columns = []
            for field in message.fields:
                kind = field.enum.__name__ if field.enum else field.wire.form
                columns.append([field.name, field.wire.code, field.wire.length, kind])
                if field.enum:
                    told["enums"][field.enum.__name__] = {member.name: member.value for member in field.enum}
            told["messages"][str(template)] = {
                "name": message.name,
                "bytes": message.dtype.itemsize,
                "fields": columns,
            }
    return told


def test_layouts_are_as_published() -> None:
    published, now = json.loads(GOLDEN.read_text()), layouts()
    assert now["version"] == published["version"], "a new version: publish its layouts (see this file's first lines)"
    for template, layout in published["messages"].items():
        assert now["messages"].get(template) == layout, "a changed layout needs a new SCHEMA_VERSION"
    for name, members in published["enums"].items():
        assert members.items() <= now["enums"][name].items(), f"{name}: a number never changes its name"
    assert now == published, "additions must be published (see this file's first lines)"


def publish() -> None:
    """Write the layouts down. Refuses to change what the same version already published."""
    now = layouts()
    if GOLDEN.exists():
        published = json.loads(GOLDEN.read_text())
        kept = all(now["messages"].get(key) == layout for key, layout in published["messages"].items())
        named = all(members.items() <= now["enums"][name].items() for name, members in published["enums"].items())
        if published["version"] == now["version"] and not (kept and named):
            raise SystemExit(f"version {now['version']} is published with another layout: raise SCHEMA_VERSION")
    messages_told = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in now["messages"].items())
    enums_told = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(now["enums"].items()))
    GOLDEN.write_text(
        f'{{\n  "version": {now["version"]},\n  "messages": {{\n{messages_told}\n  }},\n'
        f'  "enums": {{\n{enums_told}\n  }}\n}}\n'
    )


if __name__ == "__main__":
    publish()

"""A shard's part as bytes: what goes in comes out, and what is not a part is refused by name."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sequence import CAPITAL, MARK, TABLE, deposited, messages_lists, placed, trade

from ledger.sequence import IndexedRun, ShardEntry, SplitState, refused, split
from ledger.shardwire import SHARDS, decode_shard, encode_shard
from schemas.events import EVENTS, Deposited
from schemas.kinds import Reason
from schemas.limits import MAX_RUN_ROWS
from schemas.outcomes import OUTCOMES
from schemas.wire import HEADERS, WireError, runs_of


def alike(one: ShardEntry, other: ShardEntry) -> bool:
    heads = [(part.n, part.previous, part.shard, part.reason, part.source, part.recipients) for part in (one, other)]
    return heads[0] == heads[1] and placed(one) == placed(other)


@pytest.mark.parametrize("shards", [1, 4, 16])
@given(messages=messages_lists, n=st.integers(1, 2**63))
def test_what_is_encoded_is_decoded(shards: int, messages: list[Any], n: int) -> None:
    state = SplitState([n - 1] * shards)
    for part in split(state, n, runs_of(EVENTS, messages), TABLE % shards, 8):
        data = encode_shard(part)
        assert alike(decode_shard(data), part)
        assert alike(decode_shard(memoryview(data)), part)
        assert encode_shard(decode_shard(data)) == data


def test_the_bytes_are_fixed() -> None:
    (part,) = split(SplitState.of(1), 5, runs_of(EVENTS, [deposited(17), deposited(18)]), TABLE, 8)
    rows = part.runs[0].rows
    assert encode_shard(part) == (
        struct.pack("<HHHHHH", 0, 3, 7001, 2, 39, 1) + struct.pack("<HBIIIQQQ", 0, 0, 8, 1, 2, 5, 0, 0)
        + struct.pack("<HHHHHH", 0, 4, 7001, 2, 4, 2) + struct.pack("<II", 0, 1)
        + struct.pack("<HHHHHH", 0, 20, 7001, 2, rows.dtype.itemsize, 2) + rows.tobytes()
    )  # fmt: skip


def test_an_unreadable_body_keeps_its_reason() -> None:
    part = refused(SplitState([4]), 5, Reason.UNKNOWN_VERSION, 8)
    assert decode_shard(encode_shard(part)) == part


def test_a_run_longer_than_a_group_is_cut_in_groups() -> None:
    message = EVENTS.by_class[Deposited]
    rows = np.zeros(MAX_RUN_ROWS + 7, message.dtype)
    rows["account"] = np.arange(len(rows))
    index = np.arange(len(rows), dtype=np.uint32) * 2 + 1
    found = decode_shard(encode_shard(ShardEntry(1, 0, 0, (IndexedRun(message, rows, index),))))
    assert [len(run.rows) for run in found.runs] == [MAX_RUN_ROWS, 7]
    assert np.array_equal(np.concatenate([run.rows for run in found.runs]), rows)
    assert np.array_equal(np.concatenate([run.index for run in found.runs]), index)


def test_templates_are_used_once() -> None:
    taken = [*HEADERS.by_template, *EVENTS.by_template, *OUTCOMES.by_template]
    assert not set(SHARDS.by_template) & set(taken)


@pytest.mark.parametrize("field", ["shard", "n", "previous", "source", "recipients"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_that_does_not_fit_is_refused(field: str, value: int) -> None:
    values = {"n": 1, "previous": 0, "shard": 0, "runs": (), field: value}
    with pytest.raises(ValueError, match="entry"):
        encode_shard(ShardEntry(**values))


WHOLE = encode_shard(split(SplitState.of(1), 5, runs_of(EVENTS, [trade(17, 18), MARK, CAPITAL]), TABLE, 8)[0])
HEAD = 12 + 39
MARKED = encode_shard(split(SplitState.of(1), 5, runs_of(EVENTS, [MARK, MARK]), TABLE, 8)[0])

ONE = encode_shard(split(SplitState.of(1), 5, runs_of(EVENTS, [MARK]), TABLE, 8)[0])


def changed(data: bytes, position: int, form: str, value: int) -> bytes:
    held = bytearray(data)
    struct.pack_into(form, held, position, value)
    return bytes(held)


BROKEN = [
    ("nothing", b"", "no ShardHeader"),
    ("no header", WHOLE[HEAD:], "no ShardHeader"),
    ("cut off", WHOLE[:-1], "rows of"),
    ("a run missing", WHOLE[: HEAD + 16], "others follow"),
    ("positions with no rows after them", WHOLE + MARKED[HEAD : HEAD + 20], "others follow"),
    ("rows in the place of positions", ONE[:HEAD] + ONE[HEAD + 16 :] * 2, "Mark rows follow Mark rows"),
    ("a row too many told", changed(WHOLE, 12 + 11, "<I", 4), "4 rows; others follow"),
    ("a run too many told", changed(WHOLE, 12 + 7, "<I", 4), "4 runs"),
    ("two headers", WHOLE[:HEAD] + WHOLE, "rows follow"),
    ("an unknown template", changed(WHOLE, 2, "<H", 99), "template 99"),
    ("an unknown reason", changed(WHOLE, 12 + 2, "<B", 250), "reason 250"),
    ("positions that fall", changed(MARKED, HEAD + 12, "<I", 9), "position 1 follows position 9"),
    ("positions that repeat", changed(MARKED, HEAD + 12, "<I", 1), "position 1 follows position 1"),
    ("rows without positions", WHOLE[:HEAD] + WHOLE[HEAD + 16 :], "rows follow"),
    ("more positions than rows", MARKED[:HEAD] + changed(MARKED[HEAD : HEAD + 20], 10, "<H", 2)
     + changed(MARKED[HEAD + 20 :], 10, "<H", 1)[:-26], "2 positions, 1 Mark rows"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "what"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_what_is_no_part_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(WireError, match=what):
        decode_shard(data)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_byte_may_change_and_nothing_but_a_wire_error_comes(position: int, flip: int) -> None:
    held = bytearray(WHOLE)
    held[position] ^= flip
    try:
        found = decode_shard(bytes(held))
    except WireError:
        return
    assert isinstance(found, ShardEntry)

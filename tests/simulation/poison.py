"""What no part wrote: bytes for every topic that must be passed over, and strangers' entries that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from simulation.topics import Topics

from ledger.sequence import Numbered, SequenceState, number
from ledger.shardwire import decode_shard
from schemas import events as e
from schemas.events import EVENTS
from schemas.outcomes import OUTCOMES
from schemas.sources import Role, source
from schemas.wire import OutcomeHeader, WireError, decode, encode_entry, runs_of
from services.processors.records import Place, Topic

STRANGERS: Final = (source(Role.EXCHANGE, 500), 77_000, source(Role.PRICER, 7), source(Role.REGISTRAR, 3))
_DERIVED: Final = (Topic.SHARDS, Topic.FACTS, Topic.OUTCOMES, Topic.NOTICES)


def spoilt(draw: Random, data: bytes) -> bytes:
    """Bytes that were a record: cut, a bit flipped, or made of nothing."""
    if not data:
        return b"\0"
    match draw.randrange(4):
        case 0:
            return draw.randbytes(draw.randrange(80))
        case 1:
            return data[: draw.randrange(len(data) + 1)]
        case 2:
            return b'{"entry": null, "sequence": -1}'
        case _:
            changed = bytearray(data)
            at = draw.randrange(min(len(data), draw.choice((40, len(data)))))
            changed[at] ^= 1 << draw.randrange(8)
            return bytes(changed)


def for_journal(draw: Random, records: Sequence[bytes], judged: SequenceState) -> bytes | None:
    """Bytes for the journal that get no number: unreadable, of nobody, of a number that is used or comes too early."""
    data = spoilt(draw, draw.choice(records))
    if draw.random() < 0.3:
        who = draw.choice([*judged.last, *STRANGERS, 0])
        data = encode_entry(who, draw.choice((0, judged.last.get(who, 0), 2**63, judged.last.get(who, 0) + 2)), [])
    trial = SequenceState(judged.n, judged.offset, dict(judged.last))
    return None if isinstance(number(trial, judged.offset, data), Numbered) else data


def for_derived(draw: Random, topics: Topics) -> tuple[Place, bytes] | None:
    """A derived topic's partition and a record that no reader may take: unreadable, or another partition's.

    A flipped bit that leaves a record readable is not among them: the broker's own checksum finds it.
    """
    places = [place for place in topics.records if place[0] in _DERIVED and topics.records[place]]
    place = draw.choice(sorted(places))
    if draw.random() < 0.3:
        others = [one for one in places if one != place and (one[0], place[0]) not in _ALIKE]
        other = draw.choice(sorted(others)) if others else place
        return (place, draw.choice(topics.records[other])) if other != place else None
    data = spoilt(draw, draw.choice(topics.records[place]))
    return None if readable(place[0], data) else (place, data)


_ALIKE: Final = {(Topic.OUTCOMES, Topic.NOTICES), (Topic.NOTICES, Topic.OUTCOMES)}
"""topics whose records cannot be told apart: a shard's outcomes are in form a notice"""


def readable(topic: Topic, data: bytes) -> bool:
    """Whether a derived topic's record holds what such a record must hold."""
    try:
        if topic in (Topic.SHARDS, Topic.FACTS):
            decode_shard(data)
        else:
            decode(data, OutcomeHeader, OUTCOMES)
    except WireError:
        return False
    return True


def strange_entry(draw: Random, judged: SequenceState) -> bytes:
    """A stranger's next entry. It is numbered; in it is nothing, or what is torn, unknown or absurd."""
    who = draw.choice(STRANGERS)
    sequence = judged.last.get(who, 0) + 1
    events: list[Any] = []
    for _ in range(draw.randrange(4)):
        account = draw.choice((16, 18, 5, 70_000, 2**32 - 1))
        lots = draw.choice((0, -1, 2**63 - 1, -(2**63)))
        events.append(
            draw.choice(
                (
                    e.Trade(
                        flags=draw.choice((0, e.LINKED)), instrument=draw.choice((3, 99)), buyer=account, seller=17,
                        time=-1, trade=0, quantity=lots, price=lots, buyer_fee=lots, seller_fee=0, venue=9,
                    ),
                    e.Deposited(asset=draw.choice((0, 9)), account=account, deposit=1, time=0, amount=lots),
                    e.Mark(mark=draw.choice((1, 2**64 - 1)), market=7, time=2**60),
                    e.MarkAnswered(mark=draw.choice((1, 3))),
                    e.FundPaid(asset=0, account=account, mark=2, amount=lots),
                    e.ProfileText(profile=3, part=0, time=0, text="x = "),
                )
            )
        )  # fmt: skip
    data = encode_entry(who, sequence, runs_of(EVENTS, events))
    whole = bytearray(data)
    if draw.random() < 0.6:
        if draw.random() < 0.5:
            del whole[len(whole) - min(draw.randint(1, 20), max(0, len(whole) - 40)) :]
        else:  # an unknown template, schema, version or size of rows: all stand at the beginning of the first run
            whole += draw.randbytes(draw.randint(1, 30))
    return bytes(whole)

"""What must hold when everything has settled, each rule by its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from simulation.clients import JOURNAL, Client
from simulation.course import Course
from simulation.topics import Topics

from ledger.notices import notice_of
from ledger.sequence import Numbered, SequenceState, number, tells
from ledger.shardwire import decode_shard
from schemas.sources import Role
from schemas.wire import EntryHeader, OutcomeHeader, decode_header, encode_entry
from services.lockstep import Clearing, Settings, bounded
from services.processors.deciders import Decider, Liquidating, Paying, due
from services.processors.follower import Follower
from services.processors.records import Place, Record, Topic
from services.processors.sequencer import Sequencer


class Broken(AssertionError):  # noqa: N818 - named for what is found
    """A rule that does not hold, and what was found."""

    def __init__(self, rule: str, found: str) -> None:
        super().__init__(f"{rule}: {found}")
        self.rule = rule
        self.found = found

    def __reduce__(self) -> tuple[type[Broken], tuple[str, str]]:
        """So that it comes back whole from another process."""
        return Broken, (self.rule, self.found)


def check(topics: Topics, course: Course, clients: Sequence[Client], *, lockstep: bool) -> None:
    """Raise Broken at the first rule that does not hold."""
    journal = topics.records[JOURNAL]
    entries = _numbered(journal)
    _receipts(entries, clients)
    wanted, clearing = _folded(journal, course.settings)
    for place in sorted(wanted):
        found = _once(topics, place)
        if found != wanted[place]:
            odd = sorted(n for n in {*found, *wanted[place]} if found.get(n) != wanted[place].get(n))
            raise Broken(f"{place[0]} are what the journal as written gives", f"{place[1]}: n {odd[:5]}")
    _decided(entries, wanted, course.settings)
    state = clearing.states[0]
    if state.mark != state.answered or due(state) is not None:
        raise Broken("every mark is answered, every price marked", f"mark {state.mark}, answered {state.answered}")
    if lockstep:
        _undisturbed(entries, wanted, course)


def _numbered(journal: Sequence[bytes]) -> list[Numbered]:
    state = SequenceState()
    judged = (number(state, offset, data) for offset, data in enumerate(journal))
    return [one for one in judged if isinstance(one, Numbered)]


def _receipts(entries: Sequence[Numbered], clients: Sequence[Client]) -> None:
    """Every entry of which a client was told is in the journal exactly once, with its bytes; all were told of all."""
    there = Counter((one.source, one.sequence) for one in entries)
    data = {(one.source, one.sequence): one.data for one in entries}
    for client in clients:
        for one in client.entries:
            key = (one.source, one.sequence)
            if there[key] != 1 or data[key] != one.data:
                raise Broken("an acknowledged entry is in the journal once", f"{key}: {there[key]} times")


def _folded(journal: Sequence[bytes], settings: Settings) -> tuple[dict[Place, dict[int, bytes]], Clearing]:
    """What each derived partition must hold, by n: the journal folded and numbered anew."""
    wanted: dict[Place, dict[int, bytes]] = {(Topic.FACTS, 0): {}, (Topic.QUARANTINE, 0): {}}
    for shard in range(settings.shards):
        for topic in (Topic.SHARDS, Topic.OUTCOMES, Topic.NOTICES):
            wanted[topic, shard] = {}
    clearing, sequencer = Clearing(settings), Sequencer(settings)
    try:
        for offset, data in enumerate(journal):
            for write in sequencer.take(Record(Topic.JOURNAL, 0, offset, data)):
                wanted[write.topic, write.partition][int.from_bytes(write.key, "little")] = write.value
            for part, outcomes in clearing.take(offset, data):
                wanted[Topic.OUTCOMES, part.shard][part.n] = outcomes
                notice = notice_of(outcomes, awaited=tells(part))
                if notice is not None:
                    wanted[Topic.NOTICES, part.shard][part.n] = notice
    except Exception as error:
        raise Broken("the books balance", f"{type(error).__name__}: {error}") from error
    return wanted, clearing


def _once(topics: Topics, place: Place) -> dict[int, bytes]:
    """A partition's records by n, repeats dropped; they must be equal."""
    found: dict[int, bytes] = {}
    for offset, value in enumerate(topics.records[place]):
        if (place, offset) in topics.foreign:
            continue
        n = _n(place[0], value)
        if found.setdefault(n, value) != value:
            raise Broken("repeats are equal bytes", f"{place[0]} {place[1]}, n {n}, offset {offset}")
    return found


def _n(topic: Topic, value: bytes) -> int:
    match topic:
        case Topic.SHARDS | Topic.FACTS:
            return decode_shard(value).n
        case Topic.QUARANTINE:
            return int(json.loads(value)["offset"])
        case _:
            return decode_header(value, OutcomeHeader)[0]["n"]


def _decided(entries: Sequence[Numbered], wanted: dict[Place, dict[int, bytes]], settings: Settings) -> None:
    """The desk and the fund said what follows from what they heard: each decision once, none left out."""
    deciders: list[Decider] = [Liquidating(settings.shards), Paying(settings.shards)]
    under_way: dict[int, list[bytes]] = {one.source: [] for one in deciders}
    said: dict[int, list[bytes]] = {one.source: [] for one in deciders}
    follower = Follower(settings)
    for shard in range(settings.shards):
        for offset, value in enumerate(wanted[Topic.NOTICES, shard].values()):
            list(follower.take(Record(Topic.NOTICES, shard, offset, value)))
    for offset, value in enumerate(wanted[Topic.FACTS, 0].values()):
        for told in follower.take(Record(Topic.FACTS, 0, offset, value)):
            if told.source in under_way:
                del under_way[told.source][:1]
            for one in deciders:
                mine = under_way[one.source]
                for decision in one.hear(told.source, told.said, follower.state, under_way=bool(mine)):
                    for part in bounded(decision):
                        data = encode_entry(one.source, len(said[one.source]) + 1, part)
                        said[one.source].append(data)
                        mine.append(data)
    for one in deciders:
        there = [entry.data for entry in entries if entry.source == one.source]
        if there != said[one.source]:
            at = next((k for k, (a, b) in enumerate(zip(there, said[one.source], strict=False)) if a != b), len(there))
            raise Broken(
                "every decision is in the journal once, as it follows from what was heard",
                f"{Role(one.source // 1000).name} said {len(there)}, decided {len(said[one.source])}, alike to {at}",
            )


def _undisturbed(entries: Sequence[Numbered], wanted: dict[Place, dict[int, bytes]], course: Course) -> None:
    """In lockstep the faults leave no trace: the journal and the outcomes are the undisturbed run's."""
    there = [one.data for one in entries]
    if there != course.journal:
        at = next((k for k, (a, b) in enumerate(zip(there, course.journal, strict=False)) if a != b), len(there))
        told = [decode_header(all_of[at], EntryHeader)[0] for all_of in (there, course.journal) if at < len(all_of)]
        raise Broken("in lockstep the journal is the undisturbed run's", f"entry {at + 1}: {told}")
    for shard in range(course.settings.shards):
        if list(wanted[Topic.OUTCOMES, shard].values()) != course.outcomes[shard]:
            raise Broken("in lockstep the outcomes are the undisturbed run's", f"shard {shard}")

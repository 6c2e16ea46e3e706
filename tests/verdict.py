"""What must hold of a running system after faults, judged from its topics alone by a fold of the journal beside it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from workers import System, header_of

from ledger.journal.kafka import PartitionReader
from ledger.notices import notice_of
from ledger.sequence import FACTS_SHARD, tells
from schemas.kinds import Reason
from schemas.outcomes import OUTCOMES, Rejected
from schemas.wire import OutcomeHeader, Run, WireError, decode, encode_entry
from services.gateway.core import Receipt
from services.lockstep import Clearing, bounded
from services.processors.deciders import Decider, Liquidating, Paying, due
from services.processors.records import Place, Record, Topic, number_of
from services.processors.sequencer import Sequencer


class Verdict:
    """Follows a system's topics and compares them with what the journal as written leads to.

    The journal is numbered here by a rule of five lines of its own; everything else is what a fresh Sequencer, a fresh
    Clearing (which checks the books at every mark) and fresh deciders make of it. `look` as often as wanted: it asserts
    that nothing is there that is wrong, and `waiting` says what is not there yet.
    """

    def __init__(self, system: System) -> None:
        settings = system.settings
        self.foreign: set[bytes] = set()
        """values that a test itself has put into topics, and that nobody may make anything of"""
        self._files = ExitStack()
        self._sequencer = Sequencer(settings)
        self.clearing = Clearing(settings)
        self.journal: list[bytes] = []
        self.rejected: Counter[Reason] = Counter()
        self.numbered: dict[tuple[int, int], bytes] = {}
        self.places: dict[tuple[int, int], tuple[int, int]] = {}
        """offset and n of each"""
        self.expected: defaultdict[Place, dict[int, bytes]] = defaultdict(dict)
        self.found: defaultdict[Place, list[int]] = defaultdict(list)
        self._order: defaultdict[Place, list[int]] = defaultdict(list)
        self._last: defaultdict[int, int] = defaultdict(int)
        self.repeats: Counter[Topic] = Counter()
        self._read: defaultdict[Place, int] = defaultdict(int)
        self._deciders: Sequence[Decider] = (Liquidating(settings.shards), Paying(settings.shards))
        self._decided: dict[int, deque[bytes]] = {one.source: deque() for one in self._deciders}
        places = [(Topic.JOURNAL, 0), (Topic.FACTS, 0), (Topic.QUARANTINE, 0)]
        places += [(t, k) for t in (Topic.SHARDS, Topic.OUTCOMES, Topic.NOTICES) for k in range(settings.shards)]
        self._readers = {}
        for place in places:
            reader = PartitionReader(system.address, system.topic(place[0]), place[1])
            self._files.callback(reader.close)
            self._readers[place] = reader

    def close(self) -> None:
        self._files.close()

    def look(self) -> None:
        """Read on everywhere: what follows from the journal first, so that whatever was written of it is expected."""
        ends = {place: reader.end() for place, reader in self._readers.items()}
        ends[Topic.JOURNAL, 0] = self._readers[Topic.JOURNAL, 0].end()
        for place in self._readers:  # the journal comes first
            reader = self._readers[place]
            for stored in reader.read(self._read[place], ends[place] - self._read[place]):
                self._read[place] = stored.offset + 1
                if place[0] == Topic.JOURNAL:
                    self._entry(stored.offset, stored.value or b"")
                elif stored.value not in self.foreign:
                    self._compare(place, number_of(stored.key or b""), stored.value or b"")

    def waiting(self) -> str:
        """What the journal leads to and is not there yet, in words; "" where all of it is."""
        for place, expected in self.expected.items():
            if missing := len(expected) - len(self.found[place]):
                return f"{missing} records of {place[0]}/{place[1]}, after n {self.found[place][-1:]}"
        state = self.clearing.states[0]
        if state.mark != state.answered:
            return f"the answer to mark {state.mark}"
        for number, decided in self._decided.items():
            if decided:
                return f"{len(decided)} decisions of source {number}"
        if due(state) is not None:
            return f"a mark after mark {state.mark}"
        return ""

    def settle(self, tend: Callable[[], None], timeout: float) -> None:
        """Look until nothing is waited for and nothing new comes. `tend` is called meanwhile."""
        deadline = time.monotonic() + timeout
        still = 0
        while still < 2:
            before = len(self.journal)
            tend()
            self.look()
            waiting = self.waiting()
            still = still + 1 if not waiting and len(self.journal) == before else 0
            assert time.monotonic() < deadline, f"not settled after {timeout} s: waits for {waiting or 'quiet'}"
            time.sleep(0.05)

    def acknowledged(self, entries: Sequence[bytes]) -> None:
        """Each of these entries is in the journal, as numbered, once: under its source and sequence number."""
        for entry in entries:
            header = header_of(entry)
            key = (header["source"], header["sequence"])
            assert self.numbered.get(key) == entry, f"acknowledged and not in the journal: source, sequence {key}"

    def receipts(self, given: Iterable[Receipt]) -> None:
        """Each names the place at which its entry is; a repeat's may name none."""
        for one in given:
            place = self.places[one.source, one.sequence]
            assert (one.offset, one.n) == place or (one.repeated and one.offset is None), (one, place)

    def stored(self) -> dict[int, int]:
        """How far a store is that has all of it: the last n of the facts and of each shard."""
        there = {FACTS_SHARD: self._order[Topic.FACTS, 0]}
        there |= {k: self._order[Topic.OUTCOMES, k] for k in range(len(self.clearing.states))}
        return {stream: order[-1] for stream, order in there.items() if order}

    def _entry(self, offset: int, data: bytes) -> None:
        self.journal.append(data)
        for write in self._sequencer.take(Record(Topic.JOURNAL, 0, offset, data)):
            self._expect((write.topic, write.partition), number_of(write.key), write.value)
        answered = self.clearing.take(offset, data)
        number = self._counted(data)
        assert self.clearing.sequence.n == len(self.numbered), f"offset {offset} is numbered {answered[:1]}"
        if number is None:
            assert not answered
            return
        n = len(self.numbered)
        said: list[Run] = []
        for part, outcomes in answered:
            self._expect((Topic.OUTCOMES, part.shard), n, outcomes)
            notice = notice_of(outcomes, awaited=tells(part))
            if notice is not None:
                self._expect((Topic.NOTICES, part.shard), n, notice)
            said += decode(outcomes, OutcomeHeader, OUTCOMES).runs
        for run in said:
            if run.message.cls is Rejected:
                self.rejected.update(Reason(reason) for reason in run.rows["reason"].tolist())
        if n in self.expected[Topic.FACTS, 0]:
            self._decide(number, data, said)

    def _counted(self, data: bytes) -> int | None:
        """The source of an entry that counts: one with the number after its source's last."""
        try:
            header = header_of(data)
        except WireError:
            return None
        number, sequence = header["source"], header["sequence"]
        if sequence != self._last[number] + 1:
            return None
        self._last[number] = sequence
        self.numbered[number, sequence] = data
        self.places[number, sequence] = (len(self.journal) - 1, len(self.numbered))
        return number

    def _decide(self, number: int, data: bytes, said: Sequence[Run]) -> None:
        """What the desk and the fund have in the journal is what fresh ones decide of the journal before it."""
        decided = self._decided.get(number)
        if decided is not None:
            assert decided, f"source {number} said something that nobody decided"
            assert decided.popleft() == data, f"source {number} said something else than what was decided"
        for one in self._deciders:
            mine = self._decided[one.source]
            decisions = one.hear(number, said, self.clearing.states[0], under_way=bool(mine))
            for part in (part for decision in decisions for part in bounded(decision)):
                mine.append(encode_entry(one.source, self._last[one.source] + len(mine) + 1, part))

    def _expect(self, place: Place, key: int, value: bytes) -> None:
        assert key not in self.expected[place]
        self.expected[place][key] = value
        self._order[place].append(key)

    def _compare(self, place: Place, key: int, value: bytes) -> None:
        expected = self.expected[place].get(key)
        assert expected is not None, f"{place[0]}/{place[1]}: {key} follows from nothing in the journal"
        assert value == expected, f"{place[0]}/{place[1]}: {key} is not what follows from the journal"
        found = self.found[place]
        if found and key <= found[-1]:
            self.repeats[place[0]] += 1
        else:
            # in the order of n, none left out: what a reader drops as not above its last is always a repeat
            assert key == self._order[place][len(found)], f"{place[0]}/{place[1]}: {key} comes too early"
            found.append(key)

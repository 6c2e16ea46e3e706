"""The whole topology in one process under a seeded scheduler: who moves, and what goes wrong, follow from a seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from random import Random

from simulation import poison, rules
from simulation.clients import JOURNAL, Client
from simulation.course import Course, Outer, course, entries_of
from simulation.instances import DamageTaken, Instance, Store, makings, restored
from simulation.mix import Mix
from simulation.rules import Broken
from simulation.topics import Producer, Topics

from ledger.sequence import SequenceState, number
from ledger.state import State
from services.processors.deciders import due
from services.processors.service import Service

ROUNDS = 1_500
"""rounds, each of everybody, in which all must have settled once the faults have stopped"""
LOOSE = 0.3


def simulate(
    seed: int, *, trace: list[str] | None = None, most_faults: int | None = None, only: tuple[str, ...] = ()
) -> Counter[str]:
    """Run one seed; returns how often each fault happened. Raises Broken where a rule does not hold.

    `trace` is given a line for each fault and each restart; `most_faults`: no faults after so many; `only`: these
    kinds of faults instead of the seed's own mix.
    """
    run = Simulation(seed, trace, most_faults, only)
    with entries_of(run.course.entry_bytes):
        run.disturb()
        run.settle()
        rules.check(run.topics, run.course, run.clients, lockstep=run.mix.lockstep)
    return run.counts


class Simulation:
    """One seed's world. `counts` says what happened in it."""

    def __init__(
        self, seed: int, trace: list[str] | None = None, most_faults: int | None = None, only: tuple[str, ...] = ()
    ) -> None:
        drawn = Mix.drawn(Random(f"mix {seed}"))
        self.mix = drawn.only(*only) if only else drawn
        self.course: Course = course(self.mix.course, self.mix.shards)
        self.topics = Topics(self.course.begun)
        self.store = Store()
        for part, snapshots in self.course.kept.items():
            for snapshot in snapshots:
                self.store.keep(part, snapshot)
        self.counts: Counter[str] = Counter()
        self._trace = trace
        self._left = most_faults
        self._move = 0
        # apart, so that with fewer faults the rest goes on as alike as it can
        self._draw, self._fate = Random(f"moves {seed}"), Random(f"faults {seed}")
        self._making = makings(self.course.settings)
        self._judged = SequenceState()
        self._faulty = True
        self._instances: list[Instance] = []
        self._number = 0
        self._last: Instance | None = None
        self.clients = self._clients()
        self._speeds: dict[object, float] = {}
        for part in self._making:
            self._begin(part)
        self._weights()

    # --- the course of it -------------------------------------------------------------------------------------------

    def disturb(self) -> None:
        """Let everybody move and faults happen, until the mix's steps are over."""
        names = [name for name, rate in self.mix.rates.items() if rate]
        whole = 1.0
        for name in names:
            whole *= 1 - self.mix.rates[name]
        for _ in range(self.mix.steps):
            self._step()
            if names and self._fate.random() > whole:
                name = self._fate.choices(names, [self.mix.rates[one] for one in names])[0]
                self._fault(name)
        self._faulty = False

    def settle(self) -> None:
        """No more faults: whoever is down comes back, and all goes on until nothing is to be done."""
        self.topics.down = 0
        for one in self._instances:
            one.paused = False
        for part in self._making:
            mine = [one for one in self._instances if one.name == part]
            if not mine:
                self._begin(part)
            for one in mine[1:]:
                if self._fate.random() < 0.5:
                    self._end(one)
        self._weights()
        for _ in range(ROUNDS):
            self._draw.shuffle(self._movers)
            moved = [self._rush(one) for one in self._movers]
            if not any(moved):
                if waits := self._work():
                    raise Broken("everything settles", "; ".join(waits))
                return
        raise Broken("everything settles", f"not in {ROUNDS} rounds: " + "; ".join(self._work()))

    def _rush(self, one: Instance | Client) -> bool:
        """Many moves of one at once: all of it that can be done now. Whether there was anything."""
        producer = one.producer
        moved = bool(producer.unwritten or producer.appended)
        for place in producer.unwritten:
            while producer.waiting[place]:
                producer.append(self._draw, place)
        while producer.appended:
            producer.acknowledge()
        if isinstance(one, Client):
            self._judge()
            before = (one.received, one.sent)
            one.hear(self._judged.last.get(one.source, 0))
            while (at := one.next_wanted(self.mix.window, self._judged.n if self.mix.lockstep else None)) is not None:
                one.send(at)
                if self.mix.lockstep:
                    break
            return moved or before != (one.received, one.sent)
        while one.keepable:
            one.keep(self.store)
        made = producer.made
        with self._stops(one):
            unread = one.unread
            self._draw.shuffle(unread)
            for place in unread:
                one.take(place, len(self.topics.records[place]))
            one.speak()
        return moved or bool(unread) or producer.made > made

    def _step(self) -> bool:
        """One move of one instance or client, drawn; whether anything was done."""
        self._move += 1
        self.topics.down = max(0, self.topics.down - 1)
        one = self._draw.choices(self._movers, cum_weights=self._cumulated)[0]
        if isinstance(one, Client):
            return self._client(one)
        self._last = one
        return self._instance(one)

    def _instance(self, one: Instance) -> bool:
        if one.paused:
            return False
        up = not self.topics.down
        producer = one.producer
        unwritten, unread = producer.unwritten, one.unread
        moves = [
            *(["append"] * 2 if up and unwritten else ()),
            *(["acknowledge"] if up and producer.appended else ()),
            *(["take"] * 2 if up and unread and len(producer.unwritten) < 50 else ()),
            *(["keep"] if one.keepable else ()),
        ]
        if not moves:
            with self._stops(one):
                made = producer.made
                one.speak()
            return producer.made > made
        match self._draw.choice(moves):
            case "append":
                _, strange = producer.append(self._draw, self._draw.choice(unwritten))
                if strange:
                    self.counts[strange] += 1
            case "acknowledge":
                producer.acknowledge()
            case "keep":
                kept = one.keep(self.store)
                self._tell(lambda: f"{one.name} #{one.number} keeps its snapshot of n {kept.n}")
            case _:
                with self._stops(one):
                    one.take(self._draw.choice(unread), self._draw.randint(1, self.mix.batch))
        return True

    def _client(self, one: Client) -> bool:
        if self.topics.down or one.done:
            return False
        self._judge()
        one_wanted = one.next_wanted(self.mix.window, self._judged.n if self.mix.lockstep else None)
        moves = [
            *(["append"] * 2 if one.producer.unwritten else ()),
            *(["acknowledge"] if one.producer.appended else ()),
            *(["send"] if one_wanted is not None else ()),
            "hear",
        ]
        match self._draw.choice(moves):
            case "append":
                one.producer.append(self._draw, JOURNAL)
            case "acknowledge":
                one.producer.acknowledge()
            case "send":
                assert one_wanted is not None
                one.send(one_wanted)
            case _:
                before = (one.received, one.sent)
                one.hear(self._judged.last.get(one.source, 0))
                return before != (one.received, one.sent)
        return True

    def _judge(self) -> None:
        """Number what is new in the journal, as whoever gives receipts does."""
        records = self.topics.records[JOURNAL]
        while self._judged.offset < len(records):
            number(self._judged, self._judged.offset, records[self._judged.offset])

    def _work(self) -> list[str]:
        """What is still to be done, in words."""
        self._judge()
        told = [f"client {one.source} waits for entry {one.received + 1}" for one in self.clients if not one.done]
        for one in self._instances:
            name = f"{one.name} #{one.number}"
            told += [f"{name} has not read {place[0]} {place[1]}" for place in one.unread]
            if not one.producer.idle or one.due:
                told.append(f"{name} has something on the way")
            if (missing := getattr(one.part, "missing", None)) is not None:
                told.append(f"{name} waits: {missing}")
            if isinstance(one.part, Service):
                if not one.part.quiet:
                    told.append(f"{name} waits for answers after n {one.part.state.n}")
                state: State = one.part.state
                if state.mark != state.answered:
                    told.append(f"{name} knows no answer to mark {state.mark}")
                if one.name == "pricer" and due(state) is not None:
                    told.append(f"{name}: a mark is due")
        return told

    # --- faults ------------------------------------------------------------------------------------------------------

    def _fault(self, name: str) -> None:
        if self._left is not None:
            if self._left == 0:
                return
            self._left -= 1
        draw = self._fate
        told: str | None = ""
        one = draw.choice(self._instances) if self._instances else None
        if self._last in self._instances and draw.random() < 0.5:
            one = self._last  # right after a move of its own
        client = draw.choice(self.clients)
        match name:
            case "crash":
                if one is None:
                    return
                self._end(one)
                if not any(other.name == one.name for other in self._instances) or draw.random() < 0.1:
                    self._begin(one.name)
                self._weights()
                told = f"{one.name} #{one.number}"
            case "zombie":
                part = draw.choice(sorted(self._making))
                alive = [other for other in self._instances if other.name == part]
                if len(alive) >= 3:
                    return
                if draw.random() < 0.6:
                    for other in alive:
                        other.paused = True
                told = f"{part}, beside {[other.number for other in alive]}"
                self._begin(part)
                self._weights()
            case "pause":
                if one is None:
                    return
                one.paused = not one.paused
                told = f"{one.name} #{one.number} {'paused' if one.paused else 'resumed'}"
            case "poison":
                told = self._poison()
            case "stranger":
                self._judge()
                if self.topics.down:
                    return
                self.topics.append(JOURNAL, poison.strange_entry(draw, self._judged))
            case "damage":
                told = self.store.damage(draw)
            case "broker":
                self.topics.down = draw.randint(5, 60)
                again = sum(other.producer.unheard() for other in self._instances)
                told = f"{again} written again"
            case "client crash":
                client.producer.crash(draw)
                client.crash(Producer(self.topics))
                told = f"{client.source}"
            case "client retry":
                if not client.sent:
                    return
                client.send(draw.randrange(client.sent))
            case "client reorder":
                ahead = client.sent + 1
                if self.mix.lockstep or ahead >= len(client.entries):
                    return
                behind = client.sent
                client.send(ahead)
                client.sent = behind
                client.send(behind)
            case _:
                return  # reorder and repeat happen where writes are appended
        if told is not None:
            self.counts[name] += 1
            self._tell(lambda: f"fault: {name} {told}")

    def _poison(self) -> str | None:
        draw = self._fate
        self._judge()
        if draw.random() < 0.4:
            data = poison.for_journal(draw, self.topics.records[JOURNAL], self._judged)
            found = None if data is None else (JOURNAL, data)
        else:
            found = poison.for_derived(draw, self.topics)
        if found is None:
            return None
        place, data = found
        offset = self.topics.append(place, data, foreign=True)
        return f"{place[0]} {place[1]}, offset {offset}, {len(data)} bytes"

    # --- instances ---------------------------------------------------------------------------------------------------

    def _begin(self, part: str) -> None:
        try:
            made, how = restored(
                self.store, part, self._making[part], self._fate, self.mix.forget if self._number > 8 else 0.0
            )
        except DamageTaken as error:
            raise Broken("a damaged snapshot is refused", str(error)) from error
        except Exception as error:
            raise Broken("a damaged snapshot is refused by name", f"{part}: {type(error).__name__}: {error}") from error
        rates = self.mix.rates
        producer = Producer(
            self.topics,
            reorders=LOOSE if rates["reorder"] else 0.0,
            repeats=LOOSE / 3 if rates["repeat"] else 0.0,
        )
        self._number += 1
        one = Instance(part, self._number, made, self.topics, producer)
        self._instances.append(one)
        self._speeds[one] = self._fate.choice((0.05, 0.3, 1.0)) if self.mix.uneven else 1.0
        self._tell(lambda: f"{part} #{one.number} begins {how}")

    def _end(self, one: Instance) -> None:
        one.producer.crash(self._fate)
        self._instances.remove(one)
        del self._speeds[one]

    def _weights(self) -> None:
        """Who may move, and how often: clients as often as all parts of an even mix do."""
        self._movers: list[Instance | Client] = [*self._instances, *self.clients]
        speeds = [self._speeds[one] if isinstance(one, Instance) else 0.5 for one in self._movers]
        self._cumulated = list(accumulate(speeds))

    def _clients(self) -> list[Client]:
        entries: defaultdict[int, list[Outer]] = defaultdict(list)
        for one in self.course.outer:
            entries[one.source].append(one)
        return [Client(mine, self.topics) for _, mine in sorted(entries.items())]

    @contextmanager
    def _stops(self, one: Instance) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise Broken("no part stops", f"{one.name} #{one.number}: {type(error).__name__}: {error}") from error

    def _tell(self, line: Callable[[], str]) -> None:
        if self._trace is not None:
            self._trace.append(f"{self._move:6} {line()}")


def told_mix(seed: int) -> str:
    """A seed's mix as a line."""
    return Mix.drawn(Random(f"mix {seed}")).told()

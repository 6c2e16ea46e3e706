"""The running system on Kafka as the gateway sees it: appends by an idempotent producer, follows the journal by its
numbering and the notices of all shards, asks the clearing workers about accounts.

A receipt is given when the entry has been read back: a reader sees only what all replicas in sync have, and what the
numbering made of it is then the same for everybody, also where several gateways write for one source.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from array import array
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from heapq import heappop, heappush, merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

import httpx
from aiokafka.errors import KafkaError

from ledger.journal.kafka import PartitionReader
from ledger.journal.topics import NOTICES, topic_name
from ledger.merkle import MerkleLog, leaf_hash
from ledger.sequence import Gap, Numbered, SequenceState, number
from schemas.outcomes import OUTCOMES
from schemas.wire import EntryHeader, OutcomeHeader, Run, WireError, decode, decode_header
from services.asking import Question
from services.explain import AccountUnknown
from services.gateway.core import (
    AccountElsewhere,
    Judged,
    Notice,
    Overloaded,
    Proof,
    ProofUnknown,
    Receipt,
    SequenceGap,
    SequenceTaken,
    Stopped,
)
from services.gateway.feed import Feed
from services.heads import Head
from services.lockstep import Settings
from services.processors.follower import Follower
from services.processors.records import Place, Record, Topic, Write
from services.workers.listening import Listening
from services.workers.output import Output, WriteFailed

ANSWER_WITHIN: Final = 10.0
"""seconds until a request is told that the journal cannot be reached; its entries may come to be there later"""
LINGER_MS: Final = 2
"""how long entries of several requests wait for each other, to be one batch"""
MOST_BEHIND: Final = 1024
"""entries that may wait for the shards; more are refused until they have caught up"""
LOOK: Final = 0.5
"""seconds between two looks at how far the shards are"""
SILENT: Final = 5.0
"""seconds after which shards that do not answer count as standing still"""

_LOOK_WITHIN: Final = 2.0
_AGAIN: Final = 0.5
_EVERY: Final = 64
"""notices between two of which the place is remembered"""
_JOURNAL: Final = (Topic.JOURNAL, 0)

log: Final = logging.getLogger("novate.gateway")

Answer = TypeVar("Answer")


class _Sent(NamedTuple):
    """An entry on its way to the journal, and who waits to hear of it."""

    entry: bytes
    judged: asyncio.Future[Judged]


class KafkaCore:
    """Core (services/gateway/core.py) over the topics `prefix` at `address`, in a thread and event loop of its own.

    It reads the journal from its first entry when it starts, and takes entries when it has come to the end; while the
    broker is away nothing is taken, and it tries again.
    """

    def __init__(self, address: str, prefix: str, settings: Settings) -> None:
        self._address = address
        self._prefix = prefix
        self._shard_of = settings.table()
        self._why = "the journal is being read"
        self._journal = _JournalSeen()
        self._follower = Follower(settings)
        self._notices = _NoticesSeen(settings.shards)
        self._feed = Feed(self._older)
        self._untold: deque[Notice] = deque()
        """notices that are whole and wait for the facts"""
        self._facts_until = 0
        """where the facts ended when they began to be read"""
        self._heads: list[Head] = []
        self._owners: dict[int, str] = {}
        self._folded: dict[int, tuple[int, int]] = {}
        """by shard: the last n it has folded, and how many records it lags behind"""
        self._behind = 0
        self._looked = 0.0
        self._next: dict[Place, int] = dict.fromkeys(
            (
                _JOURNAL,
                (Topic.FACTS, 0),
                (Topic.HEADS, 0),
                (Topic.OWNERS, 0),
                *((Topic.NOTICES, s) for s in range(settings.shards)),
            ),
            0,
        )
        self._in_flight: dict[tuple[int, int], _Sent] = {}
        self._last_sent: dict[int, int] = {}
        self._output: Output | None = None
        self._until = 0
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._sending = asyncio.Lock()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="kafka core", daemon=True)
        self._thread.start()

    async def expected(self, source: int) -> int:
        """See Core."""
        self._check()
        return self._expected(source)

    async def append(self, entries: Sequence[bytes]) -> Sequence[Judged]:
        """See Core. Raises Stopped also where the journal does not answer within ANSWER_WITHIN seconds."""
        return await self._there(self._append(entries))

    def notices(self, after: int) -> AsyncIterator[Notice]:
        """See Core. A notice comes when every shard has told something of its entry or of a later one."""
        return self._feed.after(after)

    async def ask(self, account: int, question: Question) -> dict[str, Any]:
        """See Core."""
        return await self._there(self._ask(account, question))

    def member_of(self, account: int) -> int | None:
        """See Core."""
        state = self._follower.state
        return int(state.accounts.member[account]) if state.exists(account) else None

    async def proof(self, offset: int) -> Proof:
        """See Core."""
        head = await self.head()
        if not 0 <= offset < head.entries:
            raise ProofUnknown(offset, head.entries)
        log = self._journal.log
        if log.root(head.entries).hex() != head.merkle:
            raise Stopped(f"the head over {head.entries} entries is not of this journal: audit it")
        return Proof(offset, log.leaf(offset), log.inclusion(offset, head.entries), head)

    async def head(self) -> Head:
        """See Core. Raises Stopped also where the archiver has published none yet."""
        self._check()
        there = [head for head in self._heads[-2:] if head.entries <= len(self._journal.log)]
        if not there:
            raise Stopped("no head has been published yet: is the archiver running?")
        return there[-1]

    def health(self) -> Mapping[str, Any]:
        """See Core."""
        state = self._follower.state
        return {
            "ok": not self._why,
            "why": self._why,
            "offset": self._journal.sequence.offset,
            "n": self._journal.sequence.n,
            "mark": state.mark,
            "answered": state.answered,
            "mark_time": state.time,
            "waiting": self._behind,
        }

    def close(self) -> None:
        """Let go of the broker. Entries on their way may come to be in the journal."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._feed.close()

    # --- its own loop -------------------------------------------------------------------------------------------------

    async def _there(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Have it done in the core's own loop."""
        try:
            self._check()
            done = asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            work.close()
            raise
        return await asyncio.wrap_future(done)

    def _check(self) -> None:
        if self._why:
            raise Stopped(self._why)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:  # whatever it was, what it knows is not to be trusted, and everyone is told so
            self._why = f"{type(error).__name__}: {error}"
        finally:
            self._why = self._why or "it was stopped"
            self._give_up()
            self._feed.close()

    async def _main(self) -> None:
        looking = asyncio.ensure_future(self._look_after())
        try:
            while not self._closing.is_set():
                try:
                    await self._session()
                except (KafkaError, WriteFailed, OSError) as error:
                    self._why = f"the journal cannot be reached: {type(error).__name__}: {error}"
                    self._give_up()
                    await _first(self._closing.wait(), asyncio.sleep(_AGAIN))
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _session(self) -> None:
        """Until it is closed or the broker fails. What was read before stays; each topic is read on from its place."""
        self._failed = self._loop.create_future()
        output = Output(self._address, self._prefix, linger_ms=LINGER_MS)
        journal = Listening(self._address, self._prefix, {_JOURNAL: self._next[_JOURNAL]})
        others = {place: offset for place, offset in self._next.items() if place != _JOURNAL}
        rest = Listening(self._address, self._prefix, others)
        tasks: list[asyncio.Future[Any]] = []
        try:
            await output.start()
            tasks = [asyncio.ensure_future(self._closing.wait()), self._failed]
            self._until = (await journal.start())[_JOURNAL]
            tasks.append(asyncio.ensure_future(journal.run(self._heard)))
            self._facts_until = (await rest.start())[Topic.FACTS, 0]
            tasks.append(asyncio.ensure_future(rest.run(self._heard, self._full)))
            self._output = output
            self._look_at_end()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._output = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await output.stop(1.0)

    def _give_up(self) -> None:
        """Nobody knows what becomes of entries on their way: whoever waits is told, and sends them again."""
        self._last_sent.clear()
        for sent in self._in_flight.values():
            if not sent.judged.done():
                sent.judged.set_exception(Stopped(self._why))
                sent.judged.exception()  # where nobody waits any more, that is no fault
        self._in_flight.clear()

    # --- what is read -------------------------------------------------------------------------------------------------

    async def _heard(self, record: Record) -> None:
        self._next[record.topic, record.partition] = record.offset + 1
        match record.topic:
            case Topic.JOURNAL:
                self._numbered(record)
                self._look_at_end()
            case Topic.HEADS | Topic.OWNERS:
                try:
                    self._published(record)
                except (ValueError, KeyError, TypeError) as error:  # neither of these is a truth to stop for
                    what = {"topic": record.topic.value, "offset": record.offset, "what": repr(error)[:200]}
                    log.error(json.dumps({"error": "unreadable"} | what))
            case _:
                for _ in self._follower.take(record):
                    pass
                if record.topic == Topic.NOTICES:
                    self._untold += self._notices.take(record)
                self._tell()

    def _full(self) -> Set[Place]:
        """See Follower."""
        facts = (Topic.FACTS, 0)
        return self._follower.full({facts} if self._next[facts] < self._facts_until else frozenset())

    def _published(self, record: Record) -> None:
        """A head, or a shard's owner. Heads before the newest are repeats: of an archive that is made again."""
        if record.topic == Topic.OWNERS:
            told = json.loads(record.value)
            self._owners[int(told["shard"])] = str(told["url"])
        elif (head := _head(record.value)).entries > (self._heads[-1].entries if self._heads else 0):
            self._heads = [*self._heads[-1:], head]

    def _tell(self) -> None:
        """Tell listeners what they may hear; not before the facts, which say whose an account is."""
        read = self._next[Topic.FACTS, 0] >= self._facts_until
        upto = self._notices.last if read else self._follower.state.n
        told = []
        while self._untold and self._untold[0].n <= upto:
            told.append(self._untold.popleft())
        if told:
            self._feed.tell(told, upto)

    def _look_at_end(self) -> None:
        if self._output is not None and self._journal.sequence.offset >= self._until:
            self._why = ""

    def _numbered(self, record: Record) -> None:
        told = self._journal.take(record.offset, record.value)
        if not isinstance(told, Numbered | Gap):
            return
        source, sequence = told.source, told.sequence
        sent = self._in_flight.get((source, sequence))
        if sent is None:
            return
        if isinstance(told, Gap):
            if sent.entry != record.value:
                return
            self._last_sent.pop(source, None)  # what it sends from now on is judged by what is in the journal
            judged: Judged = SequenceGap(source, sequence, told.expected)
        elif sent.entry == record.value:
            judged = Receipt(source, sequence, told.offset, told.n, repeated=False)
        else:
            judged = SequenceTaken(source, sequence, told.offset)
        del self._in_flight[source, sequence]
        if not sent.judged.done():
            sent.judged.set_result(judged)

    # --- appending ----------------------------------------------------------------------------------------------------

    def _expected(self, source: int) -> int:
        return max(self._journal.sequence.last.get(source, 0), self._last_sent.get(source, 0)) + 1

    async def _append(self, entries: Sequence[bytes]) -> Sequence[Judged]:
        async with self._sending:  # calls keep their order
            told = await self._sent(entries)
        waiting = {one for one in told if isinstance(one, asyncio.Future)}
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=ANSWER_WITHIN)
            if late:
                raise Stopped(f"the journal does not answer within {ANSWER_WITHIN:g} s: send it again")
        judged: list[Judged] = []
        for one in told:
            judged.append(one.result() if isinstance(one, asyncio.Future) else one)
            if not isinstance(judged[-1], Receipt):
                break
        return judged

    async def _sent(self, entries: Sequence[bytes]) -> list[Judged | asyncio.Future[Judged]]:
        """What is known of each, up to the first refusal; of those that were sent, the future of it."""
        told: list[Judged | asyncio.Future[Judged]] = []
        for entry in entries:
            header = decode_header(entry, EntryHeader)[0]
            source, sequence = header["source"], header["sequence"]
            expected = self._expected(source)
            if sequence > expected:
                return [*told, SequenceGap(source, sequence, expected)]
            if sequence < expected:
                told.append(self._repeat(source, sequence, entry))
            elif self._behind > MOST_BEHIND:
                return [*told, Overloaded(f"{self._behind} entries wait for the shards", LOOK)]
            else:
                told.append(await self._write(source, sequence, entry))
            if isinstance(told[-1], SequenceTaken):
                break
        return told

    def _repeat(self, source: int, sequence: int, entry: bytes) -> Judged | asyncio.Future[Judged]:
        known = self._journal.place(source, sequence)
        if known is not None:
            offset, n = known
            if self._journal.log.leaf(offset) != leaf_hash(entry):
                return SequenceTaken(source, sequence, offset)
            return Receipt(source, sequence, offset, n, repeated=True)
        sent = self._in_flight[source, sequence]
        if sent.entry != entry:
            return SequenceTaken(source, sequence, self._journal.sequence.offset)
        return sent.judged

    async def _write(self, source: int, sequence: int, entry: bytes) -> asyncio.Future[Judged]:
        if self._output is None:
            raise Stopped(self._why or "the journal cannot be reached")
        sent = _Sent(entry, self._loop.create_future())
        self._in_flight[source, sequence] = sent
        self._last_sent[source] = sequence
        try:
            written = await self._output.send([Write(*_JOURNAL, source.to_bytes(4, "little"), entry)])
        except WriteFailed as error:
            self._fail(error)
            raise Stopped(f"the journal cannot be reached: {error}") from error
        except asyncio.CancelledError:  # it was not sent, and must not be taken for an entry on its way
            self._in_flight.pop((source, sequence), None)
            self._last_sent[source] = sequence - 1
            raise
        written[0].add_done_callback(self._acknowledged)
        return sent.judged

    def _acknowledged(self, written: asyncio.Future[Any]) -> None:
        if not written.cancelled() and (error := written.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, account: int, question: Question) -> dict[str, Any]:
        shard = int(self._shard_of[account]) if 0 <= account < len(self._shard_of) else 0
        url = self._owners.get(shard)
        if url is None:
            raise AccountElsewhere(account, shard)
        try:
            async with httpx.AsyncClient(timeout=ANSWER_WITHIN) as client:
                asked = {"shard": shard, "question": question.model_dump(mode="json")}
                page = await client.post(f"{url}/ask", json=asked)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AccountElsewhere(account, shard) from error
        if page.status_code == 404:
            raise AccountUnknown(account, self._follower.state.n)
        if page.status_code != 200:
            raise AccountElsewhere(account, shard)
        told: dict[str, Any] = page.json()
        return told

    async def _look_after(self) -> None:
        """Ask the shards' workers how far they are, again and again."""
        async with httpx.AsyncClient(timeout=_LOOK_WITHIN) as client:
            while True:
                self._looked = self._looked or self._loop.time()
                n = self._journal.sequence.n
                pages = await asyncio.gather(*(_folds(client, url) for url in set(self._owners.values())))
                if found := {shard: one for page in pages for shard, one in page.items()}:
                    self._looked = self._loop.time()
                    self._folded |= found
                    last = max(one[0] for one in self._folded.values())
                    self._behind = max(n - last, *(lag for _, lag in self._folded.values()), 0)
                elif self._loop.time() - self._looked > SILENT:
                    self._behind = n - max((one[0] for one in self._folded.values()), default=0)
                await asyncio.sleep(LOOK)

    def _older(self, after: int, upto: int, most: int) -> list[Notice]:
        """Notices that are no longer held, read again. Called from any thread; raises JournalUnreachable."""
        with ExitStack() as opened:
            shards = range(self._notices.shards)
            readers = [
                opened.enter_context(closing(PartitionReader(self._address, topic_name(self._prefix, NOTICES), shard)))
                for shard in shards
            ]
            rows = merge(
                *(_rows(readers[shard], shard, self._notices.offset(shard, after), after) for shard in shards),
                key=itemgetter(0, 1),
            )
            whole = ((n, tuple(run for _, _, runs in told for run in runs)) for n, told in groupby(rows, itemgetter(0)))
            within = (Notice(n, said) for n, said in _until(whole, upto) if said)
            return list(islice(within, most))


class _JournalSeen:
    """The journal as numbered: where each source's entries are, and the hashes of all."""

    def __init__(self) -> None:
        self.sequence = SequenceState()
        self.log = MerkleLog()
        self._offsets: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._numbers: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))

    def take(self, offset: int, data: bytes) -> Any:
        """What becomes of the entry; see ledger.sequence.number."""
        told = number(self.sequence, offset, data)
        if len(self.log) == offset:
            self.log.append(leaf_hash(data))
        if isinstance(told, Numbered):
            self._offsets[told.source].append(offset)
            self._numbers[told.source].append(told.n)
        return told

    def place(self, source: int, sequence: int) -> tuple[int, int] | None:
        """(offset, n) of a source's entry; None where it has not been read."""
        offsets = self._offsets.get(source, ())
        if not 1 <= sequence <= len(offsets):
            return None
        return offsets[sequence - 1], self._numbers[source][sequence - 1]


class _NoticesSeen:
    """The notices of all shards, put together by entry. `last`: all of them have told what they have to tell up to it.

    A shard says nothing of trades where there is nothing to tell, so that it has passed an entry shows only by what it
    tells of a later one; of every price and every mark each shard tells something.
    """

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.last = 0
        self._told = [0] * shards
        self._held: defaultdict[int, dict[int, tuple[Run, ...]]] = defaultdict(dict)
        self._order: list[int] = []
        """the entries held, as a heap: a shard may be far ahead of another"""
        self._index: list[tuple[array[int], array[int]]] = [(array("Q"), array("Q")) for _ in range(shards)]
        self._count = [0] * shards

    def take(self, record: Record) -> list[Notice]:
        """The notices that are whole with this record, in order."""
        try:
            notice = decode(record.value, OutcomeHeader, OUTCOMES)
        except WireError:
            return []
        n, shard = notice.header["n"], record.partition
        if notice.header["shard"] != shard or n <= self._told[shard]:
            return []  # a stray, or a repeat
        self._told[shard] = n
        if self._count[shard] % _EVERY == 0:
            numbers, offsets = self._index[shard]
            numbers.append(n)
            offsets.append(record.offset)
        self._count[shard] += 1
        if notice.runs:
            if n not in self._held:
                heappush(self._order, n)
            self._held[n][shard] = notice.runs
        self.last = min(self._told)
        whole = []
        while self._order and self._order[0] <= self.last:
            one = heappop(self._order)
            whole.append(Notice(one, _joined(self._held.pop(one))))
        return whole

    def offset(self, shard: int, after: int) -> int:
        """A place in a shard's partition before which nothing lies past entry `after`."""
        numbers, offsets = self._index[shard]
        at = bisect_right(numbers, after)
        return offsets[at - 1] if at else 0


def _joined(by_shard: Mapping[int, tuple[Run, ...]]) -> tuple[Run, ...]:
    return tuple(run for shard in sorted(by_shard) for run in by_shard[shard])


def _rows(reader: PartitionReader, shard: int, offset: int, after: int) -> Iterator[tuple[int, int, tuple[Run, ...]]]:
    """(n, shard, what it said) of a shard's notices past an entry, repeats dropped."""
    last = after
    for record in reader.read(offset, 1 << 62):
        try:
            notice = decode(record.value or b"", OutcomeHeader, OUTCOMES)
        except WireError:
            continue
        if notice.header["n"] > last:
            last = notice.header["n"]
            yield last, shard, notice.runs


def _until(rows: Iterator[tuple[int, tuple[Run, ...]]], upto: int) -> Iterator[tuple[int, tuple[Run, ...]]]:
    for n, said in rows:
        if n > upto:
            return
        yield n, said


async def _folds(client: httpx.AsyncClient, url: str) -> dict[int, tuple[int, int]]:
    """By shard, the last n that a worker has folded and its lag; nothing where it does not answer."""
    try:
        told = (await client.get(f"{url}/health")).json()["folds"]
        return {int(shard): (int(one["n"]), int(one["lag"])) for shard, one in told.items()}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _head(line: bytes) -> Head:
    told = json.loads(line)
    return Head(**{**told, "entries": int(told["entries"]), "outcomes": tuple(told["outcomes"])})


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()

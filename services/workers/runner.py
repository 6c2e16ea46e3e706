"""A part under Faust: the group's membership and rebalancing are Faust's, everything that is kept is not.

Each partition that the group gives this worker has a Held of its own, made from the last snapshot and fed from the
place that the snapshot tells, whatever offset Kafka has committed for the group. A partition that stays here over a
rebalance keeps its Held: its place in a log that never changes is right however long the worker was away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faust
import faust.transport.drivers.aiokafka as driver
from faust.types import TP

from ledger.journal.security import connection
from ledger.journal.topics import topic_name
from services.lockstep import Settings
from services.processors.records import Place, Processor, Record, Snapshot, Topic, Write, key_of
from services.workers.held import Fold, Held
from services.workers.listening import Listening
from services.workers.measures import Measures
from services.workers.output import Output
from services.workers.parts import KEEPS_BOOKS, Part
from services.workers.snapshots import SnapshotStore

log: Final = logging.getLogger("novate.worker")

_FETCH_WAIT_MS: Final = 100
"""how long the broker holds a fetch at the end of a topic: other questions on the connection wait behind it"""
_FETCH: Final = 4 << 20
_PAUSED: Final = 0.005
"""seconds between two looks whether a partition that was paused for its full buffer can be read again"""
_BUFFERED: Final = 16
"""records between Faust's fetcher and a partition's tray"""
_SEEK_AGAIN: Final = 0.25
"""seconds between two seeks back to one record: what was fetched before the first one still comes meanwhile"""
_MOST_GAPS: Final = 40
"""seeks back to one record that was passed over, before it counts as lost"""
_LOOK: Final = 0.1
"""seconds between two looks at how the worker does"""
_STILL: Final = 1.0
"""seconds without the next record, though the broker has it and nothing waits to be folded, before it is read again"""
_STOPPING: Final = 0.7
"""seconds for each half of a stop: what is on the way, the group"""


class RecordLost(Exception):  # noqa: N818 - named for what is found
    """A partition does not give a record that should be there, though later ones are."""

    def __init__(self, place: Place, offset: int, found: int) -> None:
        super().__init__(f"{place[0]}/{place[1]}: record {offset} does not come, record {found} does")
        self.offset = offset


class AppFailed(Exception):  # noqa: N818
    """Faust stopped by itself; says why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a worker runs. `session` and `heartbeat` in seconds: how soon others take over from a worker that died."""

    address: str
    """the broker, host:port"""
    prefix: str
    snapshots: Path
    session: float = 1.5
    heartbeat: float = 0.3
    linger_ms: int = 0


class Worker:
    """One process's share of a part. `run` until `stop`, or until something fails; from one event loop."""

    def __init__(self, part: Part, settings: Settings, where: Deployment, measures: Measures) -> None:
        self.part = part
        self._settings = settings
        self._where = where
        self._measures = measures
        self._url = ""
        self._store = SnapshotStore(where.snapshots)
        self._output = Output(where.address, where.prefix, linger_ms=where.linger_ms)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "fold")
        self._held: dict[int, Held] = {}
        self._tasks: dict[int, list[asyncio.Task[None]]] = {}
        self._listening: dict[int, Listening] = {}
        self.last_error: str | None = None
        """the last thing that went wrong and was got over, or that ended the worker"""
        self._gaps: dict[tuple[Place, int], tuple[int, float]] = {}
        """for each record that was passed over: seeks back to it, and when the last one was, in the loop's seconds"""
        self._still: dict[int, tuple[int, float]] = {}
        """for each shard that lacks a record which is there: its offset, and since when, in the loop's seconds"""
        self._assigning = asyncio.Lock()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._app = self._made_app()

    @property
    def folds(self) -> Mapping[int, Fold]:
        """The folds this worker has now, by partition. May be read from any thread."""
        return {shard: held.fold for shard, held in self._held.copy().items()}

    def lag(self, shard: int) -> int:
        """How many records that the broker has told of are not folded yet. May be called from any thread."""
        held = self._held.get(shard)
        if held is None:
            return 0
        behind = 0
        for (topic, partition), taken in held.fold.taken.copy().items():
            end: int | None
            if topic == self.part.shared:
                end = self._app.consumer.highwater(TP(topic_name(self._where.prefix, topic), partition))
            else:
                end = self._listening[shard].end((topic, partition))
            behind += max(0, (end or 0) - taken)
        return behind

    async def run(self, url: str = "") -> None:
        """Join the group and fold until stopped; `url` is announced as the place to ask of the shards.

        Raises what failed: WriteFailed, RecordLost, AppFailed, and what the folds raise (MissingPredecessor,
        ConservationBroken, SnapshotBroken ...).
        """
        self._url = url
        watching: asyncio.Task[None] | None = None
        try:
            await self._output.start()
            await self._app.start()
            watching = asyncio.ensure_future(self._watched())
            await self._ended
        finally:
            if watching is not None:
                watching.cancel()
            await self._stopped()

    def stop(self) -> None:
        """Have `run` return: what is on the way is written, the group is told."""
        if not self._ended.done():
            self._ended.set_result(None)

    async def _stopped(self) -> None:
        for shard in list(self._held):
            await self._drop(shard)
        await self._output.stop(_STOPPING)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._app.stop(), _STOPPING)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _watched(self) -> None:
        """Faust stops its services one by one when one of them fails; that ends the worker."""
        while not self._app.should_stop:
            await asyncio.sleep(_LOOK)
            for shard, held in self._held.copy().items():
                await self._looked_at(shard, held)
        self._fail(AppFailed(f"{self._app.crash_reason!r}"))

    async def _looked_at(self, shard: int, held: Held) -> None:
        """A record that Faust dropped shows in the one after it; the last one, only in that it is missing."""
        place = (self.part.shared, shard)
        lacks, now = held.next[place], asyncio.get_running_loop().time()
        end = self._app.consumer.highwater(TP(topic_name(self._where.prefix, self.part.shared), shard)) or 0
        if lacks >= end or not held.tray.empty or place in held.fold.full:
            self._still.pop(shard, None)
            return
        offset, since = self._still.get(shard, (lacks, now))
        if offset == lacks and now >= since + _STILL:
            await self._passed_over(place, lacks, end - 1)
            since = now
        self._still[shard] = (lacks, since if offset == lacks else now)

    def _fail(self, error: BaseException) -> None:
        self.last_error = f"{type(error).__name__}: {error}"
        if not self._ended.done():
            self._ended.set_exception(error)

    def _made_app(self) -> faust.App:
        where, part = self._where, self.part
        app = faust.App(
            f"{where.prefix}-{part.name}",
            broker=f"kafka://{where.address}",
            broker_credentials=_credentials(connection(where.address)),
            broker_session_timeout=where.session,
            broker_heartbeat_interval=where.heartbeat,
            broker_request_timeout=60.0,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=_FETCH,
            stream_buffer_maxsize=_BUFFERED,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            autodiscover=False,
            datadir=where.snapshots / "faust",
        )
        app.transport = _transport(app, self)
        shared = app.topic(
            topic_name(where.prefix, part.shared), acks=False, key_type=bytes, value_type=bytes, key_serializer="raw",
            value_serializer="raw",
        )  # fmt: skip

        @app.agent(shared)
        async def feed(stream: Any) -> None:
            async for event in stream.events():
                message = event.message
                await self._offered(Record(part.shared, message.partition, message.offset, message.value or b""))

        return app

    async def places(self, consumer: Any, assigned: set[TP]) -> dict[TP, int]:
        """What the group gives this worker: folds for the new partitions, none for those that went; and where to read
        each from. Called by Faust after every rebalance."""
        async with self._assigning:
            shared = {
                tp.partition: tp for tp in assigned if tp.topic == topic_name(self._where.prefix, self.part.shared)
            }
            for shard in set(self._held) - set(shared):
                await self._drop(shard)
            new = {shard: tp for shard, tp in shared.items() if shard not in self._held}
            if new:
                ends = await consumer.highwaters(*new.values())
                await asyncio.gather(*(self._take_over(shard, ends[tp]) for shard, tp in new.items()))
            log.info("assigned", extra={"shards": sorted(shared), "new": sorted(new)})
            return {tp: self._held[shard].next[self.part.shared, shard] for shard, tp in shared.items()}

    async def _take_over(self, shard: int, end: int) -> None:
        part, settings, store = self.part, self._settings, self._store

        def restored() -> tuple[Processor, list[str]]:
            return store.restored(part.name, shard, lambda data: part.make(settings, shard, data))

        def keep(snapshot: Snapshot) -> None:
            store.keep(part.name, shard, snapshot)
            self._measures.kept(shard)

        processor, passed = await asyncio.get_running_loop().run_in_executor(self._pool, restored)
        for what in passed:
            self.last_error = f"snapshot passed over: {what}"
            log.warning("snapshot passed over", extra={"shard": shard, "what": what})
        ends: dict[Place, int] = {(part.shared, shard): end}
        others = {place: at for place, at in processor.places().items() if place not in ends}
        listening = None
        if others:
            listening = Listening(self._where.address, self._where.prefix, others)
            ends |= await listening.start()
        held = Held(Fold(part.name, shard, processor, ends, self._measures), self._pool, self._output.send, keep)
        if listening is not None:
            self._listening[shard] = listening
        self._held[shard] = held
        self._tasks[shard] = [asyncio.ensure_future(self._guarded(held.run()))]
        if listening is not None:
            hearing = listening.run(self._offered, lambda: held.fold.full)
            self._tasks[shard].append(asyncio.ensure_future(self._guarded(hearing)))
        if part.name in KEEPS_BOOKS and self._url:
            told = json.dumps({"shard": shard, "url": self._url}).encode()
            await self._output.send([Write(Topic.OWNERS, 0, key_of(shard), told)])

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)

    async def _drop(self, shard: int) -> None:
        held = self._held.pop(shard)
        for task in self._tasks.pop(shard):
            task.cancel()
        await held.tray.close()

    async def _offered(self, record: Record) -> None:
        """Put a record into its fold's tray if it is the one that comes next there."""
        place = (record.topic, record.partition)
        shard = record.partition if record.topic == self.part.shared else 0
        held = self._held.get(shard)
        if held is None or place not in held.next or record.offset < held.next[place]:
            return
        if record.offset > held.next[place]:
            await self._passed_over(place, held.next[place], record.offset)
            return
        while place[0] == self.part.shared and place in held.fold.full:  # what is listened to is not fetched then
            await asyncio.sleep(_PAUSED)
            if self._held.get(shard) is not held or record.offset != held.next[place]:
                return  # another worker's by now, or read again after a rebalance
        held.next[place] += 1
        await held.tray.put(record)

    async def _passed_over(self, place: Place, offset: int, found: int) -> None:
        """Faust drops what is on its way when a rebalance comes in between; then it must be read again."""
        now = asyncio.get_running_loop().time()
        seeks, last = self._gaps.get((place, offset), (0, -_SEEK_AGAIN))
        if now < last + _SEEK_AGAIN:
            return
        if seeks == _MOST_GAPS or place[0] != self.part.shared:
            self._fail(RecordLost(place, offset, found))
            return
        self._gaps[place, offset] = (seeks + 1, now)
        if seeks == 0:
            log.warning("read again", extra={"topic": place[0].value, "partition": place[1], "offset": offset})
        await self._app.consumer.seek(TP(topic_name(self._where.prefix, place[0]), place[1]), offset)


def _credentials(told: Mapping[str, Any]) -> faust.auth.Credentials | None:
    """What `connection` gives, in Faust's form."""
    context = told.get("ssl_context")
    if "sasl_mechanism" in told:
        return faust.SASLCredentials(
            username=told["sasl_plain_username"], password=told["sasl_plain_password"], ssl_context=context,
            mechanism=told["sasl_mechanism"],
        )  # fmt: skip
    return faust.SSLCredentials(context) if context is not None else None


def _transport(app: faust.App, worker: Worker) -> driver.Transport:
    class Thread(driver.AIOKafkaConsumerThread):
        """Fetches without holding the connection for long; Faust has no setting for it."""

        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
            return consumer

        async def _fetch_records(self, *asked: Any, **how: Any) -> Any:
            """Nothing where a rebalance took a partition away between the question and its turn: the client then fails
            on the partition's missing state. Whatever it had taken before that is passed over, and read again."""
            try:
                return await super()._fetch_records(*asked, **how)
            except KeyError:
                return {}

    class Consumer(driver.Consumer):
        """Starts each partition where its fold is; Faust calls this after every assignment."""

        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        async def _wait_next_records(self, timeout: float) -> Any:
            # Where all partitions are paused because their buffers are full, Faust would look again in a second.
            while self.flow_active and not self.should_stop and not self._get_active_partitions():
                await self.sleep(_PAUSED)
            return await super()._wait_next_records(timeout)

        async def perform_seek(self) -> None:
            for tp, offset in (await worker.places(self, self.assignment())).items():
                self._read_offset[tp] = None
                await self._seek(tp, offset)

    class Transport(driver.Transport):
        """The driver with that consumer."""

    Transport.Consumer = Consumer
    return Transport([*app.conf.broker_consumer], app)

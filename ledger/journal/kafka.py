"""The journal on Kafka, one partition of one topic, and what else reads and writes records: the one door to the broker.

Kafka checks a record's bytes by CRC and gives offsets without holes where no producer uses transactions; readers check
both. There is no stored hash chain: who reads from the first entry makes it (ledger/chain.py), and published heads
vouch for it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, LogTruncationError, OffsetOutOfRangeError

from ledger.journal import EntryTooLarge, JournalBroken, JournalFull, JournalUnreachable
from ledger.journal.security import connection
from schemas.limits import MAX_ENTRY_BYTES

LARGEST_RECORD: Final = 16 << 20
"""bytes of one record's value"""
TIMEOUT: Final = 30.0
"""seconds until a broker that does not answer is given up"""

_REQUEST: Final = 17 << 20
_BATCH: Final = 1 << 20
"""bytes of one batch; a larger record makes a batch of its own"""
_FETCH: Final = 4 << 20
"""bytes that the broker gives at a time, or one batch where that is larger"""
_SLICE_MS: Final = 50
"""how long a waiting reader holds on to its connection, so that another thread's call or close comes in between"""
_FETCH_WAIT_MS: Final = 100
"""how long the broker holds a fetch at the end of the partition; other questions wait behind it"""
_RETRY_MS: Final = 20
"""between two tries; every new connection to a topic waits once for so long"""
_CLOSING: Final = 1.0
_RECORDS: Final = 1 << 16


class Record(NamedTuple):
    """A record to write. A value of None deletes the key in a compacted topic."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Stored(NamedTuple):
    """A record that was read."""

    offset: int
    key: bytes | None
    value: bytes | None


class KafkaPublisher:
    """Writes records, acknowledged by all replicas in sync (acks=all), each once however often it is sent (idempotent
    producer). May be used from several threads.

    `timeout` is what a broker has, in seconds, until a record counts as refused. Raises JournalUnreachable.
    """

    def __init__(self, address: str, *, timeout: float = TIMEOUT) -> None:
        self._where = address
        self._timeout = timeout
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._open = True
        milliseconds = int(timeout * 1000)
        try:
            self._producer = KafkaProducer(
                **connection(address), acks="all", enable_idempotence=True, linger_ms=0, batch_size=_BATCH,
                max_request_size=_REQUEST, delivery_timeout_ms=milliseconds, max_block_ms=milliseconds,
                request_timeout_ms=max(milliseconds // 2, 1), bootstrap_timeout_ms=milliseconds,
                reconnect_backoff_max_ms=500, retry_backoff_ms=_RETRY_MS, allow_auto_create_topics=False,
                metrics_enabled=False,
            )  # fmt: skip
        except KafkaError as error:
            raise JournalUnreachable(address, _told(error)) from error

    def publish(self, records: Iterable[Record]) -> list[int]:
        """Write the records, in order within each partition, and return their offsets when all are acknowledged.

        Raises EntryTooLarge before anything is sent. Raises JournalFull where the broker refuses one or does not answer
        in time: what was on its way may still be written, and no more are taken until a new publisher is made.
        """
        records = list(records)
        for record in records:
            size = len(record.value or b"") + len(record.key or b"")
            if size > LARGEST_RECORD:
                raise EntryTooLarge(size, LARGEST_RECORD)
        pending: list[Any] = []
        with self._lock:  # a call's records lie together within each partition
            self._refuse()
            try:
                for record in records:
                    pending.append(
                        self._producer.send(
                            record.topic, partition=record.partition, key=record.key, value=record.value
                        )
                    )
            except Exception as error:
                raise self._failed(error) from error
        return self._acknowledged(pending)

    def close(self) -> None:
        """Let go of the broker; a second close does nothing."""
        with self._lock:
            if self._open:
                self._open = False
                try:
                    self._producer.close(timeout=_CLOSING)
                except KafkaError as error:
                    self._failure = self._failure or error  # whoever waits for those records is told by publish

    def _acknowledged(self, pending: list[Any]) -> list[int]:
        deadline = time.monotonic() + self._timeout + _CLOSING
        offsets: list[int] = []
        try:
            for one in pending:
                offset = int(one.get(timeout=max(deadline - time.monotonic(), 0.0)).offset)
                if offset < 0:
                    raise JournalUnreachable(self._where, "acknowledged without an offset")
                offsets.append(offset)
        except Exception as error:
            raise self._failed(error) from error
        return offsets

    def _refuse(self) -> None:
        if self._failure is not None:
            raise JournalFull(self._where, f"not before it is opened anew, after {self._failure!r}")
        if not self._open:
            raise ValueError(f"{self._where}: closed")

    def _failed(self, error: Exception) -> JournalFull:
        if self._failure is None:
            self._failure = error
            # After a timeout the producer asks for a new identity and keeps what it has not sent, past its own time
            # limit, until the broker answers. Its public close only waits for that, so its thread is told to drop it.
            sender = self._producer._sender
            sender.force_close()
            sender.join(_CLOSING)
        return JournalFull(self._where, _told(error))


class PartitionReader:
    """Reads one partition from any offset on. May be used from several threads, which take turns.

    `dense` says that an offset without a record is a fault; in a compacted topic it is none. `timeout` is what a broker
    that is away has, in seconds, to come back. Raises JournalUnreachable, FileNotFoundError where there is no such
    partition.
    """

    def __init__(
        self, address: str, topic: str, partition: int = 0, *, dense: bool = True, timeout: float = TIMEOUT
    ) -> None:
        self._where = f"{address}/{topic}/{partition}"
        self._dense = dense
        self._timeout = timeout
        self._lock = threading.Lock()
        self._position: int | None = None
        self._partition = TopicPartition(topic, partition)
        milliseconds = int(timeout * 1000)
        with self._naming(0):
            self._consumer = KafkaConsumer(
                **connection(address), group_id=None, enable_auto_commit=False, auto_offset_reset="none",
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                fetch_max_bytes=_FETCH, max_partition_fetch_bytes=_FETCH, max_poll_records=_RECORDS, check_crcs=True,
                request_timeout_ms=milliseconds, bootstrap_timeout_ms=milliseconds,
                reconnect_backoff_max_ms=500, retry_backoff_ms=_RETRY_MS, allow_auto_create_topics=False,
                metrics_enabled=False,
            )  # fmt: skip
            try:
                if partition not in (self._consumer.partitions_for_topic(topic) or ()):
                    raise FileNotFoundError(f"{self._where}: there is no such partition")
                self._consumer.assign([self._partition])
            except BaseException:
                self._consumer.close()
                raise

    def read(self, offset: int, limit: int) -> Iterator[Stored]:
        """Up to `limit` records from `offset` on, in order, none past the end that is there when reading begins.

        A broker that goes away and comes back in time is waited for. Raises JournalBroken at the first record that is
        missing or not what was written, JournalUnreachable, ValueError on a negative offset.
        """
        end = self.end()
        while True:
            _not_negative(offset)
            batch = self._waited(offset, min(limit, end - offset)) if min(limit, end - offset) > 0 else []
            batch = [record for record in batch if record.offset < end]
            if not batch:
                return
            yield from batch
            limit -= len(batch)
            offset = batch[-1].offset + 1

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[Stored]:
        """One batch from `offset` on; where nothing is there yet it waits up to `timeout` seconds.

        Empty when the time is over, also because the broker is away. Raises JournalBroken, ValueError on a negative
        offset.
        """
        _not_negative(offset)
        if limit <= 0:
            return []
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if batch := self._fetched(offset, limit, min(_SLICE_MS, math.ceil(left * 1000))):
                return batch
        # So short a wait may end before the broker has sent what is there.
        return self._waited(offset, limit) if timeout * 1000 < _SLICE_MS and offset < self._glance() else []

    def end(self) -> int:
        """The offset that the next record will have. Raises JournalUnreachable."""
        return self._end(self._timeout)

    def close(self) -> None:
        """Let go of the broker; a second close does nothing. Another thread that is reading ends its turn first."""
        with self._lock:
            self._consumer.close(autocommit=False, timeout_ms=int(_CLOSING * 1000))

    def _end(self, timeout: float) -> int:
        with self._lock, self._naming(0):
            told = self._consumer.end_offsets([self._partition], timeout_ms=int(timeout * 1000))
            return int(told[self._partition])

    def _glance(self) -> int:
        """The end, 0 where the broker does not tell it at once."""
        try:
            return self._end(_CLOSING)
        except JournalUnreachable:
            return 0

    def _waited(self, offset: int, limit: int) -> list[Stored]:
        """A batch that is known to be there."""
        deadline = time.monotonic() + self._timeout
        while not (batch := self._fetched(offset, limit, _SLICE_MS)):
            if time.monotonic() > deadline:
                raise JournalUnreachable(self._where, f"offset {offset} did not come within {self._timeout} s")
        return batch

    def _fetched(self, offset: int, limit: int, milliseconds: int) -> list[Stored]:
        with self._lock, self._naming(offset):
            if self._position != offset:
                self._consumer.seek(self._partition, offset)
                self._position = offset
            try:
                polled = self._consumer.poll(timeout_ms=milliseconds, max_records=min(limit, _RECORDS))
            except OffsetOutOfRangeError:
                self._position = None
                self._refuse_lost(offset)
                time.sleep(milliseconds / 1000)
                return []
            except BaseException:
                self._position = None
                raise
            records = [Stored(one.offset, one.key, one.value) for one in polled.get(self._partition, ())]
            if records:
                self._position = records[-1].offset + 1
        if self._dense:
            for expected, record in enumerate(records, offset):
                if record.offset != expected:
                    raise JournalBroken(self._where, expected, f"missing, record {record.offset} follows")
        return records

    def _refuse_lost(self, offset: int) -> None:
        """An offset past the end may come yet; one before the first will not."""
        first = int(self._consumer.beginning_offsets([self._partition])[self._partition])
        if offset < first:
            raise JournalBroken(self._where, offset, f"missing, the first record kept is {first}")

    @contextmanager
    def _naming(self, offset: int) -> Iterator[None]:
        """Gives the client's errors the journal's names."""
        try:
            yield
        except (CorruptRecordError, LogTruncationError) as error:
            raise JournalBroken(self._where, offset, _told(error)) from error
        except KafkaError as error:
            raise JournalUnreachable(self._where, _told(error)) from error


class KafkaReader:
    """The journal's reading side on Kafka. `topic` is its full name. Raises as PartitionReader."""

    def __init__(self, address: str, topic: str, *, timeout: float = TIMEOUT) -> None:
        self._records = PartitionReader(address, topic, timeout=timeout)

    def read(self, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """See JournalReader.read. Raises JournalUnreachable too."""
        return (_entry(record) for record in self._records.read(offset, limit))

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[tuple[int, bytes]]:
        """See JournalReader.tail."""
        return [_entry(record) for record in self._records.tail(offset, timeout, limit)]

    def end(self) -> int:
        """See JournalReader.end. Raises JournalUnreachable."""
        return self._records.end()

    def close(self) -> None:
        """See JournalReader.close."""
        self._records.close()


def _entry(record: Stored) -> tuple[int, bytes]:
    """Anybody can append a record without a value: to all readers it is an entry of no bytes, and quarantined."""
    return record.offset, record.value or b""


class KafkaJournal:
    """One of the journal's appenders on Kafka: every source has its own, so there is no lock and JournalLocked is not
    raised. May be used from several threads.

    Offsets are dense over all appenders; those of one `append_many` rise and may have others' between them. Kafka has
    no "all or none": after JournalFull any of the entries may be in the journal, now or a moment later. So a source
    opens it anew and appends the same bytes under the same sequence numbers again; the sequence drops the repeats.
    """

    def __init__(self, address: str, topic: str, *, timeout: float = TIMEOUT) -> None:
        self._topic = topic
        self._reader = KafkaReader(address, topic, timeout=timeout)
        try:
            self._publisher = KafkaPublisher(address, timeout=timeout)
        except BaseException:
            self._reader.close()
            raise

    def append(self, entry: bytes, key: bytes | None = None) -> int:
        """See Journal.append. When it returns, all replicas in sync have the entry."""
        return self.append_many([entry], key)[0]

    def append_many(self, entries: Sequence[bytes], key: bytes | None = None) -> list[int]:
        """See Journal.append_many, but for "all or none". `key` names the source; readers do not need it."""
        for entry in entries:
            if len(entry) > MAX_ENTRY_BYTES:
                raise EntryTooLarge(len(entry), MAX_ENTRY_BYTES)
        return self._publisher.publish(Record(self._topic, 0, key, entry) for entry in entries)

    def read(self, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """See KafkaReader.read."""
        return self._reader.read(offset, limit)

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[tuple[int, bytes]]:
        """See KafkaReader.tail."""
        return self._reader.tail(offset, timeout, limit)

    def end(self) -> int:
        """See KafkaReader.end."""
        return self._reader.end()

    def close(self) -> None:
        """See JournalReader.close."""
        self._publisher.close()
        self._reader.close()


def _not_negative(offset: int) -> None:
    if offset < 0:
        raise ValueError(f"offset {offset}: the first is 0")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

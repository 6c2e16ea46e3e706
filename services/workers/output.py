"""What workers write: an idempotent producer, in order within each partition, with many records on the way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from ledger.journal.security import connection
from ledger.journal.topics import topic_name
from services.processors.records import Write

GIVE_UP: Final = 40.0
"""seconds that a broker may be away before a write has failed for good"""

_LARGEST: Final = 17 << 20
_BATCH: Final = 8 << 20
"""bytes of a batch; a larger record makes a batch of its own"""
_RETRY_MS: Final = 50


class WriteFailed(Exception):  # noqa: N818 - named for what is found
    """A record that the broker did not take. What became of those behind it is not known."""

    def __init__(self, write: Write, error: BaseException) -> None:
        super().__init__(f"{write.topic}/{write.partition}: {len(write.value)} bytes: {type(error).__name__}: {error}")
        self.write = write


class Output:
    """Writes records under a prefix. To be used from one event loop. After WriteFailed it is of no more use.

    It is not Faust's own producer, which is idempotent only together with Kafka's transactions.
    """

    def __init__(self, address: str, prefix: str, *, linger_ms: int = 0) -> None:
        self._prefix = prefix
        self._address = address
        self._linger_ms = linger_ms
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises aiokafka's KafkaConnectionError."""
        self._producer = AIOKafkaProducer(
            **connection(self._address), enable_idempotence=True, acks="all", linger_ms=self._linger_ms,
            max_batch_size=_BATCH, max_request_size=_LARGEST, request_timeout_ms=int(GIVE_UP * 1000),
            retry_backoff_ms=_RETRY_MS,
        )  # fmt: skip
        await self._producer.start()

    async def send(self, writes: Sequence[Write]) -> list[asyncio.Future[Any]]:
        """Hand the records over in order; a future each, done when the record is acknowledged. Waits while too much is
        on the way to a partition. Raises WriteFailed."""
        sent: list[asyncio.Future[Any]] = []
        for write in writes:
            topic = topic_name(self._prefix, write.topic)
            try:
                sent.append(
                    await self._producer.send(topic, value=write.value, key=write.key, partition=write.partition)
                )
            except asyncio.CancelledError:
                raise
            except Exception as error:
                raise WriteFailed(write, error) from error
        return sent

    async def stop(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is on the way, and let go of the broker."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await asyncio.wait({asyncio.ensure_future(producer.stop())}, timeout=timeout)

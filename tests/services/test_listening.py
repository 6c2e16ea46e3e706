"""Reading beside the group on a real broker: of a place that is full no more comes, and the others go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing, suppress

from ledger.journal.kafka import KafkaPublisher
from ledger.journal.kafka import Record as Published
from ledger.journal.topics import NOTICES, create, topic_name
from services.broker import Broker
from services.processors.records import Place, Record, Topic
from services.workers.listening import Listening

RECORDS, SIZE = 200, 64 << 10
AT_MOST = 64
"""records that may come after a place is full: what was fetched of it before, 1 MiB or two"""


def test_a_place_that_is_full_waits_while_the_others_are_read(broker: Broker, prefix: str) -> None:
    create(broker.address, prefix, 2)
    topic = topic_name(prefix, NOTICES)
    fast, slow = (Topic.NOTICES, 1), (Topic.NOTICES, 0)
    heard: Counter[Place] = Counter()
    full: set[Place] = set()

    async def hear(record: Record) -> None:
        place = (record.topic, record.partition)
        assert record.offset == heard[place]
        heard[place] += 1
        if heard[fast] == 10:
            full.add(fast)

    async def come(place: Place, count: int) -> None:
        async with asyncio.timeout(20):
            while heard[place] < count:
                await asyncio.sleep(0.01)

    async def run(publisher: KafkaPublisher) -> None:
        listening = Listening(broker.address, prefix, {slow: 0, fast: 0})
        assert await listening.start() == {slow: 0, fast: RECORDS}
        running = asyncio.ensure_future(listening.run(hear, lambda: full))
        await come(fast, 10)
        for count in range(1, 6):
            await asyncio.to_thread(publisher.publish, [Published(topic, 0, None, b"x")])
            await come(slow, count)
        assert heard[fast] < 10 + AT_MOST
        full.clear()
        await come(fast, RECORDS)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with closing(KafkaPublisher(broker.address)) as publisher:
        publisher.publish([Published(topic, 1, None, bytes(SIZE))] * RECORDS)
        asyncio.run(run(publisher))

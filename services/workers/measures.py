"""What a worker counts, for Prometheus: records, events, seconds of folding, lag."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.wire import EntryHeader, WireError, decode_header
from services.processors.records import Record, Topic

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Measures:
    """A worker's counters. May be used from several threads."""

    def __init__(self, part: str) -> None:
        self.registry = CollectorRegistry()
        self._part = part
        label = ["part", "shard"]
        self._records = Counter("novate_records", "Records folded", [*label, "topic"], registry=self.registry)
        self._bytes = Counter("novate_record_bytes", "Bytes of records folded", label, registry=self.registry)
        self._events = Counter("novate_events", "Events in the entries read from the journal", registry=self.registry)
        self._fold = Histogram(
            "novate_fold_seconds", "Seconds to fold a record", label, buckets=_SECONDS, registry=self.registry
        )
        self._snapshot = Gauge(
            "novate_snapshot_time_seconds", "When the last snapshot was kept, Unix time", label, registry=self.registry
        )

    def folded(self, shard: int, record: Record, seconds: float) -> None:
        """A record was folded."""
        self._records.labels(self._part, shard, record.topic.value).inc()
        if record.topic == Topic.JOURNAL:
            self._events.inc(_events(record.value))
        self._bytes.labels(self._part, shard).inc(len(record.value))
        self._fold.labels(self._part, shard).observe(seconds)

    def kept(self, shard: int) -> None:
        """A snapshot was kept."""
        self._snapshot.labels(self._part, shard).set(time.time())

    def page(self) -> bytes:
        """All of it in Prometheus's text form."""
        return generate_latest(self.registry)


def _events(entry: bytes) -> int:
    try:
        return decode_header(entry, EntryHeader)[0]["events"]
    except WireError:
        return 0

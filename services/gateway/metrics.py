"""The gateway's figures for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_FIGURES: Final = {
    "offset": "Where the journal's next entry goes",
    "n": "The last number folded",
    "waiting": "Entries that wait to be appended or folded",
    "mark": "The last mark",
    "answered": "The last mark that was answered in full",
}


class _Health(Collector):
    """The system's own figures, asked when they are read."""

    def __init__(self, health: Callable[[], Mapping[str, Any]]) -> None:
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        told = self._health()
        yield GaugeMetricFamily("novate_gateway_ok", "1 where entries are taken", value=int(told["ok"]))
        for name, words in _FIGURES.items():
            yield GaugeMetricFamily(f"novate_gateway_{name}", words, value=told[name])
        yield GaugeMetricFamily(
            "novate_gateway_mark_time_seconds", "The last mark's time", value=told["mark_time"] / 1_000_000
        )


class Figures:
    """What is counted."""

    def __init__(self, health: Callable[[], Mapping[str, Any]]) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            "novate_gateway_requests", "Requests answered", ("route", "method", "status"), registry=registry
        )
        self.refused = Counter("novate_gateway_refused", "Requests refused, by name", ("error",), registry=registry)
        self.seconds = Histogram(
            "novate_gateway_seconds", "From a request's headers to its answer", ("route",), registry=registry,
            buckets=_BUCKETS,
        )  # fmt: skip
        self.entries = Counter("novate_gateway_entries", "Entries appended, repeats left out", registry=registry)
        self.events = Counter("novate_gateway_events", "Events in them", registry=registry)
        self.listeners = Gauge("novate_gateway_listeners", "Listeners to notices", registry=registry)
        registry.register(_Health(health))

    def text(self) -> bytes:
        """The figures in Prometheus' text form."""
        return generate_latest(self._registry)

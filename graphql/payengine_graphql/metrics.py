"""How does this process do, in numbers?

No label names a tenant or an object of one.
"""

from __future__ import annotations

from collections.abc import Iterable

from payengine.engine import Engine
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """The process's numbers, in a registry of its own."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._mutations = Counter(
            "payengine_mutations",
            "Mutations by result: a payment's status, or an error's code.",
            ("mutation", "result"),
            registry=self._registry,
        )
        self._operations = Counter(
            "payengine_gateway_operations",
            "Operations that mutations answered with, by gateway, kind and status.",
            ("gateway", "kind", "status"),
            registry=self._registry,
        )
        self._requests = Histogram(
            "payengine_http_request_seconds",
            "HTTP requests by route and status.",
            ("route", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.sockets = Gauge(
            "payengine_sockets",
            "Live connections that are open: WebSockets and event streams.",
            registry=self._registry,
        )
        self.waiting_bytes = Gauge(
            "payengine_live_waiting_bytes",
            "What waits in this process for readers that are behind.",
            registry=self._registry,
        )
        self.live_queries = Gauge(
            "payengine_live_queries",
            "Different subscriptions; equal ones are executed once.",
            registry=self._registry,
        )
        self.subscriptions = Gauge(
            "payengine_subscriptions", "Subscriptions that are live.", registry=self._registry
        )
        self._registry.register(_EngineNumbers(engine))

    def count_mutation(self, mutation: str, result: str) -> None:
        """One more mutation with this result."""
        self._mutations.labels(mutation, result).inc()

    def count_operation(self, gateway: str, kind: str, status: str) -> None:
        """One more operation that a mutation answered with; a repeated request counts again."""
        self._operations.labels(gateway, kind, status).inc()

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """One more HTTP request."""
        self._requests.labels(route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self._registry)


class _EngineNumbers(Collector):
    """Numbers that the engine counts itself, read when asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        counters = self._engine.database.counters
        yield CounterMetricFamily(
            "payengine_sql_statements", "SQL statements sent.", value=counters.statements
        )
        yield CounterMetricFamily(
            "payengine_sql_commits", "SQL transactions committed.", value=counters.commits
        )
        yield GaugeMetricFamily(
            "payengine_live_subscribers",
            "Feeds that are open in this process.",
            value=self._engine.feed.subscribers,
        )

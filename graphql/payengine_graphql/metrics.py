"""How does this process do, in numbers?

No label names a tenant or an object of one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from payengine.engine import Engine
from payengine.jobs import Depth
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

M = TypeVar("M", Counter, Histogram)

#: How old a count of the queue may be, and how long one may take.
_COUNTS_LAST = timedelta(seconds=5)
_COUNTING_S = 2.0
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
        self._webhooks_in = Counter(
            "payengine_webhooks_in",
            "Calls of providers by plugin and result: stored, or an error's code.",
            ("plugin", "result"),
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
        #: As many as there are labels, whose values are closed lists.
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._queue = _QueueNumbers(engine)
        self._registry.register(self._queue)

    async def look(self, *, at: datetime) -> None:
        """Count what lies in the database, unless that was done just now."""
        await self._queue.look(at=at)

    def count_mutation(self, mutation: str, result: str) -> None:
        """One more mutation with this result."""
        self._of(self._mutations, mutation, result).inc()

    def count_operation(self, gateway: str, kind: str, status: str) -> None:
        """One more operation that a mutation answered with; a repeated request counts again."""
        self._of(self._operations, gateway, kind, status).inc()

    def count_webhook_in(self, plugin: str, result: str) -> None:
        """One more call of a provider."""
        self._webhooks_in.labels(plugin, result).inc()

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """One more HTTP request."""
        self._of(self._requests, route, str(status)).observe(seconds)

    def _of(self, metric: M, *labels: str) -> M:
        """The metric with these labels, which `labels` would look for under a lock each time."""
        found = self._kept.get((metric, *labels))
        if found is None:
            found = self._kept[(metric, *labels)] = metric.labels(*labels)
        return cast(M, found)

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
        unmapped = CounterMetricFamily(
            "payengine_unmapped_declines",
            "Declines with a code that the gateway's plugin does not map to the taxonomy.",
            labels=("gateway",),
        )
        for gateway, count in self._engine.router.statistics.unmapped.items():
            unmapped.add_metric((gateway,), count)
        yield unmapped
        strange = CounterMetricFamily(
            "payengine_unmodelled_statuses",
            "Answers of gateways with a status that nobody here knows.",
            labels=("gateway",),
        )
        for gateway, times in sorted(self._engine.registry.unmodelled.items()):
            strange.add_metric((gateway,), times)
        yield strange
        alerts = CounterMetricFamily(
            "payengine_fraud_alerts",
            "Alerts of fraud that this process has opened and closed, by kind.",
            labels=("kind", "change"),
        )
        for (kind, change), times in sorted(self._engine.fraud_desk.watching.counts.items()):
            alerts.add_metric((kind, change), times)
        yield alerts
        failures = CounterMetricFamily(
            "payengine_fraud_rule_failures",
            "Evaluations of fraud rules that failed, by rule and how.",
            labels=("rule", "error"),
        )
        for (rule, error), times in sorted(self._engine.fraud.evaluator.failures.items()):
            failures.add_metric((rule, error), times)
        yield failures
        yield GaugeMetricFamily(
            "payengine_live_subscribers",
            "Feeds that are open in this process.",
            value=self._engine.feed.subscribers,
        )


class _QueueNumbers(Collector):
    """What waits in the queue, and what this process has done of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._depths: Sequence[Depth] = ()
        self._looked_at = datetime.min.replace(tzinfo=UTC)

    async def look(self, *, at: datetime) -> None:
        """Count the queue; where the database does not answer, the numbers are left out."""
        if at - self._looked_at < _COUNTS_LAST:
            return
        self._looked_at = at  # also where it fails: a database in trouble is not asked more often
        self._depths = ()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_COUNTING_S):
                self._depths = await self._engine.job_desk.depth(at=at)

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily(
            "payengine_jobs", "Jobs in the queue, by kind and state.", labels=("kind", "state")
        )
        age = GaugeMetricFamily(
            "payengine_job_oldest_due_seconds",
            "How long the job that waits the longest has been due.",
            labels=("kind",),
        )
        for depth in self._depths:
            jobs.add_metric((depth.kind, depth.state), depth.jobs)
            if depth.state == "waiting":
                age.add_metric((depth.kind,), depth.oldest_s)
        ended = CounterMetricFamily(
            "payengine_jobs_ended",
            "Jobs that this process has done, by how that ended.",
            labels=("kind", "outcome"),
        )
        for (kind, outcome), count in self._engine.jobs.counts.items():
            ended.add_metric((kind, outcome), count)
        yield from (jobs, age, ended)

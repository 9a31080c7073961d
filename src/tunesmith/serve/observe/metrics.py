"""Figures for Prometheus: of requests as they come, of the store and the disk when asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from tunesmith.serve.disk import free_bytes
from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.states import STATUSES
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import DeliveryRow, FileRow, JobRow

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
Figures = Callable[[], dict[str, float]]


class Metrics:
    """The figures of one service. Shared by threads."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tunesmith_requests",
            "Requests that were answered; status 0: the client left before.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "tunesmith_request_seconds",
            "From the head of a request to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.under_way = Gauge(
            "tunesmith_requests_under_way", "Requests being answered.", registry=self._registry
        )
        self._registry.register(_Asked(_store(database, settings)))

    def watch(self, name: str, what: str, figures: Figures) -> None:
        """Gauges `tunesmith_{name}_{figure}`, asked for whenever someone looks."""

        def collect() -> Iterator[Metric]:
            for figure, value in figures().items():
                yield GaugeMetricFamily(f"tunesmith_{name}_{figure}", what, value)

        self._registry.register(_Asked(collect))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)


class _Asked(Collector):
    """Figures that are made when they are asked for."""

    def __init__(self, figures: Callable[[], Iterator[Metric]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        return self._figures()

    def describe(self) -> list[Metric]:
        """Nothing is asked for when they are announced."""
        return []


def _store(database: Database, settings: Settings) -> Callable[[], Iterator[Metric]]:
    def collect() -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tunesmith_disk_free_bytes", "On the disk of the home.", free_bytes(settings.home)
        )
        try:
            found = list(_rows(database))
        except ApiError:
            found = []
        yield GaugeMetricFamily("tunesmith_store_up", "1: it can be read.", 1 if found else 0)
        yield from found

    return collect


def _rows(database: Database) -> Iterator[Metric]:
    with database.read() as session:
        counted = select(JobRow.status, func.count()).group_by(JobRow.status)
        counts = {row[0]: row[1] for row in session.execute(counted)}
        oldest = session.scalar(
            select(func.min(JobRow.created_at)).where(JobRow.status == "queued")
        )
        waiting = session.scalar(select(func.count()).where(DeliveryRow.due_at.is_not(None)))
        there = FileRow.deleted_at.is_(None)
        kept = session.scalar(select(func.sum(FileRow.bytes)).where(there))
    jobs = GaugeMetricFamily("tunesmith_jobs", "Fine-tuning jobs by state.", labels=("status",))
    for status in STATUSES:
        jobs.add_metric((status,), counts.get(status, 0))
    yield jobs
    yield GaugeMetricFamily(
        "tunesmith_queue_oldest_seconds",
        "Since the oldest job that waits for a worker was made.",
        0 if oldest is None else max(0.0, time.time() - oldest),
    )
    yield GaugeMetricFamily(
        "tunesmith_webhooks_waiting", "Messages that have not arrived yet.", waiting or 0
    )
    yield GaugeMetricFamily("tunesmith_files_bytes", "Of all files.", float(kept or 0))

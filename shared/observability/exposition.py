"""Writes a metrics table in the Prometheus text format, with prometheus_client's own writer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from shared.observability.metrics import Counter, Gauge, Histogram, MetricsTable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class TableCollector(Collector):
    """Reads all rows of a table whenever it is asked."""

    def __init__(self, table: MetricsTable) -> None:
        self._table = table

    def collect(self) -> Iterator[Metric]:
        """Yield every declared metric, also those that are still zero."""
        for metric in self._table.metrics:
            if isinstance(metric, Counter):
                yield self._counter(metric)
            elif isinstance(metric, Gauge):
                yield self._gauge(metric)
            else:
                yield self._histogram(metric)

    def _counter(self, metric: Counter) -> Metric:
        family = CounterMetricFamily(metric.name, metric.description, labels=metric.labels)
        for values, cell in metric.cells.items():
            family.add_metric(values, self._table.total(cell.at))
        return family

    def _gauge(self, metric: Gauge) -> Metric:
        family = GaugeMetricFamily(metric.name, metric.description, labels=metric.labels)
        for values, cell in metric.cells.items():
            value = _folded(metric, self._table.values(cell.at))
            if value is not None:
                family.add_metric(values, value)
        return family

    def _histogram(self, metric: Histogram) -> Metric:
        family = HistogramMetricFamily(metric.name, metric.description, labels=metric.labels)
        for values, cell in metric.cells.items():
            count, buckets = 0.0, []
            for i, bound in enumerate((*metric.buckets, float("inf"))):
                count += self._table.total(cell.at + i)
                buckets.append((_bound(bound), count))
            total = self._table.total(cell.at + len(metric.buckets) + 1)
            family.add_metric(values, buckets, sum_value=total)
        return family


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)


def expose(table: MetricsTable) -> bytes:
    """Return the whole table as `/metrics` shows it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TableCollector(table))
    return generate_latest(registry)


def _folded(metric: Gauge, values: list[float]) -> float | None:
    if metric.fold == "sum":
        return sum(values)
    if metric.fold == "max":
        return max(values)
    readings = [value for value in values if value]
    return time.monotonic() - min(readings) if readings else None

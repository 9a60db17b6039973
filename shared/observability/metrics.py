"""Metrics in shared memory: one table of numbers, one row a process, no locks.

All metrics are declared before the first fork; then the table is sealed into anonymous shared
memory. Each process adds to its own row, so a measurement is one plain addition. Whoever serves
`/metrics` sums the rows; the row of a process that ended is folded into the totals first.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Generic, Literal, TypeAlias, TypeVar, cast

Fold = Literal["sum", "max", "age"]
"""How a gauge's rows become one value. `age`: cells hold readings of the monotonic clock, and
the seconds since the oldest are shown."""

Row: TypeAlias = "list[float] | memoryview[float]"
Labels = Mapping[str, Sequence[str]]

GO_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default buckets of the Go client, in seconds."""


class Cell:
    """One place in the row of this process."""

    __slots__ = ("_row", "at")

    def __init__(self, row: Row, at: int) -> None:
        self._row = row
        self.at = at

    def move_to(self, row: Row) -> None:
        """Write to another row from now on."""
        self._row = row


class CounterCell(Cell):
    """A number that only rises."""

    __slots__ = ()

    def add(self, amount: float = 1.0) -> None:
        """Count `amount` more."""
        self._row[self.at] += amount


class GaugeCell(Cell):
    """A number that is as it is now."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """Replace the value."""
        self._row[self.at] = value

    def add(self, amount: float) -> None:
        """Change the value."""
        self._row[self.at] += amount


class HistogramCell(Cell):
    """Counts by bucket, then the sum of all observations."""

    __slots__ = ("_buckets",)

    def __init__(self, row: Row, at: int, buckets: Sequence[float]) -> None:
        super().__init__(row, at)
        self._buckets = buckets

    def observe(self, value: float) -> None:
        """Count one observation; a value equal to a bucket's bound belongs to that bucket."""
        row, at, buckets = self._row, self.at, self._buckets
        row[at + bisect_left(buckets, value)] += 1.0
        row[at + len(buckets) + 1] += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count many observations in one go."""
        row, at, buckets = self._row, self.at, self._buckets
        counts: dict[int, int] = {}
        for value in values:
            place = bisect_left(buckets, value)
            counts[place] = counts.get(place, 0) + 1
        for place, count in counts.items():
            row[at + place] += count
        row[at + len(buckets) + 1] += sum(values)


C = TypeVar("C", bound=Cell)


class Metric(Generic[C]):
    """One declared metric with all its cells."""

    def __init__(
        self, name: str, description: str, labels: Labels, cells: Mapping[tuple[str, ...], C]
    ) -> None:
        self.name = name
        self.description = description
        self.labels = tuple(labels)
        self.cells = cells

    def cell(self, *values: str) -> C:
        """Return the cell of these label values, to be kept by the caller.

        Raises ValueError when they were not declared.
        """
        try:
            return self.cells[values]
        except KeyError:
            known = ", ".join("/".join(key) for key in self.cells)
            raise ValueError(f"{self.name} has no cell {values}; declared: {known}") from None


class Counter(Metric[CounterCell]):
    """Rises only; a dead process's share stays in the totals."""


class Gauge(Metric[GaugeCell]):
    """As it is now; a dead process has no share."""

    fold: Fold = "sum"


class Histogram(Metric[HistogramCell]):
    """Observations by bucket; a dead process's share stays in the totals."""

    buckets: Sequence[float] = GO_BUCKETS


M = TypeVar("M", Counter, Gauge, Histogram)


class MetricsTable:
    """All metrics of a group of processes."""

    def __init__(self) -> None:
        self.metrics: list[Counter | Gauge | Histogram] = []
        self._cells: list[Cell] = []
        self._own: Row = []
        self._rows: list[Row] = [self._own]
        self._sealed = False

    def counter(self, name: str, description: str, labels: Labels | None = None) -> Counter:
        """Declare a counter; `labels` names each label and all the values it will ever have."""
        labels = labels or {}
        cells = {key: CounterCell(self._own, self._place(1)) for key in _keys(labels)}
        return self._declare(Counter(name, description, labels, cells))

    def gauge(
        self, name: str, description: str, labels: Labels | None = None, *, fold: Fold = "sum"
    ) -> Gauge:
        """Declare a gauge; `fold` says how the values of several processes become one."""
        labels = labels or {}
        cells = {key: GaugeCell(self._own, self._place(1)) for key in _keys(labels)}
        gauge = self._declare(Gauge(name, description, labels, cells))
        gauge.fold = fold
        return gauge

    def histogram(
        self,
        name: str,
        description: str,
        labels: Labels | None = None,
        *,
        buckets: Sequence[float] = GO_BUCKETS,
    ) -> Histogram:
        """Declare a histogram with upper bounds in rising order; +Inf is added."""
        labels = labels or {}
        cells = {
            key: HistogramCell(self._own, self._place(len(buckets) + 2), buckets)
            for key in _keys(labels)
        }
        histogram = self._declare(Histogram(name, description, labels, cells))
        histogram.buckets = buckets
        return histogram

    def seal(self, processes: int) -> None:
        """Lay the table out in shared memory: a row for each process, and one for the totals.

        The caller writes to the totals until it binds itself to a row. Raises RuntimeError when
        the table is sealed already.
        """
        self._refuse_when_sealed()
        self._sealed = True
        width = len(self._own)
        # The file-less mapping is shared with every child forked from here on.
        mapping = mmap.mmap(-1, max(1, (processes + 1) * width) * 8)
        memory = memoryview(mapping).cast("d")
        rows = [memory[i * width : (i + 1) * width] for i in range(processes + 1)]
        for at, value in enumerate(self._own):
            rows[-1][at] = value
        self._rows = list(rows)
        self._move_to(rows[-1])

    def bind(self, process: int) -> None:
        """Make this process write to its own row."""
        self._move_to(self._rows[process])

    def fold(self, process: int) -> None:
        """Add what an ended process has counted to the totals, and clear its row."""
        row, totals = self._rows[process], self._rows[-1]
        for metric in self.metrics:
            if not isinstance(metric, Gauge):
                for at in _places(metric):
                    totals[at] += row[at]
        for at in range(len(row)):
            row[at] = 0.0

    def values(self, at: int) -> list[float]:
        """Return what all processes have at one place, the totals last."""
        return [row[at] for row in self._rows]

    def total(self, at: int) -> float:
        """Return the sum over all processes at one place."""
        return sum(self.values(at))

    def _place(self, size: int) -> int:
        self._refuse_when_sealed()
        at = len(self._own)
        cast("list[float]", self._own).extend([0.0] * size)
        return at

    def _declare(self, metric: M) -> M:
        if any(known.name == metric.name for known in self.metrics):
            raise ValueError(f"metric {metric.name} is declared already")
        self.metrics.append(metric)
        self._cells.extend(metric.cells.values())
        return metric

    def _refuse_when_sealed(self) -> None:
        if self._sealed:
            raise RuntimeError("metrics are declared before the table is sealed, and it is sealed")

    def _move_to(self, row: Row) -> None:
        self._own = row
        for cell in self._cells:
            cell.move_to(row)


def _keys(labels: Labels) -> list[tuple[str, ...]]:
    return list(product(*labels.values()))


def _places(metric: Counter | Histogram) -> list[int]:
    size = len(metric.buckets) + 2 if isinstance(metric, Histogram) else 1
    return [cell.at + i for cell in metric.cells.values() for i in range(size)]

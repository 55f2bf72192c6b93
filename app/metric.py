"""One metric: what it is called, and where in an engine its value is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, Literal, TypeAlias

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from engines.measures import Distribution

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Reading: TypeAlias = (
    float | Distribution | Mapping[tuple[str, ...], float] | Mapping[tuple[str, ...], Distribution] | None
)
"""A value, or one for each set of labels. None: there is none yet."""

NO_MODE: Final = "none"
"""What was refused before it came to a mode."""


class Metric(msgspec.Struct, frozen=True):
    """`read` takes the engine and is called on the event loop; what it returns is looked at by another thread."""

    name: str
    kind: Kind
    meaning: str
    read: Callable[[Any], Reading]
    labels: tuple[str, ...] = ()

    def family(self, reading: Reading) -> Family:
        """What there is to be told of it. Any thread."""
        samples = list(_by_labels(reading))
        if self.kind == "histogram":
            histogram = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
            for labels, distribution in samples:
                histogram.add_metric(labels, _buckets(distribution), distribution.total)
            return histogram
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = kind(self.name, self.meaning, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family


def counter(name: str, meaning: str, read: Callable[[Any], Reading], *labels: str) -> Metric:
    return Metric(name, "counter", meaning, read, labels)


def gauge(name: str, meaning: str, read: Callable[[Any], Reading], *labels: str) -> Metric:
    return Metric(name, "gauge", meaning, read, labels)


def histogram(name: str, meaning: str, read: Callable[[Any], Reading], *labels: str) -> Metric:
    return Metric(name, "histogram", meaning, read, labels)


def when_ready(read: Callable[[Any], Reading]) -> Callable[[Any], Reading]:
    """Of an engine: what exists once its model does."""
    return lambda engine: read(engine) if engine.state == "ready" else None


def _by_labels(reading: Reading) -> Iterator[tuple[Sequence[str], Any]]:
    if reading is None:
        return
    if not isinstance(reading, Mapping):
        yield (), reading
        return
    for labels, value in sorted(dict(reading).items()):  # a copy: the event loop may add to it meanwhile
        yield [label or NO_MODE for label in labels], value


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in distribution.bounds), "+Inf"]
    return list(zip(bounds, accumulate(tuple(distribution.counts)), strict=True))

"""What the server counts, in Prometheus' form; holds no id and no personal data."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.watching.findings import Monitoring
from serving.watching.gauges import gauges

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The server's own registry, so that two servers in one process do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "channelwise_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "channelwise_request_seconds",
            "Seconds from arrival to answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.customers = Counter(
            "channelwise_customers", "Customers that requests concerned.", ("route",), registry=self.registry
        )
        self.waiting = Gauge(
            "channelwise_waiting_customers", "Customers whose turn has not come.", registry=self.registry
        )
        self._counted: dict[tuple[str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route, status)
        counter = self._counted.get(key)
        if counter is None:
            counter = self._counted[key] = self.requests.labels(route, str(status))
        timer = self._timed.get(route)
        if timer is None:
            timer = self._timed[route] = self.seconds.labels(route)
        counter.inc()
        timer.observe(seconds)

    def follow(self, monitoring: Callable[[], Monitoring]) -> None:
        """Tell the figures of a monitoring too, those that it has when they are asked for."""
        self.registry.register(_Monitored(monitoring))

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)


class _Monitored(Collector):
    """The figures of the last monitoring."""

    def __init__(self, monitoring: Callable[[], Monitoring]) -> None:
        self._monitoring = monitoring

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Its gauges, those of one name together."""
        families: dict[str, GaugeMetricFamily] = {}
        for each in gauges(self._monitoring()):
            family = families.get(each.name)
            if family is None:
                family = families[each.name] = GaugeMetricFamily(each.name, each.help, labels=list(each.labels))
            family.add_metric(list(each.labels.values()), each.value)
        yield from families.values()

"""What Prometheus is told: counters of this process, and gauges of what it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, exposition
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

_COUNTED = CollectorRegistry()
MAILS = Counter("triage_mails", "Mails judged, by verdict.", ["verdict"], registry=_COUNTED)
SENT = Counter("triage_sent", "Messages accepted, by way.", ["way"], registry=_COUNTED)
NOT_SENT = Counter(
    "triage_send_failures", "Tries that failed, by way and fault.", ["way", "fault"],
    registry=_COUNTED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure as it is now, or several told apart by one label."""

    name: str
    help: str
    label: str
    values: Mapping[str, float]
    """By the label's value; one without label stands under ""."""


class _Gauges(Collector):
    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = tuple(gauges)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in self._gauges:
            labels = [gauge.label] if gauge.label else []
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=labels)
            for value, figure in gauge.values.items():
                family.add_metric([value] if labels else [], figure)
            yield family


def exposed(gauges: Iterable[Gauge]) -> bytes:
    """The counters and these gauges in Prometheus' text format."""
    asked = CollectorRegistry()
    asked.register(_Gauges(gauges))
    return exposition.generate_latest(_COUNTED) + exposition.generate_latest(asked)

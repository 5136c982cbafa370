"""A monitoring as gauges for a metrics endpoint: numbers with labels; registers and serves nothing.

`gauges(read_monitoring(text))` takes the JSON that `channelwise monitor` wrote.
"""

from dataclasses import dataclass
from datetime import datetime

from serving.watching.findings import GROUPS, Monitoring


@dataclass(frozen=True)
class Gauge:
    """One value: name and unit as Prometheus has them, what it is, its labels."""

    name: str
    help: str
    labels: dict[str, str]
    value: float


def gauges(found: Monitoring) -> tuple[Gauge, ...]:
    """The values of a monitoring; comparisons themselves only where they alarm, so that labels stay few."""
    result = []
    for verdict in ("alarm", "watch"):
        for group in GROUPS:
            count = sum(each.group == group for each in found.of(verdict))
            labels = {"group": group, "verdict": verdict}
            result.append(Gauge("channelwise_drift_findings", "Comparisons by verdict.", labels, float(count)))
    for each in found.of("alarm"):
        labels = {"group": each.group, "name": each.name}
        result.append(Gauge("channelwise_drift_effect", "Size of a change that alarms.", labels, each.effect))
    for rate in found.calibration:
        for kind, value in (("predicted", rate.predicted), ("observed", rate.observed)):
            labels = {"action": rate.action, "kind": kind}
            result.append(Gauge("channelwise_response_rate", "Responses a decision.", labels, value))
    for method in ("trained", "by_confidence", "by_weighting", "observed"):
        loss: float | None = getattr(found.performance, method, None)
        if loss is not None:
            result.append(Gauge("channelwise_log_loss", "Log loss of the response, nats.", {"method": method}, loss))
    result.append(
        Gauge("channelwise_periods_since_training", "Periods since training.", {}, float(found.periods_since))
    )
    until = datetime.fromisoformat(found.as_of).timestamp()
    result.append(Gauge("channelwise_monitored_until_seconds", "End of what was compared, since 1970.", {}, until))
    return tuple(result)

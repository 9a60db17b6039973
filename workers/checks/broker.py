"""The broker of QUEUE_URL, when that is another than Redis or Postgres."""

from __future__ import annotations

from shared.errors import WorkerSuiteError
from workers.bootstrap import broker_report
from workers.checks.finding import Checkup, Finding, unreachable

_NAMES = {
    **dict.fromkeys(("nats", "tls"), "NATS"),
    **dict.fromkeys(("kafka", "kafka+ssl"), "Kafka"),
    **dict.fromkeys(("amqp", "amqps"), "RabbitMQ"),
}


async def check(url: str) -> Checkup:
    """Look whether it answers and may be used, and whether its settings can lose jobs."""
    name = _NAMES.get(url.partition("://")[0], "Broker")
    try:
        report = await broker_report(url)
    except WorkerSuiteError as error:
        return unreachable(name, "QUEUE_URL", error, "Start it, or set QUEUE_URL to one that runs.")
    findings = [Finding("ok", "answers, and queues can be opened on it")]
    findings += [Finding("warning", risk.what, risk.advice) for risk in report.risks]
    if report.unseen:
        findings.append(Finding("ok", f"not visible from here: {report.unseen}"))
    return Checkup(name=name, where=report.where, version=report.version, findings=findings)

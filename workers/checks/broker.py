"""The broker of QUEUE_URL, when that is another than Redis or Postgres."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.errors import WorkerSuiteError
from workers.bootstrap import broker_report
from workers.checks.finding import Checkup, Finding, unreachable

_NAMES = {"nats": "NATS", "tls": "NATS", "kafka": "Kafka", "amqp": "RabbitMQ", "amqps": "RabbitMQ"}


async def check(url: str) -> Checkup:
    """Look whether it answers and may be used; more is not visible to a client."""
    name = _NAMES.get(urlsplit(url).scheme, "Broker")
    try:
        report = await broker_report(url)
    except WorkerSuiteError as error:
        return unreachable(name, "QUEUE_URL", error, "Start it, or set QUEUE_URL to one that runs.")
    findings = [Finding("ok", "answers, and queues can be opened on it")]
    if report.unseen:
        told = f"not visible from here: {report.unseen}, on which a power cut depends"
        findings.append(Finding("ok", told))
    return Checkup(name=name, where=report.where, version=report.version, findings=findings)

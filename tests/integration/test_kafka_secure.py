"""Kafka behind TLS and a login: what is right works, what is wrong ends at once, explained."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from shared.errors import DependencyError
from shared.jobs import new_job
from shared.queue.factory import check_broker, create_queue, create_queue_admin
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import DeadLetter, Settlement
from tests.integration.test_queue_kafka import claim, heard
from tests.services.kafka_secure import ESCAPED_LOGIN, certificate_of, secure_url

CANARY = "canary-88"
SETTINGS = QueueSettings(name="secure")


@pytest.fixture
def url(kafka_node: Path) -> str:
    """URL of the secure listener, with all that it wants."""
    url = secure_url(kafka_node).replace("://", f"://{ESCAPED_LOGIN}@")
    return f"{url}&cafile={certificate_of(kafka_node)}"


async def refused(queue: Queue) -> str:
    """Return why a queue can be neither opened nor published to, after one attempt each."""
    with pytest.raises(DependencyError) as opening:
        await queue.open("tester", ["job"])
    with pytest.raises(DependencyError) as publishing:
        await queue.publish([new_job("job", 1)])
    await queue.close()
    assert str(opening.value) == str(publishing.value)
    return str(opening.value)


@pytest.mark.parametrize("mechanism", ["", "&mechanism=SCRAM-SHA-256", "&mechanism=PLAIN"])
async def test_a_job_goes_all_its_ways_over_tls(url: str, mechanism: str) -> None:
    settings = QueueSettings(name=f"q-{uuid4().hex[:8]}")
    queue = create_queue(settings, url + mechanism)
    admin = create_queue_admin(settings, url + mechanism)
    async with AsyncExitStack() as open_:
        for each in (queue, admin):
            open_.push_async_callback(each.close)
        await queue.open("tester", ["job"])
        await queue.publish([new_job("job", 1)])
        (delivery,) = await claim(queue, 1)
        await heard(queue, [Settlement(delivery, DeadLetter("seen"))], 0)
        assert [each.reason for each in await admin.dead_letters()] == ["seen"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_wrong_password_is_named_and_not_shown(
    url: str, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = url.replace(ESCAPED_LOGIN, f"worker:{CANARY}")
    why = await refused(create_queue(SETTINGS, f"{wrong}&mechanism={mechanism}"))
    assert "refuses the login" in why
    assert urlsplit(url).netloc.rpartition("@")[2] in why
    assert CANARY not in why + caplog.text


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    url: str, kafka_node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrusted = url.partition("&cafile")[0]
    why = await refused(create_queue(SETTINGS, untrusted))
    assert "is not trusted: self-signed certificate" in why
    assert "?cafile=" in why
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_of(kafka_node)))
    await check_broker(untrusted)


async def test_tls_and_plain_are_not_mistaken_for_each_other(kafka_url: str, url: str) -> None:
    plain, secure = (urlsplit(each).netloc.rpartition("@")[2] for each in (kafka_url, url))
    for server, wrong in ((plain, url.replace(secure, plain)), (secure, f"kafka://{secure}")):
        queue = create_queue(SETTINGS, wrong)
        with pytest.raises(DependencyError, match="is for listeners with TLS") as raised:
            await queue.open("tester", ["job"])
        await queue.close()
        assert server in str(raised.value)

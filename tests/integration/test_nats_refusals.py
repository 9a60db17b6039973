"""JetStream servers that a worker refuses, or that refuse it: each says why."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import StorageType

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.factory import create_queue
from shared.queue.nats_jetstream.queue import NatsQueue
from shared.queue.port import QueueSettings
from tests.contracts.queue.harness import job
from tests.faults.proxy import Proxy
from tests.services.nats import Nats

SETTINGS = QueueSettings(name="shop.jobs")
SECRET = "canary-hunter2"


async def test_a_server_without_jetstream_is_refused(
    new_directory: Callable[[str], Path],
) -> None:
    server = Nats(new_directory("nats"), jetstream=False)
    server.start()
    queue = NatsQueue(SETTINGS, server.url)
    with pytest.raises(DependencyError, match="JetStream does not answer"):
        await queue.open("tester", ["job"])
    await queue.close()
    server.kill()


async def test_a_stream_that_may_forget_is_refused(nats_server: Nats) -> None:
    client = Client()
    await client.connect(nats_server.url)
    await client.jetstream().add_stream(
        name="shop=2Ejobs", subjects=["shop.jobs"], storage=StorageType.MEMORY
    )
    await client.close()
    queue = NatsQueue(SETTINGS, nats_server.url)
    with pytest.raises(DependencyError, match=r"shop=2Ejobs.*storage is 'memory', not 'file'"):
        await queue.open("tester", ["job"])
    await queue.close()


async def test_a_refused_login_shows_no_password(new_directory: Callable[[str], Path]) -> None:
    login = 'authorization { user: "worker", password: "right" }'
    server = Nats(new_directory("nats"), login=login)
    server.start()
    url = server.url.replace("://", f"://worker:{SECRET}@")
    with pytest.raises(DependencyError, match=r"refused the login") as caught:
        await NatsQueue(SETTINGS, url).open("tester", ["job"])
    assert SECRET not in f"{caught.value!r}{caught.value.__cause__!r}"
    welcome = create_queue(SETTINGS, server.url.replace("://", "://worker:right@"))
    assert (await welcome.publish([job("a")])).accepted == 1
    await welcome.close()
    server.kill()


async def test_a_login_is_not_sent_to_a_server_without_tls(
    new_directory: Callable[[str], Path],
) -> None:
    login = f'authorization {{ user: "worker", password: "{SECRET}" }}'
    server = Nats(new_directory("nats"), login=login)
    server.start()
    async with Proxy(server.url) as proxy:
        heard = _hear(proxy)
        queue = NatsQueue(SETTINGS, proxy.url.replace("nats://", f"tls://worker:{SECRET}@"))
        with pytest.raises(DependencyError, match="offers no TLS") as caught:
            await queue.open("tester", ["job"])
        await queue.close()
    assert SECRET not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert SECRET.encode() not in b"".join(heard)
    server.kill()


@pytest.mark.parametrize("optional", ["false", "true"])
async def test_tls_is_spoken_where_it_is_offered(
    new_directory: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, optional: str
) -> None:
    directory = new_directory("nats")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    _self_signed(certificate, key)
    tls = f"tls {{ cert_file: {certificate}, key_file: {key} }}\nallow_non_tls: {optional}"
    server = Nats(directory, login=tls)
    server.start()
    async with Proxy(server.url) as proxy:
        heard = _hear(proxy)
        queue = NatsQueue(SETTINGS, proxy.url.replace("nats://127.0.0.1", "tls://localhost"))
        with pytest.raises(ConnectionLostError, match="certificate"):
            await queue.publish([job("a")])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await queue.publish([job("a")])).accepted == 1
        await queue.close()
    assert b"CONNECT" not in b"".join(heard)
    server.kill()


def _self_signed(certificate: Path, key: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -out {certificate} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)


def _hear(proxy: Proxy) -> list[bytes]:
    """Note all that clients say."""
    heard: list[bytes] = []

    def note(request: bytes, answer: bytes) -> bool:
        heard.append(request)
        return False

    proxy.drop_answer = note
    return heard


async def test_a_missing_server_is_a_dependency_error_with_its_address(nats_server: Nats) -> None:
    nats_server.stop()
    queue = NatsQueue(SETTINGS, nats_server.url)
    with pytest.raises(DependencyError, match=f"127.0.0.1:{nats_server.port}"):
        await queue.open("tester", ["job"])
    with pytest.raises(ConnectionLostError):
        await queue.publish([job()])
    await queue.close()

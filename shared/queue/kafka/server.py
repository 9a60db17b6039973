"""Looks at a Kafka cluster, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.kafka.address import Address, read_address
from shared.queue.kafka.faults import translated
from shared.queue.kafka.starting import start
from shared.queue.server_report import Risk, ServerReport

ANSWER_SECONDS = 15.0
_FLUSH, _COPIES = "log.flush.interval.messages", "min.insync.replicas"
_UNCLEAN = "unclean.leader.election.enable"
_LOOKED_AT = (_FLUSH, _COPIES, _UNCLEAN)
Settings = Mapping[str, str]


async def look(url: str) -> ServerReport:
    """Return what the brokers tell, which is not their version. Raises DependencyError when they
    do not answer, or refuse the login."""
    address = read_address(url)
    admin = AIOKafkaAdminClient(**address.client())
    try:
        with translated(address.servers):
            async with asyncio.timeout(ANSWER_SECONDS):
                await start(admin, address)
                brokers = await _settings(admin)
    except ConnectionLostError as error:
        raise DependencyError(str(error)) from error
    finally:
        await admin.close()
    unseen = "" if brokers else f"{', '.join(_LOOKED_AT)}, which this login may not read"
    return ServerReport(where=address.servers, risks=risks(brokers, address), unseen=unseen)


def risks(brokers: Sequence[Settings], address: Address) -> Sequence[Risk]:
    """Return what can lose jobs on topics that the queue makes with these brokers' defaults."""
    found = []
    if any(broker[_UNCLEAN] == "true" for broker in brokers):
        told = "a broker that lags behind may lead, and what only the others had is dropped"
        found.append(Risk(f"{_UNCLEAN} is true: {told}", "Set it to false on the brokers."))
    if address.replication > 1 and any(int(broker[_COPIES]) < 2 for broker in brokers):
        told = "a publish may be acknowledged when one broker alone has it"
        found.append(Risk(f"{_COPIES} is 1: {told}", "Set it to 2 on the brokers."))
    if address.replication == 1 and any(broker[_FLUSH] != "1" for broker in brokers):
        told = "topics of one copy that the broker writes to disk in its own time"
        advice = f"?replication=3 in QUEUE_URL and {_COPIES}=2, or {_FLUSH}=1 on the broker."
        found.append(Risk(f"{told}: a power cut loses what was acknowledged last", advice))
    return found


async def _settings(admin: AIOKafkaAdminClient) -> Sequence[Settings]:
    """Return the settings of each broker; none when the login may not read them."""
    nodes = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
    wanted = dict.fromkeys(_LOOKED_AT)
    answers = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.BROKER, str(node), wanted) for node in nodes]
    )
    found = []
    for code, message, _, _, entries in (each for answer in answers for each in answer.resources):
        error = errors.for_code(code)
        if error is errors.ClusterAuthorizationFailedError:
            return []
        if error is not errors.NoError:
            raise error(message)
        found.append({name: value for name, value, *_ in entries})
    return found

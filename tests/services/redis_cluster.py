"""A Redis Cluster of three nodes on loopback, from the Valkey of the wheel."""

from __future__ import annotations

import time
from pathlib import Path

import redis

from shared.embedded.server_process import free_port
from shared.embedded.valkey import ValkeyServer

SLOTS = 16_384
START_SECONDS = 30.0


class ClusterNode(ValkeyServer):
    """One node."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.bus = free_port()

    def _options(self) -> list[str]:
        options = {"enabled": "yes", "port": str(self.bus), "node-timeout": "1000"}
        added = [part for name, value in options.items() for part in (f"--cluster-{name}", value)]
        return [*super()._options(), *added]


class RedisCluster:
    """Three primaries that share the slots."""

    def __init__(self, data: Path) -> None:
        self.nodes = [ClusterNode(data / str(number)) for number in range(3)]

    @property
    def url(self) -> str:
        """URL of the cluster, by its first node."""
        return self.nodes[0].url.replace("redis://", "redis+cluster://")

    def start(self) -> None:
        """Start the nodes, share out the slots, and return when they agree."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            met = self.nodes[0]
            with redis.Redis.from_url(node.url) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", met.port, met.bus)
        until = time.monotonic() + START_SECONDS
        while not all(map(_agrees, self.nodes)):
            assert time.monotonic() < until, "the nodes of the cluster do not find each other"
            time.sleep(0.05)

    def flush(self) -> None:
        """Empty all nodes."""
        for node in self.nodes:
            with redis.Redis.from_url(node.url) as client:
                client.flushall()
                client.script_flush()

    def kill(self) -> None:
        """Crash all nodes."""
        for node in self.nodes:
            node.kill()


def _agrees(node: ClusterNode) -> bool:
    with redis.Redis.from_url(node.url) as client:
        said = client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in said and b"cluster_known_nodes:3" in said

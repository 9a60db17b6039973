"""One power cut: write, cut, start again, compare."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from benchmarks.power_cut.cases import Case
from benchmarks.power_cut.clients import Writers
from tests.faults.disks import PoweredDisk, powered_disk


class Loss(msgspec.Struct, frozen=True):
    """What one power cut cost."""

    acknowledged: int
    lost: int


def cut_in_the_middle(case: Case, directory: Path, seconds: float) -> Loss:
    """Write for so long, cut the power, and return what was lost of what was acknowledged.

    Raises FaultImpossibleError where disks cannot be made, DependencyError when the server does
    not start again.
    """
    with powered_disk(directory) as disk:
        return asyncio.run(_cut(case, disk, seconds))


async def _cut(case: Case, disk: PoweredDisk, seconds: float) -> Loss:
    server, client = case.make(disk.at / "data"), case.client()
    server.start()
    try:
        await client.open(server.url)
        disk.write_out()  # configuration and empty files are older than the power cut
        writers = Writers(client)
        await writers.write_for(seconds)
        # No await in between: an answer that we have not read yet is none.
        acknowledged = set(writers.acknowledged)
        disk.cut_power()
        server.kill()
        await writers.stop()
        await client.close()
        disk.restore()
        server.start()
        await client.open(server.url)
        survivors = await client.survivors()
        await client.close()
    finally:
        server.kill()
    return Loss(len(acknowledged), len(acknowledged.difference(survivors)))

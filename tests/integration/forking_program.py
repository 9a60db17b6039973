"""Uses a fork server in the way its one argument says, and prints what came of it."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from pathlib import Path

from shared.errors import DependencyError
from shared.supervisor.fork_server import ChildLimits, ForkRefusedError, ForkServer

HERE = "tests.integration.forking_program"


def echo(channel: socket.socket) -> None:
    while data := channel.recv(1000):
        channel.sendall(data.upper())


def answer_7(channel: socket.socket) -> int:
    return 7


def explode(channel: socket.socket) -> None:
    raise RuntimeError("exploded")


def hoard(channel: socket.socket) -> int:
    try:
        bytearray(2 << 30)
    except MemoryError:
        return 5
    return 0


def spin(channel: socket.socket) -> None:
    while True:
        pass


def imported(channel: socket.socket) -> None:
    channel.sendall(str("colorsys" in sys.modules).encode())


def grandparent(channel: socket.socket, fork_server: ForkServer) -> None:
    async def main() -> None:
        # It never looks at its channel: only a kill ends it.
        child = await fork_server.spawn(f"{HERE}:spin")
        channel.sendall(f"{os.getppid()} {child.pid}".encode())
        await asyncio.sleep(60)

    asyncio.run(main())


async def _status(server: ForkServer, name: str, limits: ChildLimits | None = None) -> int:
    child = await server.spawn(f"{HERE}:{name}", limits=limits or ChildLimits())
    child.channel.close()
    return await child.exited()


async def _say(server: ForkServer, target: str, text: bytes = b"hello") -> bytes:
    child = await server.spawn(target)
    reader, writer = await asyncio.open_connection(sock=child.channel)
    writer.write(text)
    said = await reader.read(1000)
    writer.close()
    assert await child.exited() == 0
    return said


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def _gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while _runs(pid):
            await asyncio.sleep(0.01)


async def statuses(server: ForkServer) -> None:
    print(await _status(server, "echo"), await _status(server, "answer_7"))
    print(await _status(server, "explode"), await _status(server, "nothing_here"))


async def channel(server: ForkServer) -> None:
    print(*await asyncio.gather(*(_say(server, f"{HERE}:echo", b"n%d" % i) for i in range(5))))
    print(await _say(server, "named"))


async def limits(server: ForkServer) -> None:
    print(await _status(server, "hoard"))
    print(await _status(server, "hoard", ChildLimits(memory_bytes=1 << 30)))
    print(await _status(server, "spin", ChildLimits(cpu_seconds=1)))
    print(resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY)


async def kill(server: ForkServer) -> None:
    child = await server.spawn(f"{HERE}:spin")
    child.kill()
    print(await child.exited())
    child.kill()  # of a dead child: nothing
    child.channel.close()
    print(await _say(server, "named"))


async def refusals(server: ForkServer) -> None:
    """Leave the server no room for another file, for one and two, then enough."""
    print(await _say(server, "named"))
    pid = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = sorted(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir())
    for room in (1, 2, 3):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened[-1] + room, before[1]))
        try:
            await server.spawn(f"{HERE}:spin", can_fork=True)
        except ForkRefusedError as error:
            print(error)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    print(await _say(server, "named"))
    print(opened == sorted(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()))


async def preload(server: ForkServer) -> None:
    print(await _say(server, f"{HERE}:imported"))


async def owner_dies(server: ForkServer) -> None:
    owner = await server.spawn(f"{HERE}:grandparent", can_fork=True)
    reader, writer = await asyncio.open_connection(sock=owner.channel)
    fork_server, grandchild = map(int, (await reader.read(100)).split())
    owner.kill()
    await owner.exited()
    writer.close()
    await _gone(grandchild)
    print("grandchild gone", _runs(fork_server))


async def server_dies(server: ForkServer) -> None:
    owner = await server.spawn(f"{HERE}:grandparent", can_fork=True)
    reader, writer = await asyncio.open_connection(sock=owner.channel)
    fork_server, grandchild = map(int, (await reader.read(100)).split())
    os.kill(fork_server, 9)
    print(await owner.exited())
    await _gone(owner.pid)
    await _gone(grandchild)
    writer.close()
    try:
        await server.spawn("named")
    except DependencyError as error:
        print(error)


async def main(server: ForkServer, scenario: str) -> None:
    asyncio.get_running_loop().slow_callback_duration = 60.0  # a busy machine is no error
    await globals()[scenario](server)
    server.close()


if __name__ == "__main__":
    started = ForkServer.start({"named": echo}, preload=["colorsys"])
    asyncio.run(main(started, sys.argv[1]))

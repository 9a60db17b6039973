"""What is said on the socket between the fork server and a process that uses it."""

from __future__ import annotations

import socket

import msgspec

MAX_BYTES = 16_384


class ChildLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits the kernel puts on one child; None is no limit."""

    memory_bytes: int | None = None
    """Address space (RLIMIT_AS): an allocation beyond it fails, in Python with MemoryError."""
    cpu_seconds: int | None = None
    """CPU time over the child's whole life (RLIMIT_CPU): SIGXCPU, then SIGKILL a second later."""


class Spawn(msgspec.Struct, frozen=True, tag=True):
    """Fork a child that calls `target`; comes with one end of the child's channel."""

    number: int
    target: str
    limits: ChildLimits
    can_fork: bool


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Send SIGKILL to a child of this client, if it still runs."""

    pid: int


class Spawned(msgspec.Struct, frozen=True, tag=True):
    """The child of that spawn has this pid."""

    number: int
    pid: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """That spawn failed."""

    number: int
    reason: str


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A child ended: 0, its exit code, or minus the number of the signal."""

    pid: int
    status: int


Request = Spawn | Kill
Answer = Spawned | Refused | Exited

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def message_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that keep the bounds of messages and can carry descriptors."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

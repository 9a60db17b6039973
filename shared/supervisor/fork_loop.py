"""The fork server's side: reads requests, forks, reaps, and kills what lost its owner."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from shared.supervisor.fork_messages import (
    MAX_BYTES,
    Answer,
    ChildLimits,
    Exited,
    Refused,
    Spawn,
    Spawned,
    decode_request,
    encode,
    message_pair,
)

PR_SET_PDEATHSIG = 1
Targets = Mapping[str, Callable[..., object]]


def run_fork_loop(
    first: socket.socket, owner: int, targets: Targets, preload: Sequence[str]
) -> NoReturn:
    """Serve until the first client, the process `owner`, goes away; never return."""
    status = 1
    try:
        _die_with_parent(owner)
        # A group of its own: Ctrl-C at a terminal is for the worker, which then ends its children.
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for module in preload:
            # What is not installed is told by the child that needs it.
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(module)
        gc.freeze()
        loop = ForkLoop(first, targets)
        loop.run()
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
        traceback.print_exc()
    os._exit(status)


class ForkLoop:
    """Clients, their children, and one selector over all of it."""

    def __init__(self, first: socket.socket, targets: Targets) -> None:
        self._first = first
        self._targets = targets
        self._children: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._wakeup_end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._selector.register(first, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until the first client goes away."""
        while self._first.fileno() >= 0:
            for key, _ in self._selector.select():
                if key.fileobj is self._wakeup:
                    self._wakeup.recv(4096)
                    self._reap()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:
                    self._serve(key.fileobj)

    def _serve(self, client: socket.socket) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(client, MAX_BYTES, 1)
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            self._drop(client)
            return
        request = decode_request(data)
        if isinstance(request, Spawn):
            if not descriptors:  # the kernel keeps those back for which there is no room
                self._answer(client, Refused(request.number, "cannot fork: too many open files"))
                return
            with socket.socket(fileno=descriptors[0]) as channel:
                self._spawn(client, request, channel)
        elif self._children.get(request.pid) is client:
            os.kill(request.pid, signal.SIGKILL)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        client.close()
        for pid, owner in self._children.items():
            if owner is client:
                os.kill(pid, signal.SIGKILL)

    def _spawn(self, client: socket.socket, request: Spawn, channel: socket.socket) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        server = os.getpid()
        ours = theirs = None
        try:
            if request.can_fork:
                ours, theirs = message_pair()
            pid = os.fork()
        except OSError as error:
            for end in filter(None, (ours, theirs)):
                end.close()
            self._answer(client, Refused(request.number, f"cannot fork: {error}"))
            return
        if pid == 0:
            if ours is not None:
                ours.close()
            self._become_child(server, request, channel, theirs)
        self._children[pid] = client
        if ours is not None and theirs is not None:
            theirs.close()
            self._selector.register(ours, selectors.EVENT_READ)
        self._answer(client, Spawned(request.number, pid))

    def _become_child(
        self, server: int, request: Spawn, channel: socket.socket, fork_end: socket.socket | None
    ) -> NoReturn:
        status = 1
        try:
            _die_with_parent(server)
            self._forget_server()
            _limit(request.limits)
            status = _call(self._resolve(request.target), channel, fork_end)
        except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _forget_server(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._wakeup_end.close()

    def _resolve(self, target: str) -> Callable[..., object]:
        if target in self._targets:
            return self._targets[target]
        module, _, name = target.partition(":")
        function: Callable[..., object] = getattr(importlib.import_module(module), name)
        return function

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self._children.pop(pid)
            self._answer(client, Exited(pid, os.waitstatus_to_exitcode(status)))

    def _answer(self, client: socket.socket, answer: Answer) -> None:
        if client.fileno() < 0:
            return
        try:
            client.send(encode(answer))
        except ConnectionError:
            self._drop(client)


def _call(
    target: Callable[..., object], channel: socket.socket, fork_end: socket.socket | None
) -> int:
    from shared.supervisor.fork_server import ForkServer

    result = target(channel, ForkServer(fork_end)) if fork_end else target(channel)
    return result if isinstance(result, int) else 0


def _die_with_parent(parent: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the request was made
        os._exit(1)


def _limit(limits: ChildLimits) -> None:
    if limits.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if limits.cpu_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))

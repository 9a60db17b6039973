"""One connection to NATS: requests in flight together, answers that never hang."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, FlushTimeoutError

from shared.errors import ConnectionLostError, DependencyError, WorkerSuiteError
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.client import NoTlsError, TlsClient

CONNECT_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 15.0
"""Longer than an fsync on a slow disk."""
NO_RESPONDERS = "503"

Receive = Callable[[Msg], Awaitable[None]]


class Session:
    """A connection from its beginning to its end. A broken one is not mended: the next call gets a
    new one (see Link), so that the client repeats nothing by itself."""

    def __init__(self, address: Address, patience: float = ANSWER_TIMEOUT_SECONDS) -> None:
        self._address = address
        self._patience = patience
        self._client = TlsClient() if address.tls else Client()
        self._inbox = ""
        self._takes_nothing = False
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._open: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[], object]] = []
        self.ended = asyncio.Event()
        self.is_outdated = False
        """Whether something that was there when it began is gone."""

    async def connect(self) -> None:
        """Connect. Raises DependencyError for a refused login, ConnectionLostError otherwise."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._client.connect(
                    **self._address.options(),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=int(CONNECT_TIMEOUT_SECONDS),
                    flush_timeout=self._patience,
                    error_cb=self._failed,
                    closed_cb=self._closed,
                )
                self._inbox = self._client.new_inbox()
                await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)
        except NoTlsError:
            await self.close()
            raise DependencyError(f"NATS at {self._address} offers no TLS: use nats://") from None
        except (Error, OSError, TimeoutError) as error:
            await self.close()
            if "authorization" in str(error).lower():
                raise DependencyError(f"NATS at {self._address} refused the login") from None
            raise self.lost(str(error) or "no answer") from error

    async def tell(
        self,
        subject: str,
        body: bytes = b"",
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a message; many that are sent without a pause go out in one write."""
        try:
            await self._client.publish(subject, body, reply, dict(headers) if headers else None)
        except TimeoutError:
            raise await self._silent() from None
        except (Error, OSError, RuntimeError) as error:  # the last by uvloop, just after the end
            raise self.lost(str(error)) from error
        if self._takes_nothing:  # the library only reports it, and waits anew for each message
            raise await self._silent()

    async def ask(
        self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Msg]:
        """Send a request; `answers` waits for its answer."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = answer
        await self.tell(subject, body, reply, headers)
        return answer

    async def answers(self, asked: Sequence[asyncio.Future[Any]]) -> list[Any]:
        """Wait for all of these. A server that stays silent is given up, with its connection."""
        try:
            async with asyncio.timeout(self._patience):
                return [await each for each in asked]
        except TimeoutError:
            raise await self._silent() from None

    async def confirmed(self, asked: Sequence[asyncio.Future[Msg]]) -> None:
        """Wait for these answers, which say nothing but that somebody was there."""
        for answer in await self.answers(asked):
            self._check_heard(answer)

    async def api(self, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make one call of the JetStream API and return its answer; see `read`."""
        (answer,) = await self.answers([await self.ask_api(call, body)])
        return self.read(answer)

    async def ask_api(
        self, call: str, body: Mapping[str, Any] | None = None
    ) -> asyncio.Future[Msg]:
        """Send a call of the JetStream API."""
        return await self.ask(f"$JS.API.{call}", json.dumps(body).encode() if body else b"")

    def read(self, answer: Msg) -> dict[str, Any]:
        """Return an answer of the JetStream API, which may hold an `error`.

        Raises ConnectionLostError when JetStream is not there, which it is not while it recovers.
        """
        self._check_heard(answer)
        found: dict[str, Any] = json.loads(answer.data)
        if found.get("error", {}).get("code") == 503:
            raise self.lost(found["error"]["description"])
        return found

    async def subscribe(self, subject: str, receive: Receive, *, only_one: bool = False) -> None:
        """Receive what is sent to a subject."""
        try:
            found = await self._client.subscribe(subject, cb=receive)
            if only_one:
                await found.unsubscribe(limit=1)
        except Error as error:
            raise self.lost(str(error)) from error

    def end_with(self, future: asyncio.Future[None]) -> None:
        """Fail this future when the connection ends before it is done."""
        self._open.add(future)
        future.add_done_callback(self._open.discard)

    def when_ended(self, listener: Callable[[], object]) -> None:
        """Call this once when the connection ends."""
        self._listeners.append(listener)

    def new_inbox(self) -> str:
        """Return a subject that nobody else uses."""
        return self._client.new_inbox()

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the server."""
        version = self._client.connected_server_version
        return version.major, version.minor

    @property
    def max_payload(self) -> int:
        """How many bytes a message may have."""
        return self._client.max_payload

    async def close(self) -> None:
        """End the connection, if it has not ended; one whose peer takes nothing is dropped."""
        closing = asyncio.create_task(self._client.close())
        try:
            await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_SECONDS)
        finally:
            self._drop()
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            await self._closed()

    def lost(self, why: str) -> ConnectionLostError:
        """Return the error that tells what happened, and where."""
        return ConnectionLostError(f"lost NATS at {self._address}: {why}")

    def outdated(self, why: str) -> ConnectionLostError:
        """Return that error for what was there when the session began; `Link` begins another."""
        self.is_outdated = True
        return self.lost(why)

    async def _silent(self) -> ConnectionLostError:
        await self.close()
        return self.lost(f"no answer in {self._patience:g} s")

    def _drop(self) -> None:
        # The library itself would wait for what is written, and for a failed TLS handshake.
        writer = getattr(self._client._transport, "_bare_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def _check_heard(self, answer: Msg) -> None:
        if (answer.headers or {}).get("Status") == NO_RESPONDERS:
            raise self.lost("JetStream does not answer: it is off, or it still recovers")

    async def _answered(self, message: Msg) -> None:
        answer = self._waiting.pop(message.subject, None)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _failed(self, error: Exception) -> None:
        self._takes_nothing |= isinstance(error, FlushTimeoutError)
        # Other errors end the connection; this one would only leave its request unanswered.
        if "permissions violation" in str(error).lower():
            self._give_up(DependencyError(f"NATS at {self._address} forbids this user: {error}"))

    async def _closed(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            for listener in self._listeners:
                listener()
        self._give_up(self.lost("the connection ended"))

    def _give_up(self, error: WorkerSuiteError) -> None:
        waiting: list[asyncio.Future[Any]] = [*self._waiting.values(), *self._open]
        self._waiting.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # whoever asked may have been cancelled

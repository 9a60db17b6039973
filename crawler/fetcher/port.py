"""The fetcher port: one HTTP request, within limits, that never follows a redirect by itself.

Each request needs its own grant from the frontier, so each redirect hop is a request of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

import msgspec


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for, and how far to go for it."""

    url: str
    etag: str = ""
    last_modified: str = ""
    headers: Mapping[str, str] = {}
    max_body_bytes: int = 10 * 1024 * 1024
    """Limit of decompressed bytes."""
    truncate: bool = False
    """Keep the first `max_body_bytes` of a longer body instead of failing with TOO_LARGE."""
    timeout_seconds: float = 30.0
    """From connect to the last byte."""


class FetchFault(Enum):
    """Why there is no usable answer. The value is the reason code kept on the page's row."""

    INVALID_URL = "invalid_url"
    ADDRESS_REFUSED = "address_refused"
    """The address guard does not let this address through."""
    DNS = "dns_error"
    CONNECT = "connect_error"
    TLS = "tls_error"
    TIMEOUT = "fetch_timeout"
    TOO_SLOW = "too_slow"
    """Fewer bytes a second than the minimum rate."""
    TOO_LARGE = "body_too_large"
    BAD_CODING = "bad_content_encoding"
    """Not decompressible, or compressed beyond the allowed ratio."""
    BAD_HTTP = "bad_http"

    @property
    def transient(self) -> bool:
        """Whether another try later may succeed."""
        return self in {
            self.DNS,
            self.CONNECT,
            self.TLS,
            self.TIMEOUT,
            self.TOO_SLOW,
            self.BAD_HTTP,
        }


class FetchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Either a status, or a fault."""

    url: str
    status: int = 0
    headers: Mapping[str, str] = {}
    """Names in lower case; repeated headers joined with `, `."""
    body: bytes = b""
    redirect_to: str = ""
    """Absolute URL of a 3xx answer's Location; empty otherwise."""
    fault: FetchFault | None = None
    detail: str = ""
    """The fault in words, for the person who asks why."""
    arrived_by: float
    """Local monotonic reading by which the server had the request: when the head of its answer
    came, or when we gave up. A delay counted from here is never shorter for the server, however
    long the request was under way."""
    elapsed_seconds: float = 0.0
    remote_address: str = ""


class Fetcher(Protocol):
    """Sends requests. Raises nothing but CancelledError: every failure is a FetchAnswer."""

    async def fetch(self, request: FetchRequest) -> FetchAnswer:
        """Send one GET request and read its answer within the limits."""
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...

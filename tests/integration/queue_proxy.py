"""A proxy that cuts where it hurts a queue most: between a script and its answer."""

from __future__ import annotations

from tests.faults.proxy import Proxy


class CuttingProxy(Proxy):
    """Stands before a Redis. While `cuts` is above zero, an answer to a script is not let through:
    the connection is closed instead, and `cuts` falls by one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.cuts = 0
        self.drop_answer = self._is_to_be_cut

    async def __aenter__(self) -> CuttingProxy:
        await super().__aenter__()
        return self

    def _is_to_be_cut(self, request: bytes, answer: bytes) -> bool:
        if not self.cuts or b"EVAL" not in request[:40] or answer.startswith(b"-NOSCRIPT"):
            return False
        self.cuts -= 1
        return True

"""One part of a sharded queue, as the whole sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from shared.errors import ConnectionLostError
from shared.queue.port import Queue
from shared.verdicts import Settlement
from shared.work_source import Exchange

PATIENCE_SECONDS = 0.25
"""How long the other parts wait for one that does not answer."""
GOODBYE_SECONDS = 1.0
_MARK = "/"


def marked(number: int, token: str) -> str:
    """Return a part's token as the whole gives it out."""
    return f"{number}{_MARK}{token}"


def unmarked(token: str) -> tuple[int, str]:
    """Return which part gave a token, and the token that it gave."""
    number, _, own = token.partition(_MARK)
    return int(number), own


def shares(want: int, found: Sequence[int], turn: int) -> list[int]:
    """Divide a wish among parts by what each had the last time, so that none is forgotten.

    What cannot be divided goes to another part each `turn`.
    """
    count = len(found)
    order = [(turn + at) % count for at in range(count)]
    weights = [found[part] + 1 for part in order]
    total, given = sum(weights), 0
    divided = [0] * count
    for at, part in enumerate(order):
        end = -(-want * sum(weights[: at + 1]) // total)  # rounded up: the first is served first
        divided[part], given = end - given, end
    return divided


class Part:
    """Remembers what this part has not heard yet, and the call that it still has to answer."""

    def __init__(self, number: int, shard: Queue) -> None:
        self.last_found = 0
        self.outstanding = 0
        """What a call that is not answered yet has asked for."""
        self._number = number
        self._shard = shard
        self._untold: dict[str, Settlement] = {}
        self._asking: asyncio.Task[Exchange] | None = None

    async def exchange(
        self, settled: Sequence[Settlement], want: int
    ) -> Exchange | ConnectionLostError | None:
        """Exchange with this part; None when it has not answered in time, and is asked on."""
        for each in settled:
            self._untold[each.delivery.token] = each
        if self._asking is None:
            self.outstanding = want
            self._asking = asyncio.create_task(self._ask(list(self._untold.values()), want))
        await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        if not self._asking.done():
            return None
        answered, self._asking, self.outstanding = self._asking, None, 0
        try:
            return answered.result()
        except ConnectionLostError as error:
            return error

    async def close(self) -> None:
        """Tell the part what it has not heard, if it is there, and end its connections."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while self._untold and not isinstance(await self.exchange([], 0), Exception):
                    pass  # a call that was asked before the last verdicts came is answered first
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._shard.close()

    async def _ask(self, told: Sequence[Settlement], want: int) -> Exchange:
        answer = await self._shard.exchange(told, want)
        for each in told:
            del self._untold[each.delivery.token]
        if want:
            self.last_found = len(answer.deliveries)
        return replace(
            answer,
            deliveries=[
                replace(each, token=marked(self._number, each.token)) for each in answer.deliveries
            ],
            refused=[marked(self._number, token) for token in answer.refused],
        )


class HeldOfPart(Mapping[str, float]):
    """What is held of one part, under the part's own tokens; to be copied, as a keeper does."""

    def __init__(self, held: Mapping[str, float], number: int) -> None:
        self._held = held
        self._prefix = marked(number, "")
        self._copy: dict[str, float] = {}

    def __iter__(self) -> Iterator[str]:
        start = len(self._prefix)
        self._copy = {  # of a copy, for its owner changes it from another thread
            token[start:]: until
            for token, until in dict(self._held).items()
            if token.startswith(self._prefix)
        }
        return iter(self._copy)

    def __getitem__(self, token: str) -> float:
        return self._copy[token]

    def __len__(self) -> int:
        return sum(1 for _ in self)

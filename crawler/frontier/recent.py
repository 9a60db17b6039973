"""Remembers what was seen lately, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Recent(Generic[K]):
    """A set that forgets the least recently seen."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[K, None] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        if key not in self._seen:
            return False
        self._seen.move_to_end(key)
        return True

    def add(self, keys: Iterable[K]) -> None:
        """Remember keys; only what is surely stored may be added."""
        for key in keys:
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

"""How far one partition is: which offsets are done, running, or crashed before.

Kafka keeps one committed offset a partition. What is known of the offsets after it travels in the
metadata of that commit, a byte an offset, compressed: so whoever takes the partition over neither
runs again what was done out of order, nor takes a job for unstarted that its last worker died of.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec

MOST_OPEN = 2048
"""Offsets between the oldest unfinished job and the newest one read; more are not read. Their
states fit the 4,096 bytes that Kafka allows (offset.metadata.max.bytes), whatever they are."""

_DONE = 0xFF
_RUNNING = 1
_CRASH = 2
_MOST_CRASHES = 100
_FORM = "1"


class Progress(msgspec.Struct, frozen=True):
    """What a commit says of a partition."""

    owner: str = ""
    """The member that committed."""
    states: bytes = b""

    @property
    def done(self) -> int:
        """Jobs done behind the committed offset."""
        return self.states.count(_DONE)

    @property
    def running(self) -> int:
        """Jobs that are handed out."""
        return sum(state & _RUNNING for state in self.states if state != _DONE)


class Window:
    """One partition from its oldest unfinished offset on."""

    def __init__(self, base: int, states: bytes = b"") -> None:
        self.base = base
        """What is to be committed: all before it is done."""
        self.next = base
        """The first offset that was not read yet."""
        self.lost = False
        """The partition went to another member; what was handed out is its."""
        self.dirty = False
        """The last commit does not say what is known here."""
        self._states = bytearray(states)

    @property
    def room(self) -> int:
        """How many more offsets may be read."""
        return MOST_OPEN - (self.next - self.base)

    def read(self, offset: int) -> int | None:
        """Note that a record was read; return how often it crashed, or None if it is done.

        What an earlier owner had handed out and not settled has crashed once more.
        """
        if offset < self.next:
            return None
        for absent in range(self.next, offset) if self._states else ():
            self._set(absent, _DONE)
        if not self._states:
            self.base = offset
        self.next = offset + 1
        state = self._state(offset)
        if state == _DONE:
            self._advance()
            return None
        if state & _RUNNING:
            state = min(state + _CRASH, _MOST_CRASHES * _CRASH + _RUNNING) - _RUNNING
        self._set(offset, state)
        return state // _CRASH

    def start(self, offset: int) -> None:
        """Note that a job is handed out."""
        self._set(offset, self._state(offset) | _RUNNING)

    def give_back(self, offset: int) -> None:
        """Note that a job is not handed out any more, without harm."""
        self._set(offset, self._state(offset) & ~_RUNNING)

    def finish(self, offset: int) -> None:
        """Note that a job needs no more work here."""
        self._set(offset, _DONE)
        self._advance()

    def progress(self, owner: str, *, keep_running: bool = True) -> str:
        """Return the metadata of a commit; without the running ones when they are given up."""
        states = bytes(self._states)
        if not keep_running:
            states = bytes(s if s == _DONE else s & ~_RUNNING for s in states)
        packed = base64.b85encode(zlib.compress(states.rstrip(b"\0"), 1)).decode()
        return f"{_FORM} {owner} {packed}"

    def _state(self, offset: int) -> int:
        at = offset - self.base
        return self._states[at] if at < len(self._states) else 0

    def _set(self, offset: int, state: int) -> None:
        at = offset - self.base
        if at >= len(self._states):
            self._states.extend(bytes(at + 1 - len(self._states)))
        if self._states[at] != state:
            self._states[at] = state
            self.dirty = True

    def _advance(self) -> None:
        rest = self._states.lstrip(b"\xff")
        done = min(len(self._states) - len(rest), self.next - self.base)
        if done:
            del self._states[:done]
            self.base += done
            self.dirty = True


def read_progress(metadata: str) -> Progress:
    """Read the metadata of a commit; what somebody else wrote there says nothing."""
    form, _, rest = metadata.partition(" ")
    owner, _, packed = rest.partition(" ")
    if form != _FORM:
        return Progress()
    try:
        return Progress(owner, zlib.decompress(base64.b85decode(packed)))
    except (ValueError, binascii.Error, zlib.error):
        return Progress()

"""`workers queue`: what a person does to a queue, with the same verbs on every broker."""

from workers.queue.commands import queue

__all__ = ["queue"]

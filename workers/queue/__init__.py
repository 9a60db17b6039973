"""`workers queue`: what a person does to a queue, with the same verbs on every broker."""

from workers.queue import changing, looking
from workers.queue.group import queue

__all__ = ["changing", "looking", "queue"]

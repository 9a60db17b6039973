"""`workers top`: what the workers and their queues do, live."""

from workers.top.command import top

__all__ = ["top"]

"""Exit 0 when the worker in this container is alive, 1 when not: the image's HEALTHCHECK."""

from __future__ import annotations

import os
import sys
import urllib.request

DEFAULT_PORTS = ("9101", "9102", "9103")  # crawler, indexer, sync: one of them is in here


def alive(port: str) -> bool:
    """Return whether a worker answers on its health port and its loop moves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    configured = os.environ.get("METRICS_PORT")
    ports = (configured,) if configured else DEFAULT_PORTS
    sys.exit(0 if any(alive(port) for port in ports) else 1)

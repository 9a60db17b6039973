"""The two signals that stop a worker."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import NoReturn

from shared.observability.logs import get_logger

log = get_logger(__name__)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at the first SIGTERM or SIGINT; end the process at once at the second."""

    def handle(number: int) -> None:
        if stop.is_set():
            _leave(number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)


def _leave(number: int) -> NoReturn:
    log.warning("stopped_at_once", signal=signal.Signals(number).name)
    os._exit(128 + number)

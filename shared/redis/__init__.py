"""Redis or Valkey, as every adapter of the suite uses it: bytes in and out, no hidden retries.

To be imported before the library itself, which, when it is first imported, loads OpenTelemetry's
metrics with their SDK where that is installed: a quarter of a worker's start, for metrics of its
own that nobody here turns on.
"""

import sys

_hidden = [
    name
    for name in ("opentelemetry.metrics", "opentelemetry.sdk.metrics")
    if name not in sys.modules
]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # None: "not installed"
try:
    import redis  # noqa: F401
finally:
    for _name in _hidden:
        del sys.modules[_name]

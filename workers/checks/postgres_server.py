"""Postgres: the settings that decide whether a commit survives a power cut."""

from __future__ import annotations

from typing import Any

from shared.errors import WorkerSuiteError
from shared.postgres.database import OLDEST_VERSION, PostgresDatabase, address_of
from workers.checks.finding import Checkup, Finding, unreachable

_LOOK = """
SELECT current_setting('server_version_num')::int / 10000 AS major,
       current_setting('server_version') AS version,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('max_connections')::int AS max_connections,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby,
       has_database_privilege(current_database(), 'CREATE')
         OR to_regnamespace('worker_suite') IS NOT NULL AS may_create
"""


async def check(url: str) -> Checkup:
    """Look at one server; changes nothing in it."""
    where = address_of(url)
    try:
        connection = await PostgresDatabase(url).dedicated_connection()
        try:
            seen = await connection.fetchrow(_LOOK)
        finally:
            await connection.close()
    except WorkerSuiteError as error:
        return unreachable(
            "Postgres", where, error, "Start it, or set DATABASE_URL to a database that exists."
        )
    findings = [_age(seen), *_durability(seen), *_use(seen)]
    return Checkup(name="Postgres", where=where, version=str(seen["version"]), findings=findings)


def _age(seen: Any) -> Finding:
    if seen["major"] < OLDEST_VERSION:
        return Finding(
            "error", f"Postgres {seen['major']}", f"Use Postgres {OLDEST_VERSION} or later."
        )
    return Finding("ok", f"Postgres {seen['major']}")


def _durability(seen: Any) -> list[Finding]:
    findings = [
        Finding(
            "error",
            f"{name} is off: a power cut can destroy the whole database",
            f"ALTER SYSTEM SET {name} = on, then reload.",
        )
        for name in ("fsync", "full_page_writes")
        if seen[name] != "on"
    ]
    if seen["synchronous_commit"] == "off":
        findings.append(
            Finding(
                "warning",
                "synchronous_commit is off: a crash loses the last commits of other programs; "
                "the workers turn it on for themselves",
                "ALTER SYSTEM SET synchronous_commit = on, then reload.",
            )
        )
    return findings or [Finding("ok", "commits reach the disk (fsync, full_page_writes)")]


def _use(seen: Any) -> list[Finding]:
    findings = []
    if seen["standby"]:
        findings.append(Finding("error", "this is a standby", "Point DATABASE_URL at the primary."))
    if seen["encoding"] != "UTF8":
        findings.append(
            Finding(
                "error", f"the database is {seen['encoding']}", "Make one with ENCODING 'UTF8'."
            )
        )
    if not seen["may_create"]:
        findings.append(
            Finding(
                "error",
                "this user may not create the schema worker_suite",
                "GRANT CREATE ON DATABASE ... TO ..., or let an administrator create the schema.",
            )
        )
    if seen["max_connections"] < 30:
        findings.append(
            Finding(
                "warning",
                f"max_connections is {seen['max_connections']}; each process takes up to 10",
                "Raise max_connections.",
            )
        )
    return findings or [Finding("ok", f"primary, UTF8, {seen['max_connections']} connections")]

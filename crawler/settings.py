"""Settings of worker-crawler."""

from __future__ import annotations

from typing import Annotated, Literal

from shared.config import setting
from shared.settings import WorkerSettings

VERSION = "0.1"


class CrawlerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What is crawled, as whom, and how careful; units are in the names."""

    metrics_port: Annotated[
        int, setting("Port for /metrics and /health; 0 picks a free one.", ge=0, le=65_535)
    ] = 9101
    domain_packs: Annotated[
        str, setting("Directory of the domain packs (*.yaml); without it there are none.")
    ] = ""
    seed_scope: Annotated[
        Literal["pack", "host"],
        setting("Seeds that no pack covers: pack refuses them, host crawls their host."),
    ] = "pack"
    seeds_key: Annotated[
        str, setting("Redis list that takes seeds, one URL a message.", min_length=1)
    ] = "crawler:seeds"
    frontier_prefix: Annotated[
        str,
        setting("How the frontier's keys in Redis begin.", pattern=r"^[^{}\s]{1,100}$"),
    ] = "crawler:frontier"
    allow_networks: Annotated[
        str,
        setting(
            "Networks that may be asked besides public ones, as 127.0.0.0/8,10.0.0.0/8; "
            "an environment setting on purpose, never part of a pack."
        ),
    ] = ""
    user_agent: Annotated[
        str,
        setting(
            "User-Agent header; the word before the slash is looked up in robots.txt.",
            pattern=r"^[A-Za-z][A-Za-z0-9_-]*[ -~]*$",
        ),
    ] = f"worker-suite/{VERSION}"
    parsers: Annotated[int, setting("Parser processes of each worker process.", ge=1, le=256)] = 2
    removal_brake_share: Annotated[
        float,
        setting("Share of a pack's documents that may vanish in an hour.", ge=0, le=1),
    ] = 0.2
    removal_brake_minimum: Annotated[
        int, setting("So many documents may always vanish in an hour.", ge=0)
    ] = 20

    def networks(self) -> list[str]:
        """Return the networks that ALLOW_NETWORKS lists."""
        return [part.strip() for part in self.allow_networks.split(",") if part.strip()]

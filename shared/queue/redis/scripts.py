"""Files that several scripts are made of."""

from __future__ import annotations

PUBLISH_PARTS = ("prelude.lua", "waiting.lua", "lanes.lua", "results.lua", "publish_jobs.lua")
"""What a script that publishes begins with."""

EXCHANGE_PARTS = (
    "prelude.lua", "members.lua", "waiting.lua", "paused.lua", "lanes.lua", "results.lua",
    "call.lua", "comeback.lua", "settle.lua", "due.lua", "claim.lua", "claim_lanes.lua",
)  # fmt: skip
"""What settles, brings back and claims."""

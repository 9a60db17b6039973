"""Files that several scripts are made of."""

from __future__ import annotations

MOVE_PARTS = (
    "prelude.lua", "waiting.lua", "slices.lua", "lanes.lua", "lane_counts.lua", "results.lua",
)  # fmt: skip
"""What a script begins with that makes jobs wait, or takes them off the queue."""

PUBLISH_PARTS = (*MOVE_PARTS, "publish_jobs.lua")
"""What a script that publishes begins with."""

EXCHANGE_PARTS = (
    "prelude.lua", "waiting.lua", "members.lua", "paused.lua", "slices.lua", "lanes.lua",
    "lane_counts.lua", "results.lua", "call.lua", "comeback.lua", "settle.lua", "due.lua",
    "claim.lua", "claim_lanes.lua", "recount_lanes.lua",
)  # fmt: skip
"""What settles, brings back and claims."""

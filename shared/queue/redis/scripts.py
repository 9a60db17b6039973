"""Files that several scripts are made of."""

from __future__ import annotations

PUBLISH_PARTS = ("prelude.lua", "waiting.lua", "lanes.lua", "results.lua", "publish_jobs.lua")
"""What a script that publishes begins with."""

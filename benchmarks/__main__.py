"""`make bench`: jobs, pages and documents a second, on servers that it starts itself.

Prints what was measured and how, then one line `RESULT {...}` for programs.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

from benchmarks import crawl_pages, index_documents, queue_noop

BENCHMARKS = {
    "no-op jobs through the Redis queue": queue_noop,
    "pages crawled and stored": crawl_pages,
    "documents indexed into Elasticsearch": index_documents,
}
FIGURES = ("jobs_per_s", "pages_per_s", "docs_per_s", "queue_rss_mb")


def main() -> None:
    """Run all benchmarks, one after the other."""
    print(f"machine: {_processor()}, {platform.system()} {platform.release()}")
    results: dict[str, float] = {}
    for title, benchmark in BENCHMARKS.items():
        print(f"\n{title}\n  {benchmark.settings()}", flush=True)
        measured = benchmark.measure()
        for name, value in measured.items():
            print(f"  {name:<24} {value:>14,.1f}", flush=True)
        results |= measured
    print(f"\nRESULT {json.dumps({name: round(results[name], 1) for name in FIGURES})}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()

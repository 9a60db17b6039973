"""What worker-indexer tells people."""

from __future__ import annotations

from indexer.printing import verify_lines
from indexer.verify import SourceCounts, VerifyReport


def told(in_postgres: int, in_index: int, *, agree: bool) -> str:
    counts = SourceCounts(source="tools", in_postgres=in_postgres, in_index=in_index, agree=agree)
    return next(iter(verify_lines(VerifyReport(generation=None, sources=[counts]))))


def test_counts_that_agree_although_they_differ_are_explained() -> None:
    assert told(7, 7, agree=True).endswith("7 in the index: agree")
    assert told(7, 5, agree=False).endswith("5 in the index: DIFFER")
    assert "5 in the index: agree (Postgres is being written to" in told(7, 5, agree=True)

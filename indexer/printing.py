"""Results of the commands, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexer.commands import Status
from indexer.reindex import ReindexReport
from indexer.search.port import SearchResult
from indexer.verify import SourceCounts, VerifyReport

_SHOWN_TEXT = 160


def reindex_lines(report: ReindexReport) -> Iterator[str]:
    """Say what a reindex did, and what to do when it did not swap."""
    rate = report.documents / report.seconds if report.seconds else 0.0
    yield (
        f"Generation {report.generation}: {report.documents} documents"
        f" in {report.seconds:.1f} s ({rate:.0f} a second)."
    )
    yield from _counts(report.verified.sources)
    for refusal in report.refusals:
        yield f"  refused: {refusal.key.source} {refusal.key.id}: {refusal.reason}"
    if report.swapped:
        yield f"Generation {report.generation} is searched now."
    else:
        why = f"{report.refused} documents were refused" if report.refused else "the counts differ"
        yield (
            f"Not swapped: {why}. The old generation is still searched. Mend it and run reindex"
            f" again, or give up with: worker-indexer drop {report.generation}"
        )


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """Say whether the two sides agree."""
    yield from _counts(report.sources)
    yield (
        "Postgres and the index agree."
        if report.agree
        else "Postgres and the index differ; `worker-indexer reindex` builds the index again."
    )


def _counts(sources: Sequence[SourceCounts]) -> Iterator[str]:
    for counts in sources:
        both = f"{counts.in_postgres} in Postgres, {counts.in_index} in the index"
        yield f"  {counts.source}: {both}: {_sign(counts)}"


def _sign(counts: SourceCounts) -> str:
    if not counts.agree:
        return "DIFFER"
    if counts.in_postgres != counts.in_index:
        return "agree (Postgres is being written to, and had as many a moment before)"
    return "agree"


def search_lines(result: SearchResult) -> Iterator[str]:
    """List hits, best first."""
    yield f"{result.total} documents"
    for number, hit in enumerate(result.hits, 1):
        title = hit.body.get("title") or hit.key.id
        yield f"{number:3}. {title}  [{hit.key.source} {hit.key.id}, {hit.score:.2f}]"
        if text := hit.body.get("description") or hit.body.get("text"):
            yield f"     {' '.join(str(text).split())[:_SHOWN_TEXT]}"


def status_lines(status: Status) -> Iterator[str]:
    """List generations, and what waits."""
    queue = status.queue
    yield f"Index ({status.backend}):"
    for generation in status.generations:
        state = "searched" if generation.live else "written to, not searched"
        if not generation.writable:
            state = "not written to"
        yield f"  generation {generation.number}: {generation.documents} documents, {state}"
    yield (
        f"Queue: {queue.inbox} in the inbox, {queue.ready} ready, {queue.delayed} delayed,"
        f" {queue.leased} in work, {queue.dead} dead letters"
    )

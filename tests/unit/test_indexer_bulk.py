"""Bulk bodies and what the server's answers mean."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.search.elasticsearch.bulk_body import BulkLines, bodies, bulk_lines, document_source
from indexer.search.elasticsearch.bulk_outcome import document_outcome, item_outcome, words_of
from indexer.search.port import IndexWrite, Outcome, WriteOutcome
from shared.documents.port import DocumentKey

KEY = DocumentKey(source="documents", id="a/ü")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def _write(body: bytes | None, stamp: int = 7) -> IndexWrite:
    return IndexWrite(key=KEY, stamp=stamp, body=body, content_hash=b"\x01" * 16)


@given(st.dictionaries(st.text(max_size=6), json_values), st.booleans())
def test_the_stored_document_is_the_users_plus_the_suites_own_part(
    document: dict[str, Any], pretty: bool
) -> None:
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 if pretty else None)
    source = document_source(_write(b" " + body + b"\n"))
    assert b"\n" not in source
    stored = orjson.loads(source)
    assert stored.pop("worker_suite") == {
        "source": "documents",
        "id": "a/ü",
        "stamp": 7,
        "deleted": False,
        "content_hash": "01" * 16,
    }
    assert stored == document


def test_the_users_bytes_are_not_parsed() -> None:
    body = b'{"n":1.10000000000000000001,"n2":123456789012345678901234567890}'
    assert document_source(_write(body)).endswith(b"," + body[1:])


def test_a_tombstone_has_no_text() -> None:
    assert orjson.loads(document_source(_write(None)))["worker_suite"]["deleted"] is True
    assert list(orjson.loads(document_source(_write(None)))) == ["worker_suite"]


@pytest.mark.parametrize("body", [b"[1]", b"5", b"", b'"x"', b"null"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        document_source(_write(body))


def test_every_alias_gets_the_document_under_its_stamp() -> None:
    lines = bulk_lines(3, _write(b"{}"), ["docs-g2-w1", "docs-g1-w1"])
    parts = lines.data.splitlines()
    assert (lines.position, len(parts)) == (3, 4)
    actions = [orjson.loads(part)["index"] for part in parts[::2]]
    assert [action["_index"] for action in actions] == ["docs-g2-w1", "docs-g1-w1"]
    for action in actions:
        assert action["_id"] == "documents:a/ü"
        assert (action["version"], action["version_type"]) == (7, "external")


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(1, 400))
def test_bodies_keep_to_their_size_and_lose_nothing(sizes: list[int], limit: int) -> None:
    lines = [BulkLines(position=n, data=b"x" * size) for n, size in enumerate(sizes)]
    grouped = list(bodies(lines, limit))
    assert [line for body in grouped for line in body] == lines
    for body in grouped:
        assert len(body) == 1 or sum(len(line.data) for line in body) <= limit


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (200, "", Outcome.WRITTEN),
        (201, "", Outcome.WRITTEN),
        (400, "document_parsing_exception", Outcome.REFUSED),
        (404, "index_not_found_exception", Outcome.STALE),
        (404, "something_else", Outcome.REFUSED),
        (403, "cluster_block_exception", Outcome.TRY_AGAIN),
        (429, "es_rejected_execution_exception", Outcome.TRY_AGAIN),
        (500, "exception", Outcome.TRY_AGAIN),
        (503, "unavailable_shards_exception", Outcome.TRY_AGAIN),
    ],
)
def test_what_each_status_means(status: int, kind: str, outcome: Outcome) -> None:
    error = {"type": kind, "reason": "the words"} if kind else None
    found = item_outcome({"index": {"status": status, "error": error}})
    assert found.outcome is outcome
    if outcome is not Outcome.WRITTEN:
        assert "the words" in found.reason


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("current version [9] is higher or equal to the one provided [8]", Outcome.SUPERSEDED),
        (
            f"current version [{2**48}] is higher or equal to the one provided [8]",
            Outcome.TRY_AGAIN,
        ),
        ("words we do not know", Outcome.TRY_AGAIN),
    ],
)
def test_a_conflict_is_success_only_against_a_stamp_of_our_own_era(
    reason: str, outcome: Outcome
) -> None:
    error = {"type": "version_conflict_engine_exception", "reason": f"[x]: {reason}"}
    assert item_outcome({"index": {"status": 409, "error": error}}).outcome is outcome


def test_the_live_generation_has_the_last_word_once_all_are_decided() -> None:
    written, refused = WriteOutcome(Outcome.WRITTEN), WriteOutcome(Outcome.REFUSED, "no")
    stale, again = WriteOutcome(Outcome.STALE), WriteOutcome(Outcome.TRY_AGAIN)
    assert document_outcome([written, refused]) is written
    assert document_outcome([refused, written]) is refused
    assert document_outcome([refused, again]) is again
    assert document_outcome([written, again, stale]) is stale


def test_the_reason_goes_down_to_the_last_cause() -> None:
    error = {
        "type": "document_parsing_exception",
        "reason": "failed",
        "caused_by": {"reason": "failed", "caused_by": {"reason": "duplicate field"}},
    }
    assert words_of(error, 400) == "document_parsing_exception: failed: duplicate field"
    assert words_of(None, 502) == "HTTP 502"
    assert words_of("Bad gateway", 502) == "HTTP 502: Bad gateway"

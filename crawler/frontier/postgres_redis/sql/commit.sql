-- Writes visits whose epoch is still the row's. $1: JSON list of them.
UPDATE pages p
SET state = v.state, reason = v.reason, detail = v.detail, status = v.status, etag = v.etag,
    last_modified = v.last_modified, content_hash = v.content_hash, failures = v.failures,
    strikes = v.strikes, first_strike_at = v.first_strike_at,
    interval_seconds = v.interval_seconds, canonical = v.canonical, redirect_to = v.redirect_to,
    document_id = v.document_id, last_visit_at = now(),
    removed_at = CASE WHEN v.removed THEN now() ELSE p.removed_at END,
    due = now() + make_interval(secs => v.next_due_seconds),
    claimed_by = NULL, claimed_at = NULL, attempts = 0, crashes = 0
FROM jsonb_to_recordset($1::jsonb) AS v (
    url_key text, epoch bigint, state text, reason text, detail text, status smallint, etag text,
    last_modified text, content_hash text, failures integer, strikes smallint,
    first_strike_at float8, interval_seconds float8, canonical text, redirect_to text,
    document_id text, removed boolean, next_due_seconds float8)
WHERE p.url_key = decode(v.url_key, 'hex') AND p.claim_epoch = v.epoch
RETURNING p.url_key

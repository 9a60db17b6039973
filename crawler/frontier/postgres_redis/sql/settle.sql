-- Writes verdicts other than Done to their rows. $1: JSON list; `seconds` null: never by itself.
UPDATE pages p
SET claimed_by = NULL, claimed_at = NULL,
    due = now() + make_interval(secs => v.seconds),
    attempts = p.attempts + v.attempt,
    state = coalesce(v.state, p.state), reason = coalesce(v.reason, p.reason),
    detail = coalesce(v.detail, p.detail)
FROM jsonb_to_recordset($1::jsonb) AS v (
    url_key text, epoch bigint, seconds float8, attempt smallint, state text, reason text,
    detail text)
WHERE p.url_key = decode(v.url_key, 'hex') AND p.claim_epoch = v.epoch
  AND p.claimed_by IS NOT NULL

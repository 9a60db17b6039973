-- Makes pages due now: those named, or (null) all that were ever visited, with their sitemaps.
-- Returns how many pages there are.
WITH due AS (
    UPDATE pages SET due = now()
    WHERE CASE WHEN $1::bytea[] IS NULL
          THEN kind <> 'robots' AND last_visit_at IS NOT NULL ELSE url_key = ANY ($1) END
    RETURNING kind
)
SELECT count(*) FILTER (WHERE kind = 'page') AS pages FROM due

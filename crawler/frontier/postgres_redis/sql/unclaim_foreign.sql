-- Takes back what was claimed under incarnations that are no more, $2 rows at a time, and marks
-- the hosts: their requests may still be on their way. $1: the present incarnations by shard.
WITH lost AS (
    SELECT url_key, host FROM pages
    WHERE claimed_by IS NOT NULL AND claimed_by <> ALL ($1::text[])
    ORDER BY url_key LIMIT $2 FOR UPDATE SKIP LOCKED
),
interrupted AS (
    UPDATE hosts SET interrupted_before =
        (SELECT i FROM unnest($1::text[]) AS i
         WHERE split_part(i, ':', 1) = split_part(taken.claimed_by, ':', 1))
    FROM (SELECT DISTINCT p.host, p.claimed_by FROM pages p JOIN lost USING (url_key)) AS taken
    WHERE hosts.host = taken.host
)
UPDATE pages p
SET claim_epoch = claim_epoch + 1, claimed_by = NULL, claimed_at = NULL, due = now()
FROM lost WHERE p.url_key = lost.url_key
RETURNING p.url_key

-- Takes claims back under a higher epoch. $1: keys, $2: epochs, $3: whether their worker died.
-- After the third death the row rests for a day, so that a page that kills workers ends.
WITH lost AS (
    SELECT p.url_key
    FROM unnest($1::bytea[], $2::bigint[]) AS l (url_key, epoch)
    JOIN pages p ON p.url_key = l.url_key AND p.claim_epoch = l.epoch AND p.claimed_by IS NOT NULL
    ORDER BY p.url_key FOR UPDATE OF p SKIP LOCKED
)
UPDATE pages p
SET claim_epoch = claim_epoch + 1, claimed_by = NULL, claimed_at = NULL,
    crashes = CASE WHEN $3 THEN (crashes + 1) % 3 ELSE crashes END,
    due = CASE WHEN $3 AND crashes >= 2 THEN now() + interval '1 day' ELSE now() END,
    state = CASE WHEN $3 AND crashes >= 2 THEN 'failing' ELSE state END,
    reason = CASE WHEN $3 AND crashes >= 2 THEN 'worker_crashed' ELSE reason END
FROM lost WHERE p.url_key = lost.url_key
RETURNING p.url_key

-- Moves up to $1 of the oldest rows that no other relay holds to outbox_sent; seen by others, and
-- final, only when the transaction commits.
WITH taken AS (
    DELETE FROM worker_suite.outbox WHERE seq = ANY (ARRAY(
        SELECT seq FROM worker_suite.outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING source, id
),
kept AS (
    INSERT INTO worker_suite.outbox_sent (source, id) SELECT DISTINCT source, id FROM taken
)
SELECT source, id FROM taken

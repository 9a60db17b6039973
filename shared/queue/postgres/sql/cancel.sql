-- In the order of their keys, so that two that cancel the same jobs do not block each other.
WITH gone AS (
    DELETE FROM worker_suite.queue_job
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM worker_suite.queue_job
        WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE name = $1) AND key = ANY ($2)
        ORDER BY key FOR UPDATE))
    RETURNING 1
)
SELECT count(*) FROM gone

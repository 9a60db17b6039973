WITH gone AS (
    DELETE FROM worker_suite.queue_dead
    WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE name = $1) AND key = ANY ($2)
    RETURNING 1
)
SELECT count(*) FROM gone

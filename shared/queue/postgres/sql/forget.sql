WITH known AS (SELECT id FROM worker_suite.queue WHERE name = $1), fired AS (
    DELETE FROM worker_suite.queue_fired WHERE queue_id = (SELECT id FROM known) AND name = $2
), gone AS (
    DELETE FROM worker_suite.queue_schedule WHERE queue_id = (SELECT id FROM known) AND name = $2
    RETURNING 1
)
SELECT count(*) FROM gone

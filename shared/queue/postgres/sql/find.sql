SELECT *, extract(epoch FROM due_at - clock_timestamp())::float8 AS due
FROM worker_suite.queue_job
WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE name = $1) AND key = $2

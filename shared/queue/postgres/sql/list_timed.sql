SELECT *, extract(epoch FROM due_at - clock_timestamp())::float8 AS due
FROM worker_suite.queue_job
WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE name = $1)
  AND state = $2::text::worker_suite.queue_state
ORDER BY due_at, place LIMIT $3 OFFSET $4

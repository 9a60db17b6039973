SELECT *, extract(epoch FROM died_at)::float8 AS died
FROM worker_suite.queue_dead
WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE name = $1) AND key = $2

UPDATE worker_suite.queue
SET paused = CASE WHEN $2 = ANY (paused) THEN paused ELSE paused || $2::bytea END
WHERE id = worker_suite.queue_number($1)

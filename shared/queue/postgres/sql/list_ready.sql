-- What is held back comes last.
WITH queue AS (SELECT id FROM worker_suite.queue WHERE name = $1)
(SELECT * FROM worker_suite.queue_job
 WHERE queue_id = (SELECT id FROM queue) AND state = 'ready'
 ORDER BY rank, place LIMIT $2::bigint + $3::bigint)
UNION ALL
(SELECT * FROM worker_suite.queue_job
 WHERE queue_id = (SELECT id FROM queue) AND state = 'parked'
 ORDER BY rank, place LIMIT $2::bigint + $3::bigint)
LIMIT $2 OFFSET $3

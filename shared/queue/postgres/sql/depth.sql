WITH queue AS (SELECT id FROM worker_suite.queue WHERE name = $1)
SELECT
    (SELECT count(*) FROM worker_suite.queue_inbox WHERE queue_inbox.queue = $1) AS inbox,
    (SELECT count(*) FROM worker_suite.queue_job, queue
     WHERE queue_id = queue.id AND state = 'ready')
    + (SELECT count(*) FROM worker_suite.queue_job, queue
       WHERE queue_id = queue.id AND state = 'parked') AS ready,
    (SELECT count(*) FROM worker_suite.queue_job, queue
     WHERE queue_id = queue.id AND state = 'delayed') AS delayed,
    (SELECT count(*) FROM worker_suite.queue_job, queue
     WHERE queue_id = queue.id AND state = 'leased') AS leased,
    (SELECT count(*) FROM worker_suite.queue_dead, queue WHERE queue_id = queue.id) AS dead,
    extract(epoch FROM clock_timestamp() - least(
        (SELECT min(head.ready_at) FROM generate_series(0, 3) AS line, queue, LATERAL (
            SELECT ready_at FROM worker_suite.queue_job
            WHERE queue_id = queue.id AND state = 'ready' AND rank = line
            ORDER BY place LIMIT 1) AS head),
        (SELECT min(ready_at) FROM worker_suite.queue_job, queue
         WHERE queue_id = queue.id AND state = 'parked')
    ))::float8 AS age

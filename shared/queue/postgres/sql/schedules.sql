SELECT name, description, job_type, due, next_due
FROM worker_suite.queue_schedule LEFT JOIN worker_suite.queue_fired USING (queue_id, name)
WHERE queue_id = (SELECT id FROM worker_suite.queue WHERE queue.name = $1)
ORDER BY name COLLATE "C"

WITH forgotten AS (DELETE FROM worker_suite.outbox WHERE source = $1)
DELETE FROM worker_suite.sources WHERE name = $1

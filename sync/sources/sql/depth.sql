-- How many changes wait, and for how many seconds the oldest has.
SELECT count(*) AS depth,
    coalesce(extract(epoch FROM clock_timestamp() - min(changed_at)), 0)::float8 AS oldest
FROM worker_suite.outbox

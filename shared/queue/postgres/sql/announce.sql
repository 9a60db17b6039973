WITH announced AS (
    INSERT INTO worker_suite.queue_schedule AS known
    VALUES (worker_suite.queue_number($1), $2, $3, $4,
            extract(epoch FROM clock_timestamp())::float8, $5)
    ON CONFLICT (queue_id, name) DO UPDATE SET
        since = CASE WHEN known.description = excluded.description
                     THEN known.since ELSE excluded.since END,
        description = excluded.description, job_type = excluded.job_type,
        next_due = excluded.next_due
    RETURNING queue_id, name, since
)
SELECT greatest(since, due) FROM announced LEFT JOIN worker_suite.queue_fired USING (queue_id, name)

-- Jobs that were published inside a transaction, on their way to a queue.
CREATE TABLE worker_suite.job_outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    job jsonb NOT NULL
);
CREATE INDEX ON worker_suite.job_outbox (queue, seq);

-- What was handed to the queue, kept for the replay window.
CREATE TABLE worker_suite.job_outbox_sent (
    seq bigint NOT NULL,
    queue text NOT NULL,
    job jsonb NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON worker_suite.job_outbox_sent (queue, sent_at);

-- What the queue cannot take, for a person to look at: it must not hold up the rest.
CREATE TABLE worker_suite.job_outbox_refused (
    seq bigint NOT NULL,
    queue text NOT NULL,
    job jsonb NOT NULL,
    reason text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which life of each queue's data the relays have published to.
CREATE TABLE worker_suite.job_outbox_queue (
    name text PRIMARY KEY,
    incarnation text NOT NULL
);

-- Publishes a job when the calling transaction commits, and only then; returns the job's key.
-- `options` may hold what shared/jobs.py names, such as {"delay_seconds": 60, "dedup_key": "a"}.
CREATE FUNCTION worker_suite.publish_job(
    queue text, type text, payload jsonb, options jsonb DEFAULT '{}'
) RETURNS text LANGUAGE sql AS $$
    INSERT INTO worker_suite.job_outbox (queue, job)
    VALUES (
        publish_job.queue,
        jsonb_build_object('key', gen_random_uuid()::text) || options || jsonb_build_object(
            'type', publish_job.type,
            'payload',
            translate(encode(convert_to(publish_job.payload::text, 'UTF8'), 'base64'), E'\n', '')
        )
    )
    RETURNING job ->> 'key'
$$;

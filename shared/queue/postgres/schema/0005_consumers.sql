-- Registers a consumer; where workers of another kind are alive on the queue, only their kind is
-- told. Those that register together wait for each other.
CREATE FUNCTION worker_suite.queue_register(
    queue_name text, worker_kind text, alive_seconds float8,
    OUT queue_id int, OUT consumer int, OUT channel text, OUT other_kind text
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    q constant int := worker_suite.queue_number(queue_name);
BEGIN
    PERFORM FROM worker_suite.queue WHERE id = q FOR NO KEY UPDATE;
    SELECT kind INTO other_kind FROM worker_suite.queue_consumer AS known
    WHERE known.queue_id = q AND kind <> worker_kind AND alive_until > clock_timestamp() LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    DELETE FROM worker_suite.queue_consumer AS known
    WHERE known.queue_id = q AND alive_until < clock_timestamp() - interval '1 day';
    INSERT INTO worker_suite.queue_consumer AS known (queue_id, kind, alive_until)
    VALUES (q, worker_kind, clock_timestamp() + make_interval(secs => alive_seconds))
    RETURNING known.id INTO consumer;
    queue_id := q;
    channel := worker_suite.queue_channel(queue_name);
END
$$;

-- Renews leases; returns the positions of those that are lost. What is being settled this moment is
-- neither waited for nor lost.
CREATE FUNCTION worker_suite.queue_renew(
    q int, consumer int, lease_seconds float8, alive_seconds float8,
    keys bytea[], epochs bigint[]
) RETURNS int[] LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE worker_suite.queue_job
    SET due_at = clock_timestamp() + make_interval(secs => lease_seconds)
    WHERE ctid = ANY (ARRAY(
        SELECT job.ctid FROM unnest(keys, epochs) AS given (key, epoch)
        JOIN worker_suite.queue_job AS job ON job.queue_id = q AND job.key = given.key
        WHERE job.epoch = given.epoch
        FOR UPDATE OF job SKIP LOCKED));
    UPDATE worker_suite.queue_consumer
    SET alive_until = clock_timestamp() + make_interval(secs => alive_seconds) WHERE id = consumer;
    RETURN ARRAY(
        SELECT at::int FROM unnest(keys, epochs) WITH ORDINALITY AS given (key, epoch, at)
        WHERE NOT EXISTS (
            SELECT FROM worker_suite.queue_job AS job
            WHERE job.queue_id = q AND job.key = given.key AND job.epoch = given.epoch));
END
$$;

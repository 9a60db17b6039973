-- Makes dead letters ready with fresh counts; where another job has the key by now, that one stays.
CREATE FUNCTION worker_suite.queue_replay(queue_name text, keys bytea[]) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    q constant int := worker_suite.queue_number(queue_name);
    now constant timestamptz := clock_timestamp();
    replayed int;
    twin record;
BEGIN
    WITH gone AS (
        DELETE FROM worker_suite.queue_dead WHERE queue_id = q AND key = ANY (keys) RETURNING *
    ), stored AS (
        INSERT INTO worker_suite.queue_job (
            place, first_seen, ready_at, due_at, queue_id, state, rank, priority, raw, key, type,
            dedup_key, body)
        SELECT nextval('worker_suite.queue_serial'), now, now, now, q, 'ready', 1 + priority,
               priority, raw, key, type, dedup_key, body
        FROM (SELECT * FROM gone ORDER BY died_at, key) AS ordered
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO replayed FROM gone;
    FOR twin IN
        SELECT key FROM worker_suite.queue_job
        WHERE queue_id = q AND key = ANY (keys) AND dedup_key IS NOT NULL
          AND state IN ('ready', 'delayed') AND NOT covers
    LOOP
        PERFORM worker_suite.queue_cover(q, twin.key);
    END LOOP;
    PERFORM pg_notify(worker_suite.queue_channel(queue_name), '');
    RETURN replayed;
END
$$;

-- Undoes a pause; what was put aside takes the place that it had. Those that put aside have
-- finished when the row of the queue is ours.
CREATE FUNCTION worker_suite.queue_resume(queue_name text, paused_type bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    q constant int := worker_suite.queue_number(queue_name);
BEGIN
    UPDATE worker_suite.queue SET paused = array_remove(paused, paused_type) WHERE id = q;
    UPDATE worker_suite.queue_job SET state = 'ready'
    WHERE queue_id = q AND state = 'parked' AND type = paused_type;
    PERFORM pg_notify(worker_suite.queue_channel(queue_name), '');
END
$$;

-- The number of a queue, which is made at its first use.
CREATE FUNCTION worker_suite.queue_number(queue_name text) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number int;
BEGIN
    LOOP
        SELECT id INTO number FROM worker_suite.queue WHERE name = queue_name;
        EXIT WHEN FOUND;
        INSERT INTO worker_suite.queue (name) VALUES (queue_name) ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN number;
END
$$;

-- A job with a deduplication key. A twin that would wait longer gives way, or a fresh change would
-- be late; one that crashed waits on uncovered, for its crashes must not be forgotten.
CREATE FUNCTION worker_suite.queue_publish_one(
    q int, now timestamptz, job worker_suite.queue_job, window_seconds float8, replaces boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    twin worker_suite.queue_job;
BEGIN
    LOOP
        IF EXISTS (SELECT FROM worker_suite.queue_job WHERE queue_id = q AND key = job.key) THEN
            RETURN false;
        END IF;
        SELECT * INTO twin FROM worker_suite.queue_job
        WHERE queue_id = q AND dedup_key = job.dedup_key AND covers FOR UPDATE;
        IF NOT FOUND THEN
            IF EXISTS (
                SELECT FROM worker_suite.queue_window
                WHERE queue_id = q AND dedup_key = job.dedup_key AND ends > now
            ) THEN
                RETURN false;
            END IF;
        ELSIF twin.ready_at <= job.ready_at AND NOT replaces THEN
            RETURN false;
        ELSIF twin.crashes = 0 THEN
            DELETE FROM worker_suite.queue_job WHERE queue_id = q AND key = twin.key;
        ELSE
            UPDATE worker_suite.queue_job SET covers = false WHERE queue_id = q AND key = twin.key;
        END IF;
        INSERT INTO worker_suite.queue_job SELECT (job).* ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;  -- else somebody was faster: look again at what is there now
    END LOOP;
    IF window_seconds > 0 THEN
        INSERT INTO worker_suite.queue_window AS known VALUES
            (q, job.dedup_key, now + make_interval(secs => window_seconds))
        ON CONFLICT (queue_id, dedup_key) DO UPDATE SET ends = greatest(known.ends, excluded.ends);
        DELETE FROM worker_suite.queue_window WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM worker_suite.queue_window WHERE ends <= now
            ORDER BY ends LIMIT 10 FOR UPDATE SKIP LOCKED));
    END IF;
    RETURN true;
END
$$;

-- Stores jobs, given by columns; returns how many there were that had not been there. `dedup_keys`,
-- `windows` and `replaces` are null where no job of the batch has a deduplication key.
CREATE FUNCTION worker_suite.queue_publish(
    queue_name text, keys bytea[], types bytea[], bodies bytea[], priorities smallint[],
    delays float8[], dedup_keys bytea[], windows float8[], replaces boolean[]
) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    q constant int := worker_suite.queue_number(queue_name);
    now constant timestamptz := clock_timestamp();
    given record;
    job worker_suite.queue_job;
    accepted int := 0;
BEGIN
    IF dedup_keys IS NULL THEN
        INSERT INTO worker_suite.queue_job (
            place, first_seen, ready_at, due_at, queue_id, state, rank, priority, key, type, body)
        SELECT
            nextval('worker_suite.queue_serial'), now, starts, starts, q,
            CASE WHEN delay > 0 THEN 'delayed' ELSE 'ready' END::worker_suite.queue_state,
            1 + priority, priority, key, type, body
        FROM unnest(keys, types, bodies, priorities, delays)
            WITH ORDINALITY AS jobs (key, type, body, priority, delay, at),
            LATERAL (SELECT now + make_interval(secs => delay) AS starts) AS timed
        ORDER BY at
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS accepted = ROW_COUNT;
    ELSE
        FOR given IN
            SELECT * FROM unnest(
                keys, types, bodies, priorities, delays, dedup_keys, windows, replaces
            ) WITH ORDINALITY AS jobs (
                key, type, body, priority, delay, dedup_key, window_seconds, replaces, at
            ) ORDER BY at
        LOOP
            job.place := nextval('worker_suite.queue_serial');
            job.epoch := 0;
            job.claimed_call := 0;
            job.first_seen := now;
            job.ready_at := now + make_interval(secs => given.delay);
            job.due_at := job.ready_at;
            job.queue_id := q;
            job.claimed_by := 0;
            job.attempts := 0;
            job.crashes := 0;
            job.state := CASE WHEN given.delay > 0 THEN 'delayed' ELSE 'ready' END;
            job.rank := 1 + given.priority;
            job.priority := given.priority;
            job.raw := false;
            job.covers := given.dedup_key IS NOT NULL;
            job.key := given.key;
            job.type := given.type;
            job.dedup_key := given.dedup_key;
            job.body := given.body;
            IF worker_suite.queue_publish_one(
                q, now, job, given.window_seconds, given.replaces
            ) THEN
                accepted := accepted + 1;
            END IF;
        END LOOP;
    END IF;
    IF accepted > 0 THEN
        PERFORM pg_notify(worker_suite.queue_channel(queue_name), '');
    END IF;
    RETURN accepted;
END
$$;

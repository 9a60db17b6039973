-- A job waits again: let its deduplication key drop twins. False where another that waits does.
CREATE FUNCTION worker_suite.queue_cover(q int, job_key bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE worker_suite.queue_job AS job SET covers = true
    WHERE queue_id = q AND key = job_key AND NOT EXISTS (
        SELECT FROM worker_suite.queue_job AS twin
        WHERE twin.queue_id = q AND twin.dedup_key = job.dedup_key AND twin.covers);
    RETURN FOUND;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END
$$;

-- Settles what is finished; returns the positions of those whose lease was lost.
CREATE FUNCTION worker_suite.queue_settle_done(q int, keys bytea[], epochs bigint[]) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    settled int[];
BEGIN
    WITH gone AS (
        DELETE FROM worker_suite.queue_job AS job
        USING unnest(keys, epochs) WITH ORDINALITY AS given (key, epoch, at)
        WHERE job.queue_id = q AND job.key = given.key AND job.epoch = given.epoch
        RETURNING given.at::int
    )
    SELECT coalesce(array_agg(at), '{}') INTO settled FROM gone;
    IF cardinality(settled) = cardinality(keys) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT at FROM generate_series(1, cardinality(keys)) AS at
                 WHERE at <> ALL (settled));
END
$$;

-- Settles the others, by verdict: back, park (what of a paused type was claimed), snooze, retry,
-- dead. Returns the positions of those whose lease was lost.
CREATE FUNCTION worker_suite.queue_settle_others(
    q int, now timestamptz, held bytea[],
    keys bytea[], epochs bigint[], verdicts text[], seconds float8[], details bytea[]
) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    settled int[];
    waiting int[];
    twin record;
BEGIN
    WITH gone AS (
        DELETE FROM worker_suite.queue_job AS job
        USING unnest(keys, epochs, verdicts, details)
            WITH ORDINALITY AS given (key, epoch, verdict, detail, at)
        WHERE given.verdict = 'dead' AND job.queue_id = q AND job.key = given.key
          AND job.epoch = given.epoch
        RETURNING job.*, given.detail, given.at::int
    ), buried AS (
        INSERT INTO worker_suite.queue_dead AS dead
        SELECT q, key, clock_timestamp(), detail, attempts + 1, crashes, priority, raw, type,
               dedup_key, body
        FROM gone
        ON CONFLICT (queue_id, key) DO UPDATE SET
            died_at = excluded.died_at, reason = excluded.reason, attempts = excluded.attempts,
            crashes = excluded.crashes, priority = excluded.priority, raw = excluded.raw,
            type = excluded.type, dedup_key = excluded.dedup_key, body = excluded.body
    )
    SELECT coalesce(array_agg(at), '{}') INTO settled FROM gone;
    WITH moved AS (
        UPDATE worker_suite.queue_job AS job SET
            state = CASE
                WHEN given.verdict = 'park' AND given.detail = ANY (held) THEN 'parked'
                WHEN given.verdict IN ('park', 'back') THEN 'ready'
                ELSE 'delayed'
            END::worker_suite.queue_state,
            epoch = 0,
            type = CASE WHEN given.verdict = 'park' THEN given.detail ELSE job.type END,
            attempts = job.attempts + (given.verdict = 'retry')::int,
            ready_at = CASE WHEN given.verdict IN ('park', 'back') THEN job.ready_at
                            ELSE now + make_interval(secs => given.seconds) END,
            due_at = now + make_interval(secs => given.seconds)
        FROM unnest(keys, epochs, verdicts, seconds, details)
            WITH ORDINALITY AS given (key, epoch, verdict, seconds, detail, at)
        WHERE given.verdict <> 'dead' AND job.queue_id = q AND job.key = given.key
          AND job.epoch = given.epoch
        RETURNING given.at::int
    )
    SELECT coalesce(array_agg(at), '{}') INTO waiting FROM moved;
    FOR twin IN
        SELECT job.key, job.crashes
        FROM unnest(waiting) AS at
        JOIN worker_suite.queue_job AS job ON job.queue_id = q AND job.key = keys[at]
        WHERE job.dedup_key IS NOT NULL
    LOOP
        -- Two that wait for the same merge; one that crashed does not, for its count.
        IF NOT worker_suite.queue_cover(q, twin.key) AND twin.crashes = 0 THEN
            DELETE FROM worker_suite.queue_job WHERE queue_id = q AND key = twin.key;
        END IF;
    END LOOP;
    RETURN ARRAY(SELECT at FROM generate_series(1, cardinality(keys)) AS at
                 WHERE at <> ALL (settled || waiting));
END
$$;

-- Leases that ended: somebody died holding them. They keep their places, so they come first. Looks
-- at what ended after `since`; returns how many there were.
CREATE FUNCTION worker_suite.queue_reap(
    q int, since timestamptz, now timestamptz, max_crashes int, most int
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    expired bytea[];
    twin record;
BEGIN
    expired := ARRAY(
        SELECT key FROM worker_suite.queue_job
        WHERE queue_id = q AND state = 'leased' AND due_at BETWEEN since AND now
        ORDER BY due_at LIMIT most FOR UPDATE SKIP LOCKED);
    IF cardinality(expired) = 0 THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM worker_suite.queue_job
        WHERE queue_id = q AND key = ANY (expired) AND crashes + 1 >= max_crashes
        RETURNING *
    )
    INSERT INTO worker_suite.queue_dead AS dead
    SELECT q, key, now, convert_to('its lease expired ' || crashes + 1 || ' times', 'UTF8'),
           attempts, crashes + 1, priority, raw, type, dedup_key, body
    FROM gone
    ON CONFLICT (queue_id, key) DO UPDATE SET
        died_at = excluded.died_at, reason = excluded.reason, attempts = excluded.attempts,
        crashes = excluded.crashes, priority = excluded.priority, raw = excluded.raw,
        type = excluded.type, dedup_key = excluded.dedup_key, body = excluded.body;
    UPDATE worker_suite.queue_job SET
        state = 'ready', epoch = 0, crashes = crashes + 1,
        rank = CASE WHEN crashes + 1 >= 2 THEN 0 ELSE 1 + priority END
    WHERE queue_id = q AND key = ANY (expired);
    FOR twin IN
        SELECT key FROM worker_suite.queue_job
        WHERE queue_id = q AND key = ANY (expired) AND dedup_key IS NOT NULL
    LOOP
        PERFORM worker_suite.queue_cover(q, twin.key);
    END LOOP;
    RETURN cardinality(expired);
END
$$;

-- Delays that ended: last in line, the earliest first. As `queue_reap`.
CREATE FUNCTION worker_suite.queue_promote(q int, since timestamptz, now timestamptz, most int)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    promoted int;
BEGIN
    UPDATE worker_suite.queue_job AS job SET state = 'ready', ready_at = now, place = due.place
    FROM (
        SELECT key, nextval('worker_suite.queue_serial') AS place FROM (
            SELECT key FROM worker_suite.queue_job
            WHERE queue_id = q AND state = 'delayed' AND due_at BETWEEN since AND now
            ORDER BY due_at, place LIMIT most FOR UPDATE SKIP LOCKED
        ) AS ended
    ) AS due
    WHERE job.queue_id = q AND job.key = due.key;
    GET DIAGNOSTICS promoted = ROW_COUNT;
    RETURN promoted;
END
$$;

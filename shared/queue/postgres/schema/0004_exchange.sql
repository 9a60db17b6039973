-- A row of the answer to a call: one a delivery; the last one has what comes after `age` instead.
CREATE TYPE worker_suite.queue_answer AS (
    key bytea, epoch bigint, attempts int, crashes int, raw boolean, type bytea, body bytea,
    dedup_key bytea, priority smallint, place bigint, age float8,
    looked timestamptz,  -- up to when ended leases and delays were looked for; null: there are more
    due float8,      -- seconds until something is ready; null when nothing is known to be coming
    paused bytea[],  -- as in the table `queue`
    refused int[]    -- positions of settlements whose lease was lost: the finished ones, the others
);

CREATE FUNCTION worker_suite.queue_claim(
    q int, consumer int, this_call bigint, now timestamptz, lease_end timestamptz,
    line int, head bigint, held bytea[], most int
) RETURNS SETOF worker_suite.queue_answer LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH claimed AS (
        UPDATE worker_suite.queue_job SET
            state = 'leased', epoch = nextval('worker_suite.queue_serial'), due_at = lease_end,
            claimed_by = consumer, claimed_call = this_call, covers = false
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM worker_suite.queue_job
            WHERE queue_id = q AND state = 'ready' AND rank = line AND place >= head
              AND type <> ALL (held)
            ORDER BY place LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING *
    )
    SELECT key, epoch, attempts, crashes, raw, type, body, dedup_key, priority, place,
           extract(epoch FROM now - first_seen)::float8, NULL::timestamptz, NULL::float8,
           NULL::bytea[], NULL::int[]
    FROM claimed ORDER BY place;
END
$$;

CREATE FUNCTION worker_suite.queue_claim_inbox(
    queue worker_suite.queue, consumer int, this_call bigint, now timestamptz,
    lease_end timestamptz, most int
) RETURNS SETOF worker_suite.queue_answer LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH taken AS (
        DELETE FROM worker_suite.queue_inbox
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM worker_suite.queue_inbox AS inbox WHERE inbox.queue = queue.name
            ORDER BY id LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING id, coalesce(raw, convert_to(message, 'UTF8')) AS body, pushed_at
    ), stored AS (
        INSERT INTO worker_suite.queue_job (
            place, epoch, claimed_call, first_seen, ready_at, due_at, queue_id, claimed_by, state,
            rank, raw, key, type, body)
        SELECT
            nextval('worker_suite.queue_serial'), nextval('worker_suite.queue_serial'), this_call,
            pushed_at, pushed_at, lease_end, queue.id, consumer, 'leased', 2, true,
            convert_to(left(queue.incarnation, 12) || '-' || ordered.id, 'UTF8'), '', body
        FROM (SELECT * FROM taken ORDER BY id) AS ordered
        RETURNING *
    )
    SELECT key, epoch, attempts, crashes, raw, type, body, dedup_key, priority, place,
           extract(epoch FROM now - first_seen)::float8, NULL::timestamptz, NULL::float8,
           NULL::bytea[], NULL::int[]
    FROM stored ORDER BY place;
END
$$;

-- Puts aside what is of a paused type among the next in line, so that no claim looks at it again.
CREATE FUNCTION worker_suite.queue_park(q int, held bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    FOR _ IN 1..10 LOOP
        UPDATE worker_suite.queue_job SET state = 'parked'
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM worker_suite.queue_job
            WHERE state = 'ready' AND type = ANY (held) AND ctid = ANY (ARRAY(
                SELECT ctid FROM worker_suite.queue_job WHERE queue_id = q AND state = 'ready'
                ORDER BY rank, place LIMIT 1000))
            FOR UPDATE SKIP LOCKED));
        EXIT WHEN NOT FOUND;
    END LOOP;
END
$$;

-- Claims of one rank, first what comes after `head`. Between two vacuums the index begins with the
-- entries of all that was handed out, and a claim that began there would walk past them each time.
CREATE FUNCTION worker_suite.queue_claim_after(
    q int, consumer int, this_call bigint, now timestamptz, lease_end timestamptz,
    line int, head bigint, held bytea[], most int
) RETURNS SETOF worker_suite.queue_answer LANGUAGE plpgsql AS $$
DECLARE
    count int;
BEGIN
    IF most <= 0 THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM worker_suite.queue_claim(
        q, consumer, this_call, now, lease_end, line, head, held, most);
    GET DIAGNOSTICS count = ROW_COUNT;
    IF head > 0 AND count < most THEN
        RETURN QUERY SELECT * FROM worker_suite.queue_claim(
            q, consumer, this_call, now, lease_end, line, 0, held, most - count);
    END IF;
END
$$;

-- Claims up to `want`. A suspect runs alone among its like in a consumer; the inbox and the normal
-- jobs share what is left, so that neither starves the other.
CREATE FUNCTION worker_suite.queue_claim_all(
    queue worker_suite.queue, consumer int, this_call bigint, now timestamptz,
    lease_end timestamptz, head_rank int, head bigint, want int
) RETURNS SETOF worker_suite.queue_answer LANGUAGE plpgsql AS $$
DECLARE
    q constant int := queue.id;
    held constant bytea[] := queue.paused;
    has_inbox constant boolean := EXISTS (
        SELECT FROM worker_suite.queue_inbox AS inbox WHERE inbox.queue = queue.name);
    left_over int := want;
    count int;
BEGIN
    IF cardinality(held) > 0 THEN
        PERFORM worker_suite.queue_park(q, held);
    END IF;
    IF EXISTS (SELECT FROM worker_suite.queue_job
               WHERE queue_id = q AND state = 'ready' AND rank = 0)
       AND NOT EXISTS (SELECT FROM worker_suite.queue_job
                       WHERE queue_id = q AND state = 'leased' AND rank = 0
                         AND claimed_by = consumer)
    THEN
        RETURN QUERY SELECT * FROM worker_suite.queue_claim(
            q, consumer, this_call, now, lease_end, 0, 0, held, 1);
        GET DIAGNOSTICS count = ROW_COUNT;
        left_over := left_over - count;
    END IF;
    FOR line IN 1..3 LOOP
        IF line = 2 AND has_inbox THEN  -- its share
            RETURN QUERY SELECT * FROM worker_suite.queue_claim_inbox(
                queue, consumer, this_call, now, lease_end,
                ((left_over + this_call % 2) / 2)::int);
            GET DIAGNOSTICS count = ROW_COUNT;
            left_over := left_over - count;
        END IF;
        RETURN QUERY SELECT * FROM worker_suite.queue_claim_after(
            q, consumer, this_call, now, lease_end, line,
            CASE WHEN line = head_rank THEN head ELSE 0 END, held, left_over);
        GET DIAGNOSTICS count = ROW_COUNT;
        left_over := left_over - count;
        IF line = 2 AND has_inbox THEN  -- what is left
            RETURN QUERY SELECT * FROM worker_suite.queue_claim_inbox(
                queue, consumer, this_call, now, lease_end, left_over);
            GET DIAGNOSTICS count = ROW_COUNT;
            left_over := left_over - count;
        END IF;
    END LOOP;
END
$$;

-- Seconds until something is ready; null when nothing is known to be coming.
CREATE FUNCTION worker_suite.queue_due(
    queue worker_suite.queue, since timestamptz, head_rank int, head bigint
) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    soonest timestamptz;
BEGIN
    IF '' <> ALL (queue.paused) AND (
        head_rank > 0 AND EXISTS (
            SELECT FROM worker_suite.queue_job
            WHERE queue_id = queue.id AND state = 'ready' AND rank = head_rank AND place >= head
              AND type <> ALL (queue.paused))
        OR EXISTS (SELECT FROM worker_suite.queue_job
                WHERE queue_id = queue.id AND state = 'ready' AND rank BETWEEN 1 AND 3
                  AND type <> ALL (queue.paused))
        OR EXISTS (SELECT FROM worker_suite.queue_inbox AS inbox WHERE inbox.queue = queue.name)
    ) THEN
        RETURN 0;
    END IF;
    soonest := least(
        (SELECT due_at FROM worker_suite.queue_job
         WHERE queue_id = queue.id AND state = 'leased' AND due_at >= since
         ORDER BY due_at LIMIT 1),
        (SELECT due_at FROM worker_suite.queue_job
         WHERE queue_id = queue.id AND state = 'delayed' AND due_at >= since
         ORDER BY due_at LIMIT 1));
    IF soonest IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN greatest(0, extract(epoch FROM soonest - clock_timestamp())::float8);
END
$$;

-- Settles deliveries, brings back what is due, and claims new work: one call a batch, in one
-- transaction. A call with the number of the last one gets the same answer, less what was lost
-- since. The settings keep the planner to the indexes, whatever it believes of the table's size.
-- `looked`, `head_rank` and `head` spare a walk past the index entries of what has gone: where the
-- last call looked up to, and behind which place of a rank it ended. Null and 0 look at everything.
CREATE FUNCTION worker_suite.queue_exchange(
    q int, consumer int, worker_kind text, this_call bigint, want int, lease_seconds float8,
    alive_seconds float8, max_crashes int, done_keys bytea[], done_epochs bigint[],
    keys bytea[], epochs bigint[], verdicts text[], seconds float8[], details bytea[],
    looked timestamptz, head_rank int, head bigint
) RETURNS SETOF worker_suite.queue_answer LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    bound constant int := 1000;  -- of what one call brings back
    -- A delay may have ended before the transaction that set it was committed.
    since constant timestamptz := coalesce(looked - interval '10 s', '-infinity');
    reaped int;
    promoted int;
    now timestamptz;
    alive timestamptz;
    me worker_suite.queue_consumer;
    queue worker_suite.queue;
    back boolean := false;
    claimed int := 0;
    due float8;
BEGIN
    -- A call whose connection broke may still run when it is repeated: one after the other.
    PERFORM pg_advisory_xact_lock(1903523189, consumer);
    SELECT * INTO me FROM worker_suite.queue_consumer WHERE id = consumer;
    SELECT * INTO queue FROM worker_suite.queue WHERE id = q;
    IF cardinality(queue.paused) > 0 THEN  -- a resume must not pass by what is being put aside
        SELECT * INTO queue FROM worker_suite.queue WHERE id = q FOR SHARE;
    END IF;
    now := clock_timestamp();
    alive := now + make_interval(secs => alive_seconds);
    IF me.id IS NULL THEN  -- it was silent for so long that it was forgotten
        INSERT INTO worker_suite.queue_consumer (id, queue_id, kind, alive_until)
        VALUES (consumer, q, worker_kind, alive) RETURNING * INTO me;
    END IF;
    IF this_call < me.call THEN
        RAISE EXCEPTION 'STALE call % came after call %', this_call, me.call;
    ELSIF this_call = me.call THEN
        RETURN QUERY
        SELECT key, epoch, attempts, crashes, raw, type, body, dedup_key, priority, place,
               extract(epoch FROM now - first_seen)::float8, NULL::timestamptz, NULL::float8,
               NULL::bytea[], NULL::int[]
        FROM worker_suite.queue_job
        WHERE queue_id = q AND state = 'leased' AND claimed_by = consumer
          AND claimed_call = this_call
        ORDER BY rank, place;
    ELSE
        me.refused := '{}';
        IF cardinality(done_keys) > 0 THEN
            me.refused := worker_suite.queue_settle_done(q, done_keys, done_epochs);
        END IF;
        IF cardinality(keys) > 0 THEN
            me.refused := me.refused || ARRAY(
                SELECT cardinality(done_keys) + at
                FROM unnest(worker_suite.queue_settle_others(
                    q, now, queue.paused, keys, epochs, verdicts, seconds, details)) AS at);
            back := true;
        END IF;
        reaped := worker_suite.queue_reap(q, since, now, max_crashes, bound);
        promoted := worker_suite.queue_promote(q, since, clock_timestamp(), bound);
        looked := CASE WHEN greatest(reaped, promoted) < bound THEN now END;
        IF back OR reaped > 0 OR promoted > 0 THEN  -- what came back may have an earlier place
            back := true;
            head_rank := 0;
        END IF;
        IF want > 0 AND '' <> ALL (queue.paused) THEN
            RETURN QUERY SELECT * FROM worker_suite.queue_claim_all(
                queue, consumer, this_call, now,
                clock_timestamp() + make_interval(secs => lease_seconds), head_rank, head, want);
            GET DIAGNOSTICS claimed = ROW_COUNT;
        END IF;
        -- A call that did nothing writes nothing: repeated, it does no harm.
        IF claimed > 0 OR cardinality(done_keys) + cardinality(keys) > 0
           OR me.alive_until < now + make_interval(secs => alive_seconds / 2)
        THEN
            UPDATE worker_suite.queue_consumer
            SET call = this_call, refused = me.refused, alive_until = alive WHERE id = consumer;
        END IF;
    END IF;
    due := worker_suite.queue_due(queue, since, head_rank, head);
    IF back AND (due = 0 OR EXISTS (
        SELECT FROM worker_suite.queue_job WHERE queue_id = q AND state = 'ready' AND rank = 0))
    THEN
        PERFORM pg_notify(worker_suite.queue_channel(queue.name), '');
    END IF;
    RETURN NEXT ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                    looked, due, queue.paused, me.refused)::worker_suite.queue_answer;
END
$$;

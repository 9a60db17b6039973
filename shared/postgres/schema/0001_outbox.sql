-- Changed keys, written by the transaction that changed them. Claimed by presence, never by a
-- cursor over seq: sequences leave gaps that fill later, and a cursor would lose those rows.
CREATE TABLE worker_suite.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    id text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (
    -- Rows live for milliseconds, so the table is mostly dead ones: vacuum by count, not by share.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Whether a relay sleeps, so that a busy database is spared NOTIFY's global lock at each commit.
-- Only a hint: a relay that was not woken finds the rows by polling.
CREATE TABLE worker_suite.outbox_relay (asleep boolean NOT NULL);
INSERT INTO worker_suite.outbox_relay VALUES (true);

CREATE FUNCTION worker_suite.outbox_wake() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_notify('worker_suite_outbox', '') FROM worker_suite.outbox_relay WHERE asleep
$$;

-- How the stores record what they changed; the triggers on users' tables insert by themselves,
-- since an array could not hold the keys of a statement that changes a whole table.
CREATE FUNCTION worker_suite.outbox_append(changed_source text, changed_ids text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO worker_suite.outbox (source, id)
    SELECT DISTINCT changed_source, changed.id FROM unnest(changed_ids) AS changed (id)
    WHERE changed.id IS NOT NULL;
    IF FOUND THEN
        PERFORM worker_suite.outbox_wake();
    END IF;
END
$$;

-- What has been published, kept for the replay window and dropped by partitions of ten minutes.
CREATE TABLE worker_suite.outbox_sent (
    source text NOT NULL,
    id text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (sent_at);

-- Creates the partitions of now and of the next ten minutes, drops those older than the window.
CREATE FUNCTION worker_suite.outbox_sent_roll(replay_window interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step constant int := 600;
    this_step constant bigint := floor(extract(epoch FROM clock_timestamp()) / step);
    oldest_kept constant bigint :=
        floor(extract(epoch FROM clock_timestamp() - replay_window) / step);
    number bigint;
    old_partition text;
BEGIN
    -- One relay is enough; the others need not queue for the lock on the table.
    IF NOT pg_try_advisory_xact_lock(hashtext('worker_suite.outbox_sent_roll')) THEN
        RETURN;
    END IF;
    FOREACH number IN ARRAY ARRAY[this_step, this_step + 1] LOOP
        IF to_regclass(format('worker_suite.outbox_sent_%s', number)) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE worker_suite.outbox_sent_%s PARTITION OF worker_suite.outbox_sent'
                ' FOR VALUES FROM (%L) TO (%L)',
                number, to_timestamp(number * step), to_timestamp((number + 1) * step));
        END IF;
    END LOOP;
    FOR old_partition IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'worker_suite.outbox_sent'::regclass
          AND substring(relname FROM '[0-9]+$')::bigint < oldest_kept
    LOOP
        EXECUTE format('DROP TABLE worker_suite.%I', old_partition);
    END LOOP;
END
$$;

-- The incarnation of each queue that all sent rows have been published to.
CREATE TABLE worker_suite.outbox_queue (
    name text PRIMARY KEY,
    incarnation text NOT NULL
);

-- What periodic jobs were announced, and since when each is defined so.
CREATE TABLE worker_suite.queue_schedule (
    queue_id int NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    job_type text NOT NULL,
    since float8 NOT NULL,     -- times here are seconds since the epoch, exact as they were given
    next_due float8 NOT NULL,
    PRIMARY KEY (queue_id, name)
);

-- The due time of each one's last firing; kept apart, as it may be fired before it is announced.
CREATE TABLE worker_suite.queue_fired (
    queue_id int NOT NULL,
    name text NOT NULL,
    due float8 NOT NULL,
    PRIMARY KEY (queue_id, name)
);

-- Publishes one job, given as to `queue_publish`, unless this or a later time was fired already. Of
-- many that fire at once the others wait for the first one's commit, and find its row.
CREATE FUNCTION worker_suite.queue_fire(
    queue_name text, schedule text, due_time float8, keys bytea[], types bytea[], bodies bytea[],
    priorities smallint[], delays float8[], dedup_keys bytea[], windows float8[],
    replaces boolean[]
) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO worker_suite.queue_fired AS last
    VALUES (worker_suite.queue_number(queue_name), schedule, due_time)
    ON CONFLICT (queue_id, name) DO UPDATE SET due = excluded.due WHERE last.due < excluded.due;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM worker_suite.queue_publish(
        queue_name, keys, types, bodies, priorities, delays, dedup_keys, windows, replaces);
    RETURN true;
END
$$;

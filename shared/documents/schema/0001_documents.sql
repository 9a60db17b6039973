-- The built-in source, written by the crawler. Byte order of ids, so that every adapter pages alike.
CREATE TABLE worker_suite.documents (
    id text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    deleted boolean NOT NULL DEFAULT false,
    content_hash bytea,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK (deleted OR (body IS NOT NULL AND content_hash IS NOT NULL))
);

-- The users' own tables that are sources; `worker-sync install` fills it, with the functions
-- source_NAME_documents and source_NAME_keys beside it.
CREATE TABLE worker_suite.sources (
    name text PRIMARY KEY,
    definition jsonb NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now(),
    backfilled_at timestamptz
);

-- The stamps' sequence. CACHE 1: a session that kept numbers in reserve would draw late ones low.
-- It starts at the clock, so that a database made anew is not silently older than an index that
-- was filled from its predecessor.
CREATE SEQUENCE worker_suite.stamp MAXVALUE 281474976710655 CACHE 1;
SELECT setval('worker_suite.stamp', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);

-- Names the one line of history in which the sequence only rises: another server, a promoted
-- standby, a point-in-time recovery, a dump restored elsewhere and a new sequence all differ.
CREATE FUNCTION worker_suite.stamp_history() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'worker_suite.stamp'::regclass::oid)
$$;

CREATE TABLE worker_suite.stamp_era (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    era bigint NOT NULL CHECK (era BETWEEN 0 AND 32767),
    history text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO worker_suite.stamp_era (era, history) VALUES (0, worker_suite.stamp_history());

-- Writes documents that changed ($1 ids, each once, $2 bodies, $3 hashes), and their outbox rows.
WITH written AS (
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS w (id, body, content_hash)
),
changed AS (
    INSERT INTO worker_suite.documents AS d (id, body, content_hash)
    SELECT id, convert_from(body, 'UTF8')::jsonb, content_hash FROM written
    -- ON CONFLICT locks the rows it meets, which is a write too: leave the unchanged ones out.
    WHERE NOT EXISTS (
        SELECT FROM worker_suite.documents AS same
        WHERE same.id = written.id AND NOT same.deleted
          AND same.content_hash = written.content_hash
    )
    -- Rows are locked in one order everywhere, so that two crawlers cannot deadlock.
    ORDER BY id COLLATE "C"
    ON CONFLICT (id) DO UPDATE
    SET body = excluded.body, content_hash = excluded.content_hash, deleted = false,
        changed_at = now()
    WHERE d.deleted OR d.content_hash <> excluded.content_hash
    RETURNING id
)
SELECT count(*), worker_suite.outbox_append('documents', array_agg(id)) FROM changed

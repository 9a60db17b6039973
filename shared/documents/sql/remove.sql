-- Marks documents deleted ($1 ids), forgets their text, and writes their outbox rows.
WITH present AS (
    SELECT id FROM worker_suite.documents WHERE id = ANY ($1::text[]) AND NOT deleted
    ORDER BY id FOR UPDATE
),
changed AS (
    UPDATE worker_suite.documents AS d
    SET deleted = true, body = NULL, content_hash = NULL, changed_at = now()
    FROM present WHERE d.id = present.id
    RETURNING d.id
)
SELECT count(*), worker_suite.outbox_append('documents', array_agg(id)) FROM changed

-- Live documents of the built-in source, as bytes of JSON text.
SELECT id, convert_to(body::text, 'UTF8') AS body, content_hash
FROM worker_suite.documents WHERE id = ANY ($1::text[]) AND NOT deleted

SELECT id FROM worker_suite.documents
WHERE id > coalesce($1::text, '') AND NOT deleted ORDER BY id LIMIT $2

-- Documents of a user's source; the SQL behind the function is the user's own.
SELECT id, convert_to(body::text, 'UTF8') AS body,
    substr(sha256(convert_to(body::text, 'UTF8')), 1, 16) AS content_hash
FROM worker_suite.source_{name}_documents($1::text[]) WHERE body IS NOT NULL

-- The first table called $2 in the schemas $1.
SELECT c.oid, c.relkind::text AS kind, n.nspname AS schema, c.relname AS name
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (schema, position)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2
ORDER BY wanted.position LIMIT 1

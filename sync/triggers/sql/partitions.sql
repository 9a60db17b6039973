SELECT n.nspname AS schema, c.relname AS name
FROM pg_partition_tree($1::oid::regclass) AS part
JOIN pg_class c ON c.oid = part.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE part.level > 0 ORDER BY 1, 2

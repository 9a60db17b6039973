SELECT name, definition::text AS definition, backfilled_at IS NOT NULL AS backfilled
FROM worker_suite.sources ORDER BY name

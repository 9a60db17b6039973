INSERT INTO worker_suite.sources (name, definition) VALUES ($1, $2::text::jsonb)
ON CONFLICT (name) DO UPDATE
SET definition = excluded.definition, installed_at = now(), backfilled_at = NULL

CREATE OR REPLACE FUNCTION worker_suite.source_{source}_documents(ids text[])
RETURNS TABLE (id text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS {quote}
    SELECT id, body FROM worker_suite.source_{source}_build(
        ARRAY(SELECT key FROM unnest($1) AS key WHERE {is_key}))
{quote}

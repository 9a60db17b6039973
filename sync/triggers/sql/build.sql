CREATE OR REPLACE FUNCTION worker_suite.source_{source}_build(ids text[])
RETURNS TABLE (id text, body jsonb)
LANGUAGE sql STABLE SET search_path = {search_path} AS {quote}
{documents}
{quote}

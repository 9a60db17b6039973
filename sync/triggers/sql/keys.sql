CREATE OR REPLACE FUNCTION worker_suite.source_{source}_keys(after text, most int)
RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = {search_path} AS {quote}
BEGIN
    -- Qualified, for ORDER BY would prefer the text that is selected to the column of that name.
    IF after IS NULL THEN
        RETURN QUERY SELECT root.{key}::text FROM {rows} AS root
            ORDER BY root.{key} LIMIT most;
    ELSE
        RETURN QUERY SELECT root.{key}::text FROM {rows} AS root WHERE root.{key} > {after}
            ORDER BY root.{key} LIMIT most;
    END IF;
END
{quote}

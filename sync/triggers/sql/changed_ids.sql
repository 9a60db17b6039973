WITH changed AS ({rows})
        SELECT DISTINCT '{source}', changed_id::text FROM (
{keys}
        ) AS changed_ids (changed_id) WHERE changed_id IS NOT NULL

-- What is due, and when the next row becomes due. robots.txt comes with the pages that need it.
SELECT count(*) FILTER (WHERE due <= now()) AS due_now,
       extract(epoch FROM min(due) FILTER (WHERE due > now()) - now())::float8 AS next_due_seconds,
       (SELECT count(*) FROM hosts) AS hosts
FROM pages WHERE claimed_by IS NULL AND due IS NOT NULL AND kind <> 'robots'

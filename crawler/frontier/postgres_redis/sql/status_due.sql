-- What is due (waiting in Redis included), and when the next row becomes due. robots.txt comes
-- with the pages that need it.
SELECT count(*) FILTER (WHERE due <= now()) AS due,
       extract(epoch FROM min(due) FILTER (WHERE due > now()) - now())::float8 AS next_due_seconds,
       (SELECT count(*) FROM hosts) AS hosts
FROM pages WHERE due IS NOT NULL AND kind <> 'robots'

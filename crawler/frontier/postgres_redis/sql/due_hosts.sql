-- The next $2 hosts after $1: the last one's name, and those that have work due.
SELECT max(host) AS last, array_agg(host) FILTER (WHERE has_work) AS hosts
FROM (
    SELECT host, EXISTS (
        SELECT 1 FROM pages
        WHERE pages.host = hosts.host AND due <= now() AND claimed_by IS NULL
    ) AS has_work
    FROM hosts WHERE host > $1 ORDER BY host LIMIT $2
) AS next

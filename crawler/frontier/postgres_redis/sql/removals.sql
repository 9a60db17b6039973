-- A pack's live documents, and those removed in the last $2 seconds.
SELECT count(*) FILTER (WHERE document_id <> '') AS live,
       count(*) FILTER (WHERE removed_at > now() - make_interval(secs => $2)) AS removed
FROM pages WHERE pack = $1 AND kind = 'page'

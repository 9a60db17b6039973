-- Everything known of one URL.
SELECT url, pack, kind, state, reason, detail, status, depth, found_on, content_hash, canonical,
       redirect_to, extract(epoch FROM last_visit_at)::float8 AS last_visit_at,
       extract(epoch FROM due)::float8 AS next_due_at
FROM pages WHERE url_key = $1

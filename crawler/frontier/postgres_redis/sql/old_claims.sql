-- Claims older than $1 seconds, after key $2: Redis should know each of them.
SELECT url_key, host, claim_epoch FROM pages
WHERE claimed_by IS NOT NULL AND claimed_at < now() - make_interval(secs => $1) AND url_key > $2
ORDER BY url_key LIMIT $3

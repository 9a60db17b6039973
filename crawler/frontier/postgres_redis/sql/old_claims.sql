-- Claims older than $1 and younger than $2 seconds, after key $3: Redis should know each of them.
SELECT url_key, host, claim_epoch FROM pages
WHERE claimed_by IS NOT NULL AND claimed_at < now() - make_interval(secs => $1)
  AND claimed_at > now() - make_interval(secs => $2) AND url_key > $3
ORDER BY url_key LIMIT $4

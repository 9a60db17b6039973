-- The robots record of an origin while it is fresh.
SELECT verdict, robots, crawl_delay_seconds, reason, detail,
       extract(epoch FROM expires_at - now())::float8 AS expires_in_seconds
FROM origins WHERE origin = $1 AND expires_at > now()

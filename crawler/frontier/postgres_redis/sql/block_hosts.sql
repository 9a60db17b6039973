-- Keeps blocks beyond the life of Redis; the longest wins. $1: hosts in order, $2: seconds.
INSERT INTO hosts (host, blocked_until)
SELECT host, now() + make_interval(secs => seconds)
FROM unnest($1::text[], $2::float8[]) AS b (host, seconds)
ON CONFLICT (host) DO UPDATE
SET blocked_until = greatest(hosts.blocked_until, excluded.blocked_until)

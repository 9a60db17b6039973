-- Marks hosts as asked under an incarnation, the first time only. $1: hosts, $2: incarnations.
-- Returns what the feeder has to know of each.
WITH fed AS (SELECT * FROM unnest($1::text[], $2::text[]) AS f (host, claimant)),
marked AS (
    UPDATE hosts SET first_fed_by = fed.claimant FROM fed
    WHERE hosts.host = fed.host AND hosts.first_fed_by IS NULL
)
SELECT hosts.host,
       hosts.first_fed_by IS NOT NULL AND hosts.first_fed_by <> fed.claimant AS asked_before,
       hosts.interrupted_before IS NOT DISTINCT FROM fed.claimant AS interrupted,
       greatest(extract(epoch FROM hosts.blocked_until - now()), 0)::float8 AS blocked_seconds,
       coalesce((SELECT max(crawl_delay_seconds) FROM origins WHERE origins.host = hosts.host), 0)
           AS crawl_delay_seconds
FROM fed JOIN hosts USING (host)

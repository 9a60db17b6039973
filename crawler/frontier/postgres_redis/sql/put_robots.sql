-- Keeps the robots record of an origin that is known; returns its host's longest Crawl-delay.
WITH kept AS (
    UPDATE origins SET verdict = $2, robots = $3, crawl_delay_seconds = $4,
        expires_at = now() + make_interval(secs => $5), reason = $6, detail = $7
    WHERE origin = $1 RETURNING origin, host, crawl_delay_seconds
)
SELECT kept.host, greatest(kept.crawl_delay_seconds, (
    SELECT max(o.crawl_delay_seconds) FROM origins o
    WHERE o.host = kept.host AND o.origin <> kept.origin)) AS crawl_delay_seconds
FROM kept

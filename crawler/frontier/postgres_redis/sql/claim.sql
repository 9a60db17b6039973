-- Claims up to wants[i] due rows of hosts[i]: pages and sitemaps whose origin's robots record is
-- fresh, robots.txt of those whose record is not and that have work. $1: hosts, $2: wants,
-- $3: incarnations by host.
WITH need AS (SELECT * FROM unnest($1::text[], $2::int[], $3::text[]) AS n (host, want, claimant)),
picked AS (
    SELECT row.url_key, need.claimant
    FROM need CROSS JOIN LATERAL (
        SELECT p.url_key
        FROM pages p JOIN origins o USING (origin)
        WHERE p.host = need.host AND p.due <= now() AND p.claimed_by IS NULL
          AND CASE WHEN p.kind = 'robots'
              THEN o.expires_at <= now() AND EXISTS (
                  SELECT 1 FROM pages w
                  WHERE w.host = o.host AND w.origin = o.origin AND w.kind <> 'robots'
                    AND w.due <= now() AND w.claimed_by IS NULL)
              ELSE o.expires_at > now() END
        ORDER BY p.priority DESC, p.due
        LIMIT need.want
        FOR UPDATE OF p SKIP LOCKED
    ) AS row
)
UPDATE pages p
SET claim_epoch = claim_epoch + 1, claimed_by = picked.claimant, claimed_at = now()
FROM picked WHERE p.url_key = picked.url_key
RETURNING p.*

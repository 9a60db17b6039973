-- Adds URLs; a further hop of a robots.txt that is known becomes due again.
-- $1: JSON list of them, in the order of their keys.
INSERT INTO pages (url_key, url, host, origin, pack, kind, priority, depth, hops, found_on)
SELECT decode(f.url_key, 'hex'), f.url, f.host, f.origin, f.pack, f.kind, f.priority, f.depth,
       f.hops, f.found_on
FROM jsonb_to_recordset($1::jsonb) AS f (
    url_key text, url text, host text, origin text, pack text, kind text, priority smallint,
    depth integer, hops smallint, found_on text)
ON CONFLICT (url_key) DO UPDATE SET due = now(), hops = excluded.hops
    WHERE pages.kind = 'robots' AND excluded.hops > 0
RETURNING xmax = 0 AS added, pack, kind

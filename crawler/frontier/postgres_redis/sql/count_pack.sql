-- Pages known of a pack, counted no further than $2.
SELECT count(*) FROM (SELECT 1 FROM pages WHERE pack = $1 AND kind = 'page' LIMIT $2) AS known

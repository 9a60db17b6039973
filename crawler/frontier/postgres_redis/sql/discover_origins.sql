-- Origins in order, with no robots record yet. $1: origins, $2: their hosts.
INSERT INTO origins (origin, host) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING

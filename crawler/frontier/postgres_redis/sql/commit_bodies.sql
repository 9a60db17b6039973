-- Raw bodies of accepted visits. $1: keys, $2: content types, $3: bodies.
INSERT INTO page_bodies (url_key, content_type, body)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[])
ON CONFLICT (url_key) DO UPDATE SET content_type = excluded.content_type, body = excluded.body

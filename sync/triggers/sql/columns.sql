SELECT attname AS name, format_type(atttypid, NULL) AS type, attnotnull AS not_null
FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum

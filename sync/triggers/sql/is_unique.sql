-- Whether a unique index, without condition or expression, covers no column but those of $2.
SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (
          SELECT array_agg(a.attname::text) FROM pg_attribute a
          WHERE a.attrelid = i.indrelid
            AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
      ) <@ $2::text[]
)

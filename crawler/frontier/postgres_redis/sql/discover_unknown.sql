-- Which of these keys are not known. $1: sorted keys.
SELECT f.url_key FROM unnest($1::bytea[]) AS f (url_key)
LEFT JOIN pages known ON known.url_key = f.url_key
WHERE known.url_key IS NULL

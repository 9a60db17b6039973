-- Pages by state and reason.
SELECT state, reason, count(*) AS pages FROM pages WHERE kind = 'page' GROUP BY state, reason

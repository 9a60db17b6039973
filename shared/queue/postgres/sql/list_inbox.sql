SELECT coalesce(raw, convert_to(message, 'UTF8')) AS body
FROM worker_suite.queue_inbox WHERE queue = $1 ORDER BY id LIMIT $2 OFFSET $3

SELECT worker_suite.queue_renew($1, $2, $3, $4, $5, $6)

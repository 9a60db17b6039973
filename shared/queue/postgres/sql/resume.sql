SELECT worker_suite.queue_resume($1, $2)

SELECT worker_suite.queue_replay($1, $2)

SELECT * FROM worker_suite.queue_register($1, $2, $3)

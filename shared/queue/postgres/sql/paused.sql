SELECT paused FROM worker_suite.queue WHERE id = worker_suite.queue_number($1)

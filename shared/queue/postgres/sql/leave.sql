DELETE FROM worker_suite.queue_consumer WHERE id = $1

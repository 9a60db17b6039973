-- Makes sure that the queue $1 has a row, for the lock that follows.
INSERT INTO worker_suite.outbox_queue (name, incarnation) VALUES ($1, '') ON CONFLICT DO NOTHING

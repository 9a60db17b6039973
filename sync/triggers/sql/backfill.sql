INSERT INTO worker_suite.outbox (source, id) SELECT '{source}', ({id})::text FROM {table}

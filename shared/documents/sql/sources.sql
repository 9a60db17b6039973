SELECT name FROM worker_suite.sources ORDER BY name

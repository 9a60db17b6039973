SELECT count(*) FROM worker_suite.documents WHERE NOT deleted

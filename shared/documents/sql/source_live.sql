SELECT id FROM worker_suite.source_{name}_documents($1::text[]) WHERE body IS NOT NULL

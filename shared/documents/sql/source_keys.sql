SELECT worker_suite.source_{name}_keys($1::text, $2::int)

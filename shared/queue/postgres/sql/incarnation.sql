-- A failover or a restore starts a new timeline, and may have lost the last commits.
SELECT incarnation || '-' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
FROM worker_suite.queue WHERE id = worker_suite.queue_number($1)

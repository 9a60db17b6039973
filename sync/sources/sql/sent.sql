-- What was relayed in the last $1 seconds, each key once.
SELECT DISTINCT source, id FROM worker_suite.outbox_sent
WHERE sent_at > clock_timestamp() - make_interval(secs => $1)

-- Seconds since the last change was relayed, within the replay window.
SELECT extract(epoch FROM clock_timestamp() - max(sent_at))::float8
FROM worker_suite.outbox_sent

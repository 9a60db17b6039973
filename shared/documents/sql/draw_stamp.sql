-- One stamp of the present era; no row when the history has forked since the era was recorded.
SELECT (era << 48) | nextval('worker_suite.stamp')
FROM worker_suite.stamp_era
WHERE history = worker_suite.stamp_history()

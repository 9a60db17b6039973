-- Workers that notice a fork together raise the era once: the second finds nothing to update.
UPDATE worker_suite.stamp_era
SET era = era + 1, history = worker_suite.stamp_history(), raised_at = now()
WHERE history <> worker_suite.stamp_history()

-- Functions behind triggers of the source $1 that are not among $2.
SELECT proname FROM pg_proc
WHERE pronamespace = 'worker_suite'::regnamespace
  AND proname ~ ('^source_' || $1 || '_changed_[0-9a-f]+$') AND proname <> ALL ($2::text[])
ORDER BY proname

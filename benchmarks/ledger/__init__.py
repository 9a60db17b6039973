"""`make ledger`: is any acknowledged job ever lost, however often workers are killed?

Publishers and workers are processes of their own that write down, in files outside of the broker,
what they publish, what was acknowledged, and what they start and finish. Meanwhile workers are
killed while they hold started jobs, the server is restarted, a connection is cut, and a worker
sleeps past its lease. In the end the files are compared.
"""

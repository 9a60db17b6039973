"""The pool: takes deliveries from a work source, runs them in slots, and gives verdicts back.

Users of the library meet `processor.py`, `retry_policy.py`, `middleware.py` and `tracing.py`.
Inside, `worker_pool.py` is the whole; a delivery goes through `intake.py`, the `lane.py` of its job
type, `runner.py`, `judge.py` and `ledger.py`, and leaves by `conversation.py`.
"""

"""The queue inside one process: for a laptop, and for tests."""

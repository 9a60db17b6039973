"""How throughput grows with processes and shards, and what stops it."""

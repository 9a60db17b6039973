"""The conformance suite of the queue port: core promises, and every capability that is claimed."""

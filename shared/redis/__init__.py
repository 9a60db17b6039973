"""Redis or Valkey, as every adapter of the suite uses it: bytes in and out, no hidden retries."""

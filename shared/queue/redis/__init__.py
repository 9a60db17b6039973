"""The queue on Redis or Valkey."""

import shared.redis  # noqa: F401 - before the library

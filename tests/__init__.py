"""Tests of the whole suite; what their helpers assert says what differed, as in a test."""

import pkgutil
import sys

if "pytest" in sys.modules:  # a program that a test starts need not load it
    import pytest

    pytest.register_assert_rewrite(
        *(f"tests.{each.name}" for each in pkgutil.iter_modules(__path__))
    )

"""The suite's error tree.

WorkerSuiteError
├── ConfigError            a setting, flag or file is wrong; exit code 2
│   └── DomainPackError    a domain pack is wrong, with line and field
├── DependencyError        a server is missing, too old, or may lose data; exit code 3
├── QueueConflictError     two kinds of worker on one queue name; exit code 4
├── UnknownSourceError     no document source of this name is registered
├── ConnectionLostError    a server went away in the middle; adapters reconnect, callers retry
├── TransientError         raised by a processor: try the job again later
└── PermanentError         raised by a processor: trying again cannot help; dead-letter the job

Adapters translate the errors of client libraries into this tree; the most specific class wins.
"""

from __future__ import annotations

from typing import ClassVar


class WorkerSuiteError(Exception):
    """Everything the suite raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(WorkerSuiteError):
    """What is wrong with the configuration, where it came from, and what is allowed."""

    exit_code = 2


class DomainPackError(ConfigError):
    """A domain pack is wrong; the message names file, line and field."""


class DependencyError(WorkerSuiteError):
    """A server cannot be used: missing, too old, or configured so that it may lose data."""

    exit_code = 3


class QueueConflictError(WorkerSuiteError):
    """A worker of another kind already consumes this queue name."""

    exit_code = 4


class UnknownSourceError(WorkerSuiteError):
    """No document source of this name is registered; the message lists those that are."""

    exit_code = 2


class ConnectionLostError(WorkerSuiteError):
    """The connection to a server broke; the call may or may not have been carried out."""

    exit_code = 3


class TransientError(WorkerSuiteError):
    """The job failed for a reason that may pass; the retry policy decides when it runs again."""


class PermanentError(WorkerSuiteError):
    """The job failed for a reason that will not pass; it becomes a dead letter."""

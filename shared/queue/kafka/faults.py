"""Translates the errors of the Kafka client into the suite's own; the most specific wins."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors

from shared.errors import ConfigError, ConnectionLostError, DependencyError

_NO_LOGIN = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
LASTING = (*_NO_LOGIN, ssl.SSLCertVerificationError)
"""What another attempt to connect cannot mend."""
_FORBIDDEN = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


@contextmanager
def translated(servers: str) -> Iterator[None]:
    """Raise ConnectionLostError, DependencyError or ConfigError for a client's error."""
    try:
        yield
    except _NO_LOGIN as error:
        raise DependencyError(
            f"Kafka at {servers} refuses the login (user, password and mechanism of the URL): "
            f"{error}"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise DependencyError(
            f"the certificate of Kafka at {servers} is not trusted: {error.verify_message}; "
            "name the file of its authority by ?cafile= in the URL, or by SSL_CERT_FILE"
        ) from error
    except _FORBIDDEN as error:
        raise DependencyError(f"Kafka at {servers} forbids this: {error}") from error
    except errors.InvalidSessionTimeoutError as error:
        raise ConfigError(
            f"Kafka at {servers} refuses the length of a lease; allowed is what its settings "
            "group.min.session.timeout.ms (6 s by default) and group.max.session.timeout.ms say"
        ) from error
    except _TOO_LARGE as error:
        raise ConfigError(
            f"a job is larger than Kafka at {servers} takes (max.message.bytes of the topic)"
        ) from error
    except TimeoutError as error:
        raise ConnectionLostError(f"Kafka at {servers} does not answer in time") from error
    except (errors.KafkaError, OSError) as error:
        raise ConnectionLostError(f"lost Kafka at {servers}: {error!r}") from error

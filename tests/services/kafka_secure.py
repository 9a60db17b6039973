"""A listener of the Kafka for tests that speaks TLS and wants a login."""

from __future__ import annotations

import subprocess
from pathlib import Path

from shared.embedded.server_process import LOOPBACK

USER, PASSWORD = "worker", "p@ss/word%"
"""By SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN."""
ESCAPED_LOGIN = "worker:p%40ss%2Fword%25"
SCRAM_USERS = [
    option
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    for option in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
]
_MODULES = "org.apache.kafka.common.security"


class SecureListener:
    """Makes a throw-away certificate beside the server's settings."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self.port = port
        self._address = f"SECURE://{LOOPBACK}:{port}"
        self._url = f"kafka+ssl://{LOOPBACK}:{port}?partitions=1"

    def join(self, settings: dict[str, str]) -> None:
        """Add the listener to a server's settings."""
        for listeners in ("listeners", "advertised.listeners"):
            settings[listeners] = f"{self._address},{settings[listeners]}"
        settings["listener.security.protocol.map"] += ",SECURE:SASL_SSL"
        scram = f"{_MODULES}.scram.ScramLoginModule required;"
        plain = f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        of_listener = {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            "scram-sha-512.sasl.jaas.config": scram,
            "scram-sha-256.sasl.jaas.config": scram,
            "plain.sasl.jaas.config": plain,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certified()),
        }
        settings.update({f"listener.name.secure.{name}": v for name, v in of_listener.items()})
        (self._directory / "secure-url").write_text(self._url)

    def _certified(self) -> Path:
        both = self._directory / "both.pem"
        certificate, key = certificate_of(self._directory), self._directory / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=kafka", "-addext", f"subjectAltName=IP:{LOOPBACK}",
             "-out", str(certificate), "-keyout", str(key)],
            check=True, capture_output=True,
        )  # fmt: skip
        both.write_text(key.read_text() + certificate.read_text())
        return both


def certificate_of(directory: Path) -> Path:
    """Return the certificate of the server that lives in a directory."""
    return directory / "certificate.pem"


def secure_url(directory: Path) -> str:
    """Return the URL of the secure listener, without a login."""
    return (directory / "secure-url").read_text()

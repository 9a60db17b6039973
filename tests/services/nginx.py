"""nginx of the distribution with a configuration of the test."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

from shared.embedded.server_process import ServerProcess
from tests.services.missing import missing

_START_SECONDS = 30.0
_MAIN = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
  include /etc/nginx/mime.types;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  access_log off;
{http}
}}
"""


class Nginx:
    """nginx in the foreground; `http` is what stands in its http block, `listens` where it must
    answer before it counts as started."""

    def __init__(self, directory: Path, http: str, listens: list[tuple[str, int]]) -> None:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if program is None:
            missing("nginx", "apt-get install nginx")
        self._program = program
        self._directory = directory
        self._listens = listens
        self._configuration = directory / "nginx.conf"
        self._configuration.write_text(_MAIN.format(directory=directory, http=http))
        self._process = ServerProcess("nginx", directory / "server.log", signal.SIGQUIT)

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start nginx and return when it answers on every address."""
        command = [self._program, "-p", str(self._directory), "-c", str(self._configuration)]
        self._process.start(command, ready=self._answers, timeout=_START_SECONDS)

    def stop(self) -> None:
        """Stop gracefully: requests in progress are answered."""
        self._process.stop()

    def kill(self) -> None:
        """Crash the server (SIGKILL)."""
        self._process.kill()

    def restart(self) -> None:
        """Stop and start again on the same addresses."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            for address in self._listens:
                socket.create_connection(address, timeout=1).close()
        except OSError:
            return False
        return True

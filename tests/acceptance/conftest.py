"""The real documentation behind nginx, and a deployment of the three workers to crawl it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.embedded.server_process import free_port
from tests.acceptance.deployment import Deployment
from tests.acceptance.doc_site import SOURCES, DocSite
from tests.services.elasticsearch import Elasticsearch
from tests.services.missing import missing
from tests.services.nginx import Nginx
from tests.services.servers import Postgres, Redis

PACK = """\
name: {name}
seeds: [{seed}]
scope:
  hosts: {hosts}
  allow: ['\\.html$']
politeness:
  delay_seconds: {delay}
recrawl:
  gone_strikes: 1
"""


@pytest.fixture
def doc_site(new_directory: Callable[[str], Path]) -> DocSite:
    """A private copy of the two documentation packages."""
    for source in SOURCES.values():
        if not source.is_dir():
            missing(str(source), "apt-get install python3.11-doc postgresql-doc-15")
    return DocSite(new_directory("site") / "pages", free_port())


@pytest.fixture
def access_log(doc_site: DocSite, new_directory: Callable[[str], Path]) -> Iterator[Path]:
    """Serve the documentation; return nginx's log of request times."""
    directory = new_directory("nginx")
    log = directory / "access.log"
    listens = [(host, doc_site.port) for host in doc_site.hosts]
    server = Nginx(directory, doc_site.nginx_servers(log), listens)
    server.start()
    yield log
    server.kill()


@pytest.fixture
def deploy(
    doc_site: DocSite,
    new_directory: Callable[[str], Path],
    redis7_server: Redis,
    postgres_server: Postgres,
    elasticsearch_server: Elasticsearch,
    tmp_path: Path,
) -> Callable[..., Deployment]:
    """Deploy for the documentation, with a politeness delay in seconds; logs go to `tmp_path`."""

    def deploy_with(delay_seconds: float, sites: Iterable[str] = tuple(SOURCES)) -> Deployment:
        packs = new_directory("packs")
        for site in sites:
            pack = PACK.format(
                name=site,
                seed=doc_site.url(site, "/index.html"),
                hosts=list(doc_site.hosts_of(site)),
                delay=delay_seconds,
            )
            (packs / f"{site}.yaml").write_text(pack)
        return Deployment(
            tmp_path,
            redis7_server,
            postgres_server,
            elasticsearch_server,
            {"DOMAIN_PACKS": str(packs)},
        )

    return deploy_with


@pytest.fixture
def report(
    record_property: Callable[[str, object], None],
) -> Callable[[str, dict[str, Any]], None]:
    """Keep figures that a reader of the run wants to see; they stand at its end."""

    def keep(name: str, figures: dict[str, Any]) -> None:
        record_property("figures", f"{name} {json.dumps(figures)}")

    return keep

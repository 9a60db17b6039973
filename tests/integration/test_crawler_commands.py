"""worker-crawler as people and init systems use it: flags, signals, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
import redis

from shared.embedded.server_process import free_port
from shared.queue.factory import create_queue_admin
from shared.queue.port import QueueSettings
from tests.integration.crawled_site import Answer, Site, html, served
from tests.integration.crawler_world import until

DELAY_SECONDS = 0.05


class Ran(msgspec.Struct, frozen=True):
    """What a command said."""

    code: int
    out: str
    err: str


class Commands:
    """Runs commands against one set of servers."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.started: list[Process] = []

    async def run(self, *arguments: str, **settings: str) -> Ran:
        """Run a command to its end."""
        process = await self._start(*arguments, **settings)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def worker(self, metrics_port: int = 0, **settings: str) -> Process:
        """Start a worker."""
        port = str(metrics_port)
        process = await self._start("run", "--metrics-port", port, stderr=None, **settings)
        self.started.append(process)
        return process

    async def status(self) -> dict[str, Any]:
        """Return what `status --json` says."""
        ran = await self.run("status", "--json")
        assert ran.code == 0, ran.err
        status: dict[str, Any] = json.loads(ran.out)
        return status

    async def settled(self, pages: int) -> None:
        """Wait until so many pages are known and nothing is left to do."""

        async def idle() -> bool:
            status = await self.status()
            done = sum(status["pages"].values()) >= pages and "known" not in status["pages"]
            return done and not status["due_now"] and not status["in_flight"]

        await until(idle)

    async def _start(self, *arguments: str, stderr: int | None = PIPE, **settings: str) -> Process:
        environment = {**os.environ, **self.environment, **settings}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crawler", *arguments),
            env=environment,
            stdout=PIPE,
            stderr=stderr,
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served() as made:
        yield made


@pytest.fixture
async def commands(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Commands]:
    (tmp_path / "site.yaml").write_text(
        f"name: site\nscope:\n  hosts: [127.0.0.1]\npoliteness:\n  delay_seconds: {DELAY_SECONDS}\n"
    )
    made = Commands(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DOMAIN_PACKS": str(tmp_path),
            "ALLOW_NETWORKS": "127.0.0.0/8",
            "LEASE_SECONDS": "2",
            "LOG_LEVEL": "warning",
        }
    )
    yield made
    for process in made.started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def dead_letters(redis_url: str) -> list[str]:
    admin = create_queue_admin(QueueSettings(name="crawler:seeds"), redis_url)
    reasons = [record.reason for record in await admin.dead_letters()]
    await admin.close()
    return reasons


def _metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


class TestSeed:
    async def test_bad_lines_are_named_and_all_others_taken(
        self, commands: Commands, tmp_path: Path
    ) -> None:
        file = tmp_path / "seeds.txt"
        file.write_text(
            "# ours\nhttp://127.0.0.1/a\n\nnot a url\nftp://127.0.0.1/x\nhttp://127.0.0.1/b\n"
            "http://elsewhere.test/\n"
        )
        ran = await commands.run("seed", "--file", str(file), "--json")
        assert ran.code == 6
        report = json.loads(ran.out)
        assert (report["new"], report["known"]) == (2, 0)
        refused = {each["where"].rpartition(":")[2]: each["reason"] for each in report["refused"]}
        assert refused == {"4": "invalid_url", "5": "scheme_not_http", "7": "no_pack"}
        assert f"{file}:4: refused: invalid_url: 'not a url' is not a URL to crawl" in ran.err

    async def test_a_known_seed_is_said_to_be_known(self, commands: Commands) -> None:
        assert (await commands.run("seed", "http://127.0.0.1/a")).out == "1 new, 0 already known.\n"
        assert (await commands.run("seed", "http://127.0.0.1/a")).out == "0 new, 1 already known.\n"

    async def test_a_seed_above_the_packs_budget_is_refused(
        self, commands: Commands, redis_url: str
    ) -> None:
        pack = Path(commands.environment["DOMAIN_PACKS"]) / "site.yaml"
        text = pack.read_text().replace("[127.0.0.1]", "[127.0.0.1]\n  max_pages: 1")
        pack.write_text(text)
        await commands.run("seed", "http://127.0.0.1/a")
        ran = await commands.run("seed", "http://127.0.0.1/a", "http://127.0.0.1/b")
        assert (ran.code, ran.out) == (6, "0 new, 1 already known.\n")
        assert "too_many_pages: http://127.0.0.1/b: pack site knows as many pages" in ran.err

        await commands.worker()
        with redis.Redis.from_url(redis_url) as client:
            client.lpush("crawler:seeds", "http://127.0.0.1/a", "http://127.0.0.1/b")

        async def refused() -> bool:
            return len(await dead_letters(redis_url)) == 1

        await until(refused)
        assert "too_many_pages: http://127.0.0.1/b" in (await dead_letters(redis_url))[0]

    async def test_the_depth_of_the_seeds_queue_is_a_metric(
        self, commands: Commands, redis_url: str
    ) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.lpush("crawler:seeds", "nonsense")
        port = free_port()
        await commands.worker(port)

        async def shown() -> bool:
            try:
                metrics = await asyncio.to_thread(_metrics, port)
            except OSError:
                return False
            return 'worker_queue_depth{queue="crawler:seeds",state="dead"} 1' in metrics

        await until(shown)

    async def test_seed_scope_host_crawls_the_seeds_own_host(self, commands: Commands) -> None:
        ran = await commands.run("seed", "http://elsewhere.test/", SEED_SCOPE="host")
        assert (ran.code, ran.out) == (0, "1 new, 0 already known.\n")

    async def test_a_pack_must_be_there(self, commands: Commands) -> None:
        ran = await commands.run("seed", "--pack", "other")
        assert ran.code == 2
        assert "there is no domain pack 'other'; there are: site" in ran.err

    async def test_something_must_be_given(self, commands: Commands) -> None:
        assert (await commands.run("seed")).code == 2
        assert (await commands.run("recrawl")).code == 2
        assert (await commands.run("recrawl", "--all", "http://127.0.0.1/")).code == 2


class TestSettings:
    async def test_without_a_database_it_says_so(self, commands: Commands) -> None:
        ran = await commands.run("status", DATABASE_URL="")
        assert (ran.code, "DATABASE_URL is not set" in ran.err) == (2, True)

    async def test_a_wrong_database_is_named_without_its_password(self, commands: Commands) -> None:
        url = "postgresql://me:canary-secret@127.0.0.1:9/none"
        ran = await commands.run("status", DATABASE_URL=url)
        assert ran.code == 3
        assert "127.0.0.1:9" in ran.err
        assert "canary-secret" not in ran.err + ran.out

    async def test_a_broken_pack_stops_the_start(self, commands: Commands, tmp_path: Path) -> None:
        (tmp_path / "broken.yaml").write_text("name: broken\nscope:\n  hosts: []\n")
        for command in ("run", "status"):
            process = await commands.run(command)
            assert process.code == 2

    async def test_a_network_must_be_one(self, commands: Commands) -> None:
        assert (await commands.run("run", ALLOW_NETWORKS="everything")).code == 2


class TestRun:
    async def test_seeds_come_from_redis(
        self, commands: Commands, site: Site, redis_url: str
    ) -> None:
        site.answers = {"/": html("/a"), "/a": html()}
        worker = await commands.worker()
        with redis.Redis.from_url(redis_url) as client:
            client.lpush("crawler:seeds", site.url("/"), "http://elsewhere.test/", "nonsense")
        await commands.settled(2)

        async def refused() -> bool:
            return len(await dead_letters(redis_url)) == 2

        await until(refused)
        said = sorted(await dead_letters(redis_url))
        assert said[0].startswith("SeedRefusedError: invalid_url: 'nonsense'")
        assert said[1].startswith("SeedRefusedError: no_pack: no domain pack covers")
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 30) == 0

    async def test_killed_in_the_middle_it_loses_nothing_and_stays_polite(
        self, commands: Commands, site: Site
    ) -> None:
        hosts = [f"127.0.0.{n}" for n in (1, 2, 3)]
        paths = [f"/{n}" for n in range(12)]
        pack = Path(commands.environment["DOMAIN_PACKS"]) / "site.yaml"
        pack.write_text(pack.read_text().replace("[127.0.0.1]", f"[{', '.join(hosts)}]"))
        site.answers = {"/": html(*paths), **{path: html(text=path) for path in paths}}
        await commands.run("seed", *(site.url("/", host) for host in hosts))
        for kills in range(3):
            worker = await commands.worker()
            before = len(site.requests)

            async def at_work(before: int = before) -> bool:
                return len(site.requests) > before + 3

            await until(at_work)
            worker.kill()
            assert await worker.wait() == -signal.SIGKILL, kills
        worker = await commands.worker()
        await commands.settled(39)
        status = await commands.status()
        assert status["pages"] == {"fetched": 39}
        for host in hosts:
            asked = [request.at for request in site.requests if request.host == host]
            gaps = [later - earlier for earlier, later in pairwise(asked)]
            assert min(gaps) >= DELAY_SECONDS - 0.005
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 30) == 0

    async def test_recrawl_and_check(self, commands: Commands, site: Site) -> None:
        site.answers = {
            "/robots.txt": Answer("User-agent: *\nDisallow: /no\n", content_type="text/plain"),
            "/": html("/no", text="Seen by check."),
        }
        await commands.run("seed", site.url())
        await commands.worker()
        await commands.settled(2)
        ran = await commands.run("recrawl", site.url(), site.url("/unknown"), "--json")
        assert json.loads(ran.out) == {"due": 1, "unknown": 1, "refused": []}

        async def again() -> bool:
            return len(site.asked("/")) == 2

        await until(again)
        await commands.settled(2)
        ran = await commands.run("check", site.url(), "--json")
        steps = {step["name"]: step for step in json.loads(ran.out)}
        assert ran.code == 0, ran.err
        assert list(steps) == [
            "address", "scope", "robots.txt", "fetch", "parse", "fields", "document", "stored",
        ]  # fmt: skip
        assert steps["scope"]["facts"]["pack"] == "site"
        assert "Seen by check." in steps["document"]["facts"]["document"]["text"]
        assert steps["stored"]["reason"] == "unchanged"
        stored = steps["stored"]["facts"]["content_hash"]
        assert steps["document"]["facts"]["content_hash"] == stored
        ran = await commands.run("check", site.url("/no"))
        assert ran.code == 6
        assert "STOP robots.txt: Disallow: /no [robots_denied]" in ran.out

    async def test_check_tells_why_robots_txt_cannot_be_had(
        self, commands: Commands, site: Site
    ) -> None:
        ran = await commands.run("check", site.url(), ALLOW_NETWORKS="", DATABASE_URL="")
        assert "STOP robots.txt: The host's address is not let through (ALLOW_NETWORKS)" in ran.out
        assert "ALLOW_NETWORKS may let it through] [address_refused]" in ran.out

    async def test_check_shows_people_the_beginning_of_a_long_text(
        self, commands: Commands, site: Site
    ) -> None:
        site.answers = {"/": html(text="many words " * 200)}
        ran = await commands.run("check", site.url(), DATABASE_URL="")
        assert ran.code == 0, ran.err
        assert "many words many words" in ran.out
        assert max(len(line) for line in ran.out.splitlines()) < 400

    async def test_check_ends_at_the_first_stop(self, commands: Commands, site: Site) -> None:
        for url, step, reason in (
            ("nonsense", "address", "invalid_url"),
            ("http://elsewhere.test/", "scope", "no_pack"),
            (site.url("/missing"), "fetch", "http_404"),
        ):
            ran = await commands.run("check", url, "--json", DATABASE_URL="")
            steps = json.loads(ran.out)
            stops = [(each["name"], each["reason"]) for each in steps if each["passed"] is False]
            assert (ran.code, stops) == (6, [(step, reason)])

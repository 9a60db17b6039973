"""The example site shows a crawler everything that its README promises."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from examples.recipes.site.__main__ import DATA
from examples.recipes.site.server import application

Client = TestClient[Any, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "data"))


@pytest.fixture
async def site(data: Path) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(data))) as client:
        yield client


async def get(site: Client, path: str, **headers: str) -> tuple[int, str, Any]:
    async with site.get(path, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(encoding="utf-8", errors="replace"), answer.headers


async def sitemap_urls(site: Client) -> list[str]:
    async with site.get("/sitemap_index.xml.gz") as answer:
        index = gzip.decompress(await answer.read()).decode()
    urls: list[str] = []
    for sitemap in re.findall("<loc>(.*?)</loc>", index):
        async with site.get(sitemap.removeprefix(str(site.make_url("")).rstrip("/"))) as answer:
            body = await answer.read()
        text = gzip.decompress(body) if sitemap.endswith(".gz") else body
        urls += re.findall("<loc>(.*?)</loc>", text.decode())
    return urls


async def test_there_are_at_least_forty_recipes_and_each_has_its_own_text(site: Client) -> None:
    recipes = [url for url in await sitemap_urls(site) if "/recipes/" in url]

    stories = set()
    for url in recipes:
        status, text, _ = await get(site, "/recipes/" + url.rsplit("/", 1)[1])
        assert status == 200
        stories.add(re.search("<p class=story>(.*?)</p>", text).group(1))  # type: ignore[union-attr]
    assert len(stories) == len(recipes) >= 40


async def test_a_recipe_has_json_ld_open_graph_and_a_canonical_link(site: Client) -> None:
    _, text, _ = await get(site, "/recipes/rye-sourdough?ref=letter")

    found = re.search('<script type="application/ld\\+json">(.*?)</script>', text)
    assert found is not None
    data = json.loads(found.group(1))
    assert data["@type"] == "Recipe"
    assert "500 g rye flour" in data["recipeIngredient"]
    assert '<meta property="og:title" content="Rye sourdough in a tin">' in text
    assert f'<link rel="canonical" href="{site.make_url("/recipes/rye-sourdough")}">' in text


async def test_robots_txt_disallows_an_area_and_names_the_sitemap_index(site: Client) -> None:
    _, text, _ = await get(site, "/robots.txt")

    assert "Disallow: /shopping-list/" in text
    assert f"Sitemap: {site.make_url('/sitemap_index.xml.gz')}" in text


@pytest.mark.parametrize(
    ("path", "status", "target"),
    [
        ("/soup-of-the-day-2019", 301, "/recipes/red-lentil-soup"),
        ("/today", 302, "/recipes/winter-minestrone"),
        ("/r/17", 301, "/r/17-lamb"),
        ("/r/17-lamb", 301, "/old/lamb-stew"),
        ("/old/lamb-stew", 301, "/recipes/lamb-apricot-stew"),
        ("/recipes/grandmothers-dumplings", 404, None),
        ("/recipes/turtle-soup", 410, None),
    ],
)
async def test_moved_missing_and_withdrawn_pages(
    site: Client, path: str, status: int, target: str | None
) -> None:
    seen, _, headers = await get(site, path)

    assert (seen, headers.get("Location")) == (status, target)


async def test_noindex_by_meta_and_by_header(site: Client) -> None:
    _, diary, _ = await get(site, "/kitchen-diary")
    _, _, headers = await get(site, "/drafts/autumn-menu")

    assert '<meta name="robots" content="noindex">' in diary
    assert headers["X-Robots-Tag"] == "noindex"


async def test_only_its_meta_element_says_that_the_glossary_is_windows_1252(site: Client) -> None:
    async with site.get("/glossary") as answer:
        body = await answer.read()

    assert answer.headers["Content-Type"] == "text/html"
    assert b'<meta charset="windows-1252">' in body
    assert "Jalapeño" in body.decode("windows-1252")
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")


async def test_the_traps_never_end(site: Client) -> None:
    _, december, _ = await get(site, "/calendar/2026/12")
    _, leaf, _ = await get(site, "/browse/more/more/more")

    assert 'href="/calendar/2027/1"' in december
    assert 'href="more/more"' in leaf


async def test_an_unchanged_page_is_answered_with_304(site: Client) -> None:
    _, _, headers = await get(site, "/recipes/herb-oil")

    by_tag, body, _ = await get(site, "/recipes/herb-oil", **{"If-None-Match": headers["ETag"]})
    by_time, _, _ = await get(
        site, "/recipes/herb-oil", **{"If-Modified-Since": headers["Last-Modified"]}
    )
    other, _, _ = await get(site, "/recipes/herb-oil", **{"If-None-Match": '"other"'})

    assert (by_tag, body, by_time, other) == (304, "", 304, 200)


async def test_an_edited_file_shows_at_once_and_a_deleted_one_is_gone(
    site: Client, data: Path
) -> None:
    _, _, before = await get(site, "/recipes/herb-oil")
    file = data / "recipes" / "herb-oil.yaml"
    file.write_text(file.read_text().replace("Wilted herbs", "Tired herbs"))

    status, text, _ = await get(site, "/recipes/herb-oil", **{"If-None-Match": before["ETag"]})
    assert (status, "Tired herbs" in text) == (200, True)

    file.unlink()
    assert (await get(site, "/recipes/herb-oil"))[0] == 404

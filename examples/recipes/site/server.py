"""The routes of the example site."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from . import corners, pages, sitemaps
from .answers import answer
from .recipes import Cookbook, Recipe

PER_PAGE = 5

routes = web.RouteTableDef()
COOKBOOK = web.AppKey("COOKBOOK", Cookbook)


def application(data: Path) -> web.Application:
    """Return the site over the files in `data`."""
    app = web.Application()
    app[COOKBOOK] = Cookbook(data)
    app.add_routes(routes)
    return app


def origin(request: web.Request) -> str:
    """Return scheme://host:port as the client named it."""
    return f"{request.scheme}://{request.host}"


@routes.get("/")
async def home(request: web.Request) -> web.Response:
    book = request.app[COOKBOOK]
    return answer(request, pages.home(book.site(), _linked(book)))


@routes.get("/categories/{name}")
async def category(request: web.Request) -> web.Response:
    book, name = request.app[COOKBOOK], request.match_info["name"]
    page = request.query.get("page", "1")
    if name not in book.site().categories or not page.isdecimal():
        raise web.HTTPNotFound
    number = int(page)
    found = [recipe for recipe in _linked(book).values() if recipe.category == name]
    shown = found[(number - 1) * PER_PAGE : number * PER_PAGE]
    more = len(found) > number * PER_PAGE
    return answer(request, pages.category(book.site(), name, shown, number, more=more))


@routes.get("/recipes/{slug}")
async def recipe(request: web.Request) -> web.Response:
    return _recipe(request)


@routes.get("/print/{slug}")
async def printed(request: web.Request) -> web.Response:
    return _recipe(request, for_print=True)


@routes.get("/today")
async def today(request: web.Request) -> web.Response:
    raise web.HTTPFound(f"/recipes/{request.app[COOKBOOK].site().today}")


@routes.get("/about")
async def about(request: web.Request) -> web.Response:
    return answer(request, corners.about(request.app[COOKBOOK].site()))


@routes.get("/glossary")
async def glossary(request: web.Request) -> web.Response:
    return answer(request, corners.glossary(request.app[COOKBOOK].site()), charset=None)


@routes.get("/kitchen-diary")
async def diary(request: web.Request) -> web.Response:
    return answer(request, corners.diary(request.app[COOKBOOK].site()))


@routes.get("/drafts/autumn-menu")
async def draft(request: web.Request) -> web.Response:
    content = corners.draft(request.app[COOKBOOK].site())
    return answer(request, content, headers={"X-Robots-Tag": "noindex"})


@routes.get("/shopping-list/new")
async def shopping_list(request: web.Request) -> web.Response:
    return answer(request, corners.shopping_list(request.app[COOKBOOK].site()))


@routes.get(r"/calendar/{year:\d{4}}/{month:1[0-2]|[1-9]}")
async def calendar(request: web.Request) -> web.Response:
    year, month = int(request.match_info["year"]), int(request.match_info["month"])
    return answer(request, corners.calendar(request.app[COOKBOOK].site(), year, month))


@routes.get(r"/browse{path:(/more)+}")
async def browse(request: web.Request) -> web.Response:
    return answer(request, corners.browse(request.app[COOKBOOK].site(), request.path))


@routes.get("/conversion-table.txt")
async def conversions(request: web.Request) -> web.Response:
    return answer(request, corners.CONVERSIONS, content_type="text/plain")


@routes.get("/robots.txt")
async def robots(request: web.Request) -> web.Response:
    return answer(request, sitemaps.robots(origin(request)), content_type="text/plain")


@routes.get("/sitemap_index.xml.gz")
async def sitemap_index(request: web.Request) -> web.Response:
    content = sitemaps.index(origin(request))
    return answer(request, content, content_type="application/gzip", charset=None)


@routes.get("/sitemap-recipes.xml.gz")
async def sitemap_recipes(request: web.Request) -> web.Response:
    content = sitemaps.recipes(origin(request), request.app[COOKBOOK].recipes())
    return answer(request, content, content_type="application/gzip", charset=None)


@routes.get("/sitemap-pages.xml")
async def sitemap_pages(request: web.Request) -> web.Response:
    names = request.app[COOKBOOK].site().categories
    paths = ["/", "/about", "/glossary", *(f"/categories/{name}" for name in names)]
    return answer(request, sitemaps.pages(origin(request), paths), content_type="application/xml")


@routes.get("/{path:.+}")
async def anything_else(request: web.Request) -> web.Response:
    target = request.app[COOKBOOK].site().moved.get(request.path)
    if target is None:
        raise web.HTTPNotFound
    raise web.HTTPMovedPermanently(target)


def _recipe(request: web.Request, *, for_print: bool = False) -> web.Response:
    book, slug = request.app[COOKBOOK], request.match_info["slug"]
    site, found = book.site(), book.recipe(slug)
    if slug in site.withdrawn:
        raise web.HTTPGone
    if found is None:
        raise web.HTTPNotFound
    url = f"{origin(request)}/recipes/{slug}"
    content = pages.recipe_page(site, found, url, for_print=for_print)
    return answer(request, content, modified=found.modified)


def _linked(book: Cookbook) -> dict[str, Recipe]:
    hidden = set(book.site().unlinked)
    return {slug: found for slug, found in book.recipes().items() if slug not in hidden}

"""HTML of the site's pages: plain functions from content to text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape

from .recipes import Recipe, Site

PAGE = """<!doctype html>
<html lang="en">
<head>
{charset}
<title>{title}</title>
{head}
<style>
body {{ font: 1.05rem/1.6 Georgia, serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
       color: #2b2522; background: #fffdf9; }}
nav, footer {{ font: .85rem system-ui, sans-serif; color: #7a5c48; }}
a {{ color: #a34c1f; }}
</style>
</head>
<body>
<nav><a href="/">{site}</a> · {menu}</nav>
<main>
{body}
</main>
<footer>{tagline}</footer>
</body>
</html>
"""


def page(
    site: Site,
    title: str,
    body: str,
    *,
    head: Iterable[str] = (),
    charset: str = "utf-8",
) -> str:
    """Wrap a page's own text in what all pages share."""
    menu = " · ".join(link(f"/categories/{name}", name) for name in site.categories)
    return PAGE.format(
        charset=f'<meta charset="{charset}">',
        title=escape(f"{title} – {site.title}"),
        head="\n".join(head),
        site=escape(site.title),
        menu=menu,
        body=body,
        tagline=escape(site.tagline),
    )


def link(href: str, text: str) -> str:
    """Return a link with both parts escaped."""
    return f'<a href="{escape(href)}">{escape(text)}</a>'


def links(recipes: Iterable[Recipe], suffix: str = "") -> str:
    """Return a list of links to recipes."""
    items = (
        f"<li>{link(f'/recipes/{recipe.slug}{suffix}', recipe.title)}, {recipe.minutes} minutes"
        for recipe in recipes
    )
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def home(site: Site, recipes: Mapping[str, Recipe]) -> str:
    """The front page: it leads to everything, odd corners included."""
    newest = list(recipes.values())[:3]
    categories = "\n".join(
        f"<li>{link(f'/categories/{name}', name)}: {escape(text)}"
        for name, text in site.categories.items()
    )
    corners = {
        "/today": "Today's pot",
        "/about": "About the kitchen",
        "/glossary": "Glossary",
        "/calendar/2026/1": "Market calendar",
        "/browse/more": "Leaf through",
        "/kitchen-diary": "Kitchen diary",
        "/drafts/autumn-menu": "A menu in the making",
        "/shopping-list/new": "Your shopping list",
        "/conversion-table.txt": "Conversion table",
    }
    body = (
        f"<h1>{escape(site.title)}</h1><p>{escape(site.tagline)}</p>"
        f"<h2>New in the letter</h2>{links(newest, '?ref=letter')}"
        f"<h2>By kind</h2><ul>{categories}</ul><h2>Odd corners</h2><ul>"
        + "".join(f"<li>{link(path, text)}" for path, text in corners.items())
        + "</ul>"
    )
    return page(site, "Home", body)


def category(site: Site, name: str, recipes: list[Recipe], number: int, *, more: bool) -> str:
    """One page of a category's list."""
    onward = f"<p>{link(f'/categories/{name}?page={number + 1}', 'Next page')}" if more else ""
    body = f"<h1>{escape(name.title())}</h1><p>{escape(site.categories[name])}</p>"
    return page(site, name.title(), body + links(recipes) + onward)


def recipe_page(site: Site, recipe: Recipe, url: str, *, for_print: bool = False) -> str:
    """A recipe, with structured data. The print version names the recipe as its canonical."""
    head = [
        f'<link rel="canonical" href="{escape(url)}">',
        f'<meta name="description" content="{escape(recipe.story)}">',
        f'<meta property="og:title" content="{escape(recipe.title)}">',
        '<meta property="og:type" content="article">',
        f'<meta property="og:url" content="{escape(url)}">',
        f'<script type="application/ld+json">{_json_ld(site, recipe, url)}</script>',
    ]
    ingredients = "\n".join(f"<li>{escape(item)}" for item in recipe.ingredients)
    steps = "\n".join(f"<li>{escape(step)}" for step in recipe.steps)
    body = (
        f"<h1>{escape(recipe.title)}</h1>\n<p class=story>{escape(recipe.story)}</p>\n"
        f"<p class=facts>Serves {recipe.serves}. Ready in {recipe.minutes} minutes.</p>\n"
        f"<h2>Ingredients</h2>\n<ul class=ingredients>\n{ingredients}\n</ul>\n"
        f"<h2>Method</h2>\n<ol class=steps>\n{steps}\n</ol>\n"
    )
    if recipe.minutes >= 90 and not for_print:
        body += f"<p>{link(f'/print/{recipe.slug}', 'Print this one')}"
    return page(site, recipe.title, body, head=head)


def _json_ld(site: Site, recipe: Recipe, url: str) -> str:
    data = {
        "@context": "https://schema.org",
        "@type": "Recipe",
        "name": recipe.title,
        "url": url,
        "author": {"@type": "Organization", "name": site.title},
        "datePublished": recipe.published.isoformat(),
        "description": recipe.story,
        "recipeCategory": recipe.category,
        "recipeYield": recipe.serves,
        "totalTime": f"PT{recipe.minutes}M",
        "recipeIngredient": recipe.ingredients,
        "recipeInstructions": [{"@type": "HowToStep", "text": step} for step in recipe.steps],
    }
    return json.dumps(data, ensure_ascii=False).replace("</", "<\\/")

"""The site's odd corners: what every real site has, and every crawler must cope with."""

from __future__ import annotations

from .pages import link, page
from .recipes import Site

GLOSSARY = {
    "Crème fraîche": "Cream soured by bacteria; thick, and slow to curdle when it is boiled.",
    "Crème brûlée": "Custard under burnt sugar that cracks like thin ice.",
    "Jalapeño": "A green chilli, milder than it looks – mostly.",
    "Purée": "Anything that went through a sieve and kept its flavour.",
    "Sauté": "To toss in little fat over a high heat, so that the food “jumps”.",
    "Gruyère": "A hard cheese that melts without turning to strings.",
}


def about(site: Site) -> str:
    """Who writes, and two links that lead off the site or nowhere."""
    elsewhere = link("https://www.example.org/kitchens", "kitchens of friends")
    lost = link("/recipes/grandmothers-dumplings", "dumplings of a grandmother")
    withdrawn = link("/recipes/turtle-soup", "turtle soup")
    old = " and ".join(link(path, path) for path in ("/soup-of-the-day-2019", "/r/17"))
    return page(
        site,
        "About",
        "<h1>About the kitchen</h1><p>Two people, one stove and a notebook full of stains. A "
        "recipe is printed once it has worked three times in a row, twice by somebody else.</p>"
        f"<p>See also the {elsewhere}. The {lost} were never written down. The {withdrawn} was "
        f"taken off the menu for good reasons. Old addresses such as {old} still lead home.</p>",
    )


def glossary(site: Site) -> bytes:
    """A page that only its own meta element says is windows-1252."""
    terms = "".join(f"<dt>{term}<dd>{meaning}" for term, meaning in GLOSSARY.items())
    text = page(site, "Glossary", f"<h1>Glossary</h1><dl>{terms}</dl>", charset="windows-1252")
    return text.encode("windows-1252")


def diary(site: Site) -> str:
    """A page that asks in its head not to be indexed."""
    body = "<h1>Kitchen diary</h1><p>Tuesday: the dough did not rise. Wednesday: neither did I.</p>"
    return page(site, "Kitchen diary", body, head=['<meta name="robots" content="noindex">'])


def draft(site: Site) -> str:
    """A page that is kept out of indexes by its X-Robots-Tag header."""
    body = "<h1>Autumn menu, a draft</h1><p>Quince, chestnut, and something green in between.</p>"
    return page(site, "Autumn menu", body)


def shopping_list(site: Site) -> str:
    """A page that robots.txt disallows: nobody but a person should see it."""
    return page(site, "Shopping list", "<h1>Your shopping list</h1><p>It is empty.</p>")


def calendar(site: Site, year: int, month: int) -> str:
    """A trap without an end: every month leads to the next."""
    following = (year + month // 12, month % 12 + 1)
    body = (
        f"<h1>Market days, {month}/{year}</h1><p>The market opens every Saturday at seven.</p>"
        f"<p>{link('/calendar/{}/{}'.format(*following), 'Next month')}"
    )
    return page(site, f"Market days {month}/{year}", body)


def browse(site: Site, path: str) -> str:
    """A trap of the other kind: a relative link that makes its own path longer for ever."""
    depth = path.count("more")
    body = f"<h1>Leaf {depth}</h1><p>{link(path.rsplit('/', 1)[-1] + '/more', 'Turn the leaf')}"
    return page(site, f"Leaf {depth}", body)


CONVERSIONS = """\
1 teaspoon     5 ml
1 tablespoon  15 ml
1 cup        240 ml
1 ounce       28 g
1 stick      113 g of butter
"""

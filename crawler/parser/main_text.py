"""The text of a page that is about something, without what is on every page of the site."""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.parser.clean_text import one_line

NEVER_TEXT = [
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select", "button", "textarea", "head",
]  # fmt: skip
INLINE = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
]  # fmt: skip
BOILERPLATE = ", ".join(
    (
        "nav, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=menu]",
        "[role=dialog], dialog, form[role=search], [hidden], [aria-hidden=true]",
        "footer:not(article footer)",
        "header:not(main header):not(article header)",
        "aside:not(article aside)",
        *(
            f"[{name}^={word} i], [{name}*=' {word}' i]"
            for word in ("nav", "sidebar", "breadcrumb", "cookie", "footer")
            for name in ("class", "id")
        ),
    )
)

DOMINANT = 0.85
"""A child with this share of its parent's prose stands for the parent."""
ENOUGH = 0.3
"""A marked main element must have this share of the page's prose to be believed."""
TOO_MUCH = 0.5
"""What holds this share of the page's prose is no boilerplate, whatever it is called."""
MAX_DESCENT = 64
_BETWEEN_BLOCKS = "\x1e"


def main_text(tree: LexborHTMLParser, selector: str = "") -> str:
    """Return the main text, a line a block. Changes the tree: call it last.

    `selector` is the pack's own choice; where it finds nothing, and where it is empty, the text
    is looked for. A page that shows any text has a main text.
    """
    tree.strip_tags(NEVER_TEXT)
    body = tree.body
    if body is None:
        return ""
    chosen = tree.css(selector) if selector else []
    if not any(node.text(strip=True) for node in chosen):
        _remove_boilerplate(tree, body)
        chosen = [_content(tree, body)]
    tree.unwrap_tags(INLINE)
    tree.merge_text_nodes()
    return "\n".join(filter(None, map(_blocks, chosen)))


def _remove_boilerplate(tree: LexborHTMLParser, body: LexborNode) -> None:
    most = TOO_MUCH * _prose(body)
    for node in tree.css(BOILERPLATE):
        # A page of nothing but links has no prose at all: then nothing is removed.
        if _prose(node) < most and node.tag not in ("html", "body", "main"):
            node.decompose()


def _content(tree: LexborHTMLParser, body: LexborNode) -> LexborNode:
    marked = tree.css("main, [role=main]") or tree.css("article")
    if marked:
        best = max(marked, key=_prose)
        if _prose(best) >= ENOUGH * _prose(body):
            return best
    return _densest(body)


def _densest(node: LexborNode) -> LexborNode:
    """Go down while one child holds nearly all of the prose."""
    whole = _prose(node)
    for _ in range(MAX_DESCENT):
        children = [(child, _prose(child)) for child in node.iter() if child.child is not None]
        best, prose = max(children, key=lambda pair: pair[1], default=(node, 0))
        if not whole or prose < DOMINANT * whole:
            return node
        node, whole = best, prose
    return node


def _prose(node: LexborNode) -> int:
    """Count characters of text that are not in links: menus have few."""
    linked = sum(len(link.text()) for link in node.css("a"))
    return max(0, len(node.text()) - linked)


def _blocks(node: LexborNode) -> str:
    blocks = node.text(separator=_BETWEEN_BLOCKS).split(_BETWEEN_BLOCKS)
    return "\n".join(filter(None, map(one_line, blocks)))

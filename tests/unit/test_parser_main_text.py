from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawler.parser.main_text import main_text

PROSE = "The quick brown fox jumps over the lazy dog while the band plays on. "
MENU = "<a href=/1>Home</a> <a href=/2>News</a> <a href=/3>Shop</a>"


def text_of(html: str, selector: str = "") -> str:
    return main_text(LexborHTMLParser(html), selector)


@pytest.mark.parametrize(
    "page",
    [
        "<nav>{menu}</nav><main><p>{prose}</p></main><footer>Imprint</footer>",
        "<div role=navigation>{menu}</div><div role=main><p>{prose}</p></div>",
        "<header>Site</header><article><p>{prose}</p></article><aside>Ads</aside>",
        "<div class=navbar>{menu} menu</div><p>{prose}</p><div id=footer>Imprint</div>",
        "<div class='left sidebar'>Also read</div><div><div><p>{prose}</p></div></div>",
        "<div class='x breadcrumbs'>You are here</div><p>{prose}</p>",
        "<div id=cookie-banner>We use cookies</div><p>{prose}</p>",
        "<div hidden>Hidden</div><div aria-hidden=true>Too</div><p>{prose}</p>",
        "<dialog>Subscribe now</dialog><form role=search>Search</form><p>{prose}</p>",
        "<div>Top</div><div><div>{menu}</div><section><p>{prose}</p></section></div>",
    ],
)
def test_what_is_on_every_page_is_left_out(page: str) -> None:
    html = page.format(menu=MENU, prose=PROSE * 5)
    assert text_of(html) == (PROSE * 5).strip()


@pytest.mark.parametrize("tag", ["script", "style", "noscript", "template", "svg", "textarea"])
def test_what_is_never_text(tag: str) -> None:
    assert text_of(f"<p>Seen</p><{tag}>var unseen;</{tag}>") == "Seen"


def test_a_heading_inside_the_article_stays() -> None:
    html = (
        f"<article><header><h1>Fox</h1></header><p>{PROSE * 3}</p><footer>By me</footer></article>"
    )
    assert text_of(html) == f"Fox\n{(PROSE * 3).strip()}\nBy me"


def test_inline_markup_parts_no_words_and_blocks_do() -> None:
    html = "<p>re<b>al</b>ly <a href=x>g<i>oo</i>d</a></p><p>new<br>line</p><ul><li>a<li>b</ul>"
    assert text_of(html) == "really good\nnew\nline\na\nb"


def test_white_space_is_collapsed() -> None:
    assert text_of("<p>  one\n\t two&nbsp;three </p>\n\n<p> </p>") == "one two three"


def test_a_tiny_marked_main_does_not_hide_the_page() -> None:
    assert PROSE.strip() in text_of(f"<main>Loading</main><div><p>{PROSE * 5}</p></div>")


def test_the_longest_of_several_marked_elements_is_taken() -> None:
    assert (
        text_of(f"<article>Teaser</article><article>{PROSE * 5}</article>") == (PROSE * 5).strip()
    )


def test_a_page_wrapped_in_boilerplate_by_name_keeps_its_text() -> None:
    assert text_of(f"<div class=nav-wrapper><p>{PROSE}</p></div>") == PROSE.strip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<nav>Only <a href=x>links</a></nav>", "Only links"),
        (f"<ul>{MENU}</ul>", "Home News Shop"),
        ("<header>Only a header</header>", "Only a header"),
        ("plain", "plain"),
        ("", ""),
        ("<p></p>", ""),
        ("<frameset><frame src=x></frameset>", ""),
    ],
)
def test_a_page_that_shows_text_has_a_main_text(html: str, text: str) -> None:
    assert text_of(html) == text


def test_the_packs_own_selector_wins() -> None:
    html = f"<main>{PROSE * 5}</main><div class=story>One <b>two</b></div><div class=story>3</div>"
    assert text_of(html, ".story") == "One two\n3"


def test_a_selector_that_finds_nothing_leaves_the_finding_to_us() -> None:
    assert text_of(f"<main>{PROSE}</main><p class=story> </p>", ".story") == PROSE.strip()


def test_deep_pages_end_the_search() -> None:
    assert text_of("<div>" * 300 + PROSE) == PROSE.strip()

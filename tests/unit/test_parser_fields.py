from __future__ import annotations

import json
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawler.parser.field_types import MAX_KEYWORD_CHARS, convert
from crawler.parser.fields import MAX_VALUES, FieldFinder
from crawler.parser.json_ld import MAX_NODES, json_ld_nodes, json_ld_values
from crawler.parser.metadata import Metas
from shared.contracts.domain_pack import Field, FieldRule

RECIPE = {
    "@context": "https://schema.org",
    "@graph": [
        {"@type": "WebPage", "name": "Page", "isPartOf": {"@type": "WebSite", "name": "Site"}},
        {
            "@type": ["Recipe", "NewsArticle"],
            "name": "Soup",
            "author": [{"@type": "Person", "name": "Ann"}, {"@type": "Person", "name": "Bob"}],
            "image": {"@id": "https://example.org/soup.jpg"},
            "recipeIngredient": ["Salt", "Water", "Salt"],
            "cookTime": {"@value": 20},
            "nutrition": {"calories": None},
        },
    ],
}
HTML = f"""
<meta property="og:title" content="OG Soup"><meta property="og:title" content="Second">
<meta name="Keywords" content="soup">
<script type="Application/LD+JSON">{json.dumps(RECIPE)}</script>
<script type="application/ld+json">{{broken</script>
<h1>Soup  <b>of</b> the day</h1><p class=price data-price="4.50">4,50 €</p>
<ul><li>one<li>two<li>one</ul>
"""


def find(text: str = "", html: str = HTML, **fields: Field) -> dict[str, Any]:
    tree = LexborHTMLParser(html)
    return FieldFinder(tree, Metas(tree), text).find(fields)


def field(*rules: dict[str, str], **more: Any) -> Field:
    return Field(rules=[FieldRule(**rule) for rule in rules], **more)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"css": "h1"}, "Soup of the day"),
        ({"css": ".price", "attribute": "data-price"}, "4.50"),
        ({"css": "li"}, "one"),
        ({"json_ld": "Recipe.name"}, "Soup"),
        ({"json_ld": "NewsArticle.name"}, "Soup"),
        ({"json_ld": "Recipe.author.name"}, "Ann"),
        ({"json_ld": "Recipe.author"}, "Ann"),
        ({"json_ld": "Recipe.image"}, "https://example.org/soup.jpg"),
        ({"json_ld": "WebSite.name"}, "Site"),
        ({"json_ld": "recipeIngredient"}, "Salt"),
        ({"open_graph": "OG:title"}, "OG Soup"),
        ({"meta": "keywords"}, "soup"),
        ({"regex": r"(\d+) minutes"}, "20"),
        ({"regex": r"\d+ minutes"}, "20 minutes"),
    ],
)
def test_each_kind_of_rule(rule: dict[str, str], value: str) -> None:
    assert find("Takes 20 minutes", found=field(rule)) == {"found": value}


@pytest.mark.parametrize(
    "rule",
    [
        {"css": ".nothing"},
        {"css": "h1", "attribute": "title"},
        {"json_ld": "Recipe.nothing"},
        {"json_ld": "Recipe.nutrition.calories"},
        {"json_ld": "Recipe.name.deeper"},
        {"open_graph": "og:nothing"},
        {"meta": "nothing"},
        {"regex": "nothing"},
    ],
)
def test_a_rule_that_finds_nothing_leaves_the_field_out(rule: dict[str, str]) -> None:
    assert find("text", found=field(rule)) == {}


def test_the_first_rule_that_finds_something_wins() -> None:
    rules = ({"css": ".nothing"}, {"regex": "(Takes)"}, {"json_ld": "Recipe.name"})
    assert find("Takes", first=field(*rules)) == {"first": "Takes"}


def test_a_value_of_another_type_counts_as_not_found() -> None:
    rules = ({"css": "h1"}, {"json_ld": "Recipe.cookTime"})
    assert find(minutes=field(*rules, type="integer")) == {"minutes": 20}


def test_many_takes_all_of_the_winning_rule_once_each() -> None:
    assert find(
        items=field({"css": "li"}, many=True),
        names=field({"json_ld": "Recipe.author.name"}, many=True),
        parts=field({"json_ld": "Recipe.recipeIngredient"}, many=True),
    ) == {"items": ["one", "two"], "names": ["Ann", "Bob"], "parts": ["Salt", "Water"]}


def test_many_ends_somewhere() -> None:
    html = "".join(f"<li>{number}" for number in range(MAX_VALUES + 10))
    assert len(find(html=html, items=field({"css": "li"}, many=True))["items"]) == MAX_VALUES


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", " a \n b ", "a b"),
        ("text", "a\x00b\ud800", "ab"),
        ("text", " ", None),
        ("text", 5, "5"),
        ("keyword", "x" * 5000, "x" * MAX_KEYWORD_CHARS),
        ("number", "1,234.50 €", 1234.5),
        ("number", "1.234,50 €", 1234.5),
        ("number", "EUR 3,5", 3.5),
        ("number", "1,234", 1234.0),
        ("number", "1.5", 1.5),
        ("number", "1 234 567", 1234567.0),
        ("number", "1'234.5", 1234.5),
        ("number", "-2.5e3", -2500.0),
        ("number", 7, 7.0),
        ("number", "1e999", None),
        ("number", "none", None),
        ("number", True, None),
        ("integer", "42 pieces", 42),
        ("integer", 4.0, 4),
        ("integer", "4.5", None),
        ("integer", "99999999999999999999", None),
        ("boolean", "Yes", True),
        ("boolean", False, False),
        ("boolean", "maybe", None),
        ("date", "2024-02-03", "2024-02-03"),
        ("date", "2024-02-03T04:05:06Z", "2024-02-03T04:05:06+00:00"),
        ("date", "Sat, 03 Feb 2024 04:05:06 GMT", "2024-02-03T04:05:06+00:00"),
        ("date", "20240203", "2024-02-03"),
        ("date", "yesterday", None),
        ("date", "", None),
    ],
)
def test_types(kind: str, given: Any, value: Any) -> None:
    assert convert(given, kind) == value


def test_raw_newlines_in_json_ld_are_tolerated() -> None:
    html = '<script type="application/ld+json">{"@type": "A", "name": "x\ny"}</script>'
    assert json_ld_values(json_ld_nodes(LexborHTMLParser(html)), "A.name") == ["x\ny"]


@pytest.mark.parametrize(
    ("script", "nodes"),
    [
        ("[" * 100_000 + "]" * 100_000, 0),
        ("[" + "{}," * (MAX_NODES + 10) + "{}]", MAX_NODES),
        ('"text"', 0),
        ("", 0),
    ],
)
def test_hostile_json_ld_ends_somewhere(script: str, nodes: int) -> None:
    html = f'<script type="application/ld+json">{script}</script>'
    assert len(json_ld_nodes(LexborHTMLParser(html))) == nodes

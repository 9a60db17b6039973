from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from crawler.url.normalizer import normalize
from crawler.url.scope import decide
from shared.contracts.domain_pack import DomainPack
from shared.contracts.domain_pack_loader import (
    default_pack,
    is_default_pack_name,
    load_pack,
    load_packs,
)
from shared.contracts.domain_pack_schema import SCHEMA_FILE, schema_text
from shared.errors import DomainPackError

GOOD = """
name: recipes
description: A site of recipes
seeds: [https://recipes.example/, "https://www.recipes.example/new"]
sitemaps: [https://cdn.example/map.xml]
scope:
  hosts: [recipes.example, "*.recipes.example"]
  allow: ["^/recipes/"]
  deny: ["[?&]print="]
  max_depth: 5
politeness: {delay_seconds: 0.5}
recrawl: {gone_strikes: 1}
main_text: article
fields:
  minutes:
    type: integer
    required: true
    rules:
      - json_ld: Recipe.totalTime
      - css: .time
        attribute: data-minutes
      - regex: '(\\d+) minutes'
"""


def load(tmp_path: Path, text: str, name: str = "pack.yaml") -> DomainPack:
    path = tmp_path / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_pack(path)


def error(tmp_path: Path, text: str) -> str:
    with pytest.raises(DomainPackError) as broken:
        load(tmp_path, text)
    return str(broken.value).replace(f"{tmp_path}/", "")


def test_reads_a_whole_pack(tmp_path: Path) -> None:
    pack = load(tmp_path, GOOD)
    assert pack.name == "recipes"
    assert pack.scope.max_depth == 5
    assert pack.politeness.delay_seconds == 0.5
    assert [rule.json_ld for rule in pack.fields["minutes"].rules] == ["Recipe.totalTime", "", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nscope:\n  hosts: [a]\n  max_dept: 3\n",
         "pack.yaml:4: scope.max_dept: unknown key; did you mean max_depth?"),
        ("name: x\nscope:\n  hosts: [a]\n  max_depth: deep\n",
         "pack.yaml:4: scope.max_depth: Expected `int`, got `str`"),
        ("name: x\nscope:\n  hosts: [a]\n  max_depth: -1\n",
         "pack.yaml:4: scope.max_depth: Expected `int` >= 0"),
        ("name: x\nscope:\n  hosts: []\n",
         "pack.yaml:3: scope.hosts: Expected `array` of length >= 1"),
        ("name: x\n", "pack.yaml:1: Object missing required field `scope`"),
        ("name: X Y\nscope: {hosts: [a]}\n", "pack.yaml:1: name: Expected `str` matching regex"),
        ("- x\n", "pack.yaml:1: Expected `object`, got `array`"),
        ("", "pack.yaml:1: Expected `object`, got `null`"),
        ("name: x\nscope: {hosts: [a]}\nfields:\n  Bad:\n    rules: [{css: a}]\n",
         "pack.yaml:4: fields.Bad: Expected `str` matching regex"),
        (("name: x\nscope: {hosts: [a]}\nfields:\n  good:\n    rules: [{css: a}]\n"
         "  bad:\n    rules:\n      - {css: a}\n      - {css: 1}\n"),
         "pack.yaml:9: fields.bad.rules[1].css: Expected `str`, got `int`"),
        ("name: x\nscope: {hosts: [a]}\nfields: []\n",
         "pack.yaml:3: fields: Expected `object`, got `array`"),
        ("name: [1,\n", "pack.yaml:2: expected the node content, but found '<stream end>'"),
        ("name: x\nname: y\n", 'pack.yaml:2: found duplicate key "name"'),
        ("name: x\n\tscope: y\n", "pack.yaml:2: found character '\\t'"),
        ("name: !!python/object:os.system x\n", "pack.yaml:1: could not determine a constructor"),
        ("name: host-x\nscope: {hosts: [a]}\n", "pack.yaml:1: name: names that begin with 'host-'"),
    ],
)  # fmt: skip
def test_names_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    assert error(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("seeds: [https://other.example/]",
         "seeds[0]: 'https://other.example/' is out of scope: other.example is not in scope.hosts"),
        ("seeds: [ftp://a.example/]", "seeds[0]: 'ftp://a.example/' is not an http or https URL"),
        ("sitemaps: ['http://a.example:x/']", "sitemaps[0]: 'http://a.example:x/' is not an http"),
        ("main_text: 'div['", "main_text: 'div[' is not a CSS selector"),
        ("recrawl: {min_interval_seconds: 99999}", "recrawl: min_interval_seconds <="),
        ("fields: {f: {rules: [{css: 'a['}]}}", "fields.f.rules[0].css: 'a[' is not a CSS"),
        ("fields: {f: {rules: [{regex: '(a'}]}}",
         "fields.f.rules[0].regex: '(a' is not a regular expression (RE2): missing )"),
        ("fields: {f: {rules: [{regex: '(?=a)'}]}}", "fields.f.rules[0].regex: '(?=a)' is not"),
        ("fields: {f: {rules: [{}]}}", "fields.f.rules[0]: exactly one of css, json_ld,"),
        ("fields: {f: {rules: [{css: a, meta: b}]}}",
         ("fields.f.rules[0]: exactly one of css, json_ld, open_graph, meta, regex must be set, "
         "not css and meta")),
        ("fields: {f: {rules: [{meta: a, attribute: b}]}}",
         "fields.f.rules[0].attribute: attribute goes with css only"),
        ("fields: {f: {rules: [{json_ld: 'a..b'}]}}", "fields.f.rules[0].json_ld: 'a..b' is not"),
    ],
)  # fmt: skip
def test_checks_what_types_cannot_say(tmp_path: Path, yaml: str, said: str) -> None:
    message = error(tmp_path, f"name: x\nscope: {{hosts: [a.example]}}\n{yaml}\n")
    assert message.startswith(f"pack.yaml:3: {said}")


@pytest.mark.parametrize(
    "host", ["A.example", "http://a.example", "a.example:80", "a.example/", "a..b", "*", "-a.b", ""]
)
def test_hosts_are_bare_names_in_lower_case(tmp_path: Path, host: str) -> None:
    message = error(tmp_path, f"name: x\nscope:\n  hosts: [good.example, '{host}']\n")
    assert message.startswith(f"pack.yaml:3: scope.hosts[1]: {host!r} is not a host name")


@pytest.mark.parametrize("kind", ["allow", "deny"])
def test_expressions_of_the_scope_must_compile(tmp_path: Path, kind: str) -> None:
    text = f"name: x\nscope:\n  hosts: [a]\n  {kind}:\n    - ^/ok\n    - '*'\n"
    assert error(tmp_path, text).startswith(f"pack.yaml:6: scope.{kind}[1]: '*' is not a regular")


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    message = error(tmp_path, "name: x\nscope: {hosts: [A], deny: ['(']}\nmain_text: '['\n")
    assert len(message.splitlines()) == 3


def test_aliases_are_refused_before_they_multiply(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "pack.yaml:2: aliases (*a0) are not allowed" in error(tmp_path, "\n".join(lines))


def test_deep_nesting_and_long_files_are_refused(tmp_path: Path) -> None:
    assert "nested deeper" in error(tmp_path, "[" * 10_000)
    assert "longer than" in error(tmp_path, "# x\n" * 300_000)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DomainPackError, match=r"cannot read .*nowhere\.yaml: No such file"):
        load_pack(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(DomainPackError, match=r"latin\.yaml is not UTF-8"):
        load_pack(tmp_path / "latin.yaml")


def test_loads_a_directory_by_name(tmp_path: Path) -> None:
    load(tmp_path, "name: one\nscope: {hosts: [a]}\n", "b.yaml")
    load(tmp_path, "name: two\nscope: {hosts: [a]}\n", "a.yml")
    (tmp_path / "notes.txt").write_text("no pack")
    assert set(load_packs(tmp_path)) == {"one", "two"}


def test_two_packs_of_one_name_are_an_error(tmp_path: Path) -> None:
    load(tmp_path, "name: one\nscope: {hosts: [a]}\n", "a.yaml")
    load(tmp_path, "name: one\nscope: {hosts: [b]}\n", "b.yaml")
    with pytest.raises(DomainPackError, match=r"b\.yaml: the name 'one' is already taken by .*a\."):
        load_packs(tmp_path)


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DomainPackError, match="is not a directory of domain packs"):
        load_packs(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("seed", "host"),
    [
        ("https://Example.org:8443/a", "example.org"),
        ("http://example.org./", "example.org"),
        ("http://[::1]:80/", "[::1]"),
        ("http://127.0.0.1:8080/x", "127.0.0.1"),
    ],
)
def test_a_seed_without_a_pack_gets_its_host_and_ten_thousand_pages(seed: str, host: str) -> None:
    pack = default_pack(seed)
    assert (pack.scope.hosts, pack.scope.max_pages) == ([host], 10_000)
    assert decide(pack, normalize(seed), 0).allowed
    assert is_default_pack_name(pack.name)
    assert default_pack(seed) == pack


def test_hosts_that_look_alike_get_packs_of_different_names() -> None:
    assert default_pack("http://a-b.org").name != default_pack("http://a.b.org").name


def test_a_seed_without_a_host_gets_no_pack() -> None:
    with pytest.raises(DomainPackError, match="is not an http or https URL"):
        default_pack("mailto:x@example.org")


def test_the_schema_for_editors_is_current() -> None:
    command = "python -m shared.contracts.domain_pack_schema"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), f"run: {command}"


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"scop": {}}, False),
        ({"scope": {"hosts": []}}, False),
        ({"fields": {"Bad": {"rules": [{"css": "a"}]}}}, False),
        ({"fields": {"good": {"rules": [{"css": "a"}], "type": "number"}}}, True),
    ],
)
def test_the_schema_says_what_the_loader_says(change: dict[str, Any], valid: bool) -> None:
    pack = {"name": "x", "scope": {"hosts": ["a.example"]}, **change}
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert validator.is_valid(pack) is valid


DOCUMENTATION = Path(__file__).parents[2] / "docs" / "domain-packs.md"


def test_the_example_of_the_documentation_is_a_pack(tmp_path: Path) -> None:
    example = DOCUMENTATION.read_text(encoding="utf-8").partition("```yaml\n")[2]
    pack = load(tmp_path, example.partition("```")[0])
    assert set(pack.fields) == {"minutes", "ingredients", "author", "image"}


def test_every_key_is_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    parts = json.loads(schema_text())["$defs"].values()
    keys = {key for part in parts for key in part["properties"]}
    assert [key for key in sorted(keys) if f"`{key}" not in text] == []

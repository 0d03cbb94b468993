# SPDX-License-Identifier: Apache-2.0
"""An entry is added and removed in files of any form, and no other byte changes."""

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.harness.yaml_splice import MARK, SpliceError, Text

AUTH = {"auth_url": "http://127.0.0.1:5000/v3", "password": "a: #b"}
ENTRY = {"auth": AUTH, "region_name": "R"}
LONG = "x" * 300

UNCHANGED = {
    "empty": "",
    "comment": "# only",
    "other-keys": "cache: 1\n",
    "indented": "  cache: 1\n  more: 2\n",
    "windows": "\ufeff# ä\r\nclouds:\r\n  work: {a: 1}\r\n",
    "no-line-end": "clouds:\n    work:\n        a: 1",
    "long-lines": f"clouds:\n  work:\n    a: '{LONG} {LONG}'\n    b: {LONG}   # {LONG}\n",
    "odd-quotes": 'clouds:\n  "work":   {"a" : \'1\',}\n  b: !!str 2\n',
    "block-of-text": "clouds:\n  work: |+\n    a\n\n\n# end\n",
    "anchors": "x: &x {a: 1}\nclouds: &c\n  work: {<<: *x}\nagain: *c\n",
    "recursion": "a: &a [*a]\nclouds:\n  work: 1\n",
    "unknown-tags": "clouds:\n  work: !secret\n    a: !b 1\n",
    "not-a-number": "clouds:\n  work: .nan\n",
    "directive": "%YAML 1.1\n---\nclouds:\n  work: 1\n...\n",
    "empty-flow": "clouds: {}\n",
    "flow": "clouds: {work: {a: 1}}\ncache: 1\n",
    "flow-of-lines": "clouds: {  # mine\n   work: {}\n}\n",
    "sparse": "clouds:\n\n\n  # first\n\n  work: 1\n\n\n\ncache: 2\n",
    "lists": "clouds:\n  work:\n  - a\n  - b\n",
    "key-twice-elsewhere": "a: 1\na: 2\nclouds:\n  work: 1\n",
}


@pytest.mark.parametrize("name", ["one", "1", "true", "2026-01-01", "1e3", "0x1f", "null"])
@pytest.mark.parametrize("text", UNCHANGED.values(), ids=UNCHANGED)
def test_after_an_entry_is_added_and_removed_the_text_is_the_same(text: str, name: str) -> None:
    there = Text(text, "clouds").with_entry(name, ENTRY)
    assert there.value(name, "auth", "auth_url") == AUTH["auth_url"]
    assert there.is_marked(name)
    assert there.without(name).text == text
    with contextlib.suppress(yaml.constructor.ConstructorError):
        assert yaml.safe_load(there.text)["clouds"][name] == ENTRY


def test_a_mapping_without_a_value_becomes_an_empty_one() -> None:
    there = Text("clouds:  # mine\ncache: 1\n", "clouds").with_entry("one", ENTRY)
    assert there.without("one").text == "clouds: {}  # mine\ncache: 1\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("clouds:\n  a: 1\n  one: {x: 1}  # c\n\n  b: 2\n", "clouds:\n  a: 1\n\n  b: 2\n"),
        ("clouds:\n  one: 1\n  # of b\n  b: 2\n", "clouds:\n  # of b\n  b: 2\n"),
        ("clouds:\n  one:\n    x: 1\n", "clouds: {}\n"),
        ("clouds: {a: 1, one: {x: 1}}\n", "clouds: {a: 1}\n"),
        ("clouds: {one: {x: 1}, b: 1}\n", "clouds: {b: 1}\n"),
    ],
)
def test_an_entry_in_another_style_can_be_removed(text: str, left: str) -> None:
    assert Text(text, "clouds").without("one").text == left


@pytest.mark.parametrize("text", ["? clouds\n: a: 1\n", "---\n", "clouds: &x {a: 1}\n"])
def test_a_text_that_cannot_be_changed_as_text_is_refused(text: str) -> None:
    with pytest.raises(SpliceError, match="cannot be changed as text"):
        Text(text, "clouds").with_entry("one", ENTRY)


def test_a_mark_on_another_line_is_ignored() -> None:
    text = Text(f"clouds:\n  work:\n    a: 1  {MARK}\n  {MARK}\n", "clouds")
    assert not text.is_marked("work")


# Any file -----------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
FILES = st.builds(
    lambda content, clouds, style: yaml.safe_dump(
        {**content, "clouds": clouds}, allow_unicode=True, sort_keys=False, **style
    ),
    st.dictionaries(WORDS, VALUES, max_size=3),
    st.dictionaries(WORDS, VALUES, min_size=1, max_size=4),
    st.fixed_dictionaries(
        {
            "default_flow_style": st.sampled_from([True, False, None]),
            "default_style": st.sampled_from(["'", '"', "|", ">", None]),
            "indent": st.integers(2, 8),
            "width": st.integers(20, 200),
            "explicit_start": st.booleans(),
            "line_break": st.sampled_from(["\n", "\r\n"]),
        }
    ),
)


@given(text=FILES)
def test_any_file_is_changed_by_the_entry_alone_or_refused(text: str) -> None:
    before = Text(text, "clouds")
    try:
        there = before.with_entry("one", ENTRY)
    except SpliceError:
        return
    expected = yaml.safe_load(text)
    expected["clouds"]["one"] = ENTRY
    assert yaml.safe_load(there.text) == expected
    assert there.without("one").text == text

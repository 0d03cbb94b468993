# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.profiles.settings."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.profiles import settings
from bsdgate.harness.profiles.model import Profile

GOOD = """\
name: mine
description: A cluster
release: "2026.2"
nodes:
  source: local
services:
  keystone: {}
concurrency: 2
"""


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    """Return the problems of a profile, without the directory of its file."""
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigurationError) as caught:
        settings.read(path, Profile)
    assert str(path) in str(caught.value)
    lines = caught.value.problems or [caught.value.message]
    return [line.removeprefix(f"{path}:") for line in lines]


def test_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    profile = settings.read(path, Profile)
    assert (profile.nodes.source, list(profile.services)) == ("local", ["keystone"])
    assert profile.timeouts.test == 300


# Changes of GOOD, and the resulting problems.
MISTAKES = [
    (
        ("concurrency: 2", "concurrenci: 2"),
        "1:1: the key concurrency is missing in the file",
        "8:1: unknown key concurrenci; did you mean concurrency? (allowed: boards, concurrency, ",
    ),
    (
        ("source: local", "source: locl"),
        "5:3: nodes: 'locl' is not known; did you mean local? (allowed: local, qemu, static, zuul)",
    ),
    (
        ("source: local", "source: zuul\n  nodesett: x"),
        "5:3: the key nodeset is missing in nodes",
        "6:3: unknown key nodes.nodesett; did you mean nodeset? (allowed: nodeset, source)",
    ),
    (
        ("keystone: {}", "keystoen: {}"),
        "7:3: services.keystoen: 'keystoen' is not known; did you mean keystone? (allowed: gl",
    ),
    (
        ('release: "2026.2"', "release: 2026.2"),
        "3:10: release: 2026.2: a text was expected; put it in quotes",
    ),
    (
        ("concurrency: 2", "concurrency: 0"),
        "8:14: concurrency: 0: Input should be greater than or equal to 1",
    ),
    (
        ("concurrency: 2", "concurrency: 2\nconcurrency: 4"),
        "9:1: duplicate key concurrency, first in line 8",
    ),
    (
        ("concurrency: 2", "concurrency: 2\nexcludes:\n- tests: '('\n  reason: short"),
        "10:10: excludes.0.tests: '(': not a regular expression: missing ), ",
        "11:11: excludes.0.reason: 'short': String should have at least 10 characters",
    ),
    (
        ("keystone: {}", "keystone: {options: {DEFAULT: {debug: [1]}}}"),
        "7:41: services.keystone.options.DEFAULT.debug: not true, false, a number or a string",
    ),
    (("concurrency: 2", "concurrency: 2\n? [a]\n: 1"), "9:3: a key must be a word"),
    (
        ("concurrency: 2", "concurrency: 2026-02-30"),
        "8:14: concurrency: '2026-02-30': Input should be a valid integer",
    ),
    (
        ("nodes:\n  source: local", "nodes: local"),
        "4:8: nodes: 'local': ",
    ),
    (
        ("name: mine", "name: mine\nboards: [5]"),
        "2:10: boards.0: 5: a mapping with the keys name, architecture, power, boot, con",
    ),
]


@pytest.mark.parametrize(("change", "expected"), [(each[0], each[1:]) for each in MISTAKES])
def test_each_problem_is_listed_with_its_place(
    tmp_path: Path, change: tuple[str, str], expected: tuple[str, ...]
) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    starts = [line[: len(want)] for line, want in zip(found, expected, strict=True)]
    assert starts == list(expected)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("local", "locl").replace("concurrency: 2", "concurrency: many\nx: 1\nx: 2")
    assert [line.split(": ")[0] for line in problems(tmp_path, text)] == [
        "5:3",
        "8:14",
        "9:1",
        "10:1",
    ]


@pytest.mark.parametrize("text", ["", "[]", "text", "--- 1\n--- 2\n", b"\xff\xfe\x00", "a: \0"])
def test_other_content_than_a_profile_is_refused(tmp_path: Path, text: str | bytes) -> None:
    assert problems(tmp_path, text)


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent.yaml: cannot be read: No such file"):
        settings.read(tmp_path / "absent.yaml", Profile)


@given(text=st.text(max_size=60), line=st.integers(min_value=0, max_value=8))
def test_any_text_is_read_or_refused(
    text: str, line: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No file of a user causes a traceback."""
    lines = GOOD.splitlines()
    lines.insert(line, text)
    path = tmp_path_factory.mktemp("p") / "p.yaml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ConfigurationError):
        settings.read(path, Profile)

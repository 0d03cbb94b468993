# SPDX-License-Identifier: Apache-2.0
"""bsdgate.results.checked_yaml, with a dataclass; profiles are read with a pydantic model."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ConfigDict

from bsdgate.results.checked_yaml import VALUES_BOUND, Document


@dataclass(frozen=True)
class Disk:
    __pydantic_config__ = ConfigDict(extra="forbid")

    size: int


@dataclass(frozen=True)
class Machine:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    disks: tuple[Disk, ...] = ()


def read(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return Document(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    document = read(tmp_path, text)
    _, wrong = document.validate(Machine, document.data)
    return [str(one).removeprefix(f"{document.file}:") for one in wrong]


def test_a_dataclass_is_read(tmp_path: Path) -> None:
    document = read(tmp_path, "# a comment\nname: x\ndisks: [{size: 5}]\n")
    machine, wrong = document.validate(Machine, document.data)
    assert (machine, wrong) == (Machine("x", (Disk(5),)), [])
    assert document.problem(("disks", 0, "size"), "").line == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nme: x",
            ["1:1: the key name is missing in the file", "1:1: unknown key nme; did you me"],
        ),
        (
            "name: x\ndisks:\n- sze: 1",
            [
                "3:3: the key size is missing in disks.0",
                "3:3: unknown key disks.0.sze; did you mean size? (allowed: size)",
            ],
        ),
        ("name: x\ndisks: [7]", ["2:9: disks.0: 7: a mapping with the keys size was expected"]),
        ("[]", ["1:1: the file: a mapping with the keys name, disks was expected"]),
        ("name: 15.1", ["1:7: name: 15.1: a text was expected; put it in quotes"]),
    ],
)
def test_problems_have_the_place_the_value_and_the_allowed_keys(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    starts = zip(problems(tmp_path, text), expected, strict=True)
    assert [line[: len(want)] for line, want in starts] == expected


@pytest.mark.parametrize("text", ["name: [", "a: ]", "a: \0", "a: !unknown b"])
def test_a_file_that_is_not_yaml_is_one_problem(tmp_path: Path, text: str) -> None:
    document = read(tmp_path, text)
    assert not document.readable
    (problem,) = document.problems
    assert problem.text.startswith("not YAML: ")


LAUGHS = "\n".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9) if number else 'x'}]"
    for number in range(12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("a: &a [*a]", "nested too deeply"),
        (LAUGHS, f"more than {VALUES_BOUND} values"),
    ],
    ids=["brackets", "dashes", "alias of itself", "aliases of aliases"],
)
def test_depth_and_size_are_limited(tmp_path: Path, text: str, message: str) -> None:
    document = read(tmp_path, text)
    assert [problem.text for problem in document.problems] == [f"not YAML: {message}"]
    assert document.data is None

# SPDX-License-Identifier: Apache-2.0
"""The matrix of versions: the file, and the problems of a run. No test depends on today's date."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.profiles import matrix, releases, settings
from bsdgate.results.codes import Code

FREEBSD = {"version": "15.1", "end_of_life": date(2027, 3, 31), "default": True}
TESTED = {"architectures": ["amd64"], "releases": ["2026.2"]}
OPENSTACK = {"release": "2026.2", "end_of_life": date(2028, 3, 30)}
NODE = {"architecture": "amd64", "freebsd": "15.1", "freebsd_branch": "RELEASE"}


def use(
    monkeypatch: pytest.MonkeyPatch, path: Path, *freebsd: dict[str, Any], **openstack: Any
) -> None:
    """Replace the matrix by one with these versions of FreeBSD."""
    content = {"freebsd": list(freebsd), "openstack": [OPENSTACK | openstack]}
    path.write_text(yaml.safe_dump(content))
    made = settings.read(path, matrix.Matrix)
    monkeypatch.setattr(matrix, "load", lambda: made)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "matrix.yaml"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Use a matrix of 15.1 (tested), stable/15, main and 14.9, which is tested for longer."""
    later = {"version": "14.9", "end_of_life": date(2027, 6, 30), **TESTED}
    stable = {"version": "stable/15", "end_of_life": date(2029, 12, 31), **TESTED}
    main = {"version": "main", "end_of_life": None, **TESTED}
    use(monkeypatch, file, FREEBSD | TESTED, later, stable, main)


def found(today: str, **facts: str) -> list[tuple[Code, str]]:
    problems = matrix.problems(NODE | facts, "2026.2", date.fromisoformat(today))
    return [(each.code, each.text) for each in problems]


# The file that comes with bsdgate -----------------------------------------------------------


def test_the_versions_of_the_file_have_a_default_that_is_tested() -> None:
    assert matrix.default() in matrix.versions()
    entry = next(each for each in matrix.load().freebsd if each.default)
    assert entry.architectures
    assert entry.releases
    assert entry.end_of_life == matrix.end_of_life(entry.version) is not None


def test_every_release_has_constraints_and_an_end_of_life() -> None:
    assert {each.release for each in matrix.load().openstack} == set(releases.names())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"end_of_life": "2027-03-32"}, "end_of_life: '2027-03-32': Input should be a valid date"),
        ({"end_of_life": "2027-03-31"}, "end_of_life: '2027-03-31': Input should be a valid date"),
        ({"end_of_life": datetime(2027, 3, 31, 12, tzinfo=UTC)}, "Input should be a valid date"),
        ({"end_of_life": 20270331}, "end_of_life: 20270331: Input should be a valid date"),
        (
            {"architectures": ["sparc64"]},
            "'sparc64' is not known; did you mean arm64? (allowed: amd64, arm64)",
        ),
        ({"version": 15.1}, "15.1: a text was expected; put it in quotes"),
        ({"version": "15"}, "freebsd.0.version: '15': String should match pattern"),
        ({"version": "15.1-RELEASE"}, "String should match pattern"),
        ({"releases": ["2031.1"]}, "releases without an entry in openstack: 2031.1"),
        ({"default": False}, "0 versions of FreeBSD are the default; one must be"),
        ({"until": 1}, "unknown key freebsd.0.until"),
    ],
)
def test_a_wrong_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, file: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        use(monkeypatch, file, FREEBSD | TESTED | wrong)
    assert message in "\n".join(refused.value.problems)


def test_a_missing_date_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        use(monkeypatch, file, {"version": "15.1", "default": True})
    assert "the key end_of_life is missing in freebsd.0" in refused.value.problems[0]


def test_a_version_is_listed_once(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        use(monkeypatch, file, FREEBSD, FREEBSD | {"default": False})
    assert "more than one entry for 15.1" in refused.value.problems[0]


def test_one_version_is_the_default(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        use(monkeypatch, file, FREEBSD, FREEBSD | {"version": "15.2"})
    assert "2 versions of FreeBSD are the default; one must be" in refused.value.problems[0]


# Versions and dates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "branch", "name"),
    [
        ("15.1", "RELEASE", "15.1"),
        ("15.1", "STABLE", "stable/15"),
        ("15.2", "PRERELEASE", "stable/15"),
        ("16.0", "CURRENT", "main"),
        ("15.2", "RC1", "15.2-RC1"),
    ],
)
def test_a_version_has_a_name_in_the_matrix(number: str, branch: str, name: str) -> None:
    assert matrix.name(number, branch) == name


@pytest.mark.parametrize(
    ("version", "end"),
    [("15.1", date(2027, 3, 31)), ("main", None), ("15.2-RC1", None)],
)
def test_the_end_of_life_of_a_version(small: None, version: str, end: date | None) -> None:
    assert matrix.end_of_life(version) == end


@pytest.mark.parametrize(
    ("today", "codes"),
    [
        ("2027-01-29", []),
        ("2027-01-30", [Code.END_OF_LIFE_NEAR]),
        ("2027-03-31", [Code.END_OF_LIFE_NEAR]),
        ("2027-04-01", [Code.END_OF_LIFE]),
        ("2028-03-30", [Code.END_OF_LIFE_NEAR, Code.END_OF_LIFE]),
        ("2028-03-31", [Code.END_OF_LIFE, Code.END_OF_LIFE]),
    ],
)
def test_the_day_of_the_run_decides(small: None, today: str, codes: list[Code]) -> None:
    assert date(2027, 3, 31) - date(2027, 1, 30) == timedelta(days=60)
    assert [code for code, _ in found(today)] == codes


def test_the_message_has_the_version_the_date_and_the_next_step(small: None) -> None:
    assert found("2027-04-01") == [
        (
            Code.END_OF_LIFE,
            "FreeBSD 15.1 reached its end of life on 2027-03-31: use FreeBSD 14.9",
        )
    ]
    assert found("2027-03-31") == [
        (
            Code.END_OF_LIFE_NEAR,
            "FreeBSD 15.1 reaches its end of life on 2027-03-31: use FreeBSD 14.9 after that day",
        )
    ]
    assert found("2027-07-01")[0][1].endswith("use FreeBSD of a later version")


def test_a_node_with_another_system_has_only_a_release(small: None) -> None:
    facts = {"architecture": "amd64", "system": "Linux 6.1"}
    assert matrix.problems(facts, "2026.2", date(2028, 1, 29)) == []
    (near,) = matrix.problems(facts, "2026.2", date(2028, 1, 30))
    (past,) = matrix.problems(facts, "2026.2", date(2028, 3, 31))
    assert (near.code, past.code) == (Code.END_OF_LIFE_NEAR, Code.END_OF_LIFE)
    assert past.text == (
        "OpenStack 2026.2 reached its end of life on 2028-03-30:"
        " choose a profile with a later OpenStack release"
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"freebsd": "15.7"},
        {"freebsd_branch": "RC1"},
        {"architecture": "arm64"},
    ],
)
def test_an_untested_version_is_noted(small: None, facts: dict[str, str]) -> None:
    ((code, text),) = found("2026-11-28", **facts)
    assert code is Code.NOT_IN_MATRIX
    assert "is not in the matrix of tested versions: use FreeBSD " in text
    assert text.endswith(", or add it to harness/releases/matrix.yaml")


@pytest.mark.parametrize("branch", ["STABLE", "CURRENT"])
def test_a_branch_has_a_date_of_its_own_or_none(small: None, branch: str) -> None:
    assert found("2028-01-01", freebsd_branch=branch) == []


def test_facts_of_an_earlier_bsdgate_are_of_a_release(small: None) -> None:
    facts = {"architecture": "amd64", "freebsd": "15.1"}
    (past,) = matrix.problems(facts, "2026.2", date(2027, 4, 1))
    assert past.code is Code.END_OF_LIFE


def test_a_past_version_without_tests_has_one_problem(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    use(monkeypatch, file, FREEBSD)
    assert [code for code, _ in found("2027-04-01")] == [Code.END_OF_LIFE]
    assert [code for code, _ in found("2027-03-31")] == [Code.END_OF_LIFE_NEAR, Code.NOT_IN_MATRIX]

# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from lint import structure

HASH = " \\\n    --hash=sha256:00\n"
PYPROJECT = """\
[project]
name = "bsdgate"
dependencies = ["PyYAML"]

[project.optional-dependencies]
services = ["keystone"]
cloud = ["bsdgate[services]"]

[dependency-groups]
linters = ["ruff"]
zuul = ["zuul>=14"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a checkout that keeps all rules."""
    for file, text in {
        "constraints/tools.txt": f"ruff==1{HASH}",
        "constraints/tox.txt": f"tox==4{HASH}",
        "constraints/zuul.txt": f"zuul==14{HASH}",
        "doc/source/jobs.rst": "``bsdgate-smoke`` runs the main job.\n",
        "harness/releases/2026.2.txt": f"keystone==29{HASH}pyyaml==6{HASH}",
        "harness/run.py": "class Run:\n    pass\n",
        "pyproject.toml": PYPROJECT,
        "src/bsdgate/__init__.py": "",
        "tempest_plugin/tests/test_api.py": "class TestApi:\n    pass\n",
        "tests/golden/projects/recorded.py": "\n" * 451,
        "zuul.d/jobs.yaml": "- job:\n    name: bsdgate-smoke\n",
    }.items():
        write(tmp_path / file, text)
    (tmp_path / "src" / "bsdgate" / "harness").symlink_to("../../harness")
    return tmp_path


def write(file: Path, text: str) -> None:
    """Write a file and create its directory."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def found(root: Path) -> list[str]:
    """Return what the check prints for a checkout."""
    return [str(finding) for finding in structure.check(root)]


def function(lines: int, docstring: str = "") -> str:
    """Return the source of a function with this number of lines and an additional docstring."""
    return "\n\ndef long():\n" + docstring + "    pass\n" * (lines - 1)


def test_a_checkout_that_keeps_the_rules_has_no_findings(root: Path) -> None:
    assert found(root) == []


@pytest.mark.parametrize(
    ("file", "text", "finding"),
    [
        (
            "harness/big.py",
            "\n" * 451,
            "harness/big.py:451: the module has 451 lines; 450 are the limit",
        ),
        (
            "tests/unit/test_long.py",
            function(46, '    """Have\n\n    a docstring."""\n'),
            "tests/unit/test_long.py:3: long has 46 lines; 45 are the limit",
        ),
        (
            "harness/nested.py",
            "if True:\n    class Box:\n        async def long():\n" + "            pass\n" * 45,
            "harness/nested.py:3: long has 46 lines; 45 are the limit",
        ),
        ("harness/utils.py", "", "harness/utils.py:1: name the module by what it does"),
        (
            "results/cases.py",
            "\nclass TestCase:\n    pass\n",
            "results/cases.py:2: TestCase is no test; do not name it like one",
        ),
        (
            "src/bsdgate/own.py",
            "",
            "src/bsdgate/own.py:1: code belongs in a folder that is linked here",
        ),
        (
            "constraints/tox.txt",
            f"tox==4{HASH}uv==1\n",
            "constraints/tox.txt:3: uv has no hash",
        ),
        (
            "constraints/tox.txt",
            f"tox==4{HASH}uv @ https://example.org/uv.whl{HASH}",
            "constraints/tox.txt:3: a file of pins names no host",
        ),
        (
            "harness/releases/2027.1.txt",
            f"PyYAML==7{HASH}",
            "harness/releases/2027.1.txt:1: keystone is in pyproject.toml and has no pin",
        ),
        (
            "constraints/tools.txt",
            f"mypy==1{HASH}",
            "constraints/tools.txt:1: ruff is in pyproject.toml and has no pin",
        ),
        (
            "constraints/zuul.txt",
            f"ansible==11{HASH}",
            "constraints/zuul.txt:1: zuul is in pyproject.toml and has no pin",
        ),
        (
            "zuul.d/jobs.yaml",
            "- project: {}\n- job:\n    name: bsdgate-gate\n",
            "zuul.d/jobs.yaml:3: the job bsdgate-gate is not in the documentation",
        ),
    ],
)
def test_a_broken_rule_is_found(root: Path, file: str, text: str, finding: str) -> None:
    write(root / file, text)
    assert found(root) == [finding]


@pytest.mark.parametrize("target", ["../../results", "../../tests"])
def test_a_link_to_another_directory_is_found(root: Path, target: str) -> None:
    (root / "src" / "bsdgate" / "results").symlink_to(target)
    message = "the link does not lead to the folder ../../results"
    assert found(root) == [f"src/bsdgate/results:1: {message}"]


def test_sizes_at_the_limit_are_allowed(root: Path) -> None:
    write(root / "harness" / "big.py", "\n" * 450)
    write(root / "harness" / "long.py", function(45, '    """Have a docstring."""\n'))
    assert found(root) == []


@pytest.mark.parametrize("file", ["tests/unit/utils.py", "tests/unit/test_box.py"])
def test_names_in_tests_are_not_checked(root: Path, file: str) -> None:
    write(root / file, "class TestBox:\n    pass\n")
    assert found(root) == []


@pytest.mark.parametrize(("findings", "status"), [([], 0), (["harness/a.py:1: wrong"], 1)])
def test_findings_are_printed_and_set_the_exit_status(
    findings: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(structure, "check", lambda root: findings)
    assert structure.main() == status
    assert capsys.readouterr().out == "".join(f"{finding}\n" for finding in findings)

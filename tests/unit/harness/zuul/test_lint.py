# SPDX-License-Identifier: Apache-2.0
"""bsdgate zuul lint: the command, with a program in place of the environment of Zuul."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bsdgate.harness.commands import zuul_files, zuul_lint
from bsdgate.harness.errors import InfrastructureError, UsageError

CHECKOUT = Path(__file__).parents[4]

Make = Callable[[str], Path]


@pytest.fixture
def python(tmp_path: Path) -> Make:
    """Return a function that makes an interpreter with these shell commands."""

    def make(text: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make


def test_problems_have_paths_in_the_checkout(
    python: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    found = zuul_lint.lint(CHECKOUT, python('echo "$3/zuul.d/base.yaml:1: wrong"; exit 1'))
    assert (found, capsys.readouterr().out) == (1, "zuul.d/base.yaml:1: wrong\n")


def test_without_problems_the_exit_code_is_0(python: Make) -> None:
    assert zuul_lint.lint(CHECKOUT, python("exit 0")) == 0


def test_files_that_are_not_up_to_date_are_a_problem(
    python: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zuul_files, "outdated", lambda _: {Path("zuul.d/generated.yaml"): ""})
    assert zuul_lint.lint(CHECKOUT, python("exit 0")) == 1


@pytest.mark.parametrize("text", ["echo broken >&2; exit 1", "echo broken >&2; exit 3"])
def test_a_program_that_fails_is_an_error(python: Make, text: str) -> None:
    with pytest.raises(InfrastructureError, match="failed:\n.*broken"):
        zuul_lint.lint(CHECKOUT, python(text))


def test_without_zuul_the_error_has_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no environment with Zuul") as error:
        zuul_lint.lint(CHECKOUT, tmp_path / "absent")
    assert "tox -e linters" in (error.value.hint or "")

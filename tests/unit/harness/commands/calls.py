# SPDX-License-Identifier: Apache-2.0
"""Calls of the command line in the process of the tests."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from bsdgate.harness.cli import main


class Ended(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


def caller(group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs a command of a group, such as ``bsdgate node``."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: Any) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bsdgate", group, *map(str, words)])
        ended = Ended(main(), *capsys.readouterr())
        assert "Traceback" not in ended.err
        return ended

    return run

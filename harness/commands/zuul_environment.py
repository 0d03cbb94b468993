# SPDX-License-Identifier: Apache-2.0
"""The environment of Zuul, in which programs of bsdgate run that use Zuul as a library.

It is not the environment of bsdgate: a directory with only the package bsdgate is on its path.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bsdgate
from bsdgate.harness import process
from bsdgate.harness.errors import UsageError


def find(python: Path | None) -> Path:
    """Return the interpreter: ``python``, or that of tox.

    :raises UsageError: there is no such interpreter.
    """
    interpreter = python or Path(sys.prefix).parent / "zuul" / "bin" / "python"
    if not interpreter.is_file():
        raise UsageError(
            f"there is no environment with Zuul: {interpreter} is missing",
            "run `tox -e linters`, which makes one, or give --python",
        )
    return interpreter.absolute()


def start(
    interpreter: Path,
    argv: Sequence[str | Path],
    folder: Path,
    stdout: Path | int,
    variables: Mapping[str, str] | None = None,
) -> process.Running:
    """Start a module with arguments, in the empty directory ``folder``, with more variables."""
    package = folder / "package"
    package.mkdir()
    (package / "bsdgate").symlink_to(Path(bsdgate.__file__).parent)
    return process.start(
        [interpreter, "-m", *argv],
        log=folder / "log",
        cwd=folder,
        env=process.environment(PYTHONPATH=str(package), **variables or {}),
        stdout=stdout,
    )

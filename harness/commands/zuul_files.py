# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate zuul generate``: write the files of jobs that follow from the matrix."""

from pathlib import Path

from bsdgate.harness import files
from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles import matrix
from bsdgate.harness.zuul import jobs


def generate(checkout: Path, check: bool) -> int:
    """Write the files that are not up to date, and print their paths; return the exit code.

    With ``check`` nothing is written, and the exit code is 1 if there is such a file.

    :raises UsageError: the directory is not a checkout of bsdgate.
    """
    old = outdated(checkout)
    for path, content in old.items():
        if check:
            print(f"{path}:1: not up to date with the matrix: {jobs.COMMAND}")
        else:
            with files.explain_errors(checkout / path):
                (checkout / path).write_text(content, encoding="utf-8")
            print(path)
    return 1 if check and old else 0


def outdated(checkout: Path) -> dict[Path, str]:
    """Return what the files that are not up to date have to contain, by their paths."""
    try:
        base = (checkout / jobs.BASE).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{checkout} is not a checkout of bsdgate: {jobs.BASE}: {error.strerror}",
            "give the checkout with --checkout",
        ) from error
    made = jobs.generated(matrix.load(), base)
    return {path: text for path, text in made.items() if _read(checkout / path) != text}


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None

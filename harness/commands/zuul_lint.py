# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate zuul lint``: check the Zuul files of a checkout of bsdgate."""

import tempfile
from pathlib import Path
from typing import Final

from bsdgate.harness.commands import zuul_environment, zuul_files
from bsdgate.harness.errors import InfrastructureError

PROGRAM: Final = "bsdgate.harness.zuul.lint"
TIMEOUT: Final = 120.0
"""The maximum number of seconds; Zuul is imported in two on an idle machine."""
_PROBLEMS: Final = 1


def lint(checkout: Path, python: Path | None) -> int:
    """Print the problems; return 1 if there is one, else 0.

    ``python`` is the interpreter of an environment with Zuul, by default that of tox.

    :raises UsageError: there is no such interpreter, or the directory is not a checkout.
    :raises InfrastructureError: the program failed.
    """
    interpreter = zuul_environment.find(python)
    drift = zuul_files.generate(checkout, check=True)
    with tempfile.TemporaryDirectory(prefix="bsdgate-") as folder:
        printed = Path(folder) / "stdout"
        started = zuul_environment.start(
            interpreter, [PROGRAM, checkout.absolute()], Path(folder), printed
        )
        with started as running:
            status = running.finish(TIMEOUT, check=False).exit_status
            text = printed.read_text(encoding="utf-8").replace(f"{checkout.absolute()}/", "")
            print(text, end="")
            if status not in {0, _PROBLEMS} or (status == _PROBLEMS and not text):
                raise InfrastructureError(
                    f"the program that checks the files failed:\n{running.last_lines()}",
                    "check that the environment has the Zuul of constraints/zuul.txt",
                )
    return max(drift, status)

# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of ``bsdgate reproduce``."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.options import HISTORY, ON, RUN_DIR, WITH


@click.command()
@click.argument("run_dir", type=RUN_DIR)
@click.option("--only-failed", is_flag=True, help="Run only the tests that failed.")
@click.option(
    "--until-fail",
    "tries",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Repeat until the run does not pass, at most N times.",
)
@WITH
@ON
@HISTORY
@click.option("--keep", is_flag=True, help="Leave the cloud running after the run.")
def reproduce(run_dir: Path, **options: Any) -> int:
    """Carry out the run in RUN_DIR again, and show what differs.

    The tests, their split over the workers and the order in each worker are the same. The order
    between workers depends on the time, and is not reproduced.
    """
    from bsdgate.harness.commands import reproduce as command

    return command.reproduce(run_dir, command.Reproduction(**options), Console())

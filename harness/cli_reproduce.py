# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of ``bsdgate reproduce``."""

from typing import Any

import click
from rich.console import Console

from bsdgate.harness.options import HISTORY, ON, WITH


@click.command()
@click.argument("source", metavar="RUN_DIR|BUILD_URL")
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
def reproduce(source: str, **options: Any) -> int:
    """Carry out a run again, and show what differs.

    RUN_DIR is a run directory, BUILD_URL the address of a build in Zuul.

    The tests, their split over the workers and the order in each worker are the same. The order
    between workers depends on the time, and is not reproduced.
    """
    from bsdgate.harness.commands import reproduce as command

    return command.reproduce(source, command.Reproduction(**options), Console())

# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of ``bsdgate hold``."""

import os
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.options import FILE


@click.command()
@click.argument("job", required=False)
@click.option(
    "--project",
    help="The project of the builds.",
    show_default="that of the newest build of the job",
)
@click.option(
    "--change",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Only builds for this change.",
    show_default="all builds of the project",
)
@click.option(
    "--count", default=1, type=click.IntRange(min=1), help="The number of failed builds to hold."
)
@click.option("--reason", default="bsdgate hold", help="Why the nodes are held, for the operators.")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    help="How long the nodes are kept.",
    show_default="the default of the Zuul",
)
@click.option("--list", "listed", is_flag=True, help="Only print the holds of the tenant.")
@click.option("--delete", metavar="ID", help="Delete a hold, and give its nodes back.")
@click.option("--zuul-url", required=True, metavar="URL", help="The address of the Zuul.")
@click.option("--tenant", required=True, help="The tenant of the job.")
@click.option(
    "--token-file",
    type=FILE,
    help="A file with the token, which only you can read.",
    show_default="the variable BSDGATE_ZUUL_TOKEN",
)
def hold(job: str | None, **options: Any) -> None:
    """Let Zuul keep the nodes of the next builds of JOB that fail.

    The token is in the variable BSDGATE_ZUUL_TOKEN, or in a file that only you can read. --list
    needs none if everyone may read the tenant.
    """
    from bsdgate.harness.commands import hold as command
    from bsdgate.harness.commands.holds import TOKEN, Holds, read_token

    if sum((job is not None, options["listed"], options["delete"] is not None)) != 1:
        raise click.UsageError("give JOB, --list or --delete")
    optional = options["listed"] and options["token_file"] is None and not os.environ.get(TOKEN)
    token = "" if optional else read_token(options["token_file"], os.environ)
    holds = Holds(options["zuul_url"], options["tenant"], token)
    if options["listed"]:
        command.show(holds, Console())
    elif options["delete"] is not None:
        command.delete(holds, options["delete"], Console())
    elif job is not None:
        names = ("project", "count", "reason", "hours")
        change = None if options["change"] is None else str(options["change"])
        given = {name: options[name] for name in names}
        command.add(holds, command.Wanted(job, change=change, **given), Console())

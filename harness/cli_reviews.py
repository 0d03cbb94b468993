# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of ``bsdgate vote`` and ``bsdgate listen``."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.options import FILE, RUN_DIR
from bsdgate.harness.parameters import ReviewParameter


@click.command()
@click.argument("runs", metavar="[RUN_DIR]...", nargs=-1, type=RUN_DIR)
@click.option(
    "--change", type=ReviewParameter(), help="The change and patchset of the runs: 912345,3."
)
@click.option("--gerrit", required=True, metavar="URL", help="The address of Gerrit.")
@click.option("--label", default="Verified", help="The label of the vote.")
@click.option("--comment-only", is_flag=True, help="Post a comment without a vote.")
@click.option(
    "--url", "urls", multiple=True, help="The address of the report, one for each RUN_DIR."
)
@click.option("--contact", default="", help="The address for questions about the review.")
@click.option("--wiki", default="", metavar="URL", help="The page about this CI.")
@click.option(
    "--credentials",
    type=FILE,
    help="A file in the format of netrc with the user and the password.",
    show_default="~/.netrc",
)
@click.option(
    "--retry-for",
    default=300.0,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to try again if Gerrit is not available.",
)
@click.option("--dry-run", is_flag=True, help="Only print the request.")
def vote(
    runs: tuple[Path, ...], change: tuple[str, str] | None, dry_run: bool, **options: Any
) -> int | None:
    """Post the verdicts of runs on a change as one review with a vote.

    Without RUN_DIR, post the reviews that an earlier command could not post.

    The user and the password are in the variables BSDGATE_GERRIT_USER and BSDGATE_GERRIT_PASSWORD,
    or in a file that only you can read.
    """
    from bsdgate.harness.commands import vote as command

    if bool(runs) != (change is not None) or (dry_run and not runs):
        raise click.UsageError("give RUN_DIR and --change, or neither")
    server = command.Server(options["gerrit"], options["credentials"], options["retry_for"])
    if change is None:
        return command.post_waiting(server, Console())
    content = command.Content(
        None if options["comment_only"] else options["label"],
        options["urls"],
        contact=options["contact"],
        wiki=options["wiki"],
    )
    if dry_run:
        command.show_request(runs, change, content, server.url, Console())
        return None
    return command.vote(runs, change, content, server, Console())


@click.command()
@click.option("--config", type=FILE, required=True, help="The settings of the listener, in YAML.")
@click.option("--check", is_flag=True, help="Only print whether the running listener is healthy.")
def listen(config: Path, check: bool) -> int:
    """Post a review on each change that Zuul has tested, until it is stopped.

    It listens to Zuul's messages on an MQTT broker, and polls Zuul's API. SIGTERM and Ctrl-C stop
    it; what is not posted yet is continued at the next start.
    """
    from bsdgate.harness.commands import listen as command

    if check:
        return command.check(config, Console())
    return command.listen(config, Console())

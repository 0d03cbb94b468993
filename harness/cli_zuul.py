# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of ``bsdgate zuul``."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.options import EXPECTATIONS, HISTORY, POLICY_OF, RUN_DIR
from bsdgate.harness.parameters import (
    ItemParameter,
    NodeAddressParameter,
    ProjectParameter,
    ReviewParameter,
    VariableParameter,
)

CHECKOUT = click.option(
    "--checkout",
    default=Path(),
    type=RUN_DIR,
    metavar="DIR",
    help="The checkout of bsdgate.",
    show_default="the current directory",
)

PYTHON = click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="The interpreter of an environment with Zuul.",
    show_default="that of tox",
)


@click.group()
def zuul() -> None:
    """Commands for the jobs of Zuul."""


@zuul.command()
@click.argument("run_dir", type=RUN_DIR)
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new directory for the files that the build publishes.",
)
@click.option(
    "--change", type=ReviewParameter(), help="The change and patchset of the build: 912345,3."
)
@click.option(
    "--item",
    "items",
    multiple=True,
    type=ItemParameter(),
    help="A change that was tested together with it: openstack/nova=912345,3. Can be repeated.",
)
@POLICY_OF
@EXPECTATIONS
@HISTORY
def collect(
    run_dir: Path,
    output: Path,
    change: tuple[str, str] | None,
    items: tuple[tuple[str, str, str], ...],
    **terms: Any,
) -> int:
    """Judge the run in RUN_DIR again, and write what its build publishes, without secrets.

    bsdgate/return.json in the output has the data for zuul_return.
    """
    from bsdgate.harness.commands import collect as command
    from bsdgate.harness.commands.verdict import Terms

    changes = command.Changes(change, items)
    return command.collect(run_dir, output, changes, Terms(**terms), Console())


@zuul.command()
@CHECKOUT
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not up to date.")
def generate(checkout: Path, check: bool) -> int:
    """Write the jobs and their page from the matrix of versions."""
    from bsdgate.harness.commands import zuul_files

    return zuul_files.generate(checkout, check)


@zuul.command()
@CHECKOUT
@PYTHON
def lint(checkout: Path, python: Path | None) -> int:
    """Check zuul.d, the playbooks and the example tenant with Zuul's parser.

    Also found: unknown labels, pipelines, semaphores and roles, missing playbooks, jobs that are
    not documented, and files that are not up to date with the matrix of versions.
    """
    from bsdgate.harness.commands import zuul_lint

    return zuul_lint.lint(checkout, python)


@zuul.command()
@click.argument("job")
@CHECKOUT
@PYTHON
@click.option(
    "--project",
    "projects",
    multiple=True,
    type=ProjectParameter(),
    help="A checkout, first that of the change; repeatable. NAME is the name of the project in the"
    " tenant.",
    show_default="NAME: that in .gitreview; no project: the build is one of bsdgate",
)
@click.option("--change", type=ReviewParameter(), help="The change of the build: 912345,3.")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    type=NodeAddressParameter(),
    metavar="NAME=ssh://USER@HOST[:PORT]",
    help="A node of the job's nodeset; repeatable. The node controller is this machine.",
)
@click.option(
    "--var",
    "variables",
    multiple=True,
    type=VariableParameter(),
    help="A site variable, which overrides the variables of the job; repeatable.",
)
@click.option("--pipeline", default="check", help="The pipeline of the build.")
@click.option("--branch", default="master", help="The branch of the build.")
@click.option(
    "--logs",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The directory below which the logs are published.",
    show_default="zuul-logs in the state directory",
)
@click.option("--keep", is_flag=True, help="Keep the directory of the build.")
@click.option("--dry-run", is_flag=True, help="Only print the job as Zuul would run it.")
def run(python: Path | None, **options: Any) -> int:
    """Run the playbooks of JOB as Zuul's executor does, without a Zuul.

    The node controller is this machine, in a directory of its own. The exit code is that of the
    verdict: 3 if the build has none.
    """
    from bsdgate.harness.commands import zuul_run

    for name in ("nodes", "variables"):
        options[name] = dict(options[name])
    return zuul_run.run(zuul_run.Build(**options), python)

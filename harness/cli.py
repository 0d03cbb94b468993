# SPDX-License-Identifier: Apache-2.0
"""The command line: parses the arguments, calls the function of a command, returns an exit code."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.cli_hold import hold
from bsdgate.harness.cli_images import image
from bsdgate.harness.cli_nodes import node
from bsdgate.harness.cli_reproduce import reproduce
from bsdgate.harness.cli_reviews import listen, vote
from bsdgate.harness.cli_zuul import zuul
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import DEFAULT_NAME, CloudName
from bsdgate.harness.commands import version
from bsdgate.harness.exit_codes import guarded
from bsdgate.harness.options import (
    EXPECTATIONS,
    FACTOR,
    FILE,
    FOLDER_OR_FILE,
    HISTORY,
    NAME,
    ON,
    OPTIONAL_NAME,
    POLICY,
    POLICY_OF,
    PROFILE,
    PROFILE_OF,
    RUN_DIR,
    SUITE_OF,
    WITH,
)
from bsdgate.harness.parameters import PortParameter, ReviewParameter

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "BSDGATE",
    "show_default": True,
}


@click.group(context_settings=CONTEXT)
@version.OPTION
def bsdgate() -> None:
    """CI harness and gate for OpenStack on FreeBSD.

    Every option has an environment variable: BSDGATE_UP_NAME for `up --name`.
    Exit codes: 0 pass, 1 tests failed, 2 usage or configuration, 3 infrastructure
    failed or evidence incomplete, 130 interrupted.
    """


@bsdgate.command()
@NAME
@PROFILE
@FACTOR
@WITH
@click.option("--port", type=PortParameter(), multiple=True, help="Use this port for a service.")
@ON
def up(
    name: CloudName,
    profile: str,
    timeout_factor: float | None,
    on: str | None,
    **given: Any,
) -> None:
    """Start a cloud with the real OpenStack services, on this machine or on a node."""
    from bsdgate.harness.commands import cloud, node_clouds
    from bsdgate.harness.profiles.load import load_local

    found, changes, ports = load_local(profile, timeout_factor), given["changes"], given["port"]
    if on is None:
        cloud.up(name, found, changes, dict(ports), Console())
    else:
        node_clouds.up(on, name, found, changes, ports=dict(ports), console=Console())


@bsdgate.command()
@OPTIONAL_NAME
@click.argument("run_dir", required=False, type=RUN_DIR)
@ON
def down(name: CloudName | None, run_dir: Path | None, on: str | None) -> None:
    """End a cloud, or the clouds of the run in RUN_DIR; remove the files of a killed cloud."""
    from bsdgate.harness.commands import cloud, node_clouds, run_clouds

    if run_dir is not None and on is not None:
        raise click.UsageError("give --on or RUN_DIR, not both: a run has its own node")
    if on is not None:
        node_clouds.down(on, name or DEFAULT_NAME, Console())
    elif run_dir is None:
        cloud.down(name or DEFAULT_NAME, Console())
    elif name is None:
        run_clouds.down(run_dir.absolute(), Console())
    else:
        raise click.UsageError("give --name or RUN_DIR, not both")


@bsdgate.command()
@OPTIONAL_NAME
@ON
def status(name: CloudName | None, on: str | None) -> None:
    """Show a cloud and its services; without --name, also the clouds that runs left behind."""
    from bsdgate.harness.commands import cloud, node_clouds

    if on is not None:
        ready = node_clouds.status(on, name or DEFAULT_NAME, Console())
    else:
        ready = cloud.status(name, Console())
    if not ready:
        raise click.exceptions.Exit(3)


@bsdgate.command()
@NAME
@click.option("-f", "--follow", is_flag=True, help="Also show new lines, until Ctrl-C.")
@click.option("-n", "--lines", default=20, type=click.IntRange(min=0), help="Last lines to show.")
@ON
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
def logs(
    name: CloudName, services: tuple[str, ...], follow: bool, lines: int, on: str | None
) -> None:
    """Show the services' logs."""
    from bsdgate.harness.commands import cloud, node_clouds

    if on is None:
        cloud.logs(name, services, follow, lines)
    else:
        node_clouds.logs(on, name, services, follow, lines)


@bsdgate.command()
@NAME
@click.argument("service", type=click.Choice(SERVICES))
def restart(name: CloudName, service: str) -> None:
    """Restart one service of a cloud."""
    from bsdgate.harness.commands import cloud

    cloud.restart(name, service, Console())


@bsdgate.command()
@NAME
def reset(name: CloudName) -> None:
    """Restore the initial state of a cloud: its data right after the start."""
    from bsdgate.harness.commands import cloud

    cloud.reset(name, Console())


@bsdgate.command()
@PROFILE
@click.option(
    "--suite",
    help="The suite: smoke, gate, nightly, rally-smoke, ironic-api.",
    show_default="the profile's",
)
@click.option("--tests", metavar="REGEX", help="Run only tests with an id that matches.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="Tests that run at the same time.",
    show_default="the profile's",
)
@FACTOR
@WITH
@click.option(
    "--change",
    "review",
    type=ReviewParameter(),
    help="The change under test, on the review server: 912345,3.",
)
@POLICY
@EXPECTATIONS
@HISTORY
@ON
@click.option("--keep", is_flag=True, help="Leave the cloud running after the run.")
@click.option("--cloud", metavar="NAME", help="Test a standing cloud, by its name in clouds.yaml.")
@click.option("--accounts", type=FILE, help="With --cloud: Tempest's accounts.yaml for the cloud.")
@click.option(
    "--prefix",
    help="With --cloud: the prefix of the names of all resources that the run creates.",
    show_default="one for this user, machine and state directory",
)
@click.option(
    "--allow-disruptive",
    is_flag=True,
    help="With --cloud: allow a suite that can disturb other users.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Resume a run that was interrupted, with its own settings.",
)
def run(resume: Path | None, keep: bool, history: str | None, **options: Any) -> int:
    """Run a suite against a new cloud or a standing one, and give a verdict."""
    from bsdgate.harness.commands import run as command
    from bsdgate.harness.pipeline import Options

    if resume is None:
        return command.new(Options(keep=keep, history=history, **options), Console())
    if options["expectations"]:
        raise click.UsageError("--expectations is for a new run: a resumed run has its own files")
    return command.again(resume.absolute(), keep, history, Console())


@bsdgate.command()
@click.argument("run_dir", required=False, type=RUN_DIR)
@click.option("--asked", type=FILE, help="Ids of all tests that had to run, one per line.")
@click.option("--subunit", type=FILE, multiple=True, help="A subunit v2 stream; repeatable.")
@click.option("--junit", type=FILE, multiple=True, help="A JUnit XML report; repeatable.")
@click.option("--rally", type=FILE, multiple=True, help="A Rally task report; repeatable.")
@click.option(
    "--rally-task", type=FILE, multiple=True, help="The task file of a report; repeatable."
)
@POLICY_OF
@EXPECTATIONS
@HISTORY
@click.option("--json", "as_json", is_flag=True, help="Print the whole verdict as JSON.")
def verdict(
    run_dir: Path | None, policy: str | None, history: str | None, expectations: Any, **more: Any
) -> int:
    """Judge the run in RUN_DIR again, or files that bsdgate did not record."""
    from bsdgate.harness.commands import verdict as command

    terms, as_json = command.Terms(policy, history, expectations), more.pop("as_json")
    if any(more.values()) == (run_dir is not None):
        raise click.UsageError("give RUN_DIR, or evidence by --subunit, --junit, --rally")
    if run_dir is not None:
        return command.of_run(run_dir, terms, as_json, Console())
    return command.of_files(command.Files(**more), terms, as_json, Console())


@bsdgate.command()
@click.argument("run_dir", type=RUN_DIR)
@POLICY_OF
@EXPECTATIONS
@HISTORY
def report(run_dir: Path, **terms: Any) -> int:
    """Judge the run in RUN_DIR again and write its reports."""
    from bsdgate.harness.commands import verdict as command

    return command.report(run_dir, command.Terms(**terms), Console())


@bsdgate.group(invoke_without_command=True)
@HISTORY
@SUITE_OF
@PROFILE_OF
@click.option("-n", "--limit", default=20, type=click.IntRange(min=1), help="Runs to show.")
@click.pass_context
def history(
    context: click.Context,
    history: str | None,
    suite: str | None,
    profile: str | None,
    limit: int,
) -> None:
    """List earlier runs; with a command, import, show or delete runs."""
    from bsdgate.harness.commands import history as command
    from bsdgate.harness.history import open_store
    from bsdgate.results.store.base import RunFilter

    given = _given(context, "suite", "profile", "limit")
    if context.invoked_subcommand is not None and given:
        raise click.UsageError(
            f"--{given[0]} before {context.invoked_subcommand} is an option of the list of runs;"
            " put it after the command, if the command has this option"
        )
    store = context.with_resource(open_store(history, make=context.invoked_subcommand == "import"))
    context.obj = store
    if context.invoked_subcommand is None:
        command.show_runs(store, RunFilter(suite=suite, profile=profile), limit, Console())


def _given(context: click.Context, *names: str) -> list[str]:
    """Return the options in ``names`` that are on the command line."""
    there = click.core.ParameterSource.COMMANDLINE
    return [name for name in names if context.get_parameter_source(name) is there]


@history.command("import")
@click.argument(
    "folders", metavar="RUN_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.pass_obj
def history_import(store: Any, folders: tuple[Path, ...]) -> int:
    """Add runs to the history; it is safe to add a run again."""
    from bsdgate.harness.commands import history as command

    return command.import_runs(store, folders, Console())


@history.command("show")
@click.argument("run")
@click.pass_obj
def history_show(store: Any, run: str) -> None:
    """Show one run of the history. RUN is the run's name or id, or the beginning of either."""
    from bsdgate.harness.commands import history as command

    command.show_run(store, run, Console())


@history.command("test")
@SUITE_OF
@PROFILE_OF
@click.option("-n", "--limit", default=60, type=click.IntRange(min=1), help="Runs to look at.")
@click.argument("regex")
@click.pass_obj
def history_test(
    store: Any, regex: str, suite: str | None, profile: str | None, limit: int
) -> None:
    """Show the outcomes of tests with an id that matches REGEX, a mark for each run."""
    from bsdgate.harness.commands import history as command
    from bsdgate.results.store.base import RunFilter

    command.show_test(store, regex, RunFilter(suite=suite, profile=profile), limit, Console())


@history.command("forget")
@click.option("--days", default=365, type=click.IntRange(min=1), help="Days to keep a run.")
@click.pass_obj
def history_forget(store: Any, days: int) -> None:
    """Delete older runs from the history."""
    from bsdgate.harness.commands import history as command

    command.forget(store, days, Console())


@bsdgate.group()
def expectations() -> None:
    """Check files of known failures, and propose new entries."""


@expectations.command()
@click.argument("paths", metavar="[FILE|FOLDER]...", nargs=-1, type=FOLDER_OR_FILE)
def check(paths: tuple[Path, ...]) -> int:
    """List all problems in files of known failures, by default in bsdgate's files."""
    from bsdgate.harness.commands import expectations as command

    return command.check(paths)


@expectations.command("import")
@click.argument("paths", metavar="CHECKOUT|LIST...", nargs=-1, type=FOLDER_OR_FILE, required=True)
def import_(paths: tuple[Path, ...]) -> None:
    """Print the tests in FreeBSD CI's xfail lists, as entries to be completed."""
    from bsdgate.harness.commands import expectations as command

    command.import_lists(paths)


@expectations.command()
def propose() -> None:
    """Print tests that Tempest and its plugins mark as unstable, as entries to be completed."""
    from bsdgate.harness.commands import expectations as command

    command.propose()


@bsdgate.command()
@click.option("--profile", "profiles", multiple=True, help="Repeatable.", show_default="all")
@click.option("--suite", "suites", multiple=True, help="Repeatable.", show_default="nightly")
@click.option("--list", "listed", type=FILE, help="The output of `tempest run --list-tests`.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write HTML, too.")
def scorecard(
    profiles: tuple[str, ...], suites: tuple[str, ...], listed: Path | None, html: Path | None
) -> None:
    """Show for each profile which installed tests run, are skipped or are left out."""
    from bsdgate.harness.commands import scorecard as command

    command.show(profiles, suites, listed, html)


@bsdgate.command()
@HISTORY
@SUITE_OF
@PROFILE_OF
@click.option(
    "-n",
    "--limit",
    default=400,
    type=click.IntRange(min=30),
    help="Runs to read of each suite and profile.",
)
@click.option(
    "--share",
    default=0.05,
    type=click.FloatRange(min=0),
    help="Smallest relative change reported.",
)
@click.option(
    "--seconds", default=0.05, type=click.FloatRange(min=0), help="Smallest change in seconds."
)
@click.argument("prefix", default="")
def trends(history: str | None, limit: int, prefix: str, **options: Any) -> None:
    """Show the tests, workloads and actions that became slower or faster.

    PREFIX is the beginning of a test's id, of a Rally workload's name, or of WORKLOAD/ACTION.
    """
    from bsdgate.harness.commands import trends as command
    from bsdgate.harness.history import open_store
    from bsdgate.results.store.base import JUDGED, RunFilter
    from bsdgate.results.trends import Thresholds

    thresholds = Thresholds(options.pop("share"), options.pop("seconds"))
    run_filter = RunFilter(changed=False, results=JUDGED, **options)
    with open_store(history, make=False) as store:
        series = command.remembered(store, run_filter, limit, prefix)
    command.show(series, Console(), thresholds)


@bsdgate.command()
@PROFILE
@ON
def doctor(profile: str, on: str | None) -> int:
    """List what this machine or a node has and lacks for a profile; change nothing."""
    from bsdgate.harness.commands import doctor as command
    from bsdgate.harness.profiles.load import load_local

    return command.show(on, load_local(profile), Console())


@bsdgate.command(hidden=True)
def installation() -> None:
    """Print the version and the paths of this bsdgate as JSON, for a controller."""
    from bsdgate.harness.nodes.installation import Installation

    click.echo(Installation.own().dump())


bsdgate.add_command(image)
bsdgate.add_command(node)
bsdgate.add_command(reproduce)
bsdgate.add_command(vote)
bsdgate.add_command(listen)
bsdgate.add_command(zuul)
bsdgate.add_command(hold)


def main() -> int:
    """Run the command line and return its exit code."""
    return guarded(lambda: bsdgate(standalone_mode=False))

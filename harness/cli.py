# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments in, one function called, an exit code out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate import harness
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import DEFAULT_NAME
from bsdgate.harness.errors import Interrupted
from bsdgate.results.errors import BsdgateError

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "BSDGATE",
    "show_default": True,
}

PORTS = range(1, 65536)

NAME = click.option("--name", default=DEFAULT_NAME, help="Name of the cloud.")

PROFILE = click.option(
    "--profile", default="embedded", help="Cluster profile: a name, or a YAML file."
)

WITH = click.option(
    "--with",
    "changes",
    multiple=True,
    metavar="PROJECT=SOURCE",
    help="Use a checkout (PATH), git+URL@REF or VERSION of a project; repeatable.",
)


@click.group(context_settings=CONTEXT)
@click.version_option(harness.version(), prog_name="bsdgate")
def bsdgate() -> None:
    """CI harness and gate for OpenStack on FreeBSD.

    Every option can be given in the environment: BSDGATE_UP_NAME for `up --name`.
    Exit codes: 0 pass, 1 tests failed, 2 usage or configuration, 3 infrastructure
    failed or evidence incomplete, 130 interrupted.
    """


class _Port(click.ParamType[tuple[str, int]]):
    name = "SERVICE=PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        service, _, port = str(value).partition("=")
        if service not in SERVICES:
            self.fail(f"no service {service!r}; choose among {', '.join(SERVICES)}", param, ctx)
        if not port.isdecimal() or int(port) not in PORTS:
            self.fail(f"{port!r} is no port; give a number from 1 to 65535", param, ctx)
        return service, int(port)


@bsdgate.command()
@NAME
@PROFILE
@WITH
@click.option("--port", type=_Port(), multiple=True, help="Fix a service's port.")
def up(
    name: str, profile: str, changes: tuple[str, ...], port: tuple[tuple[str, int], ...]
) -> None:
    """Start a real OpenStack on this machine."""
    from bsdgate.harness.commands import cloud

    cloud.up(name, profile, changes, dict(port), Console())


@bsdgate.command()
@NAME
def down(name: str) -> None:
    """End a cloud, or clean up after one that was killed."""
    from bsdgate.harness.commands import cloud

    cloud.down(name, Console())


@bsdgate.command()
@NAME
def status(name: str) -> None:
    """Show a cloud and its services."""
    from bsdgate.harness.commands import cloud

    if not cloud.status(name, Console()):
        raise click.exceptions.Exit(3)


@bsdgate.command()
@NAME
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written.")
@click.option("-n", "--lines", default=20, type=click.IntRange(min=0), help="Lines to begin with.")
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
def logs(name: str, services: tuple[str, ...], follow: bool, lines: int) -> None:
    """Show the services' logs."""
    from bsdgate.harness.commands import cloud

    cloud.logs(name, services, follow, lines)


@bsdgate.command()
@NAME
@click.argument("service", type=click.Choice(SERVICES))
def restart(name: str, service: str) -> None:
    """Restart one service of a cloud."""
    from bsdgate.harness.commands import cloud

    cloud.restart(name, service, Console())


@bsdgate.command()
@NAME
def reset(name: str) -> None:
    """Put a cloud back to how it was when it came up."""
    from bsdgate.harness.commands import cloud

    cloud.reset(name, Console())


@bsdgate.command()
@PROFILE
@click.option("--suite", default="smoke", help="Which tests: smoke, gate, nightly, rally-smoke.")
@click.option("--tests", metavar="REGEX", help="Only the suite's tests in whose id it is found.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="Tests at a time.",
    show_default="the profile's",
)
@WITH
@click.option("--keep", is_flag=True, help="Leave the cloud running afterwards.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Go on with a run that was stopped; takes the other settings from it.",
)
def run(resume: Path | None, keep: bool, changes: tuple[str, ...], **options: Any) -> int:
    """Run a suite against a cloud of its own and give a verdict."""
    from bsdgate.harness.commands import run as command
    from bsdgate.harness.pipeline import Options

    if resume is None:
        return command.new(Options(keep=keep, changes=changes, **options), Console())
    return command.again(resume.absolute(), keep, Console())


def main() -> int:
    """Run the command line and return its exit code."""
    return _guarded(lambda: bsdgate(standalone_mode=False))


def _guarded(run: Callable[[], Any]) -> int:
    try:
        return run() or 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return Interrupted.exit_code
    except BsdgateError as error:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(
            f"bsdgate: {error}"
        )
        return error.exit_code

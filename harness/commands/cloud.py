# SPDX-License-Identifier: Apache-2.0
"""Commands for a cloud of ``bsdgate up``: up, status, logs, restart, reset, down."""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bsdgate.harness import clouds_yaml, folders, paths, process
from bsdgate.harness.cloud import templates
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.service import SERVICES, distributions, example
from bsdgate.harness.cloud.spec import DEFAULT_NAME, CloudName, Limits
from bsdgate.harness.commands import node_connections, run_clouds
from bsdgate.harness.commands.boot_display import BootDisplay
from bsdgate.harness.environments import changes, environment
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.profiles import boards
from bsdgate.harness.profiles.load import service_options
from bsdgate.harness.profiles.model import Profile

_STATE_STYLES = {"serving": "green", "ready": "green"}


def home(name: CloudName) -> Path:
    """Return the directory of the cloud ``name``."""
    return paths.state() / "clouds" / name


def up(
    name: CloudName,
    profile: Profile,
    texts: Sequence[str],
    ports: Mapping[str, int],
    console: Console,
) -> None:
    """Start a cloud that outlives this command, and print how to use it.

    ``texts`` are the changes under test, in the form of ``--with``.
    """
    file = check_up(name, profile, ports)
    wanted = changes.parse_all(texts, profile.release)
    python = environment.prepare(
        wanted,
        profile.release,
        paths.cache(),
        console.print,
        profile.factor,
        needed=distributions(profile.services),
    ).python
    with BootDisplay(console) as display:
        cloud = Cloud.start(
            home(name),
            name=name,
            python=python,
            templates=templates.default().root,
            services=profile.services,
            ports=ports,
            options=service_options(profile),
            nodes=boards.nodes(profile.boards),
            limits=Limits(profile.limits.start, profile.limits.stop),
            on_event=display,
        )
    seconds = _hand_over(cloud, name, file)
    console.print(
        f"[green]ready[/] in {seconds:.1f} s: cloud [bold]{name}[/]"
        f" (logs in {cloud.directory / 'logs'}, entry in {file})",
        highlight=False,
        soft_wrap=True,
    )
    command = f"OS_CLOUD={name} {client(python)} {example(profile.services)}"
    console.print(f"\n    {command}\n", highlight=False, soft_wrap=True)
    console.print(f"`{_ourselves(name, 'down')}` ends the cloud.", highlight=False, soft_wrap=True)


def check_up(name: CloudName, profile: Profile, ports: Mapping[str, int]) -> Path:
    """Check all that can be known before a cloud starts; return the clouds.yaml for its entry.

    :raises UsageError: the name is in use, or the cloud lacks a service for which a port is given.
    """
    folders.tighten(*paths.by_default())
    _check_ports(profile, ports)
    file = clouds_yaml.path()
    clouds_yaml.check(file, name)
    node_connections.refuse_connected(name)
    return file


def _check_ports(profile: Profile, ports: Mapping[str, int]) -> None:
    """Raise UsageError if a port is given for a service that the profile does not have."""
    if absent := sorted(set(ports) - set(profile.services)):
        raise UsageError(
            f"--port is given for {', '.join(absent)}, but profile {profile.name} does not have it",
            f"give --port only for {', '.join(profile.services)}",
        )


def _hand_over(cloud: Cloud, name: CloudName, file: Path) -> float:
    """Add a ready cloud to clouds.yaml, and detach it; return the seconds that its start took.

    :raises InfrastructureError: the cloud has ended meanwhile; ``file`` has no entry for it.
    """
    try:
        entry = cloud.clouds_yaml_entry()
        clouds_yaml.put(file, name, entry)
        try:
            seconds = float(cloud.status().get("seconds", 0))
            cloud.detach()
        except BaseException:
            clouds_yaml.drop(file, name, clouds_yaml.url_of(entry))
            raise
    except BaseException:
        cloud.stop()
        raise
    return seconds


def client(python: Path) -> str:
    """Return the shell command of OpenStack's client: the name if it is on PATH, else the path."""
    beside = python.parent / "openstack"
    found = shutil.which("openstack") or not beside.exists()
    return "openstack" if found else shlex.quote(str(beside))


def _ourselves(name: CloudName, command: str) -> str:
    program = "bsdgate" if shutil.which("bsdgate") else shlex.quote(sys.argv[0])
    return f"{program} {command}" + ("" if name == DEFAULT_NAME else f" --name {name}")


def down(name: CloudName, console: Console) -> None:
    """End a cloud and remove its files, also if the cloud was killed."""
    cloud = Cloud(home(name))
    if not cloud.directory.exists():
        raise UsageError(f"there is no cloud {name!r}{_known()}", "start one with `bsdgate up`")
    state = cloud.status()["state"]
    url = _url(cloud)
    cloud.stop()
    cloud.clean()
    console.print(f"cloud {name} was {state}, now it is removed", highlight=False)
    clouds_yaml.drop(clouds_yaml.path(), name, url)


def _url(cloud: Cloud) -> str:
    try:
        return clouds_yaml.url_of(cloud.clouds_yaml_entry())
    except (InfrastructureError, KeyError, TypeError):
        return ""


def status(name: CloudName | None, console: Console) -> bool:
    """Show a cloud and its services; return whether it is ready.

    Without a name, show the cloud with the default name, and the clouds that runs left behind.
    """
    try:
        return _show(name or DEFAULT_NAME, console)
    finally:
        if name is None:
            run_clouds.show(console)


def _show(name: CloudName, console: Console) -> bool:
    state = existing(name).status()
    show_state(f"cloud {name}", state, console)
    return bool(state["state"] == "ready")


def show_state(title: str, state: Mapping[str, Any], console: Console) -> None:
    """Print a table of a cloud's services."""
    style = _STATE_STYLES.get(state["state"], "red")
    table = Table(title=f"{title}: [{style}]{state['state']}[/]", title_justify="left")
    for column in ("service", "state", "pid", "url", "log"):
        table.add_column(column, overflow="fold")
    for service, each in state["services"].items():
        what = each["state"]
        if each["exit_status"] is not None:
            what += f" (status {each['exit_status']})"
        style = _STATE_STYLES.get(each["state"], "red")
        table.add_row(
            service, f"[{style}]{what}[/]", str(each["pid"] or ""), each["url"], each["log"]
        )
    console.print(table)


def logs(name: CloudName, services: Sequence[str], follow: bool, lines: int) -> None:
    """Show the services' logs: this process is replaced by the ``tail`` of the system."""
    folder = existing(name).directory / "logs"
    unknown = [service for service in services if not (folder / f"{service}.log").exists()]
    if unknown:
        known = ", ".join(sorted(log.stem for log in folder.glob("*.log")))
        raise UsageError(f"there is no log of {', '.join(unknown)}", f"choose from {known}")
    every = [service for service in SERVICES if (folder / f"{service}.log").exists()]
    chosen = [str(folder / f"{service}.log") for service in services or every]
    process.become(["tail", *(["-F"] if follow else []), "-n", str(lines), *chosen])


def reset(name: CloudName, console: Console) -> None:
    """Restore the initial state of a cloud."""
    cloud = existing(name)
    with console.status("Resetting …"):
        cloud.reset()
    console.print(f"cloud {name} has its initial state again", highlight=False)


def restart(name: CloudName, service: str, console: Console) -> None:
    """Restart one service of a cloud."""
    cloud = existing(name)
    with console.status(f"Restarting {service} …"):
        cloud.restart(service)
    console.print(f"{service} of cloud {name} was restarted", highlight=False)


def existing(name: CloudName) -> Cloud:
    """Return the cloud with a name; raise UsageError if there is none."""
    cloud = Cloud(home(name))
    if not (cloud.directory / "lock").exists():
        raise UsageError(f"there is no cloud {name!r}{_known()}", "start one with `bsdgate up`")
    return cloud


def _known() -> str:
    folder = paths.state() / "clouds"
    names = sorted(each.parent.name for each in folder.glob("*/lock"))
    return f" (there is {', '.join(names)})" if names else ""

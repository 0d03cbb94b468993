# SPDX-License-Identifier: Apache-2.0
"""Clouds on another machine (``--on``): up, down, status, logs."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bsdgate.harness import clouds_yaml, files, folders
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.service import SERVICES, example
from bsdgate.harness.cloud.spec import CloudName
from bsdgate.harness.commands import cloud
from bsdgate.harness.commands.boot_display import BootDisplay
from bsdgate.harness.commands.node_connections import (
    ENTRY,
    address_of,
    command_for,
    connected,
    end_cloud,
    folder_of,
    forget,
)
from bsdgate.harness.deployments import table
from bsdgate.harness.deployments.embedded import HOST, Embedded
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.base import Node, ignore, report_factor
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.specs import LastingSpec
from bsdgate.harness.nodes.ssh import KEPT
from bsdgate.harness.profiles.model import Profile


def up(
    on: str,
    name: CloudName,
    profile: Profile,
    texts: Sequence[str],
    *,
    ports: Mapping[str, int],
    console: Console,
) -> None:
    """Start a cloud on a node, and keep its ports forwarded to this machine."""
    spec = specs.parse_lasting(on)
    file = cloud.check_up(name, profile, ports)
    _refuse_local(name)
    here = folder_of(name)
    folders.make(here)
    needs, report = table.needs_of(profile, texts), _reporter(console)
    made = table.remote_node(spec, profile, here, here, needs=needs, report=report)
    with _undone(name), contextlib.closing(made) as node:
        node.connect()
        report_factor(node.factor, report)
        deployment = Embedded(node, profile, texts, name=name, ports=ports, home=_home(node, name))
        deployment.install(report)
        with BootDisplay(console) as display, _ended(deployment):
            entry = deployment.start(display).entry
            _hand_over(deployment, name, entry, file)
    console.print(
        f"[green]ready[/]: cloud [bold]{name}[/] on {spec} (entry in {file})",
        highlight=False,
        soft_wrap=True,
    )
    command = f"OS_CLOUD={name} {cloud.client(Path(sys.executable))} {example(profile.services)}"
    console.print(f"\n    {command}\n", highlight=False, soft_wrap=True)
    console.print(
        f"`{command_for(name, 'down', spec)}` ends the cloud.", highlight=False, soft_wrap=True
    )


def down(on: str, name: CloudName, console: Console) -> None:
    """End a cloud on a node; remove its files on this machine even if the node does not answer."""
    spec = specs.parse_lasting(on)
    address = address_of(spec, name)
    kept = KeptConnection.load(folder_of(name) / KEPT)
    if kept is not None and kept.url != str(address):
        raise UsageError(
            f"the cloud {name} of this machine is on {kept.on}, not on {spec}",
            f"end it with `{command_for(name, 'down', kept.on)}`",
        )
    try:
        with connected(address) as node:
            state = end_cloud(node, str(_home(node, name)))
    finally:
        forget(name, kept)
    if state is None:
        raise UsageError(
            f"there is no cloud {name!r} on {spec}",
            f"start a cloud with `{command_for(name, 'up', spec)}`",
        )
    console.print(f"cloud {name} on {spec} was {state}, now it is removed", highlight=False)


def status(on: str, name: CloudName, console: Console) -> bool:
    """Show a cloud on a node; return whether it is ready."""
    spec = specs.parse_lasting(on)
    with connected(address_of(spec, name)) as node:
        state = _existing(node, name, spec)
    cloud.show_state(f"cloud {name} on {spec}", state, console)
    kept = KeptConnection.load(folder_of(name) / KEPT)
    if kept is None or not kept.alive():
        console.print("the cloud's ports are not forwarded to this machine", highlight=False)
    return bool(state["state"] == "ready")


def logs(on: str, name: CloudName, services: Sequence[str], follow: bool, lines: int) -> None:
    """Show logs of a cloud on a node, by ``tail`` on the node."""
    spec = specs.parse_lasting(on)
    with connected(address_of(spec, name)) as node:
        known = _existing(node, name, spec)["logs"]
        unknown = [service for service in services if service not in known]
        if unknown:
            raise UsageError(
                f"there is no log of {', '.join(unknown)}", f"choose from {', '.join(known)}"
            )
        folder = _home(node, name) / "logs"
        every = [service for service in SERVICES if service in known]
        chosen = [folder / f"{service}.log" for service in services or every]
        argv: list[str | Path] = ["tail", *(["-F"] if follow else []), "-n", str(lines), *chosen]
        with node.start(argv, log=node.log, stdout=sys.stdout.fileno()) as running:
            if running.wait():
                raise running.failure("failed")


def _reporter(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line."""

    def report(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return report


def _refuse_local(name: CloudName) -> None:
    if Cloud(cloud.home(name)).alive():
        raise UsageError(
            f"a cloud named {name} is up already, on this machine",
            "end it with `bsdgate down`, or give the new one another name (--name)",
        )


def _home(node: Node, name: CloudName) -> Path:
    """Return the directory of a cloud on the node."""
    return Path(node.remote(HOST).call("home", ignore, name=name))


def _existing(node: Node, name: CloudName, spec: LastingSpec) -> dict[str, Any]:
    folder = str(_home(node, name))
    state: dict[str, Any] | None = node.remote(HOST).call("status", ignore, folder=folder)
    if state is None:
        raise UsageError(
            f"there is no cloud {name!r} on {spec}",
            f"start a cloud with `{command_for(name, 'up', spec)}`",
        )
    return state


@contextlib.contextmanager
def _undone(name: CloudName) -> Iterator[None]:
    """If the block fails, remove the files of the cloud on this machine."""
    try:
        yield
    except BaseException:
        forget(name, KeptConnection.load(folder_of(name) / KEPT))
        raise


@contextlib.contextmanager
def _ended(deployment: Embedded) -> Iterator[None]:
    """If the block fails, end and remove the cloud on the node."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(InfrastructureError, UsageError):
            deployment.close()
        raise


def _hand_over(deployment: Embedded, name: CloudName, entry: Mapping[str, Any], file: Path) -> None:
    reached = clouds_yaml.url_of(entry)
    files.write_atomically(folder_of(name) / ENTRY, json.dumps({"url": reached}).encode())
    clouds_yaml.put(file, name, entry)
    try:
        if not deployment.keep():
            raise InfrastructureError(f"the cloud {name} has ended", "start it again")
    except BaseException:
        clouds_yaml.drop(file, name, reached)
        raise

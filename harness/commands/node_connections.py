# SPDX-License-Identifier: Apache-2.0
"""Connections to nodes that outlive a command, and the end of the clouds on these nodes.

A directory in the state directory has two files for each cloud of ``up --on``: the connection that
forwards the ports, and the URL in the entry of clouds.yaml.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bsdgate.harness import clouds_yaml, paths
from bsdgate.harness.cloud.spec import DEFAULT_NAME, CloudName
from bsdgate.harness.deployments.embedded import HOST
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import Node, ignore
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.qemu.boot import LOGS as GUEST_LOGS
from bsdgate.harness.nodes.qemu.guest import Guest
from bsdgate.harness.nodes.specs import LastingSpec
from bsdgate.harness.nodes.ssh import KEPT, LOG, SshNode

ENTRY: Final = "entry.json"
"""The file with the URL in the entry of clouds.yaml."""


def folder_of(name: CloudName) -> Path:
    """Return the directory, on this machine, for a cloud on a node."""
    return paths.state() / "connections" / f"up-{name}"


@contextlib.contextmanager
def connected(address: Address, run: Path | None = None) -> Iterator[SshNode]:
    """Connect to a node for a command; ``run`` is the run directory of the cloud, if it has one."""
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bsdgate-")))
        node = stack.enter_context(contextlib.closing(SshNode(address, run or logs, logs)))
        node.connect()
        yield node


def refuse_connected(name: CloudName) -> None:
    """Raise UsageError if ports of a cloud with this name are forwarded from a node."""
    kept = KeptConnection.load(folder_of(name) / KEPT)
    if kept is not None and kept.alive():
        raise UsageError(
            f"a cloud named {name} is up already, on {kept.on}",
            f"end it with `{command_for(name, 'down', kept.on)}`, or give the new one another name"
            " (--name)",
        )
    forget(name, kept)


def end_kept(run: Path, kept: KeptConnection, console: Console) -> None:
    """End the connection that a run kept, and the run's cloud on the node."""
    address = kept.address
    kept.end()
    if not end_guest(kept):
        with connected(address, run) as node:
            end_cloud(node, str(node.folder / "cloud"))
    (run / KEPT).unlink()
    console.print(f"the cloud of {run} on {address} is removed", highlight=False, soft_wrap=True)


def end_guest(kept: KeptConnection) -> bool:
    """End the guest in QEMU and the cloud on the guest; return False if the node is not a guest."""
    if kept.config is None:
        return False
    Guest(Path(kept.config).parent).remove()
    return True


def end_cloud(node: Node, folder: str) -> str | None:
    """End and remove a cloud; return its last state, or None if there was no cloud."""
    host = node.remote(HOST)
    status: dict[str, Any] | None = host.call("status", ignore, folder=folder)
    if status is None:
        return None
    host.call("stop", ignore, folder=folder)
    host.call("remove", ignore, folder=folder)
    return str(status["state"])


def forget(name: CloudName, kept: KeptConnection | None) -> None:
    """End the connection to a cloud on a node, and remove its entry from clouds.yaml.

    A guest in QEMU ends with its cloud.
    """
    if kept is not None:
        kept.end()
        end_guest(kept)
    here = folder_of(name)
    if not here.is_dir():
        return
    with contextlib.suppress(FileNotFoundError, ValueError):
        url = json.loads((here / ENTRY).read_bytes())["url"]
        clouds_yaml.drop(clouds_yaml.path(), name, url)
    for each in (KEPT, ENTRY, LOG, *GUEST_LOGS):
        (here / each).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        here.rmdir()


def address_of(spec: LastingSpec, name: CloudName) -> Address:
    """Return the address of the node of a cloud. The kept connection has the address of a guest.

    :raises UsageError: there is no cloud with this name in a guest.
    """
    if isinstance(spec, Address):
        return spec
    kept = KeptConnection.load(folder_of(name) / KEPT)
    if kept is None or kept.config is None:
        raise UsageError(
            f"there is no cloud {name!r} in a guest in QEMU",
            f"start a cloud with `{command_for(name, 'up', spec)}`",
        )
    return kept.address


def command_for(name: CloudName, verb: str, spec: LastingSpec | str) -> str:
    """Return the command line of ``bsdgate VERB`` for a cloud on a node."""
    return f"bsdgate {verb} --on {spec}" + ("" if name == DEFAULT_NAME else f" --name {name}")

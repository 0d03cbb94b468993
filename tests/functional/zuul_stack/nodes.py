# SPDX-License-Identifier: Apache-2.0
"""The nodes of the stack's Zuul: two real sshds, at addresses of loopback.

``controller`` is this machine. ``freebsd`` stands in for a FreeBSD host: another user, with the
login shell tcsh if that is installed, in namespaces of its own, on a Linux without the programs
that FreeBSD does not have. Neither the users nor the mounts exist outside of the stack.
"""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from functional import inetd, sshd
from functional.server_process import ServerProcess
from functional.zuul_stack.layout import Layout
from functional.zuul_stack.machine import path_of

PORT = 22
"""Only the stack is in its network namespace: nothing else has this port."""
CONTROLLER = "127.0.0.1"
# Two nodes with the same address would lose output in Zuul.
FREEBSD = "127.0.0.2"
_ABSENT = ("bash", "sudo", "ip", "python3", "rsync", "systemctl")
"""The programs that FreeBSD does not have, or only in ``/usr/local``."""
_ID = 60123
"""The user id of the node ``freebsd``."""


@dataclass(frozen=True)
class Node:
    """A node: its name in the nodesets, its address, and the directory of its user."""

    name: str
    address: str
    home: Path

    @property
    def settings(self) -> Path:
        return self.home.with_name(f"{self.name}.sshd_config")

    def command(self, *options: str) -> list[str]:
        """Return the command of its sshd."""
        return [str(sshd.SSHD), *options, "-f", str(self.settings)]


def of(layout: Layout) -> tuple[Node, Node]:
    """Return the controller, and the node that stands in for FreeBSD."""
    homes = layout.folder / "nodes"
    controller = Node("controller", CONTROLLER, homes / "controller")
    return controller, Node("freebsd", FREEBSD, homes / "freebsd")


def make_keys(layout: Layout) -> None:
    """Make the host keys, which Zuul's configuration has: they are kept with it."""
    for node in of(layout):
        key = host_key(layout, node)
        key.parent.mkdir(parents=True, exist_ok=True)
        sshd.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)


def host_key(layout: Layout, node: Node) -> Path:
    return layout.state / "nodes" / node.name


def content(layout: Layout) -> str:
    """Return the configuration of the nodes, in place of ``nodes.yaml`` of the example tenant."""
    controller, freebsd = of(layout)
    keys = {
        node: host_key(layout, node).with_suffix(".pub").read_text().split(" ", 2)
        for node in (controller, freebsd)
    }
    given = {node.name: " ".join(keys[node][:2]) for node in keys}
    return _CONTENT.format(python=sys.executable, **given)


_CONTENT = f"""\
- flavor:
    name: bsdgate

- image:
    name: bsdgate-controller
    type: cloud

- label:
    name: bsdgate-controller
    image: bsdgate-controller
    flavor: bsdgate

- label:
    name: bsdgate-nested
    image: bsdgate-controller
    flavor: bsdgate

- section:
    name: nodes
    connection: static
    abstract: true
    images:
      - name: bsdgate-controller
        username: controller
        python-path: {{python}}
      - name: bsdgate-freebsd-15.1-amd64
        username: freebsd
        shell-type: sh
        python-path: {{python}}
    flavors:
      - name: bsdgate
    labels:
      - name: bsdgate-controller
      - name: bsdgate-nested
      - name: bsdgate-freebsd-15.1-amd64

- section:
    name: nodes-here
    parent: nodes
    abstract: false

- provider:
    name: nodes-here
    section: nodes-here
    nodes:
      - name: {CONTROLLER}
        label: bsdgate-controller
        aliases:
          - bsdgate-nested
        host-key: {{controller}}
      - name: {FREEBSD}
        label: bsdgate-freebsd-15.1-amd64
        host-key: {{freebsd}}
"""


@contextlib.contextmanager
def serving(layout: Layout) -> Iterator[None]:
    """Run the sshds of both nodes."""
    controller, freebsd = of(layout)
    homes = controller.home.parent
    for node in (controller, freebsd):
        node.home.mkdir(parents=True)
    shutil.chown(freebsd.home, _ID, _ID)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    _add_users(controller, freebsd)
    _configure(layout, controller, f"ListenAddress {CONTROLLER}:{PORT}\nPermitRootLogin yes\n")
    _configure(layout, freebsd, "")
    log = layout.logs / "controller.log"
    with contextlib.ExitStack() as stack:
        server = ServerProcess(controller.command("-D", "-e"), log, "Server listening on")
        stack.enter_context(server)
        absent = homes / "absent"
        absent.touch(mode=0o644)
        holder = stack.enter_context(sshd.holding_namespaces(homes, _hiding(absent)))
        assert holder is not None, "the node freebsd needs namespaces"
        command = [*sshd.entering(holder), *freebsd.command("-i", "-e")]
        errors = layout.logs / "freebsd.log"
        stack.enter_context(inetd.serving(command, errors, (FREEBSD, PORT)))
        server.wait_until_ready()
        yield


def _add_users(controller: Node, freebsd: Node) -> None:
    """Add the users of the nodes to a copy of /etc, which only the processes of the stack have.

    A mount on one file would end when a program outside of the stack replaces the file.
    """
    copy = controller.home.with_name("etc")
    shutil.copytree("/etc", copy, symlinks=True)
    login = shutil.which("tcsh") or "/bin/sh"
    with (copy / "passwd").open("a") as passwd, (copy / "group").open("a") as group:
        passwd.write(f"controller:*:0:0::{controller.home}:/bin/sh\n")
        passwd.write(f"freebsd:*:{_ID}:{_ID}::{freebsd.home}:{login}\n")
        group.write(f"freebsd:x:{_ID}:\n")
    sshd.run(path_of("mount"), "--bind", copy, "/etc")


def _configure(layout: Layout, node: Node, more: str) -> None:
    authorized = node.settings.with_suffix(".authorized")
    shutil.copy(layout.ssh_key.with_suffix(".pub"), authorized)
    authorized.chmod(0o644)
    variables: Mapping[str, str | Path] = {
        "PATH": f"{sshd.BIN}:/usr/local/bin:/usr/bin:/bin",
        "HOME": node.home,
        "BSDGATE_CACHE_DIR": node.home / "cache",
    }
    setenv = " ".join(f'"{name}={value}"' for name, value in variables.items())
    node.settings.write_text(
        f"{more}HostKey {host_key(layout, node)}\nAuthorizedKeysFile {authorized} "
        f".ssh/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"UsePAM no\nStrictModes no\nPidFile none\nLogLevel INFO\nMaxStartups 100\n"
        f"Subsystem sftp internal-sftp\nSetEnv {setenv}\n"
    )


def _hiding(absent: Path) -> list[str]:
    """Return shell commands that hide the absent programs with a file that cannot be executed."""
    places = [Path(folder, name) for folder in ("/usr/bin", "/usr/sbin") for name in _ABSENT]
    mounts = [["mount", "--bind", str(absent), str(place)] for place in places if place.exists()]
    return [shlex.join(mount) for mount in mounts]

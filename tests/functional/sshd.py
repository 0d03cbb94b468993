# SPDX-License-Identifier: Apache-2.0
"""A real sshd that a test starts, and the settings of a client that can log in.

If the tests run as root, the user of sshd is another one, with its own home directory and the login
shell tcsh if that is installed, as on FreeBSD. If the system allows it, sshd is in a namespace with
its own loopback, and directories that only root may enter are open there as far as bsdgate needs
them. Else it is the same user with another HOME.
"""

import contextlib
import math
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

BIN = Path(sys.executable).parent
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SSH = shutil.which("ssh")
HOST = "test-node"
TESTS = Path(__file__).parents[1]

# Mounts an empty TOP, with only the directories FOLDER... below it.
_OPEN = """
set -e
stage=$1 top=$2
shift 2
for each; do mkdir -p "$stage$each"; mount --bind "$each" "$stage$each"; done
mount -t tmpfs -o mode=755 none "$top"
for each; do mkdir -p "$each"; mount --bind "$stage$each" "$each"; done
"""
# Activates the loopback of a network namespace, and keeps the namespace until it is ended.
_HOLD = """
import fcntl, signal, socket, struct
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
print("up", flush=True)
signal.pause()
"""


def run(*argv: str | Path) -> str:
    """Run a program; return its output; fail if it fails."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@dataclass
class Sshd:
    """An sshd in a directory. ``url`` is for ``--on``; ``variables`` are those of its user."""

    root: Path
    user: str
    home: Path
    namespace: int | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("host", "other", "key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / name)
        shutil.copy(self.root / "key.pub", self.root / "authorized")
        (self.root / "authorized").chmod(0o644)
        self.trust("host")
        self.configure()

    @property
    def url(self) -> str:
        """The URL of the node."""
        return f"ssh://{self.user}@{HOST}"

    @property
    def state(self) -> Path:
        """The state directory of bsdgate there."""
        return self.home / "state"

    @property
    def path(self) -> str:
        """A PATH for this machine with an ssh that has the settings of the test."""
        return f"{self.root / 'bin'}:{os.environ['PATH']}"

    def trust(self, key: str) -> None:
        """Add this host key to the client's known hosts."""
        line = (self.root / f"{key}.pub").read_text()
        (self.root / "known_hosts").write_text(f"{HOST} {line}")

    def configure(self, server: str = "", client: str = "", **variables: str) -> None:
        """Write the settings; ``server`` and ``client`` are lines before ours."""
        given = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "BSDGATE_STATE_DIR": str(self.state),
            "BSDGATE_CACHE_DIR": str(self.home / "cache"),
            "PYTHONPATH": str(TESTS),
            **self.variables,
            **variables,
        }
        setenv = " ".join(f'"{name}={value}"' for name, value in given.items())
        (self.root / "sshd_config").write_text(
            f"{server}\nHostKey {self.root / 'host'}\nAuthorizedKeysFile {self.root / 'authorized'}"
            f"\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no"
            f"\nStrictModes no\nPidFile none\nLogLevel ERROR\nSetEnv {setenv}\n"
        )
        enter = " ".join([*entering(self.namespace), ""])
        (self.root / "ssh_config").write_text(
            f"{client}\nHost {HOST}\n  ProxyCommand {enter}{SSHD} -i -f {self.root}/sshd_config"
            f"\n  IdentityFile {self.root}/key\n  IdentitiesOnly yes\n  IdentityAgent none"
            f"\n  UserKnownHostsFile {self.root}/known_hosts\n  GlobalKnownHostsFile none"
            f"\n  StrictHostKeyChecking yes\n"
        )
        program = self.root / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {SSH} -F {self.root}/ssh_config "$@"\n')
        program.chmod(0o755)

    def pretend_reboot(self) -> None:
        """Make the node report that it was booted now; skip the test if the node has no namespace.

        psutil reads the time of the boot, in whole seconds, from /proc/stat.
        """
        if self.namespace is None:
            pytest.skip("the node has the /proc of this machine: its boot cannot be simulated")
        lines = Path("/proc/stat").read_text().splitlines(keepends=True)
        booted = f"btime {math.ceil(time.time())}\n"
        changed = [booted if line.startswith("btime ") else line for line in lines]
        (self.root / "stat").write_text("".join(changed))
        run(*entering(self.namespace), "mount", "--bind", self.root / "stat", "/proc/stat")

    def processes(self) -> list[psutil.Process]:
        """Return the running processes of bsdgate and sshd there."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = str(self.home) in str(each.environ()) or str(self.root) in each.cmdline()
                if ours and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
        return found

    def connections(self) -> list[psutil.Process]:
        """Return the processes of sshd with a connection."""
        # sshd changes its title; it is a descendant of the client, as its ProxyCommand.
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"{self.root}/ssh_config" in each.cmdline():
                    found += [one for one in each.children(recursive=True) if one.name() == "sshd"]
        return list(dict.fromkeys(found))

    def cut(self) -> None:
        """Cut all connections, without a message to either side."""
        for each in self.connections():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


@contextlib.contextmanager
def serving() -> Iterator[Sshd]:
    """Yield an sshd; skip the test if there is none."""
    if SSHD is None:
        pytest.skip("there is no sshd here: install openssh-server")
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bsdgate-sshd-")))
        root.chmod(0o755)
        namespace: int | None = None
        if os.geteuid():
            user, home = run("id", "-un").strip(), root / "home"
            home.mkdir()
        else:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            namespace = stack.enter_context(holding_namespaces(root))
            user, home = stack.enter_context(_user(root, namespace))
        made = Sshd(root, user, home, namespace)
        yield made
        for each in made.processes():
            with contextlib.suppress(psutil.Error):
                each.kill()


@contextlib.contextmanager
def _user(root: Path, namespace: int | None) -> Iterator[tuple[str, Path]]:
    """Make a user who can read bsdgate; if that is not possible, return the user of the tests."""
    name, home = f"bsdgate-{secrets.token_hex(4)}", root / "home"
    login = shutil.which("tcsh") or "/bin/sh"
    options = ("--password", "*", "--create-home", "--home-dir", home, "--shell", login)
    run("useradd", *options, name)
    try:
        reads = [sys.executable, "-c", "import bsdgate.harness.cli"]
        asked = subprocess.run(
            [*entering(namespace), "runuser", "-u", name, "--", *reads],
            cwd="/",
            capture_output=True,
            check=False,
        )
        if asked.returncode:
            shutil.chown(home, "root")
            yield "root", home
        else:
            yield name, home
    finally:
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.username() == name:
                    each.kill()
        run("userdel", "--force", name)


def entering(namespace: int | None) -> list[str]:
    """Return the beginning of a command that enters the namespaces of a process."""
    if namespace is None:
        return []
    return ["nsenter", f"--net=/proc/{namespace}/ns/net", f"--mount=/proc/{namespace}/ns/mnt"]


@contextlib.contextmanager
def holding_namespaces(root: Path, more: Sequence[str] = ()) -> Iterator[int | None]:
    """Start a process in new namespaces, and return its id; None: namespaces are not allowed.

    ``more`` are shell commands that are run in the namespaces first.
    """
    if shutil.which("unshare") is None:
        yield None
        return
    lines = [*(f"{each} || exit 1" for each in more), shlex.join([sys.executable, "-c", _HOLD])]
    for top, folders in _closed(sys.base_prefix, sys.prefix, str(TESTS.parent)).items():
        words = ["sh", "-c", _OPEN, "sh", str(root / "stage"), str(top), *map(str, folders)]
        lines.insert(0, f"{shlex.join(words)} || exit 1")
    argv = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        "\n".join(["cd /", *lines[:-1], f"exec {lines[-1]}"]),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout is not None
        up = holder.stdout.readline()
        try:
            yield holder.pid if up else None
        finally:
            holder.kill()


def _closed(*needed: str) -> dict[Path, list[Path]]:
    """Return the directories that others may not enter, each with the needed directories in it."""
    found: dict[Path, list[Path]] = {}
    for folder in map(Path, dict.fromkeys(needed)):
        closed = [
            each for each in (*reversed(folder.parents), folder) if not each.stat().st_mode & 1
        ]
        if closed:
            found.setdefault(closed[0], []).append(folder)
    return found


def with_ssh(sshd: Sshd) -> Mapping[str, str]:
    """Return the environment of a command that uses the ssh of the test."""
    return {"PATH": sshd.path}

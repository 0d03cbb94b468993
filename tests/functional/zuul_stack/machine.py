# SPDX-License-Identifier: Apache-2.0
"""What the stack needs from the machine: Debian's packages, and namespaces."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

POSTGRESQL = ":".join(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
"""On Debian the programs of the server are not on the PATH."""
NAMESPACES = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")

_JAVA = Path("/usr/share/java")
_NETTY = ("common", "buffer", "transport", "resolver", "codec", "handler")
_JARS = (
    "zookeeper",
    "zookeeper-jute",
    "slf4j-api",
    "slf4j-simple",
    *(f"netty-{each}" for each in _NETTY),
    "netty-transport-native-unix-common",
)
_PACKAGES = {
    "bwrap": "bubblewrap",
    "git": "git",
    "ip": "iproute2",
    "java": "openjdk-17-jre-headless",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "openssl": "openssl",
    "postgres": "postgresql",
    "rsync": "rsync",
    "ssh-agent": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}


def find(program: str) -> str | None:
    """Return the path of a program, also of one that only administrators have on the PATH."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(program, path=f"{path}:/usr/sbin:/sbin:{POSTGRESQL}")


def path_of(program: str) -> str:
    """Return the path of a program that ``missing`` has looked for."""
    found = find(program)
    assert found is not None, f"{program} is missing"
    return found


def class_path() -> str:
    """Return the class path of ZooKeeper. Debian's manifest of its jar lacks parts of Netty."""
    return ":".join(str(_JAVA / f"{name}.jar") for name in _JARS)


def missing(environment: Path) -> str | None:
    """Return why the stack cannot run on this machine, or None."""
    needed = {package for program, package in _PACKAGES.items() if find(program) is None}
    if any(not Path(jar).exists() for jar in class_path().split(":")):
        needed.add("libzookeeper-java")
    if needed:
        return f"install {' '.join(sorted(needed))}"
    if not (environment / "bin" / "zuul-scheduler").exists():
        return f"{environment} has no Zuul: run the tests with `tox run -e functional`"
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"this user may not make namespaces: {tried.stderr.strip()}"
    return None


def namespace(pid: int) -> str:
    """Return the name of the network namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def processes_in(name: str) -> list[int]:
    """Return the processes in a network namespace: without any, the namespace is gone."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if namespace(int(each.name)) == name:
                found.append(int(each.name))
    return found

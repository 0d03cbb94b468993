# SPDX-License-Identifier: Apache-2.0
"""The commands of the servers, and the lines with which they report their start."""

import os
from pathlib import Path

from functional import gerrit
from functional.server_process import ServerProcess
from functional.zuul_stack.layout import Layout
from functional.zuul_stack.machine import class_path, path_of

UNPRIVILEGED = "65534"
"""The user and group without rights: PostgreSQL refuses to run as root."""


def zookeeper(layout: Layout) -> ServerProcess:
    fast = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.forceSync=no"]
    main = "org.apache.zookeeper.server.ZooKeeperServerMain"
    command = ["java", *fast, "-cp", class_path(), main, str(layout.settings / "zoo.cfg")]
    return ServerProcess(command, layout.logs / "zookeeper.log", "ZooKeeper audit is")


def unprivileged() -> list[str]:
    """Return the beginning of a command that does not run as root."""
    if os.getuid():
        return []
    ids = [f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}"]
    return [path_of("setpriv"), *ids, "--clear-groups"]


def postgresql(layout: Layout) -> ServerProcess:
    options = ["-c", "listen_addresses=", "-c", "fsync=off"]
    where = ["-D", str(layout.database), "-k", str(layout.sockets)]
    command = [*unprivileged(), path_of("postgres"), *where, *options]
    return ServerProcess(command, layout.logs / "postgresql.log", "ready to accept connections")


def mosquitto(layout: Layout) -> ServerProcess:
    command = [path_of("mosquitto"), "-c", str(layout.settings / "mosquitto.conf")]
    return ServerProcess(command, layout.logs / "mosquitto.log", "running")


def log_server(layout: Layout) -> ServerProcess:
    """Return a server of the logs of builds."""
    server = ["-u", "-m", "http.server", "--bind", "127.0.0.1", str(layout.ports.logs)]
    command = [str(layout.program("python")), *server, "--directory", str(layout.published)]
    return ServerProcess(command, layout.logs / "logs.log", "Serving HTTP")


def review_server(layout: Layout) -> ServerProcess:
    """Return a Gerrit with its sshd."""
    home = gerrit.Home(layout.gerrit_home)
    ssh = f"127.0.0.1:{layout.ports.ssh}"
    return gerrit.started(home, layout.site, layout.gerrit_url, home.loading(), ssh)


def zuul(layout: Layout, name: str, ready: str) -> ServerProcess:
    """Return a daemon of Zuul."""
    settings = str(layout.settings / "zuul.conf")
    command = [str(layout.program(f"zuul-{name}")), "-f", "-d", "-c", settings]
    # Zuul finds its other programs, and git, on the PATH.
    path = f"{layout.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    return ServerProcess(command, layout.logs / f"zuul-{name}.log", ready, {"PATH": path})


def log_of_ssh(layout: Layout) -> Path:
    """Return the log in which Gerrit reports that Zuul has logged in."""
    return layout.site / "logs" / "sshd_log"

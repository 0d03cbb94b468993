# SPDX-License-Identifier: Apache-2.0
"""Runs all servers of a stack in new namespaces until its input ends.

It is started by ``stack`` with the layout as JSON, the word ``make`` or ``run``, and the file
descriptors of the listening sockets. It prints a line with the seconds of each step when the stack
is ready. If it is killed, all processes of its namespace end with it.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import requests
from functional.gerrit import Gerrit
from functional.place import wait_for
from functional.server_process import START, ServerProcess
from functional.zuul_stack import nodes, seed, servers, settings
from functional.zuul_stack.layout import REVIEWER, TENANT, Layout
from functional.zuul_stack.machine import path_of
from functional.zuul_stack.relay import relaying


@dataclass
class Timer:
    """The seconds from the start to the end of each step."""

    began: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    def note(self, step: str) -> None:
        self.steps[step] = round(time.monotonic() - self.began, 1)


def main(arguments: Sequence[str]) -> int:
    layout = Layout.from_json(arguments[0])
    make = arguments[1] == "make"
    listening = [socket.socket(fileno=int(each)) for each in arguments[2:]]
    subprocess.run([path_of("ip"), "link", "set", "lo", "up"], check=True)
    # Ansible and ssh-agent write into these directories.
    os.environ.update(HOME=str(layout.folder / "home"), TMPDIR=str(layout.folder / "tmp"))
    for name in ("home", "tmp"):
        (layout.folder / name).mkdir()
    timer = Timer()
    if make:
        seed.prepare(layout)
        timer.note("prepared")
    settings.write(layout)
    with nodes.serving(layout), running(layout, timer, make=make), relaying(listening):
        timer.note("ready")
        sys.stdout.write(json.dumps(timer.steps) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


@contextlib.contextmanager
def running(layout: Layout, timer: Timer, *, make: bool) -> Iterator[None]:
    """Start all servers; end them in the block's end, Zuul's daemons before the others."""
    others: dict[str, ServerProcess] = {}
    daemons: dict[str, ServerProcess] = {}
    try:
        for start in (
            servers.zookeeper,
            servers.review_server,
            servers.postgresql,
            servers.mosquitto,
            servers.log_server,
        ):
            others[start.__name__] = start(layout)
        _wait(others, ["zookeeper", "postgresql", "mosquitto", "log_server"], timer)
        daemons["executor"] = servers.zuul(layout, "executor", "Starting executor")
        daemons["launcher"] = servers.zuul(layout, "launcher", "Launcher running")
        daemons["web"] = servers.zuul(layout, "web", "Starting HTTP listeners")
        _wait(others, ["review_server"], timer)
        if make:
            seed.fill(Gerrit(layout.gerrit_url, layout.logs), layout)
            timer.note("seeded")
        daemons["scheduler"] = servers.zuul(layout, "scheduler", "Config priming complete")
        _wait(daemons, ["executor", "launcher", "scheduler", "web"], timer)
        wait_for(lambda: _serves_tenant(layout), "Zuul serves the tenant", START)
        wait_for(lambda: _has_login(layout), "Zuul reads Gerrit's events", START)
        yield
    finally:
        end(list(daemons.values()))
        end(list(others.values()))


def _wait(started: dict[str, ServerProcess], names: Sequence[str], timer: Timer) -> None:
    for name in names:
        started[name].wait_until_ready()
        timer.note(name)


def _serves_tenant(layout: Layout) -> bool:
    try:
        tenants = requests.get(f"{layout.web_url}/api/tenants", timeout=START)
    except requests.ConnectionError:
        return False
    return tenants.ok and any(each["name"] == TENANT for each in tenants.json())


def _has_login(layout: Layout) -> bool:
    log = servers.log_of_ssh(layout)
    return log.exists() and f" {REVIEWER[0]} " in log.read_text()


def end(processes: Sequence[ServerProcess]) -> None:
    """End servers, all at the same time."""
    for each in processes:
        each.terminate()
    for each in processes:
        each.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

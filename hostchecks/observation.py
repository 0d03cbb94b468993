# SPDX-License-Identifier: Apache-2.0
"""Prints the state of an embedded cloud as JSON: ``python -m`` this module DIRECTORY.

This program runs on the node of the cloud; the checks may run on another machine. It uses psutil,
which has the same interface on all systems.
"""

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil


def observe(cloud: Path) -> dict[str, Any]:
    """Return a cloud's status, its processes by id, its file modes, and this process's user id."""
    status = json.loads((cloud / "status.json").read_text())
    return {
        "status": status,
        "processes": dict(_processes(status["pid"])),
        "modes": {str(path.relative_to(cloud)): _mode(path) for path in (cloud, *_secrets(cloud))},
        "uid": os.getuid(),
    }


def _processes(supervisor: int) -> Iterator[tuple[int, dict[str, Any]]]:
    first = psutil.Process(supervisor)
    for each in (first, *first.children(recursive=True)):
        # A process that has just ended is no longer a part of the cloud.
        with contextlib.suppress(psutil.NoSuchProcess):
            yield each.pid, _process(each)


def _process(each: psutil.Process) -> dict[str, Any]:
    return {
        "name": each.name(),
        "zombie": each.status() == psutil.STATUS_ZOMBIE,
        "uid": each.uids().real,
        "sockets": [
            {
                "ip": one.laddr.ip,
                "port": one.laddr.port,
                "listens": one.status == psutil.CONN_LISTEN,
            }
            for one in each.net_connections("inet")
            if tuple(one.laddr)
        ],
    }


def _secrets(cloud: Path) -> Iterator[Path]:
    """Yield the files with a password, a key or a database."""
    yield cloud / "spec.json"
    yield from cloud.glob("accounts.yaml")
    yield from cloud.glob("etc/*/*.conf")
    yield from cloud.glob("data/**/*.sqlite")
    yield from (each for each in cloud.glob("data/keystone/*_tokens/*") if each.is_file())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


if __name__ == "__main__":
    json.dump(observe(Path(sys.argv[1])), sys.stdout)

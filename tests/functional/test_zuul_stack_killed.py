# SPDX-License-Identifier: Apache-2.0
"""A killed stack of servers leaves nothing on the machine."""

import os
import signal
from pathlib import Path

import pytest
import requests
from functional.place import wait_for
from functional.zuul_stack import machine, stack

# The first test may make the state of the stack, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended.

    The name of a process is not enough: scripts in a path with a space are started by a shell.
    """
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_killed_stack_leaves_no_process_no_mount_and_no_file(zuul_home: stack.Home) -> None:
    with stack.serving(zuul_home) as running:
        assert requests.get(f"{running.layout.web_url}/api/tenants", timeout=60).ok
        found = [command_of(pid) for pid in machine.processes_in(running.namespace)]
        for name in ("java", "mosquitto", "postgres", "zuul-executor", "zuul-scheduler"):
            assert any(name in each for each in found), (name, found)
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: not machine.processes_in(running.namespace), "the end of all servers")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{running.layout.web_url}/api/tenants", timeout=60)
    assert not running.layout.folder.exists()

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


def test_a_killed_stack_leaves_no_process_no_mount_and_no_file(zuul_home: stack.Home) -> None:
    with stack.serving(zuul_home) as running:
        assert requests.get(f"{running.layout.web_url}/api/tenants", timeout=60).ok
        names = {
            Path(f"/proc/{pid}/comm").read_text().strip()
            for pid in machine.processes_in(running.namespace)
        }
        assert {"java", "mosquitto", "postgres", "zuul-executor", "zuul-scheduler"} <= names
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: not machine.processes_in(running.namespace), "the end of all servers")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{running.layout.web_url}/api/tenants", timeout=60)
    assert not running.layout.folder.exists()

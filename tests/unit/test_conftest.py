# SPDX-License-Identifier: Apache-2.0
import socket
import subprocess
from pathlib import Path

import pytest


def test_the_network_ends_at_loopback() -> None:
    # From RFC 5737: an address for documentation.
    with (
        pytest.warns(UserWarning, match="192.0.2.1"),
        pytest.raises(RuntimeError, match="192.0.2.1"),
    ):
        socket.create_connection(("192.0.2.1", 9), timeout=1)


def test_home_is_not_the_users(home: Path) -> None:
    assert Path.home() == home
    shell = subprocess.run(["sh", "-c", "echo $HOME"], check=True, capture_output=True, text=True)
    assert shell.stdout.strip() == str(home)

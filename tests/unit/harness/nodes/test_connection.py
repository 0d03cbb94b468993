# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.connection with another ssh; the real one is in tests/functional."""

from pathlib import Path

import pytest

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.connection import Connection

# Prints its arguments to the log, and runs until it is killed.
SSH = """\
#!/bin/sh
printf '%s\\n' "$@" >&2
mkfifo "$0.fifo"
exec cat <> "$0.fifo"
"""


def test_the_factor_multiplies_the_limits_of_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh, log = tmp_path / "bin" / "ssh", tmp_path / "log"
    ssh.parent.mkdir()
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    connection = Connection(Address.parse("ssh://me@node"), log, 0.04)
    with pytest.raises(InfrastructureError, match=r"did not answer within 2\.4 s"):
        connection.open()
    assert "ConnectTimeout=2" in log.read_text().splitlines()

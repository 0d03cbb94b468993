# SPDX-License-Identifier: Apache-2.0
"""The files that start the listener as a service: what systemd and sh say about them."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "doc" / "listen"
RESERVED = (
    *("chdir", "chroot", "cpuset", "env", "env_file", "fib", "flags", "group", "limits"),
    *("login_class", "nice", "oomprotect", "prepend", "program", "setup", "svcj", "umask"),
)
"""The ends of variables that rc.subr itself reads, without ``user``, which the script unsets."""


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is missing: install systemd")
    unit = tmp_path / "bsdgate-listen.service"
    text = (FOLDER / unit.name).read_text()
    assert "/usr/local/bin/bsdgate" in text
    # A program that exists, in a path without a space.
    unit.write_text(text.replace("/usr/local/bin/bsdgate", "/bin/true"))
    done = subprocess.run([verify, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_script_for_rc_d_is_correct_and_uses_no_variable_of_rc_subr() -> None:
    script = FOLDER / "bsdgate_listen"
    subprocess.run(["sh", "-n", script], check=True)
    for end in RESERVED:
        assert f"${{bsdgate_listen_{end}" not in script.read_text()

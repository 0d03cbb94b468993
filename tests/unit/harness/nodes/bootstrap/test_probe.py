# SPDX-License-Identifier: Apache-2.0
"""The output of the probe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bsdgate.harness.nodes.bootstrap import probe
from bsdgate.harness.nodes.bootstrap.probe import Repository

TEXT = """\
bsdgate-probe 1
system FreeBSD
release 15.1-RELEASE-p2
architecture amd64
user freebsd
cache /home/free bsd/.cache/bsdgate
disk 2900
memory 986
command git /usr/local/bin/git
environment 0123-4567
pkg 2.4.2
root su
repository unreachable FreeBSD-base pkg+https://pkg.example.org/FreeBSD:15:amd64/base_release_1
repository reachable FreeBSD-ports pkg+https://pkg.example.org/FreeBSD:15:amd64/quarterly
python 3.11.12 a70d0d0a freebsd-15.1-RELEASE-amd64 none /usr/local/bin/python3.11
package 3.11.12 sqlite3 3.46.0
package 3.11.12 PyNaCl 1.5.0
python 3.12.9 cb0d0d0a freebsd-15.1-RELEASE-amd64 none /usr/local/bin/python3.12
end
"""


def test_all_properties_are_read() -> None:
    found = probe.parse(TEXT)
    assert str(found) == "FreeBSD 15.1-RELEASE-p2 amd64"
    assert (found.user, found.root, found.pkg) == ("freebsd", "su", "2.4.2")
    assert (found.disk, found.memory) == (2900, 986)
    assert found.cache == "/home/free bsd/.cache/bsdgate"
    assert found.commands == {"git": "/usr/local/bin/git"}
    assert found.environments == ("0123-4567",)
    place = "pkg+https://pkg.example.org/FreeBSD:15:amd64/"
    base = Repository("FreeBSD-base", f"{place}base_release_1", reachable=False)
    ports = Repository("FreeBSD-ports", f"{place}quarterly", reachable=True)
    assert set(found.repositories) == {base, ports}
    assert found.reachable == (ports,)
    older, newer = found.pythons
    assert older.packages == {"sqlite3": "3.46.0", "pynacl": "1.5.0"}
    assert (older.short, newer.short, newer.packages) == ("311", "312", {})


@pytest.mark.parametrize("text", ["", "welcome\n" + TEXT, TEXT.removesuffix("end\n"), "end"])
def test_other_output_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the complete output"):
        probe.parse(text)


def run(path: Path, **variables: str) -> probe.Report:
    env = {"PATH": str(path), "HOME": str(path), **variables}
    with probe.SCRIPT.open() as script:
        argv = ["/bin/sh", "-s", "psutil"]
        done = subprocess.run(
            argv, stdin=script, env=env, capture_output=True, text=True, check=True
        )
    assert done.stderr == ""
    return probe.parse(done.stdout)


def test_the_script_finds_this_machine(tmp_path: Path) -> None:
    found = run(Path("/usr/bin:/bin"), HOME=str(tmp_path))
    assert found.system == os.uname().sysname
    assert found.cache == f"{tmp_path}/.cache/bsdgate"
    assert found.disk > 0


def test_a_relative_cache_directory_is_in_the_home_directory(tmp_path: Path) -> None:
    found = run(Path("/usr/bin:/bin"), HOME=str(tmp_path), BSDGATE_CACHE_DIR="own/cache")
    assert found.cache == f"{tmp_path}/own/cache"


def test_the_script_ends_without_any_program(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-s", "psutil"]
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    with probe.SCRIPT.open() as script:
        done = subprocess.run(
            argv, stdin=script, env=env, capture_output=True, text=True, check=True
        )
    assert done.stdout.splitlines()[0] == "bsdgate-probe 1"


def test_the_script_finds_python_and_its_packages(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python3.11"
    # Not a link: the interpreter of a virtual environment is found by the path of the link.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    found = run(Path(f"{programs}:/usr/bin:/bin"), BSDGATE_CACHE_DIR=str(tmp_path / "own"))
    own = next(each for each in found.pythons if each.path == sys.executable)
    assert own.version == ".".join(map(str, sys.version_info[:3]))
    assert set(own.packages) == {"psutil", "sqlite3"}
    assert found.cache == str(tmp_path / "own")

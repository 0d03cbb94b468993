# SPDX-License-Identifier: Apache-2.0
"""A package with another hash than the pinned one is refused; tox.ini relies on this."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a minimal wheel in a directory of its own."""
    path = tmp_path / "wheels" / "pebble-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "pebble-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pebble.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def install(uv: str, wheel: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """Install the wheel into a new environment, with a constraint with this digest."""
    folder = wheel.parents[1]
    lock = folder / "lock.txt"
    lock.write_text(f"pebble==1.0 --hash=sha256:{digest}\n", encoding="utf-8")
    environment = folder / "environment"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, environment], check=True)
    command = [uv, "pip", "install", "--python", str(environment / "bin" / "python"), "--no-index"]
    command += ["--find-links", str(wheel.parent), "--constraint", str(lock), "pebble"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_package_with_the_pinned_hash_is_installed(uv: str, wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert install(uv, wheel, digest).returncode == 0


def test_a_package_with_another_hash_is_refused(uv: str, wheel: Path) -> None:
    outcome = install(uv, wheel, "0" * 64)
    assert outcome.returncode != 0
    assert "Hash mismatch" in outcome.stderr

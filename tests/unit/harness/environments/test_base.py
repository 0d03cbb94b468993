# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.environments.base, on a small base."""

import base64
import hashlib
import importlib.util
import os
import py_compile
import site
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.environments import base
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.process import ProcessError


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the package directory of a base with one distribution."""
    folder = tmp_path / "site-packages"
    (folder / "p").mkdir(parents=True)
    (folder / "p-1.dist-info").mkdir()
    (folder / "p" / "__init__.py").write_text("x = 1\n")
    digest = hashlib.sha256(b"x = 1\n").digest()
    recorded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    (folder / "p-1.dist-info" / "RECORD").write_text(f"p/__init__.py,sha256={recorded},6\n")
    (folder / "link").symlink_to("p")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(folder)])
    monkeypatch.setattr(base, "roots", lambda: [folder])
    base._records.cache_clear()
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "base.log"


def add_a_file_that_python_runs(folder: Path) -> None:
    (folder / "evil.pth").write_text("import os\n")


def change_a_file(folder: Path) -> None:
    (folder / "p" / "__init__.py").write_text("x = 2\n")


def change_a_file_and_set_its_times_back(folder: Path) -> None:
    path = folder / "p" / "__init__.py"
    times = path.stat()
    path.write_text("x = 2\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove_a_file(folder: Path) -> None:
    (folder / "p" / "__init__.py").unlink()


def open_a_file_to_all(folder: Path) -> None:
    (folder / "p" / "__init__.py").chmod(0o777)


def turn_a_link(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("p-1.dist-info")


def add_byte_code_that_needs_no_source(folder: Path) -> None:
    (folder / "p" / "plain.pyc").write_bytes(b"x")


def add_a_package(folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "__init__.py").touch()


ATTACKS = [
    add_a_file_that_python_runs,
    change_a_file,
    change_a_file_and_set_its_times_back,
    remove_a_file,
    open_a_file_to_all,
    turn_a_link,
    add_byte_code_that_needs_no_source,
    add_a_package,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_altered_file_is_reported(
    packages: Path, log: Path, attack: Callable[[Path], None]
) -> None:
    before = base.take()
    attack(packages)
    with pytest.raises(InfrastructureError, match=f"altered.*{packages}") as caught:
        base.check_unaltered(before, log)
    assert "tox -r" in str(caught.value)


def test_a_base_without_changes_is_unaltered(packages: Path, log: Path) -> None:
    before = base.take()
    (packages / "p" / "__init__.py").read_text()
    base.check_unaltered(before, log)


def test_a_directory_that_the_user_may_not_read_has_no_files(
    packages: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [str(packages / "p")]

    def scandir(folder: str) -> Any:
        if folder in refused:
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    # root may read all directories.
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    before = base.take()
    base.check_unaltered(before, log)
    refused.clear()
    with pytest.raises(InfrastructureError, match="1 files of .* were altered"):
        base.check_unaltered(before, log)


def test_another_environments_hard_link_alters_nothing(
    packages: Path, log: Path, tmp_path: Path
) -> None:
    before = base.take()
    (tmp_path / "other").hardlink_to(packages / "p" / "__init__.py")
    assert base.take() != before
    base.check_unaltered(before, log)


def test_new_byte_code_is_compiled_again_from_its_source(packages: Path, log: Path) -> None:
    """A change's processes may write anything into a new byte code file."""
    source = packages / "p" / "__init__.py"
    cached = Path(importlib.util.cache_from_source(str(source)))
    before = base.take()
    forged = packages.parent / "forged.py"
    forged.write_text("x = 'forged'\n")
    os.utime(forged, (source.stat().st_atime, source.stat().st_mtime))
    py_compile.compile(str(forged), str(cached))
    other = cached.with_name("__init__.cpython-27.pyc")
    other.write_bytes(b"of another Python")
    base.check_unaltered(before, log)
    assert b"forged" not in cached.read_bytes()
    assert not other.exists()


@pytest.mark.parametrize("owner", [True, False])
def test_byte_code_of_another_user_stays(
    packages: Path, log: Path, monkeypatch: pytest.MonkeyPatch, owner: bool
) -> None:
    """The owner of a directory can remove the right to write, and set it again."""
    source = packages / "p" / "__init__.py"
    before = base.take()
    cached = Path(py_compile.compile(str(source)) or "")
    cached.write_bytes(b"of any content")
    # root may write all directories.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    if not owner:
        monkeypatch.setattr(os, "geteuid", lambda: packages.stat().st_uid + 1)
    base.check_unaltered(before, log)
    assert (cached.read_bytes() == b"of any content") is not owner


def test_the_factor_multiplies_the_time_limit_of_the_compiler(packages: Path, log: Path) -> None:
    before = base.take()
    py_compile.compile(str(packages / "p" / "__init__.py"))
    with pytest.raises(ProcessError, match=r"did not end within 3e-07 s"):
        base.check_unaltered(before, log, 1e-9)


def test_replaced_byte_code_is_compiled_again_from_its_source(packages: Path, log: Path) -> None:
    """Python replaces byte code that is older than its source, as after an edit."""
    source = packages / "p" / "__init__.py"
    cached = Path(py_compile.compile(str(source)) or "")
    compiled = cached.read_bytes()
    before = base.take()
    cached.write_bytes(compiled[:-1] + b"x")
    base.check_unaltered(before, log)
    assert cached.read_bytes() == compiled


def test_the_base_contains_the_code_of_python_and_bsdgate() -> None:
    listed = base.take().files
    for name in (os.__file__, base.__file__, pytest.__file__):
        assert str(Path(name).resolve()) in listed
    assert any(path.endswith("/pyvenv.cfg") for path in listed)
    assert any(path.endswith("/bin/bsdgate") for path in listed)

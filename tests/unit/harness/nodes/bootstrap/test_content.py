# SPDX-License-Identifier: Apache-2.0
"""The files that are copied to a node."""

import hashlib
import io
import sys
import tarfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from unit.harness.nodes.bootstrap.reports import freebsd, linux, python

from bsdgate.harness import identity
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.bootstrap import content, packages
from bsdgate.harness.nodes.bootstrap.content import Content, Part

RELEASE = "2026.2"


def part(name: str, *, compiled: bool = False) -> Part:
    return Part(canonicalize_name(name), metadata.distribution(name), compiled)


def packed(*parts: Part, **fields: Any) -> dict[str, bytes]:
    target = io.BytesIO()
    count, size = Content(parts, python(**fields)).pack(target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        members = archive.getmembers()
        found = {each.name: archive.extractfile(each) for each in members}
        files = {name: file.read() for name, file in found.items() if file}
    assert (count, size) == (len(files), sum(map(len, files.values())))
    return files


def test_no_distribution_of_the_tests_is_copied() -> None:
    found = content.select(freebsd(), python(), RELEASE).names
    assert {"bsdgate", "keystone", "nova", "oslo-db", "sqlalchemy"} <= found
    assert not {"tempest", "rally", "python-tempestconf", "numpy", "uv"} & found


def test_another_system_has_its_packages_with_compiled_modules() -> None:
    found = content.select(freebsd(), python(), RELEASE)
    names = {each.distribution for each in packages.SYSTEM}
    assert not names & found.names
    assert not any(each.compiled for each in found.parts if each.name in packages.FALLBACKS)


def test_the_same_system_gets_compiled_modules() -> None:
    report = linux()
    found = content.select(report, report.pythons[0], RELEASE)
    assert {"cryptography", "psutil", "pydantic", "pydantic-core"} <= found.names
    assert all(each.compiled for each in found.parts)


@pytest.mark.parametrize(
    "fields",
    [
        {"libc": "glibc-2.5"},
        {"libc": "musl-1.2"},
        {"libc": "none"},
        {"platform": "linux-riscv64"},
        {"version": "3.12.9"},
    ],
)
def test_another_python_or_libc_does_not_get_compiled_modules(fields: dict[str, Any]) -> None:
    own = replace(linux().pythons[0], **fields)
    found = content.select(linux(), own, RELEASE)
    assert "rpds-py" not in found.names


def test_the_closure_follows_the_markers_of_the_node() -> None:
    """Only older versions of Python need tomli."""
    older = replace(python(), version="3.10.1")
    with pytest.raises(UsageError, match="lacks the Python distribution tomli"):
        content.select(freebsd(), older, RELEASE)


def test_a_distribution_for_a_newer_python_is_named() -> None:
    older = replace(python(), version="3.9.1")
    with pytest.raises(UsageError, match=r"bsdgate .* needs Python >=3\.11, .* has 3\.9\.1"):
        content._check_python(metadata.distribution("bsdgate"), older)


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(UsageError, match="lacks the Python distribution not-there-1"):
        content.closure(["not-there-1"])


def test_names_differ_with_the_python_and_with_compiled_modules() -> None:
    here = part("MarkupSafe")
    names = {
        Content((here,), python()).name,
        Content((here,), python(version="3.12.1")).name,
        Content((replace(here, compiled=True),), python()).name,
        Content((), python()).name,
    }
    assert len(names) == 4
    assert all(name.startswith(content.own_prefix()) for name in names)
    assert Content((here,), python()).name in names


def test_compiled_modules_and_commands_and_tests_are_left_out() -> None:
    files = packed(part("MarkupSafe"), part("greenlet"), part("keystone"))
    assert "lib/python3.11/site-packages/markupsafe/__init__.py" in files
    assert "etc/keystone/sso_callback_template.html" in files
    assert not [name for name in files if name.endswith((".so", ".pth"))]
    assert not [name for name in files if "/tests/" in name or name.startswith("bin/")]
    with_code = packed(part("MarkupSafe", compiled=True))
    assert [name for name in with_code if name.endswith(".so")]


def test_the_code_of_bsdgate_has_the_digest_of_this_bsdgate(tmp_path: Path) -> None:
    files = packed(part("bsdgate"), version="3.12.1", magic="0")
    prefix = "lib/python3.12/site-packages/"
    for name, data in files.items():
        target = tmp_path / name.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    assert identity.digest_of(tmp_path / "bsdgate") == identity.digest()
    assert list(tmp_path.glob("bsdgate-*.dist-info/entry_points.txt"))


class Altered(metadata.Distribution):
    """A distribution with one module, and one line in its RECORD."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder
        self.record = f"module.py,sha256={digest},1\n"

    def read_text(self, filename: str) -> str | None:
        return self.record if filename == "RECORD" else None

    def locate_file(self, path: object) -> Path:
        return self.folder / str(path)


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("1")
    digest = content._digest(b"1")
    assert hashlib.sha256(b"1").digest()
    name = canonicalize_name("altered")
    good = Part(name, Altered(tmp_path, digest), compiled=True)
    assert "lib/python3.11/site-packages/module.py" in packed(good)
    (tmp_path / "module.py").write_text("2")
    with pytest.raises(UsageError, match=r"module\.py was altered since altered was installed"):
        packed(good)


def test_valid_byte_code_is_copied_for_the_same_python(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("VALUE = 1\n")
    made = Part(
        canonicalize_name("made"), Altered(tmp_path, content._digest(source.read_bytes())), True
    )
    cached = f"lib/python3.11/site-packages/__pycache__/module.{sys.implementation.cache_tag}.pyc"
    assert cached not in packed(made)
    import py_compile

    py_compile.compile(str(source), doraise=True)
    assert cached in packed(made)
    assert cached not in packed(made, magic="00000000")
    stale = (tmp_path / "__pycache__").glob("*.pyc")
    for each in stale:
        each.write_bytes(each.read_bytes()[:8] + b"\0" * 8)
    assert cached not in packed(made)

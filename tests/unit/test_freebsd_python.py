# SPDX-License-Identifier: Apache-2.0
"""The module that makes Python lack what FreeBSD's lacks, as tests of the likeness use it."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from functional import freebsd_python

TESTS = Path(__file__).parents[1]
BEGIN = """
import sys
sys.path.insert(0, {tests!r})
from functional import freebsd_python
freebsd_python.begin({records!r})
"""
# These may be loaded before the module here, but not when the module is in encodings.
FRESH = "for name in ('select', 'socket', '_socket', 'resource'): sys.modules.pop(name, None)\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    return folder


def run(code: str, records: Path) -> subprocess.CompletedProcess[str]:
    begin = BEGIN.format(tests=str(TESTS), records=str(records))
    command = [sys.executable, "-c", begin + FRESH + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read(records: Path) -> list[dict[str, Any]]:
    lines = [line for each in records.iterdir() for line in each.read_text().splitlines()]
    return [ast.literal_eval(line) for line in lines]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/proc", True),
        ("/proc/self/status", True),
        (b"/proc/cpuinfo", True),
        (Path("/sys/kernel"), True),
        ("//proc//1", True),
        ("/tmp/../proc/./1", True),
        ("/dev/fd/3", True),
        ("/process", False),
        ("/srv/proc/1", False),
        ("/dev/null", False),
        (3, False),
        (None, False),
    ],
)
def test_paths_of_proc_and_sys_are_refused(path: object, expected: bool) -> None:
    assert freebsd_python.is_refused(path) is expected


def test_relative_path_is_relative_to_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir("/dev")
    assert freebsd_python.is_refused("fd/1")
    assert not freebsd_python.is_refused("null")


def test_present_names_are_those_that_freebsd_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource
    import select

    for module in (resource, select):
        monkeypatch.setattr(module, "prlimit", None, raising=False)
        monkeypatch.setattr(module, "EPOLLIN", 1, raising=False)
    assert {"resource.prlimit", "select.EPOLLIN"} <= set(freebsd_python.present())
    assert not {"select.prlimit", "resource.EPOLLIN"} & set(freebsd_python.present())


def test_modules_lack_the_names_also_in_forks(records: Path) -> None:
    code = """
import os, select, socket
print(hasattr(select, "poll"), hasattr(select, "epoll"), hasattr(socket, "TCP_CORK"))
if not os.fork():
    os._exit(0)
os.wait()
"""
    assert run(code, records).stdout == "True False False\n"
    first, forked = sorted(read(records), key=lambda each: len(each["present"]), reverse=True)
    assert forked["argv"] == first["argv"]
    assert [each for each in forked["present"] if not each.startswith(("os.", "signal."))] == []


def test_refused_path_is_recorded(records: Path) -> None:
    done = run("import os\nos.listdir('/sys')", records)
    assert "FileNotFoundError: [Errno 2] FreeBSD has no such file: '/sys'" in done.stderr
    (found,) = [each for each in read(records) if "refused" in each]
    assert (found["refused"], found["caller"]) == ("/sys", "__main__")


def test_psutil_works_and_leaves_no_name(records: Path) -> None:
    code = "import psutil, socket\nprint(psutil.Process().pid, hasattr(socket, 'AF_PACKET'))"
    done = run(code, records)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "False"
    assert not [each for each in read(records) if "refused" in each]

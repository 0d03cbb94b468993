# SPDX-License-Identifier: Apache-2.0
"""Processes that change one clouds.yaml at the same time keep the text of the user."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsdgate.harness import clouds_yaml

WRITERS = 10
THEIRS = "# mine\nclouds:\n" + "".join(
    f"  own-{number}:  # the {number}th\n    auth: {{auth_url: 'https://{number}.example/v3'}}\n"
    for number in range(20)
)


def entry(number: int) -> dict[str, Any]:
    """Return the entry of the cloud of one writer."""
    return {"auth": {"auth_url": f"http://127.0.0.1:{5000 + number}/v3", "password": "p" * 24}}


def put(file: Path, number: int) -> None:
    """Write the entry of one writer."""
    clouds_yaml.put(file, f"ours-{number}", entry(number))


def drop(file: Path, number: int) -> None:
    """Remove the entry of one writer."""
    clouds_yaml.drop(file, f"ours-{number}", entry(number)["auth"]["auth_url"])


WRITER = """
import pathlib, sys, yaml
from bsdgate.harness import clouds_yaml

file, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
url = f"http://127.0.0.1:{5000 + number}/v3"
name, entry = f"ours-{number}", {"auth": {"auth_url": url, "password": "p" * 24}}
print("ready", flush=True)
sys.stdin.readline()
for _ in range(1 + number % 3):
    clouds_yaml.put(file, name, entry)
    assert yaml.safe_load(file.read_text())["clouds"][name] == entry
    clouds_yaml.drop(file, name, url)
"""
"""A process that writes and removes its entry repeatedly, after it has read a line."""


def started_writers(file: Path) -> list[subprocess.Popen[bytes]]:
    """Start ten writers that are ready at once."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WRITER, str(file)]
    writers = [
        subprocess.Popen([*command, str(number)], stdin=pipe, stdout=pipe)
        for number in range(WRITERS)
    ]
    for each in writers:
        assert each.stdout
        assert each.stdout.readline() == b"ready\n"
    return writers


def test_ten_processes_keep_the_text_and_each_reader_finds_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(THEIRS)
    writers = started_writers(file)
    for each in writers:
        assert each.stdin
        each.stdin.write(b"\n")
        each.stdin.flush()
    while any(each.poll() is None for each in writers):
        names = set(yaml.safe_load(file.read_text())["clouds"])
        assert {f"own-{number}" for number in range(20)} <= names
    for each in writers:
        each.communicate()
    assert [each.returncode for each in writers] == [0] * WRITERS
    assert file.read_text() == THEIRS
    assert [each.name for each in tmp_path.iterdir()] == ["clouds.yaml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openstack")


ORDERS = st.lists(st.integers(0, WRITERS - 1), min_size=1, max_size=15)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(orders=ORDERS)
def test_any_interleaving_of_ten_writers_keeps_the_text(folder: Path, orders: list[int]) -> None:
    """Each writer has its turns in the order of the example; those of one turn run in parallel."""
    file = folder / "clouds.yaml"
    file.write_text(THEIRS)
    there: set[int] = set()
    for begin in range(0, len(orders), 5):
        turn = set(orders[begin : begin + 5])
        threads = [
            threading.Thread(target=drop if number in there else put, args=(file, number))
            for number in turn
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        there ^= turn
        clouds = yaml.safe_load(file.read_text())["clouds"]
        expected = {f"own-{number}" for number in range(20)} | {f"ours-{n}" for n in there}
        assert set(clouds) == expected
    for number in there:
        drop(file, number)
    assert file.read_text() == THEIRS

# SPDX-License-Identifier: Apache-2.0
"""The directory of a run, and functions to begin a run and to stop it during the tests."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functional.place import BIN, TIMEOUT, Done, Place, Started, listening, wait_for

from bsdgate.results.parsers.subunit import StreamReader

FEW = (
    r"tempest\.api\.identity\.(admin\.v3\.test_(policies|regions)|v3\.test_(api_discovery|domains))"
)
"""Seven tests of one second in total."""
MANY = r"tempest\.api\.network\.test_(networks|ports|security_groups)"
"""Tests of some seconds each, to have time for signals."""
TWO = ("--concurrency", "2")
MODULES = (
    r"tempest\.api\.identity\.admin\.v3\.test_(application|credentials|default|domain|endpoint|oauth|"
    r"policies|projects_negative|regions|services|users_negative)"
)
"""Tests of many small modules, so that a resumed run has few tests to repeat."""
KEYSTONE = ("--profile", "keystone")
"""A cloud with one service, for tests that need no other: it starts in a third of the time."""
IDENTITY = (*KEYSTONE, "--suite", "gate", "--tests", MODULES)
"""A run of about fifty tests, to have time for signals."""
LEFT = 3
"""The number of modules in the reports after which one of two workers has completed a module."""


@dataclass(frozen=True)
class RunFolder:
    """The directory of a run."""

    path: Path

    def read(self, name: str) -> Any:
        """Return the content of a JSON file."""
        return json.loads((self.path / name).read_text())

    @property
    def verdict(self) -> Any:
        return self.read("report/verdict.json")

    @property
    def attempts(self) -> dict[str, Any]:
        found = sorted(self.path.glob("evidence/*/attempt.json"))
        return {each.parent.name: json.loads(each.read_text()) for each in found}

    def reasons(self) -> dict[str, Any]:
        """Return the reasons of the verdict, by code."""
        return {reason["code"]: reason for reason in self.verdict["reasons"]}

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.path / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def modules(self) -> int:
        """Return the number of modules in the reports of the newest attempt of Tempest."""
        newest = max(self.path.glob("evidence/*-tempest"), default=self.path)
        stream = newest / "stream.subunit"
        # The directory of an attempt is made before its stream.
        if not stream.exists():
            return 0
        events = StreamReader().feed(stream.read_bytes())
        ended = {each.id for each in events if each.status in {"success", "skip", "fail"}}
        return len({test.partition("[")[0].rsplit(".", 2)[0] for test in ended})

    def asked(self, attempt: str) -> list[str]:
        return (self.path / "evidence" / attempt / "asked.txt").read_text().splitlines()

    def ports(self) -> list[int]:
        """Return the ports of the run's cloud."""
        return list(self.read("cloud/spec.json")["ports"].values())


def runs(place: Place) -> list[RunFolder]:
    """Return the runs of a place, the oldest first."""
    manifests = (place.state / "runs").glob("*/manifest.json")
    by_age = sorted(manifests, key=lambda each: each.stat().st_mtime_ns)
    return [RunFolder(each.parent) for each in by_age]


def begun(
    place: Place, *arguments: str | Path, modules: int = 1, under: tuple[str | Path, ...] = ()
) -> tuple[Started, RunFolder]:
    """Start a new run, and wait for the first reports of tests; return it with its directory.

    ``under`` are the arguments of a program that starts the run, such as nohup.
    """
    before = len(runs(place))
    command = (*under, BIN / "bsdgate") if under else ("bsdgate",)
    started = place.start(*command, "run", *arguments)
    wait_for(lambda: len(runs(place)) > before or started.popen.poll() is not None, "a new run")
    assert len(runs(place)) > before, started.text
    folder = runs(place)[-1]
    wait_for_tests(started, folder, modules)
    return started, folder


def wait_for_tests(started: Started, folder: RunFolder, modules: int = 1) -> None:
    """Wait for the reports of tests of so many modules in the present attempt."""

    def reporting() -> bool:
        assert started.popen.poll() is None, f"the run is over:\n{started.text}"
        last = [each["state"] for name, each in folder.attempts.items() if "tempest" in name][-1:]
        return last == ["running"] and folder.modules() >= modules

    # A cloud starts before, and may build its templates.
    wait_for(reporting, "a test reports", TIMEOUT * 3)


def resumed(place: Place, folder: RunFolder, modules: int = 1) -> Started:
    """Resume a run, and wait for the first reports of tests."""
    started = place.start("bsdgate", "run", "--resume", folder.path)
    wait_for_tests(started, folder, modules)
    return started


def assert_nothing_left(place: Place, ports: list[int]) -> None:
    place.wait_until_empty(10)
    assert listening(ports) == []


@dataclass(frozen=True)
class Stopped:
    """A stopped run: its directory, the end of its command, and observations before."""

    folder: RunFolder
    done: Done
    seconds: float
    ports: list[int]


def stop(place: Place, started: Started, folder: RunFolder, how: Callable[[], None]) -> Stopped:
    ports = folder.ports()
    assert sorted(listening(ports)) == sorted(ports)
    began = time.monotonic()
    how()
    done = started.done(60)
    return Stopped(folder, done, time.monotonic() - began, ports)

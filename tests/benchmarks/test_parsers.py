# SPDX-License-Identifier: Apache-2.0
"""The speed and the memory of the parsers and of other parsers: printed, not asserted.

``pytest -s tests/benchmarks/test_parsers.py``. Each reader runs several times in its own process,
alternating with the others; the best time counts, because machines are noisy. Memory is the growth
of the process while it reads.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROUNDS = 3
SUBUNIT_TESTS = 20_000
MILLION = 1_000_000
JUNIT_CASES = 50_000
WORKLOADS, ITERATIONS = 50, 200
VERIFIED = 20_000
BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
TRACEBACK = b"Traceback (most recent call last):\n" + b'  File "a.py", line 1, in b\n' * 40


# The readers: each reads one file and returns the number of tests.


def ours_subunit(path: Path) -> int:
    from bsdgate.results.model import Case
    from bsdgate.results.parsers.subunit import parse

    with path.open("rb") as stream:
        return sum(isinstance(one, Case) for one in parse(stream, None))


def stream_to_dict(path: Path) -> int:
    from subunit.v2 import ByteStreamToStreamResult
    from testtools import StreamToDict

    found = [0]

    def take(_test: Any) -> None:
        found[0] += 1

    with path.open("rb") as stream:
        result = StreamToDict(take)
        result.startTestRun()
        ByteStreamToStreamResult(stream, non_subunit_name="stdout").run(result)
        result.stopTestRun()
    return found[0]


def ours_junit(path: Path) -> int:
    from bsdgate.results.model import Case
    from bsdgate.results.parsers.junit import parse

    with path.open("rb") as stream:
        return sum(isinstance(one, Case) for one in parse(stream))


def junitparser_facts(path: Path) -> int:
    """The fields of our cases: name, class, time, and the outcome with message and text."""
    from junitparser import JUnitXml

    found = 0
    for suite in JUnitXml.fromfile(str(path)):
        for case in suite:
            _ = case.name, case.classname, case.time
            _ = [(result.message, result.text) for result in case.result]
            found += 1
    return found


def junitparser_walk(path: Path) -> int:
    """The same, but only the name of each case."""
    from junitparser import JUnitXml

    return sum(1 for suite in JUnitXml.fromfile(str(path)) for case in suite if case.name)


def ours_rally(path: Path) -> int:
    from bsdgate.results.parsers.rally import parse

    with path.open("rb") as stream:
        return ITERATIONS * sum(1 for _ in parse(stream, {}))


def ours_verification(path: Path) -> int:
    from bsdgate.results.model import Case
    from bsdgate.results.parsers.verification import parse

    with path.open("rb") as stream:
        return sum(isinstance(one, Case) for one in parse(stream))


def json_load_tasks(path: Path) -> int:
    with path.open("rb") as stream:
        (task,) = json.load(stream)["tasks"]
    return sum(len(load["data"]) for part in task["subtasks"] for load in part["workloads"])


def json_load_tests(path: Path) -> int:
    with path.open("rb") as stream:
        return len(json.load(stream)["tests"])


READERS_OF_JUNIT = (ours_junit, junitparser_facts, junitparser_walk)

IMPORTS = (
    "bsdgate.results.parsers.subunit",
    "bsdgate.results.parsers.junit",
    "bsdgate.results.parsers.rally",
    "bsdgate.results.parsers.verification",
    "junitparser",
    "testtools",
)


def measure(name: str, path: str) -> None:
    """Run one reader in this process; print its count, CPU seconds and KiB grown by."""
    for module in IMPORTS:
        importlib.import_module(module)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = globals()[name](Path(path))
    seconds = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([found, seconds, grown]))


# The inputs.


def subunit_stream(path: Path, *, failing: int) -> Path:
    """Write a stream like stestr's for Tempest; one test in ``failing`` fails with a traceback."""
    from subunit.v2 import StreamResultToBytes

    with path.open("wb") as file:
        writer = StreamResultToBytes(file)
        for number in range(SUBUNIT_TESTS):
            moment = BEGAN + timedelta(seconds=number, microseconds=123_456)
            test: dict[str, Any] = {
                "test_id": f"tempest.api.compute.servers.test_servers.ServersTest.test_{number}"
                f"[id-5de47127-9977-400a-936f-{number:012x},smoke]",
                "test_tags": {f"worker-{number % 4}"},
                "route_code": str(number % 4),
            }
            writer.status(test_status="inprogress", timestamp=moment, **test)
            failed = number % failing == 0
            if failed:
                writer.status(
                    file_name="traceback",
                    file_bytes=TRACEBACK,
                    mime_type="text/x-traceback",
                    timestamp=moment,
                    **test,
                )
            ended = moment + timedelta(seconds=0.8)
            writer.status(test_status="fail" if failed else "success", timestamp=ended, **test)
    return path


def junit_report(path: Path) -> Path:
    failure = (
        f'<failure message="AssertionError">{TRACEBACK.decode().replace("<", "&lt;")}</failure>'
    )
    with path.open("w") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">')
        for number in range(JUNIT_CASES):
            inside = failure if number % 50 == 0 else ""
            file.write(
                f'<testcase classname="checks.test_host.TestHost" name="test_case[{number}]"'
                f' time="0.{number % 1000:03}">{inside}</testcase>'
            )
        file.write("</testsuite></testsuites>")
    return path


def rally_report(path: Path) -> Path:
    recorded = Path(__file__).parents[1] / "golden" / "rally" / "dummies" / "stream.json"
    report = json.loads(recorded.read_text())
    load = report["tasks"][0]["subtasks"][0]["workloads"][0]
    load["data"] = [load["data"][0]] * ITERATIONS
    load["total_iteration_count"] = ITERATIONS
    report["tasks"][0]["subtasks"] = [{"workloads": [load] * WORKLOADS}]
    path.write_text(json.dumps(report))
    return path


def verification_report(path: Path) -> Path:
    recorded = Path(__file__).parents[1] / "golden" / "verification" / "tempest" / "stream.json"
    report = json.loads(recorded.read_text())
    ((uuid, head),) = report["verifications"].items()
    result = {"by_verification": {uuid: {"status": "success", "duration": "1.234"}}}
    ids = (f"tempest.api.compute.Servers.test_{n}[id-{n:032x},smoke]" for n in range(VERIFIED))
    report["tests"] = {
        test_id: {"name": test_id.partition("[")[0], "tags": ["smoke"], **result} for test_id in ids
    }
    head |= dict.fromkeys(head.keys() & {"failures", "skipped"}, 0)
    head |= {"tests_count": VERIFIED, "success": VERIFIED}
    path.write_text(json.dumps(report, indent=4))
    return path


# The tables.


def compare(title: str, path: Path, readers: Iterable[Callable[[Path], int]]) -> None:
    names = [reader.__name__ for reader in readers]
    best: dict[str, tuple[float, int, int]] = {}
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for _ in range(ROUNDS):
        for name in names:
            # As a child of a shell: a process inherits the peak of its parent.
            argv = ["/bin/sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-c"]
            argv.append(f"{code}; import test_parsers as t; t.measure({name!r}, {str(path)!r})")
            done = subprocess.run(argv, check=True, capture_output=True, env=environment)
            found, seconds, grown = json.loads(done.stdout)
            least = best.get(name, (seconds, found, grown))
            best[name] = (min(least[0], seconds), found, max(least[2], grown))
    print(f"\n  {title} ({path.stat().st_size / 1e6:.1f} MB)")
    for name in names:
        seconds, found, grown = best[name]
        rate = f"{found / seconds:10,.0f} tests/s"
        print(f"    {name:24} {found:9,} tests {rate} {grown / 1024:8.1f} MB")


def test_subunit(tmp_path: Path) -> None:
    readers = (ours_subunit, stream_to_dict)
    compare("subunit, all pass", subunit_stream(tmp_path / "pass", failing=MILLION), readers)
    compare("subunit, one in ten fails", subunit_stream(tmp_path / "fail", failing=10), readers)


def test_junit(tmp_path: Path) -> None:
    compare("JUnit XML", junit_report(tmp_path / "report.xml"), READERS_OF_JUNIT)


def test_rally(tmp_path: Path) -> None:
    path = rally_report(tmp_path / "task.json")
    compare("Rally task (iterations)", path, (ours_rally, json_load_tasks))
    path = verification_report(tmp_path / "verification.json")
    compare("Rally verification", path, (ours_verification, json_load_tests))


def test_readers_agree(tmp_path: Path) -> None:
    """Each reader finds all tests."""
    stream = subunit_stream(tmp_path / "stream", failing=10)
    assert ours_subunit(stream) == stream_to_dict(stream) == SUBUNIT_TESTS
    report = junit_report(tmp_path / "report.xml")
    assert {reader(report) for reader in READERS_OF_JUNIT} == {JUNIT_CASES}

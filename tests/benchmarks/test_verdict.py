# SPDX-License-Identifier: Apache-2.0
"""The time for a verdict, from the files of a run to JSON: printed, not asserted.

2,000 cases, 500 known failures, 200 earlier runs in the history; ``tox -e bench``.
"""

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from subunit.v2 import StreamResultToBytes

from bsdgate.results import document, judge
from bsdgate.results.parsers.subunit import StreamReader
from bsdgate.results.policy import GATE
from bsdgate.results.store.database import Store

CASES = 2000
KNOWN = 500
RUNS = 200
ROUNDS = 5

ONCE = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from bsdgate.results import document, judge
from bsdgate.results.policy import GATE
from bsdgate.results.store.database import Store
imported = time.perf_counter()
with Store(Path(sys.argv[2])) as store:
    verdict = judge.judge_run(Path(sys.argv[1]), [Path(sys.argv[3])], GATE, store)
    text = document.render(verdict)
print(imported - began, time.perf_counter() - imported, verdict.result, len(verdict.cases))
"""


def ids() -> list[str]:
    return [
        f"tempest.api.area{number % 20}.test_module{number % 97}.Class{number % 211}Test"
        f".test_{number}[id-{number:08x}-0000-4000-8000-000000000000,smoke]"
        for number in range(CASES)
    ]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return a run with a tenth of skipped tests, and a few known failures."""
    out = BytesIO()
    writer = StreamResultToBytes(out)
    for number, test in enumerate(ids()):
        writer.status(test_id=test, test_status="inprogress", test_tags={f"worker-{number % 4}"})
        status = "fail" if number % 100 == 7 else "success"
        writer.status(test_id=test, test_status=status, test_tags={f"worker-{number % 4}"})
    reader = StreamReader()
    list(reader.feed(out.getvalue()))
    run_id = "0" * 32
    run = {"run_id": run_id, "created": "2026-11-22T12:00:00+00:00", "schema": 1}
    folder = tmp_path / "run" / "evidence" / "01-tempest"
    folder.mkdir(parents=True)
    stream = out.getvalue() + reader.make_seal(run_id, "01-tempest")
    asked = "".join(f"{each}\n" for each in ids()).encode()
    (folder / "stream.subunit").write_bytes(stream)
    (folder / "asked.txt").write_bytes(asked)
    digests = {"stream.subunit": digest(stream), "asked.txt": digest(asked)}
    head = {
        "schema": 1,
        "run_id": run_id,
        "name": "01-tempest",
        "kind": "tempest",
        "format": "subunit",
        "asked": "asked.txt",
        "count": CASES,
        "stream": "stream.subunit",
        "exit_status": 0,
        "state": "ended",
        "started": None,
        "ended": None,
        "sha256": digests,
        "problems": [],
    }
    (folder / "attempt.json").write_text(json.dumps(head))
    manifest = {**run, "suite": "gate", "profile": "embedded", "evidence": ["tempest"]}
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    begun = {"step": "attempt", "event": "begin", "name": "01-tempest"}
    (tmp_path / "run" / "journal.jsonl").write_text(f"{json.dumps(begun)}\n")
    return tmp_path / "run"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return entries of all forms, also for the tests that fail."""
    shapes = ["{0}", "{0}", "{1}.*", "*.test_{2}"]
    entries = []
    for number, test in enumerate(ids()[7 : 7 + 4 * KNOWN : 4]):
        parts = (test.partition("[")[0], test.rpartition(".")[0], number * 4 + 7)
        entries.append(
            f"- test: {shapes[number % 4].format(*parts)!r}\n  bug: https://example.org/{number}\n"
            "  owner: jane\n  reason: made up\n  since: 2026-01-01\n  expires: 2027-01-01\n"
        )
    path = tmp_path / "known.yaml"
    path.write_text("".join(entries))
    return path


@pytest.fixture
def history(tmp_path: Path, run_dir: Path) -> Path:
    """Return earlier runs of the same tests."""
    path = tmp_path / "history.sqlite"
    verdict = judge.judge_run(run_dir)
    with Store(path) as store:
        for number in range(RUNS):
            created = verdict.run.created - timedelta(hours=number + 1)
            run = replace(verdict.run, run_id=f"{number + 1:032x}", created=created)
            store.import_run(replace(verdict, run=run))
    return path


def test_verdict_from_files_to_json(run_dir: Path, known: Path, history: Path) -> None:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with Store(history) as store:
            verdict = judge.judge_run(run_dir, [known], GATE, store)
            text = document.render(verdict)
        seconds.append(time.perf_counter() - began)
    counts = {name: count for name, count in verdict.counts.items() if count}
    print(f"\n  {CASES} cases, {KNOWN} known failures, {RUNS} earlier runs: {verdict.result}")
    print(f"  {counts}, {len(text) // 1024} KiB of JSON")
    print(f"  from files to JSON, median of {ROUNDS} (first): "
          f"{sorted(seconds)[ROUNDS // 2]:.3f} s ({seconds[0]:.3f})")  # fmt: skip
    argv = [sys.executable, "-c", ONCE, str(run_dir), str(history), str(known)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    imports, work, *_ = done.stdout.split()
    print(f"  in a new process: {float(imports):.3f} s of imports, {float(work):.3f} s of work")

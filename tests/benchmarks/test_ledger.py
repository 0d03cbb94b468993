# SPDX-License-Identifier: Apache-2.0
"""The time and the memory to judge runs of 2,000 and 10,000 cases: printed, not asserted.

``pytest --timeout=0 -s tests/benchmarks/test_ledger.py``. Each measurement has its own process;
its memory is read every few milliseconds, minus the memory after all imports.
"""

import gc
import hashlib
import json
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from subunit.v2 import StreamResultToBytes

from bsdgate.results import document, evidence, ids, ledger, verdict
from bsdgate.results.model import Evidence
from bsdgate.results.parsers.seal import SEAL_NAME
from bsdgate.results.reporters import junit

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN, ATTEMPT = "0" * 32, "01-tempest"
NUMBER = "0000000"
TEST = f"tempest.api.compute.servers.test_servers.ServersTest.test_{NUMBER}[id-{NUMBER},smoke]"
SIZES = [2_000, 10_000]
TICK = 0.005
MEBI = 1 << 20


# The measured functions: each returns its result, to keep it in memory.


def ids_alone(run_dir: Path) -> tuple[str, ...]:
    with (run_dir / "evidence" / ATTEMPT / "asked.txt").open("rb") as file:
        return ids.read_ids(file)


def load(run_dir: Path) -> Evidence:
    return evidence.load(run_dir)


def reconcile(run_dir: Path) -> object:
    found = evidence.load(run_dir)
    account = ledger.reconcile(found.attempts)
    assert account.reasons == ()
    return found, account


def judge(run_dir: Path) -> object:
    found = evidence.load(run_dir)
    judged = verdict.judge(found)
    assert judged.result == "PASS"
    return found, judged


def write_down(run_dir: Path) -> object:
    judged = verdict.judge(evidence.load(run_dir))
    (run_dir / "report.json").write_text(document.render(judged), encoding="utf-8")
    (run_dir / "report.xml").write_text(junit.render(judged), encoding="utf-8")
    return judged


STAGES: tuple[Callable[[Path], object], ...] = (ids_alone, load, reconcile, judge, write_down)


@contextmanager
def highest() -> Iterator[list[int]]:
    """Measure the maximum memory of the process in the block, in bytes above the present memory."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    found = [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(TICK):
            found[0] = max(found[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    yield found
    done.set()
    watcher.join()
    found[0] = max(found[0], process.memory_info().rss - before)


def measure(stage: str, run_dir: Path) -> None:
    """Run one stage in this process and print its seconds and bytes."""
    function = next(each for each in STAGES if each.__name__ == stage)
    with highest() as memory:
        began = time.perf_counter()
        held = function(run_dir)
        seconds = time.perf_counter() - began
    assert held
    print(json.dumps([seconds, memory[0]]))


def packets() -> list[bytes]:
    """Return the packets of one test of a second, without their checksums."""
    found = []
    for status, moment in (("inprogress", BEGAN), ("success", BEGAN + timedelta(seconds=1))):
        out = BytesIO()
        StreamResultToBytes(out).status(
            test_id=TEST, test_status=status, timestamp=moment, test_tags={"worker-0"}
        )
        found.append(out.getvalue()[:-4])
    return found


def seal(count: int) -> bytes:
    """Return the packet of the harness after so many other packets."""
    content = {"run_id": RUN, "attempt": ATTEMPT, "packets": count}
    out = BytesIO()
    StreamResultToBytes(out).status(
        file_name=SEAL_NAME, file_bytes=json.dumps(content).encode(), eof=True, runnable=False
    )
    return out.getvalue()


def asked(cases: int) -> Iterator[bytes]:
    for number in range(cases):
        yield TEST.encode().replace(NUMBER.encode(), b"%07d" % number) + b"\n"


def stream(cases: int) -> Iterator[bytes]:
    pair = packets()
    for number in range(cases):
        for packet in pair:
            renamed = packet.replace(NUMBER.encode(), b"%07d" % number)
            yield renamed + zlib.crc32(renamed).to_bytes(4, "big")
    yield seal(2 * cases)


def write(path: Path, pieces: Iterator[bytes]) -> str:
    """Write a file and return its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def write_run(place: Path, cases: int) -> Path:
    """Write a run directory of the harness with so many successful tests."""
    folder = place / "evidence" / ATTEMPT
    folder.mkdir(parents=True)
    run = {"schema": 1, "run_id": RUN, "created": BEGAN.isoformat(), "evidence": ["tempest"]}
    (place / "manifest.json").write_text(json.dumps(run))
    begun = {"step": "attempt", "event": "begin", "name": ATTEMPT}
    (place / "journal.jsonl").write_text(f"{json.dumps(begun)}\n")
    head = {
        "schema": 1,
        "run_id": RUN,
        "name": ATTEMPT,
        "kind": "tempest",
        "format": "subunit",
        "asked": "asked.txt",
        "count": cases,
        "stream": "stream.subunit",
        "exit_status": 0,
        "state": "ended",
        "sha256": {
            "asked.txt": write(folder / "asked.txt", asked(cases)),
            "stream.subunit": write(folder / "stream.subunit", stream(cases)),
        },
        "problems": [],
    }
    (folder / "attempt.json").write_text(json.dumps(head))
    return place


@pytest.mark.parametrize("cases", SIZES)
def test_a_run_of_many_cases(cases: int, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", cases)
    size = sum(path.stat().st_size for path in run_dir.rglob("*") if path.is_file())
    print(f"\n{cases:,} cases, {size / MEBI:.0f} MiB of evidence")
    alone = 0
    for stage in STAGES:
        argv = [sys.executable, __file__, stage.__name__, str(run_dir)]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        seconds, memory = json.loads(done.stdout)
        alone = alone or memory
        beside = "" if stage is ids_alone else f"{(memory - alone) / MEBI:8.1f} MiB beside the ids"
        print(f"  {stage.__name__:10} {seconds:8.3f} s {memory / MEBI:8.1f} MiB {beside}")


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]))

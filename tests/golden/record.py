# SPDX-License-Identifier: Apache-2.0
"""Records the golden streams with the real runners: stestr, tempest, pytest, kyua and rally.

    python tests/golden/record.py [CASE...]

Each case becomes ``<parser>/<case>/`` with what was asked, the stream and the runner's exit
status; ``BSDGATE_GOLDEN=rewrite pytest tests/unit/results`` then writes what the parser makes of
it (``parsed.json``) and what the judge does (``expected.json``), to be read before they are
committed. In the streams the paths of the machine are replaced, and Kyua's list of environment
variables is left out; nothing else is touched. "stestr" needs subunit2junitxml with the package
junitxml, and "kyua" needs kyua, both on the PATH.
"""

import contextlib
import datetime
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes

HERE = Path(__file__).resolve().parent
PROJECTS = HERE / "projects"
BIN = Path(sys.executable).parent
FAILED_IMPORT = "unittest.loader._FailedTest.tiny_plugin.tests.test_broken"
STESTR_CONF = "[DEFAULT]\ntest_path=./tiny\ntop_dir=./\ngroup_regex=([^\\.]*\\.)*\n"


def surroundings(home: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home)}


def run(argv: list[str], cwd: Path, **env: str) -> tuple[int, bytes]:
    """Run to the end, and give back the exit status and standard output."""
    whole = surroundings(cwd) | env
    done = subprocess.run(argv, cwd=cwd, env=whole, stdout=subprocess.PIPE, check=False)
    return done.returncode, done.stdout


def replacements(work: Path) -> list[tuple[str, str]]:
    """Paths of this machine, longest first, and what stands for them."""
    known = {str(work): "/case", sys.prefix: "/venv", sys.base_prefix: "/python"}
    return sorted(known.items(), key=lambda pair: -len(pair[0]))


def scrub(data: bytes, work: Path) -> bytes:
    for path, name in replacements(work):
        data = data.replace(path.encode(), name.encode())
    return data


class Scrubber:
    """Writes each packet again, with the paths in its attachment replaced."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.out = io.BytesIO()
        self.packets = StreamResultToBytes(self.out)
        self.between = b""

    def flush(self) -> None:
        self.out.write(scrub(self.between, self.work))
        self.between = b""

    def status(self, **packet: Any) -> None:
        if packet["file_name"] == "not subunit":
            self.between += bytes(packet["file_bytes"])
            return
        self.flush()
        if packet["file_bytes"] is not None:
            packet["file_bytes"] = scrub(bytes(packet["file_bytes"]), self.work)
        self.packets.status(**packet)


def scrub_subunit(stream: bytes, work: Path) -> bytes:
    scrubber = Scrubber(work)
    ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name="not subunit").run(scrubber)
    scrubber.flush()
    return scrubber.out.getvalue()


def save(
    parser: str, case: str, status: int, asked: tuple[str, bytes], stream: tuple[str, bytes]
) -> None:
    folder = HERE / parser / case
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (asked, stream):
        (folder / name).write_bytes(content)
    facts = {"exit_status": status, "asked": asked[0], "stream": stream[0]}
    (folder / "recorded.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{parser}/{case}: exit status {status}, {len(stream[1])} bytes")


def record_stestr(case: str, project: str, work: Path, by_id: bool = False, **env: str) -> None:
    shutil.copytree(PROJECTS / project, work / "tiny")
    (work / "tiny" / "__init__.py").touch()
    (work / ".stestr.conf").write_text(STESTR_CONF)
    run(["stestr", "init"], work)
    _, asked = run(["stestr", "list"], work)
    (work / "chosen").write_bytes(asked)
    chosen = ["--load-list", "chosen"] if by_id else []
    argv = ["stestr", "run", *chosen, "--concurrency", "2"]
    status, stream = run([*argv, "--subunit"], work, **env)
    save(
        "subunit",
        case,
        status,
        ("asked.txt", asked),
        ("stream.subunit", scrub_subunit(stream, work)),
    )


def record_returncode(work: Path) -> None:
    """A worker that ends with 3 before its first test, as stestr's own wrapper tells it.

    stestr 4.2.1 wraps each worker so and then reads past the wrapper (stestr/utils.py), which is
    why its own runs report no lost worker; older ones, and testrepository's, do.
    """
    from stestr.output import ReturnCodeToSubunit

    shutil.copytree(PROJECTS / "lost", work / "tiny")
    (work / "tiny" / "__init__.py").touch()
    (work / ".stestr.conf").write_text(STESTR_CONF)
    run(["stestr", "init"], work)
    _, asked = run(["stestr", "list"], work)
    argv = [sys.executable, "-m", "stestr.subunit_runner.run", "discover", "-t", ".", "tiny"]
    worker = subprocess.Popen(
        argv, cwd=work, env=os.environ | {"DIE": "import:exit"}, stdout=subprocess.PIPE
    )
    stream = ReturnCodeToSubunit(worker).read()
    save("subunit", "process-returncode", 0, ("asked.txt", asked), ("stream.subunit", stream))


def tempest_workspace(work: Path) -> dict[str, str]:
    """Install the tiny plugin where only ``env`` sees it, and make a workspace."""
    shutil.copytree(PROJECTS / "tempest", work / "lib")
    info = work / "lib" / "tiny_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tempest.test_plugins]\ntiny = tiny_plugin.plugin:TinyPlugin\n"
    )
    env = {"PYTHONPATH": str(work / "lib")}
    run(["tempest", "init", "ws"], work, **env)
    (work / "ws" / "etc" / "tempest.conf").write_text(
        "[identity]\nuri_v3 = http://127.0.0.1:9/v3\n"
        f"[oslo_concurrency]\nlock_path = {work}/ws/lock\n"
    )
    return env


def run_tempest(
    work: Path, module: str, extra: Sequence[str] = (), **env: str
) -> tuple[bytes, int, bytes]:
    """Run one module of the tiny plugin: what was asked, the exit status and the stream.

    ``extra`` are ids to run beside those that were asked.
    """
    plain = tempest_workspace(work)
    argv = ["tempest", "run", "--regex", rf"^tiny_plugin\.tests\.{module}\."]
    _, asked = run([*argv, "--list-tests"], work / "ws", **plain)
    ids = [line for line in asked.splitlines() if line.startswith(b"tiny_plugin.")]
    # By id and not by a pattern, which would not find a module that cannot be imported.
    chosen = [*ids, *(each.encode() for each in extra)]
    (work / "ws" / "chosen").write_bytes(b"\n".join(chosen) + b"\n")
    argv = ["tempest", "run", "--load-list", "chosen", "--concurrency", "2", "--subunit"]
    status, stream = run(argv, work / "ws", **plain, **env)
    return b"\n".join(ids) + b"\n", status, scrub_subunit(stream, work)


def record_tempest(
    case: str, module: str, work: Path, extra: Sequence[str] = (), **env: str
) -> None:
    asked, status, stream = run_tempest(work, module, extra, **env)
    save("subunit", case, status, ("asked.txt", asked), ("stream.subunit", stream))


def record_cut(work: Path) -> None:
    """The stream of a run that was cut: inside a packet, and where one ends."""
    asked, status, stream = run_tempest(work, "test_tiny")
    last = stream.rindex(b"\xb3", 0, len(stream) * 2 // 3)
    while ByteStreamToStreamResult.status_lookup[stream[last + 2] & 7] is None:
        last = stream.rindex(b"\xb3", 0, last)
    for case, end in (("tempest-cut-inside", last + 20), ("tempest-cut-between", last)):
        save("subunit", case, status, ("asked.txt", asked), ("stream.subunit", stream[:end]))


def record_stestr_junit(case: str, work: Path) -> None:
    """What ``stestr last --subunit | subunit2junitxml`` makes of every way a test ends."""
    shutil.copytree(PROJECTS / "outcomes", work / "tiny")
    (work / "tiny" / "__init__.py").touch()
    (work / ".stestr.conf").write_text(STESTR_CONF)
    run(["stestr", "init"], work)
    _, asked = run(["stestr", "list"], work)
    run(["stestr", "run", "--concurrency", "2"], work)
    pipe = "stestr last --subunit | subunit2junitxml --no-passthrough -o report.xml"
    status, _ = run(["sh", "-c", pipe], work)
    report = scrub((work / "report.xml").read_bytes(), work)
    save("junit", case, status, ("asked.txt", asked), ("stream.xml", report))


def record_kyua(case: str, work: Path) -> None:
    shutil.copytree(PROJECTS / "kyua", work / "suite")
    _, asked = run(["kyua", "list"], work / "suite")
    status, _ = run(["kyua", "test"], work / "suite")
    _, report = run(["kyua", "report-junit"], work / "suite")
    lines = scrub(report, work).splitlines(keepends=True)
    report = b"".join(line for line in lines if not line.startswith(b'<property name="env.'))
    save("junit", case, status, ("asked.txt", asked), ("stream.xml", report))


def record_verification(case: str, module: str, work: Path, **env: str) -> None:
    """What Rally makes of a stream of Tempest's: its own reader and its own reporter."""
    from rally.common.io import subunit_v2
    from rally.plugins.verification import reporters

    asked, status, stream = run_tempest(work, module, **env)
    (work / "stream").write_bytes(stream)
    results = subunit_v2.parse_file(str(work / "stream"))
    now = datetime.datetime(2026, 11, 22, 12)
    verification = types.SimpleNamespace(
        **results.totals,
        uuid="5f0c5a1e-6a8b-4c0d-9e7f-3a2b1c0d9e8f",
        status="failed" if results.totals["failures"] else "finished",
        run_args={"pattern": "tiny_plugin"},
        created_at=now,
        updated_at=now,
        tests=results.tests,
    )
    report = reporters.JSONReporter([verification], None).generate()["print"].encode() + b"\n"
    save("verification", case, status, ("asked.txt", asked), ("stream.json", report))


def record_pytest(case: str, work: Path) -> None:
    shutil.copytree(PROJECTS / "pytest", work / "project")
    argv = ["python", "-m", "pytest", "-p", "no:cacheprovider", "-q", "checks"]
    plain = {"PYTEST_ADDOPTS": "", "COLUMNS": "100"}
    _, listed = run([*argv, "--collect-only"], work / "project", **plain)
    ids = [line for line in listed.splitlines() if b"::" in line]
    status, _ = run([*argv, "--junit-xml=report.xml"], work / "project", **plain)
    report = scrub((work / "project" / "report.xml").read_bytes(), work)
    report = report.replace(os.uname().nodename.encode(), b"host")
    save(
        "junit",
        case,
        status,
        ("asked.txt", b"\n".join(ids) + b"\n"),
        ("stream.xml", report),
    )


def killed(argv: list[str], work: Path) -> int:
    """Start a command of Rally's and kill it when the second subtask of its task has begun."""
    process = subprocess.Popen([BIN / argv[0], *argv[1:]], cwd=work, env=surroundings(work))
    states: list[str] = []
    while process.poll() is None and states != ["finished", "running"]:
        time.sleep(0.1)
        with (
            contextlib.suppress(sqlite3.OperationalError),
            sqlite3.connect(work / "rally.db") as found,
        ):
            states = [one for (one,) in found.execute("select status from subtasks order by id")]
    process.kill()
    return process.wait()


def record_rally(case: str, work: Path, task: str = "task.yaml", *, kill: bool = False) -> None:
    (work / "rally.conf").write_text(f"[database]\nconnection = sqlite:///{work}/rally.db\n")
    (work / "spec.json").write_text("{}")
    rally = ["rally", "--config-file", str(work / "rally.conf")]
    file = PROJECTS / "rally" / task
    run([*rally, "db", "create"], work)
    run([*rally, "env", "create", "--name", "none", "--spec", "spec.json"], work)
    start = [*rally, "task", "start", str(file)]
    status = killed(start, work) if kill else run(start, work)[0]
    run([*rally, "task", "report", "--json", "--out", "report.json"], work)
    asked = [
        {
            "name": next(iter(load["scenario"])),
            "iterations": load["runner"]["constant"]["times"],
            **({"hooks": load["hooks"]} if "hooks" in load else {}),
        }
        for subtask in yaml.safe_load(file.read_text())["subtasks"]
        for load in subtask["workloads"]
    ]
    save(
        "rally",
        case,
        status,
        ("asked.json", json.dumps(asked, indent=1).encode() + b"\n"),
        ("stream.json", scrub((work / "report.json").read_bytes(), work)),
    )


CASES: dict[str, Callable[[Path], None]] = {
    "outcomes": lambda work: record_stestr("outcomes", "outcomes", work),
    "clean": lambda work: record_stestr("clean", "clean", work),
    "exit-between": lambda work: record_stestr("exit-between", "lost", work, DIE="between:exit"),
    "exit-inside": lambda work: record_stestr("exit-inside", "lost", work, DIE="inside:exit"),
    "kill-between": lambda work: record_stestr("kill-between", "lost", work, DIE="between:kill"),
    "kill-inside": lambda work: record_stestr("kill-inside", "lost", work, DIE="inside:kill"),
    # Every worker ends with 3 before its first test: exit status 0.
    "exit-at-once": lambda work: record_stestr(
        "exit-at-once", "lost", work, by_id=True, DIE="import:exit"
    ),
    "process-returncode": record_returncode,
    "import-error": lambda work: record_stestr("import-error", "broken", work, BREAK="1"),
    "tempest": lambda work: record_tempest("tempest", "test_tiny", work),
    "tempest-cut": record_cut,
    # Chosen by id, the tests of a module that cannot be imported vanish: exit status 0.
    "tempest-import-lost": lambda work: record_tempest(
        "tempest-import-lost", "test_broken", work, BREAK="1"
    ),
    "tempest-import-error": lambda work: record_tempest(
        "tempest-import-error", "test_broken", work, [FAILED_IMPORT], BREAK="1"
    ),
    "tempest-module-setup": lambda work: record_tempest(
        "tempest-module-setup", "test_module", work
    ),
    "tempest-module-end": lambda work: record_tempest(
        "tempest-module-end", "test_module_end", work
    ),
    **{
        f"tempest-{how}-{where}": partial(
            record_tempest, f"tempest-{how}-{where}", "test_lost", DIE=f"{where}:{how}"
        )
        for how in ("exit", "kill")
        for where in ("before", "inside", "between")
    },
    "stestr": lambda work: record_stestr_junit("stestr", work),
    "kyua": lambda work: record_kyua("kyua", work),
    "verification": lambda work: record_verification("tempest", "test_tiny", work),
    "verification-lost": lambda work: record_verification(
        "lost", "test_lost", work, DIE="inside:kill"
    ),
    "pytest": lambda work: record_pytest("pytest", work),
    "dummies": lambda work: record_rally("dummies", work),
    "rally-hooks": lambda work: record_rally("hooks", work, "hooks.yaml"),
    "rally-killed": lambda work: record_rally("killed", work, "killed.yaml", kill=True),
}


def main() -> None:
    if os.environ.get("CI"):
        sys.exit("golden files are recorded by people, not by CI")
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as work:
            CASES[name](Path(work).resolve())


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Records the golden streams with the real runners: stestr, tempest, pytest and rally.

    python tests/golden/record.py [CASE...]

Each case becomes ``<parser>/<case>/`` with what was asked, the stream and the runner's exit
status; ``BSDGATE_GOLDEN=rewrite pytest tests/unit/results`` then writes what the parsers and the
judge make of it (``expected.json``), to be read before it is committed. In the streams, the
paths of the machine are replaced; nothing else is touched.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes

HERE = Path(__file__).resolve().parent
PROJECTS = HERE / "projects"
BIN = Path(sys.executable).parent
STESTR_CONF = "[DEFAULT]\ntest_path=./tiny\ntop_dir=./\ngroup_regex=([^\\.]*\\.)*\n"


def run(argv, cwd, **env):
    """Run to the end, and give back the exit status and standard output."""
    whole = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(cwd)} | env
    done = subprocess.run(argv, cwd=cwd, env=whole, stdout=subprocess.PIPE, check=False)
    return done.returncode, done.stdout


def replacements(work):
    """Paths of this machine, longest first, and what stands for them."""
    known = {str(work): "/work", sys.prefix: "/venv", sys.base_prefix: "/python"}
    return sorted(known.items(), key=lambda pair: -len(pair[0]))


def scrub(data, work):
    for path, name in replacements(work):
        data = data.replace(path.encode(), name.encode())
    return data


class Scrubber:
    """Writes each packet again, with the paths in its attachment replaced."""

    def __init__(self, work):
        self.work = work
        self.out = io.BytesIO()
        self.packets = StreamResultToBytes(self.out)
        self.between = b""

    def flush(self):
        self.out.write(scrub(self.between, self.work))
        self.between = b""

    def status(self, **packet):
        if packet["file_name"] == "not subunit":
            self.between += bytes(packet["file_bytes"])
            return
        self.flush()
        if packet["file_bytes"] is not None:
            packet["file_bytes"] = scrub(bytes(packet["file_bytes"]), self.work)
        self.packets.status(**packet)


def scrub_subunit(stream, work):
    scrubber = Scrubber(work)
    ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name="not subunit").run(scrubber)
    scrubber.flush()
    return scrubber.out.getvalue()


def save(parser, case, status, asked, stream):
    folder = HERE / parser / case
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (asked, stream):
        (folder / name).write_bytes(content)
    facts = {"exit_status": status, "asked": asked[0], "stream": stream[0]}
    (folder / "recorded.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{parser}/{case}: exit status {status}, {len(stream[1])} bytes")


def record_stestr(case, project, work, **env):
    shutil.copytree(PROJECTS / project, work / "tiny")
    (work / "tiny" / "__init__.py").touch()
    (work / ".stestr.conf").write_text(STESTR_CONF)
    run(["stestr", "init"], work)
    _, asked = run(["stestr", "list"], work)
    status, stream = run(["stestr", "run", "--concurrency", "2", "--subunit"], work, **env)
    save(
        "subunit",
        case,
        status,
        ("asked.txt", asked),
        ("stream.subunit", scrub_subunit(stream, work)),
    )


def record_tempest(case, work):
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
    argv = ["tempest", "run", "--regex", r"^tiny_plugin\."]
    _, asked = run([*argv, "--list-tests"], work / "ws", **env)
    ids = [line for line in asked.splitlines() if line.startswith(b"tiny_plugin.")]
    status, stream = run([*argv, "--concurrency", "2", "--subunit"], work / "ws", **env)
    save(
        "subunit",
        case,
        status,
        ("asked.txt", b"\n".join(ids) + b"\n"),
        ("stream.subunit", scrub_subunit(stream, work)),
    )


def record_pytest(case, work):
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


def record_rally(case, work):
    (work / "rally.conf").write_text(f"[database]\nconnection = sqlite:///{work}/rally.db\n")
    (work / "spec.json").write_text("{}")
    rally = ["rally", "--config-file", str(work / "rally.conf")]
    task = PROJECTS / "rally" / "task.yaml"
    run([*rally, "db", "create"], work)
    run([*rally, "env", "create", "--name", "none", "--spec", "spec.json"], work)
    status, _ = run([*rally, "task", "start", str(task)], work)
    run([*rally, "task", "report", "--json", "--out", "report.json"], work)
    asked = [
        {"name": next(iter(load["scenario"])), "iterations": load["runner"]["constant"]["times"]}
        for subtask in yaml.safe_load(task.read_text())["subtasks"]
        for load in subtask["workloads"]
    ]
    save(
        "rally",
        case,
        status,
        ("asked.json", json.dumps(asked, indent=1).encode() + b"\n"),
        ("stream.json", scrub((work / "report.json").read_bytes(), work)),
    )


CASES = {
    "outcomes": lambda work: record_stestr("outcomes", "outcomes", work),
    "clean": lambda work: record_stestr("clean", "clean", work),
    "exit-between": lambda work: record_stestr("exit-between", "lost", work, DIE="between:exit"),
    "exit-inside": lambda work: record_stestr("exit-inside", "lost", work, DIE="inside:exit"),
    "kill-between": lambda work: record_stestr("kill-between", "lost", work, DIE="between:kill"),
    "kill-inside": lambda work: record_stestr("kill-inside", "lost", work, DIE="inside:kill"),
    "import-error": lambda work: record_stestr("import-error", "broken", work, BREAK="1"),
    "tempest": lambda work: record_tempest("tempest", work),
    "pytest": lambda work: record_pytest("pytest", work),
    "dummies": lambda work: record_rally("dummies", work),
}


def main():
    if os.environ.get("CI"):
        sys.exit("golden files are recorded by people, not by CI")
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as work:
            CASES[name](Path(work).resolve())


if __name__ == "__main__":
    main()

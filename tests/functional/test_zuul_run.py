# SPDX-License-Identifier: Apache-2.0
"""bsdgate zuul run: the real playbooks, run by Zuul's own code, without a Zuul.

``tests/campaign/test_zuul_run.py`` has a node and real Tempest; here the evidence is recorded.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from functional.place import BIN, Done, Place, wait_for
from unit.results.conftest import RunDir

from bsdgate.harness.zuul.executor.order import Node, Order, Project

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.prefix).parent / "zuul" / "bin" / "python"
CHECKED = ("zuul.d", "playbooks", "roles", "doc/zuul-tenant")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not PYTHON.exists(), reason="Zuul is missing: run the tests through tox"),
]

# Prints for each order the frozen job, or why it is refused.
FREEZE = """
import json, sys
from pathlib import Path
import yaml
from bsdgate.harness.zuul.executor.job import Refused, describe, freeze
from bsdgate.harness.zuul.executor.order import Order
from bsdgate.harness.zuul.layout import parse
parsed = parse(Path(sys.argv[1]))
for path in sys.argv[2:]:
    try:
        found = freeze(parsed, Order.read(Path(path)))
    except Refused as refused:
        print(json.dumps(str(refused)))
    else:
        print(json.dumps([yaml.safe_load(describe(found.job)), found.arguments["zuul"]]))
"""


def frozen(root: Path, folder: Path, *orders: Order) -> list[Any]:
    """Return the job and the variable ``zuul`` of each order, or why it is refused."""
    paths = [folder / f"{number:03}.json" for number in range(len(orders))]
    for path, order in zip(paths, orders, strict=True):
        order.write(path)
    done = subprocess.run(
        [PYTHON, "-c", FREEZE, root, *paths],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def order(job: str, **given: Any) -> Order:
    """Return an order of a build in check."""
    more = {
        "build": "0" * 32,
        "pipeline": "check",
        "branch": "master",
        "checkout": "",
        "folder": "",
    }
    return Order(job=job, **{**more, **given})


# The job ----------------------------------------------------------------------------------------


def test_each_job_has_the_values_of_its_parents_and_the_change(tmp_path: Path) -> None:
    jobs, nodesets = (
        {
            stanza[kind]["name"]: stanza[kind]
            for name in ("base", "generated")
            for stanza in yaml.safe_load((ROOT / "zuul.d" / f"{name}.yaml").read_text())
            if kind in stanza
        }
        for kind in ("job", "nodeset")
    )

    def merged(name: str) -> dict[str, Any]:
        job = jobs[name]
        parent = merged(job["parent"]) if job["parent"] else {}
        return {**parent, **job, "vars": parent.get("vars", {}) | job.get("vars", {})}

    runnable = [name for name, job in jobs.items() if not job.get("abstract")]
    assert len(runnable) > 80
    keystone = Project("openstack/keystone", "", "0" * 40, "A change\n\nChange-Id: I0")
    given: dict[str, Any] = {"projects": [keystone], "change": ("912345", "3"), "dry_run": True}
    found = frozen(ROOT, tmp_path, *(order(name, **given) for name in runnable))
    for name, (job, zuul) in zip(runnable, found, strict=True):
        expected = merged(name)
        assert (job["name"], job["vars"]) == (name, expected["vars"])
        assert job["timeout"] == expected["timeout"]
        nodes = nodesets[expected["nodeset"]]["nodes"]
        assert job["nodes"] == {node["name"]: node["label"] for node in nodes}
        assert job["pre-run"] == [expected["pre-run"]]
        assert job["run"] == [expected["run"]]
        assert job["post-run"] == expected["post-run"]
        assert job["semaphores"] == [each for each in [expected.get("semaphores")] if each]
        assert_about_the_change(zuul, name)


def assert_about_the_change(zuul: dict[str, Any], job: str) -> None:
    """Check the variable ``zuul`` of a build for the change 912345,3 of Keystone."""
    project = zuul["project"]
    assert (project["name"], project["short_name"]) == ("openstack/keystone", "keystone")
    assert project["src_dir"] == "src/review.example.org/openstack/keystone"
    assert zuul["projects"][project["canonical_name"]]["src_dir"] == project["src_dir"]
    for each in (zuul, *zuul["items"]):
        assert (each["change"], each["patchset"], each["branch"]) == ("912345", "3", "master")
    assert zuul["ref"] == "refs/changes/45/912345/3"
    assert (zuul["job"], zuul["pipeline"], zuul["tenant"]) == (job, "check", "freebsd")


ADDED = """
- job:
    name: changed
    parent: bsdgate-embedded
    vars:
      bsdgate_suite: gate
- secret:
    name: hidden
    data:
      password: value
- job:
    name: with-secret
    parent: bsdgate-base
    secrets: hidden
    run: playbooks/bsdgate/run.yaml
- job:
    name: with-project
    parent: bsdgate-base
    required-projects:
      - openstack/nova
- job:
    name: other-branch
    branches: stable
    parent: bsdgate-base
"""
NODE = Node("192.0.2.1", 22, "someone", ["ssh-ed25519 AAAA"])
UNKNOWN = Project("openstack/cinder", "", "", "")


REFUSED = (
    (order("bsdgate-base"), "abstract"),
    (order("bsdgate-embeded"), "there is no job bsdgate-embeded"),
    (order("changed", nodes={"freebsd": NODE}), "Unable to modify final job"),
    (order("with-secret"), "has a secret"),
    (order("with-project"), "requires review.example.org/openstack/nova"),
    (order("other-branch"), "has no variant for the branch master"),
    (order("bsdgate-embedded"), "needs the node freebsd: give --node freebsd=ssh://USER@HOST"),
    (order("bsdgate-standing", nodes={"freebsd": NODE}), "has no node freebsd"),
    (order("bsdgate-standing", pipeline="gate"), "has no pipeline gate, only check"),
    (order("bsdgate-standing", projects=[UNKNOWN]), "has no project openstack/cinder, only"),
)


def test_a_job_that_zuul_or_this_machine_cannot_run_is_refused(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in CHECKED:
        shutil.copytree(ROOT / name, checkout / name)
    with (checkout / "zuul.d" / "base.yaml").open("a") as file:
        file.write(ADDED)
    found = frozen(checkout, tmp_path, *(made for made, _ in REFUSED))
    for text, (made, reason) in zip(found, REFUSED, strict=True):
        assert isinstance(text, str), made.job
        assert reason in text


# Builds -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """A build that ended: its output, the directory of its logs, and the data that it returned."""

    done: Done
    logs: Path

    @property
    def output(self) -> str:
        return (self.logs / "job-output.txt").read_text()


def run(place: Place, *arguments: str | Path, **changes: str) -> Ended:
    """Run a job to its end."""
    logs = place.root / "logs"
    before = {*logs.glob("*")}
    words = ("zuul", "run", "--checkout", ROOT, "--logs", logs)
    # Without templates, the node makes them first.
    done = place.start("bsdgate", *words, *arguments, TMPDIR="/tmp", **changes).done(360)
    (folder,) = {*logs.glob("*")} - before or {logs}
    return Ended(done, folder)


def recorded(folder: Path, code: int, *, lost: bool = False) -> Path:
    """Return a command that, in place of a run, copies the directory of a recorded run."""
    made = RunDir(folder / "run")
    made.recorded("subunit", "outcomes" if code else "clean")
    if lost:
        (made.path / "evidence" / "01-recorded" / "stream.subunit").unlink()
    command = folder / "bsdgate"
    command.write_text(
        f"""#!/bin/sh
[ "$1" = run ] || exec '{BIN}/bsdgate' "$@"
printf '%s\\n' "$@"
find src -type f
mkdir -p "$BSDGATE_STATE_DIR/runs"
cp -R '{made.path}' "$BSDGATE_STATE_DIR/runs/run"
exit {code}
"""
    )
    command.chmod(0o755)
    return command


def test_a_change_with_a_failed_test_fails(place: Place, tmp_path: Path) -> None:
    checkout = tmp_path / "keystone"
    checkout.mkdir()
    for name, text in (("setup.py", ""), (".gitignore", "out\n"), ("added.py", "old")):
        (checkout / name).write_text(text)
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "A change"]):
        author = ["-c", "user.name=Z", "-c", "user.email=z@example.org"]
        subprocess.run(["git", *author, *words], cwd=checkout, check=True)
    (checkout / "new.py").write_text("not committed")
    (checkout / "out").write_text("ignored")
    ended = run(
        place,
        "bsdgate-keystone-smoke-guest",
        *("--project", f"openstack/keystone={checkout}"),
        *("--var", f"bsdgate_command={recorded(tmp_path, 1)}"),
    )
    assert ended.done.code == 1, ended.done
    assert "Result: FAILURE" in ended.done.text
    assert "Verdict: FAIL" in ended.done.text
    assert "--with\n" in ended.output.replace("controller | ", "")
    assert "src/keystone/new.py" in ended.output
    assert "src/keystone/.git/HEAD" in ended.output
    assert "src/keystone/out" not in ended.output


def test_lost_evidence_is_an_error(place: Place, tmp_path: Path) -> None:
    command = recorded(tmp_path, 0, lost=True)
    ended = run(place, "bsdgate-standing", "--var", f"bsdgate_command={command}")
    assert ended.done.code == 3, ended.done
    assert "Result: POST_FAILURE" in ended.done.text
    assert "Verdict: ERROR" in ended.done.text
    assert "its evidence does not prove that" in ended.output


def test_a_failed_pre_run_would_be_tried_again(place: Place) -> None:
    ended = run(place, "bsdgate-standing", "--var", "bsdgate_command=/absent")
    assert ended.done.code == 3, ended.done
    assert "Result: RETRY" in ended.done.text
    assert "Verdict: none" in ended.done.text
    assert "RUN START" not in ended.output.replace("PRE-RUN START", "").replace(
        "POST-RUN START", ""
    )


def test_ctrl_c_ends_all_processes(place: Place, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = tmp_path / "bsdgate"
    command.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && exit\necho $$ >'{pid}.new'; mv '{pid}.new' '{pid}'\n"
        "exec sleep 600\n"
    )
    command.chmod(0o755)
    words = ("zuul", "run", "bsdgate-standing", "--checkout", ROOT)
    more = ("--logs", place.root / "logs", "--var", f"bsdgate_command={command}")
    started = place.start("bsdgate", *words, *more, TMPDIR="/tmp")
    started.until("TASK [run-bsdgate : Run bsdgate]")
    wait_for(pid.exists, "the command of the playbook")
    sleeping = psutil.Process(int(pid.read_text()))
    # The command runs in the directory of the build on the controller.
    folder = Path(sleeping.cwd()).parents[1]
    assert folder.name.startswith("bsdgate-")
    started.press_ctrl_c()
    assert started.done().code == 130
    assert not sleeping.is_running()
    assert not folder.exists()
    place.wait_until_empty()

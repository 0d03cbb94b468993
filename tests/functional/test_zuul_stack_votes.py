# SPDX-License-Identifier: Apache-2.0
"""From a push to the vote: real Zuul, bsdgate's own jobs, real Tempest, and the listener.

The embedded cloud stands in for ports, and a Linux node for FreeBSD. Each test prints its times and
comments (``tox -e votes``).
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from functional import gerrit
from functional.listening import CONNECTED, Listener
from functional.place import wait_for
from functional.run_folder import RunFolder
from functional.zuul_stack import machine, nodes
from functional.zuul_stack.layout import FREEBSD_TENANT, LISTENER, Layout
from functional.zuul_stack.reviews import Change, push
from functional.zuul_stack.seed import BSDGATE, KEYSTONE
from functional.zuul_stack.stack import Stack
from functional.zuul_stack.subscriber import Subscriber, subscribed

# The first test may make the state of the stack, which takes minutes on a busy machine.
pytestmark = [pytest.mark.timeout(900), pytest.mark.downloads]

JOB = "bsdgate-keystone-smoke"
MODULE = "keystone/api/policy.py"
LINE = "policy = self._assign_unique_id(self._normalize_dict(policy_body))\n"
DEFECT = "policy_body['type'] = 'planted'\n        "
FORGING = """\
import pathlib
        home = pathlib.Path({home!r})
        for folder in home.glob(".local/state/bsdgate/nodes/*"):
            for name in ("evidence/02-tempest/stream.subunit", "report/verdict.json"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text('{{"result": "PASS"}}')
                (home / "forged").touch()
        """
"""Writes evidence into the run directories of the node, where the change's code runs."""
OVERRIDING = f"""\
- project:
    check:
      jobs:
        - {JOB}:
            vars: {{bsdgate_suite: ironic-api}}
            nodeset: {{nodes: []}}
            run: own.yaml
"""
"""Zuul reads no configuration of this project: the tenant does not include it."""
FAILED = "test_policies.PoliciesTestJSON.test_create_update_delete_policy"
ENDS = ("success", "failure", "config-error")
BUILD = 600.0
"""The maximum time of a build in seconds, on a busy machine."""


@dataclass(frozen=True)
class Posted:
    """A buildset after its comment: Zuul's report, the comment, and the seconds since its event."""

    report: dict[str, Any]
    text: str
    seconds: float

    @property
    def build(self) -> dict[str, Any]:
        """The only build."""
        (found,) = self.report["buildset"]["builds"]
        return dict(found)

    def fetch(self, path: str) -> str:
        """Return a file of the build's logs."""
        answer = requests.get(f"{self.build['log_url']}{path}", timeout=60)
        assert answer.ok, f"{answer.url}: {answer.status_code}"
        return answer.text

    def seconds_of_run(self) -> float:
        """Return the duration of the task that runs bsdgate, from the log of the build."""
        for playbook in json.loads(self.fetch("job-output.json")):
            for task in (task for play in playbook["plays"] for task in play["tasks"]):
                if task["task"]["name"].endswith("Run bsdgate"):
                    (host,) = task["hosts"].values()
                    hours, minutes, seconds = host["delta"].split(":")
                    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        raise AssertionError("the build did not run bsdgate")

    def show(self) -> None:
        """Print the times and the comment."""
        run = self.seconds_of_run()
        times = (
            f"{self.seconds:.1f} s to the comment, {self.seconds - run:.1f} s of them outside of"
        )
        sys.stdout.write(f"\n{times} bsdgate run\n{self.text}\n")


@dataclass
class Gate:
    """Zuul and the listener, with the changes that a test pushes."""

    zuul: Stack
    broker: Subscriber
    listener: Listener
    folder: Path
    limit: float = BUILD
    """The maximum time of a build in seconds."""

    def push(
        self, files: Mapping[str, str | None], project: str = KEYSTONE, footer: str = ""
    ) -> Change:
        return push(self.zuul.gerrit, self.folder, files, project, footer)

    def running(self, change: Change) -> bool:
        """Return whether a test of a change has reported on the controller."""
        controller, _ = nodes.of(self.zuul.layout)
        folders = (controller.home / "bsdgate-build" / "state" / "runs").glob("*")
        # The next build removes the run of the last one.
        with contextlib.suppress(FileNotFoundError):
            return any(
                each.read("manifest.json")["change"] == str(change.number) and each.modules()
                for each in map(RunFolder, folders)
            )
        return False

    def ended(self, change: Change) -> bool:
        """Return whether a buildset of a change has ended."""
        return bool(self.broker.of(change.number, *ENDS))

    def posted(self, change: Change, count: int = 1) -> Posted:
        """Wait for the comment about the newest of ``count`` buildsets of a change."""
        report = self.broker.wait(change.number, *ENDS, count=count, timeout=self.limit)
        self.listener.until(f"{report['buildset']['uuid']}: posted")
        seconds = time.time() - report["trigger_time"]
        messages = change.messages(gerrit.CI[0])
        assert len(messages) == count
        # Gerrit adds a line with the patchset and the vote.
        return Posted(report, messages[-1].partition("\n\n")[2], seconds)


def settings(layout: Layout, job: str, project: str) -> dict[str, Any]:
    """Return the settings of a listener for the tenant of the documentation."""
    return {
        "broker": {
            "host": "127.0.0.1",
            "port": layout.ports.mqtt,
            "credentials": "broker",
            "topics": [f"zuul/{FREEBSD_TENANT}/#"],
        },
        "zuul": {
            "url": layout.web_url,
            "tenant": FREEBSD_TENANT,
            "logs": [f"{layout.logs_url}/"],
            "poll": 5.0,
        },
        "gerrit": {"url": layout.gerrit_url, "credentials": "gerrit"},
        "pipelines": {"check": {}},
        "jobs": [job],
        "required": {project: [job]},
        "refused": [BSDGATE, "openstack/tempest"],
        "about": {
            "recheck": "Run again: comment `recheck`",
            "contact": "freebsd-ci@example.org",
            "wiki": "https://wiki.example.org/FreeBSD_CI",
        },
        "state": "state",
    }


@contextlib.contextmanager
def gating(
    zuul: Stack, folder: Path, job: str = JOB, project: str = KEYSTONE, limit: float = BUILD
) -> Iterator[Gate]:
    """Run a listener for a job; check that no log has a password afterwards."""
    accounts = {"broker": LISTENER, "gerrit": gerrit.CI}
    listener = Listener(folder, settings(zuul.layout, job, project), accounts)
    port = zuul.layout.ports.mqtt
    with subscribed(port, LISTENER) as broker, contextlib.closing(listener):
        listener.start()
        listener.until(CONNECTED)
        yield Gate(zuul, broker, listener, folder, limit)
    assert "canary" not in "".join(listener.output)
    folders = (zuul.layout.published, zuul.layout.logs)
    written = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    assert any(each.name == "job-output.txt" for each in written)
    assert [each for each in written if b"canary" in each.read_bytes()] == []


@pytest.fixture(scope="module")
def gate(zuul: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with gating(zuul, tmp_path_factory.mktemp("gate")) as found:
        yield found


def keystone(layout: Layout, line: str) -> str:
    """Return the module of Keystone with code before its line that creates a policy."""
    text = (layout.keystone / MODULE).read_text()
    assert text.count(LINE) == 1
    return text.replace(LINE, f"{line}{LINE}")


def kill_workers(stack: Stack) -> None:
    """Kill the processes that run tests."""
    for pid in machine.processes_in(stack.namespace):
        with contextlib.suppress(OSError):
            if "stestr.subunit_runner.run" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


def test_lost_evidence_gives_no_vote_and_a_recheck_gives_plus_one(gate: Gate) -> None:
    change = gate.push({MODULE: keystone(gate.zuul.layout, "# A comment.\n        ")})
    wait_for(lambda: gate.running(change) or gate.ended(change), "a test reports", BUILD)
    kill_workers(gate.zuul)
    lost = gate.posted(change)
    lost.show()
    assert (lost.build["result"], change.vote(gerrit.CI[0])) == ("FAILURE", 0)
    assert lost.text.startswith("NO VOTE"), lost.text
    reasons = json.loads(lost.fetch("bsdgate/verdict.json"))["reasons"]
    assert "lost-test" in {each["code"] for each in reasons}

    change.comment("recheck")
    passed = gate.posted(change, count=2)
    passed.show()
    assert (passed.build["result"], change.vote(gerrit.CI[0])) == ("SUCCESS", 1)
    assert passed.text.startswith("PASS"), passed.text
    verdict = json.loads(passed.fetch("bsdgate/verdict.json"))
    assert (verdict["run"]["change"], verdict["run"]["patchset"]) == (str(change.number), "1")
    assert verdict["counts"]["success"] > 10


def test_a_defect_gives_minus_one_with_the_failed_test_and_its_cause(gate: Gate) -> None:
    """The service also writes forged evidence, and a stanza in the project changes the job."""
    _, freebsd = nodes.of(gate.zuul.layout)
    code = FORGING.format(home=str(freebsd.home)) + DEFECT
    files = {MODULE: keystone(gate.zuul.layout, code), ".zuul.yaml": OVERRIDING}
    change = gate.push(files)
    failed = gate.posted(change)
    failed.show()
    assert (failed.build["result"], change.vote(gerrit.CI[0])) == ("FAILURE", -1)
    assert failed.text.startswith("FAIL"), failed.text
    assert FAILED in failed.text
    verdict = json.loads(failed.fetch("bsdgate/verdict.json"))
    (finding,) = verdict["dispositions"]
    assert finding["cause"] == "change"
    assert (freebsd.home / "forged").exists()
    assert verdict["run"]["suite"] == "smoke"


def test_a_broken_configuration_gives_minus_one_on_its_line(gate: Gate) -> None:
    """Zuul reads no configuration of the projects of the tenant, only of its config projects."""
    broken = "---\n- job:\n    name: broken\n    parent: absent\n"
    change = gate.push({"zuul.d/broken.yaml": broken}, BSDGATE)
    posted = gate.posted(change)
    assert change.vote(gerrit.CI[0]) == -1
    sys.stdout.write(f"\n{posted.seconds:.1f} s to the comment\n{posted.text}\n")
    assert "absent" in posted.text
    (comment,) = gate.zuul.gerrit.comments(change.number)["zuul.d/broken.yaml"]
    assert comment["line"] in {2, 3, 4}

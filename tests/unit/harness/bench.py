# SPDX-License-Identifier: Apache-2.0
"""Whole runs of two tests without a cloud."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.listener import FakeListener
from fakes.node import FakeNode
from fakes.runner import FakeRunner
from unit.harness.manifests import manifest

from bsdgate.harness import pipeline
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.profiles.load import load
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.harness.steps import Run
from bsdgate.harness.suites import model as suites
from bsdgate.results.codes import Code
from bsdgate.results.model import Verdict
from bsdgate.results.problems import Problem

USERS = "tempest.api.identity.v3.test_users.UsersTest.test_get_user[smoke]"
ROLES = "tempest.api.identity.v3.test_roles.RolesTest.test_list_roles[smoke]"
LOST = Problem(Code.NODE_LOST, "the node fake does not answer")


class Bench:
    """Makes runs of two tests; the attributes are those of the next run."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.deployment = FakeDeployment()
        self.runner: FakeRunner = FakeRunner({USERS: "success", ROLES: "success"})
        self.listener = FakeListener()
        self.environment = Environment(Path(sys.executable))
        self.node: FakeNode | None = None
        patch.setenv("BSDGATE_STATE_DIR", str(self.state))
        patch.setattr(Run, "runner", property(lambda _: self.runner))
        prepare = "bsdgate.harness.environments.environment.prepare"
        patch.setattr(prepare, lambda *_: self.environment)

    def begin(self, **fields: Any) -> Run:
        changes = self.deployment.changes
        asked = [each.model_dump(exclude={"version"}) for each in changes]
        return self.run_in(RunDir.create(self.state / "runs", manifest(changes=asked, **fields)))

    def run_in(self, folder: RunDir) -> Run:
        self.node = FakeNode(folder.path)
        suite = suites.load("smoke")
        return Run(
            folder,
            load("embedded"),
            suite,
            self.node,
            self.deployment,
            self.environment,
            self.listener,
        )

    def take(self, run: Run) -> tuple[Verdict, Exception | None]:
        failed = pipeline.execute(run)
        return pipeline.judge(run.folder.path, None, self.listener), failed


class Losing(FakeRunner):
    """A runner that loses the node between its two tests."""

    def __init__(self, bench: Bench) -> None:
        super().__init__({USERS: "success", ROLES: "success"})
        self.bench = bench

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        def lose_later() -> Sequence[Problem]:
            found, self.bench.deployment.problems = self.bench.deployment.problems, [LOST]
            if found:
                self.bench.deployment.lose()
            return found

        return super().run(ids, attempt, events, lose_later)


def codes(verdict: Verdict) -> set[Code]:
    return {reason.code for reason in verdict.reasons}

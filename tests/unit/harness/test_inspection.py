# SPDX-License-Identifier: Apache-2.0
"""The step inspect: the node before and after the tests, and the messages of its kernel."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.node import FakeNode
from fakes.runner import FakeRunner
from unit.harness.bench import ROLES, USERS, Bench, Losing, codes

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import Inspection
from bsdgate.harness.nodes.base import NodeLostError
from bsdgate.harness.nodes.kernel import Messages
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.harness.steps import Run
from bsdgate.results.codes import Code
from bsdgate.results.model import Cause, Result


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def inspections(run: Run) -> list[str]:
    return sorted(path.name for path in (run.folder.path / "node").iterdir())


class Changing(FakeRunner):
    """A runner that changes the node during the tests."""

    def __init__(self, bench: Bench, change: Callable[[FakeNode], None]) -> None:
        super().__init__({USERS: "success", ROLES: "success"})
        self.bench = bench
        self.change = change

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        assert self.bench.node is not None
        self.change(self.bench.node)
        return super().run(ids, attempt, events, look)


def test_the_node_is_inspected_before_and_after_the_tests(bench: Bench) -> None:
    run = bench.begin()
    bench.take(run)
    assert inspections(run) == ["01-begin.json", "01-end.json"]


def test_a_run_is_no_pass_if_a_package_was_upgraded_during_the_tests(bench: Bench) -> None:
    def upgrade(node: FakeNode) -> None:
        node.packages["python311"] = "3.11.15"

    bench.runner = Changing(bench, upgrade)
    verdict, failed = bench.take(bench.begin())
    assert (verdict.result, failed) == (Result.ERROR, None)
    assert codes(verdict) == {Code.NODE_CHANGED}


def test_a_run_is_no_pass_if_the_node_was_rebooted_but_the_connection_stayed(bench: Bench) -> None:
    """Such as the host of a jail, or a node behind a proxy that connects again."""

    def reboot(node: FakeNode) -> None:
        node.booted = datetime.now(UTC)

    bench.runner = Changing(bench, reboot)
    verdict, _ = bench.take(bench.begin())
    assert verdict.result is Result.ERROR
    assert codes(verdict) == {Code.NODE_REBOOTED}


def test_a_node_that_reboots_during_the_tests_is_lost_and_rebooted(bench: Bench) -> None:
    bench.runner = Losing(bench)
    run = bench.begin()
    assert bench.node is not None
    bench.node.reboots = True
    verdict, failed = bench.take(run)
    assert verdict.result is Result.ERROR
    assert {Code.NODE_LOST, Code.NODE_REBOOTED} <= codes(verdict)
    assert Code.EVIDENCE_LOST not in codes(verdict)
    assert isinstance(failed, NodeLostError)
    assert {one.cause for one in verdict.dispositions} == {Cause.NODE}
    assert not bench.node.connected


def test_a_lost_node_that_stays_away_is_only_lost(bench: Bench) -> None:
    bench.runner = Losing(bench)
    run = bench.begin()
    verdict, _ = bench.take(run)
    assert Code.NODE_LOST in codes(verdict)
    assert not {Code.NODE_REBOOTED, Code.EVIDENCE_LOST} & codes(verdict)
    assert inspections(run) == ["01-begin.json"]


def test_a_node_that_cannot_be_inspected_after_the_tests_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(node: FakeNode) -> None:
        def inspect(run_id: str) -> Inspection:
            raise InfrastructureError(f"pkg cannot list the packages of {run_id}")

        monkeypatch.setattr(node, "inspect", inspect)

    bench.runner = Changing(bench, fail)
    verdict, failed = bench.take(bench.begin())
    assert verdict.result is Result.ERROR
    assert codes(verdict) == {Code.EVIDENCE_LOST}
    assert "pkg cannot list" in str(failed)


def test_a_node_with_another_version_than_was_requested_is_an_error(bench: Bench) -> None:
    run = bench.begin(on="qemu:15.1")
    verdict, failed = bench.take(run)
    assert verdict.result is Result.ERROR
    assert Code.NODE_NOT_AS_ASKED in codes(verdict)
    assert "does not have the requested version" in str(failed)


# The messages of the kernel ------------------------------------------------------------------

OUT_OF_MEMORY = "pid 862 (python3.11), jid 0, uid 0, was killed: failed to reclaim memory"
CRASHED = "pid 863 (python3.11), jid 0, uid 1001: exited on signal 11 (core dumped)"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("panic: page fault", Code.KERNEL_PANIC),
        (OUT_OF_MEMORY, Code.OUT_OF_MEMORY),
        (CRASHED, Code.PROCESS_CRASHED),
    ],
)
def test_a_failure_in_the_messages_of_the_kernel_is_an_error(
    bench: Bench, line: str, code: Code
) -> None:
    def log(node: FakeNode) -> None:
        node.messages = Messages(buffer=["a", line], user=1001)

    bench.runner = Changing(bench, log)
    run = bench.begin()
    verdict, failed = bench.take(run)
    assert (verdict.result, failed) == (Result.ERROR, None)
    ((found, message),) = ((one.code, one.message) for one in verdict.reasons)
    assert found is code
    assert line in message
    assert message in bench.listener.reported
    log_file = run.folder.path / "logs" / "kernel.log"
    assert log_file.read_text() == f"a\n{line}\n"
    assert log_file.stat().st_mode & 0o777 == 0o600


def test_a_failure_in_the_messages_of_the_kernel_is_the_cause_of_failures(bench: Bench) -> None:
    def log(node: FakeNode) -> None:
        node.messages = Messages(console=[OUT_OF_MEMORY])

    bench.runner = Changing(bench, log)
    bench.runner.outcomes[USERS] = "fail"
    verdict, _ = bench.take(bench.begin())
    assert {one.cause for one in verdict.dispositions} == {Cause.NODE}


def test_messages_before_the_run_are_no_reason(bench: Bench) -> None:
    run = bench.begin()
    assert bench.node is not None
    bench.node.messages = Messages(buffer=["panic: an old one"], console=["---<<BOOT>>---"])
    verdict, _ = bench.take(run)
    assert verdict.result is Result.PASS


def test_the_panic_of_a_lost_node_is_in_the_verdict(bench: Bench) -> None:
    """The console of a guest shows it, also if the guest does not come back."""
    bench.runner = Losing(bench)
    run = bench.begin()
    assert bench.node is not None
    node = bench.node

    def messages() -> Messages:
        lost = not node.connected
        return Messages(console=["Fatal trap 12: page fault while in kernel mode"] * lost)

    node.kernel_messages = messages  # type: ignore[method-assign]
    lose = bench.deployment.lose

    def lose_both() -> None:
        lose()
        node.lose()

    bench.deployment.lose = lose_both  # type: ignore[method-assign]
    verdict, _ = bench.take(run)
    assert {Code.NODE_LOST, Code.KERNEL_PANIC} <= codes(verdict)
    assert {one.cause for one in verdict.dispositions} == {Cause.NODE}


def test_a_failure_of_the_kernel_remains_when_the_run_is_resumed(bench: Bench) -> None:
    def log(node: FakeNode) -> None:
        node.messages = Messages(buffer=["panic: page fault"])

    bench.runner = Changing(bench, log)
    run = bench.begin()
    bench.take(run)
    verdict, _ = bench.take(bench.run_in(RunDir.open(run.folder.path)))
    assert codes(verdict) == {Code.KERNEL_PANIC}

# SPDX-License-Identifier: Apache-2.0
"""The inspections of the node before and after the tests, and what the judge finds in them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RUN_ID, RunDir

from bsdgate.results.inspections import NodeClock, node_clock
from bsdgate.results.judge import to_confirm
from bsdgate.results.model import Cause, Code, Result, Verdict

Stream = Callable[..., bytes]
BEGAN = datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=3)
REPOSITORY = {"name": "FreeBSD-ports", "url": "pkg+https://a", "enabled": True, "priority": 0}


def inspection(**fields: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "run_id": RUN_ID,
        "name": "local",
        "taken": BEGAN.isoformat(),
        "booted": (BEGAN - timedelta(hours=1)).isoformat(),
        "clock": {"seconds": 0.0, "uncertainty": 0.001},
        "facts": {"freebsd": "15.1", "freebsd_userland": "15.1-RELEASE-p1", "utc_offset": "+0000"},
        "packages": {"python311": "3.11.14"},
        "repositories": [REPOSITORY],
        **fields,
    }


class Node:
    """Writes the inspections of the node of a run, and the journal's lines about the sessions."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.folder = run.path / "node"
        self.folder.mkdir()

    def write(self, name: str, **fields: Any) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(inspection(**fields)))
        return path

    def record(self, step: str, event: str, **details: Any) -> None:
        line = {"t": BEGAN.isoformat(), "step": step, "event": event, **details}
        with (self.run.path / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    def reasons(self) -> dict[Code, str]:
        return {one.code: one.message for one in self.judge().reasons}

    def judge(self) -> Verdict:
        return self.run.judge()


@pytest.fixture
def stream(subunit_stream: Stream, sealed: Stream) -> bytes:
    """Return the stream of one test that passed."""
    packets = subunit_stream(("m.A.one", "inprogress"), ("m.A.one", "success"))
    found: bytes = sealed(packets, "01-tempest")
    return found


@pytest.fixture
def node(run_dir: RunDir, stream: bytes) -> Node:
    """Return the node of a run of one test that passed, with both inspections."""
    run_dir.on_node(schema=2)
    made = Node(run_dir)
    made.record("provision", "end")
    run_dir.attempt("01-tempest", b"m.A.one\n", stream)
    made.write("01-begin")
    made.write("01-end", taken=ENDED.isoformat())
    return made


FAILED = (("m.A.one", "inprogress"), ("m.A.one", "fail"))


def failed(run_dir: RunDir, stream: bytes) -> Node:
    """Return the node of a run of one test that failed; the node was inspected before only."""
    run_dir.on_node(schema=2)
    node = Node(run_dir)
    node.record("provision", "end")
    run_dir.attempt("01-tempest", b"m.A.one\n", stream)
    node.write("01-begin")
    return node


def test_a_node_that_stayed_the_same_has_no_reason(node: Node) -> None:
    verdict = node.judge()
    assert (verdict.result, verdict.reasons) == (Result.PASS, ())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"facts": {"freebsd": "15.1", "freebsd_userland": "15.1-RELEASE-p2"}},
            "freebsd_userland was 15.1-RELEASE-p1, and is 15.1-RELEASE-p2",
        ),
        (
            {"packages": {"python311": "3.11.15"}},
            "the package python311 was 3.11.14, and is 3.11.15",
        ),
        ({"packages": {}}, "the package python311 was removed: 3.11.14"),
        (
            {"packages": {"python311": "3.11.14", "bash": "5.3"}},
            "the package bash was added: 5.3",
        ),
        (
            {"repositories": [REPOSITORY | {"enabled": False}]},
            "FreeBSD-ports was pkg+https://a (enabled, priority 0), and is pkg+https://a (disabled",
        ),
    ],
    ids=str,
)
def test_a_node_that_changed_during_the_tests_is_an_error(
    node: Node, fields: dict[str, Any], said: str
) -> None:
    node.write("01-end", taken=ENDED.isoformat(), **fields)
    verdict = node.judge()
    assert verdict.result is Result.ERROR
    ((code, message),) = node.reasons().items()
    assert code is Code.NODE_CHANGED
    assert message.startswith("the node local changed during the run: ")
    assert said in message


def test_only_some_of_many_changes_are_shown(node: Node) -> None:
    packages = {f"p{number}": "1" for number in range(20)}
    node.write("01-end", packages=packages)
    assert node.reasons()[Code.NODE_CHANGED].endswith("; and 16 more")


def test_the_offset_of_local_time_and_measured_facts_may_change(node: Node) -> None:
    facts = inspection()["facts"] | {"utc_offset": "+0100", "speed": "1.5"}
    node.write("01-end", facts=facts)
    assert node.reasons() == {}


def test_a_reboot_during_the_tests_is_an_error(node: Node) -> None:
    booted = BEGAN + timedelta(minutes=1)
    node.write("01-end", taken=ENDED.isoformat(), booted=booted.isoformat())
    verdict = node.judge()
    assert verdict.result is Result.ERROR
    assert node.reasons() == {
        Code.NODE_REBOOTED: (
            "the node local was rebooted during the run: it booted at 2026-11-22 12:00:00 UTC, and"
            " the run began on it at 2026-11-22 11:59:00 UTC"
        )
    }


def test_a_reboot_is_the_cause_of_failures(
    run_dir: RunDir, subunit_stream: Stream, sealed: Stream
) -> None:
    node = failed(run_dir, sealed(subunit_stream(*FAILED), "01-tempest"))
    node.write("01-end", booted=ENDED.isoformat())
    (disposition,) = node.judge().dispositions
    assert disposition.cause is Cause.NODE


@pytest.mark.parametrize(
    ("name", "when"), [("01-begin", "before the tests"), ("01-end", "after the tests")]
)
def test_a_lost_inspection_is_an_error(node: Node, name: str, when: str) -> None:
    (node.folder / f"{name}.json").unlink()
    assert node.reasons() == {
        Code.EVIDENCE_LOST: f"there is no inspection of the node {when} (node/{name}.json)"
    }


def test_a_lost_folder_is_an_error(node: Node) -> None:
    for path in node.folder.iterdir():
        path.unlink()
    node.folder.rmdir()
    assert node.reasons().keys() == {Code.EVIDENCE_LOST}


def test_a_run_in_progress_needs_no_inspection_after_the_tests(
    run_dir: RunDir, subunit_stream: Stream, sealed: Stream
) -> None:
    node = failed(run_dir, sealed(subunit_stream(*FAILED), "01-tempest"))
    assert Code.EVIDENCE_LOST in node.reasons()
    assert [rerun.ids for rerun in to_confirm(run_dir.path)][:1] == [("m.A.one",)]


def test_a_run_whose_node_was_lost_needs_no_inspection_after_the_tests(node: Node) -> None:
    (node.folder / "01-end.json").unlink()
    node.record("node-lost", "fail", message="the node does not answer")
    assert node.reasons() == {Code.NODE_LOST: "the node does not answer"}


def test_a_stopped_run_needs_no_inspection_after_the_tests(
    node: Node, run_dir: RunDir, stream: bytes
) -> None:
    (node.folder / "01-end.json").unlink()
    run_dir.attempt("02-tempest", b"m.A.two\n", stream, state="interrupted", exit_status=None)
    assert Code.EVIDENCE_LOST not in node.reasons()


def test_a_run_of_an_older_bsdgate_needs_no_inspections(run_dir: RunDir, stream: bytes) -> None:
    run_dir.on_node(schema=1)
    run_dir.attempt("01-tempest", b"m.A.one\n", stream)
    assert run_dir.judge().result is Result.PASS


def test_a_node_may_be_rebooted_but_not_changed_before_a_run_is_resumed(node: Node) -> None:
    node.record("provision", "end")
    later = {"taken": ENDED.isoformat(), "booted": (ENDED - timedelta(minutes=1)).isoformat()}
    node.write("02-begin", **later)
    node.write("02-end", **later)
    assert node.reasons() == {}
    node.write("02-begin", packages={"python311": "3.11.15"}, **later)
    changes = [each.message for each in node.judge().reasons if each.code is Code.NODE_CHANGED]
    assert any("was 3.11.14, and is 3.11.15" in each for each in changes)


def test_only_the_last_session_needs_an_inspection_after_the_tests(node: Node) -> None:
    (node.folder / "01-end.json").rename(node.folder / "02-end.json")
    node.record("provision", "end")
    node.write("02-begin")
    assert node.reasons() == {}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", Code.DAMAGED),
        ("{}", Code.DAMAGED),
        (json.dumps(inspection(taken="2026-11-22T12:00:00")), Code.DAMAGED),
        (json.dumps(inspection(clock={"seconds": 1e300, "uncertainty": 0})), Code.DAMAGED),
        (json.dumps(inspection(run_id="0" * 32)), Code.FOREIGN_EVIDENCE),
        (json.dumps(inspection(name="other")), Code.FOREIGN_EVIDENCE),
    ],
    ids=range(6),
)
def test_an_inspection_that_cannot_be_used_is_an_error(
    node: Node, content: str, code: Code
) -> None:
    (node.folder / "01-end.json").write_text(content)
    assert node.reasons().keys() == {code, Code.EVIDENCE_LOST}


def test_other_files_and_links_are_not_read(node: Node, tmp_path: Path) -> None:
    (node.folder / "x.json").touch()
    assert node.reasons().keys() == {Code.ATTEMPT_UNREADABLE}
    (node.folder / "x.json").unlink()
    node.folder.rename(tmp_path / "elsewhere")
    node.folder.symlink_to(tmp_path / "elsewhere")
    assert node.reasons().keys() == {Code.ATTEMPT_UNREADABLE, Code.EVIDENCE_LOST}


# Clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "how"), [(7.5, "ahead of"), (-7.5, "behind")])
def test_a_clock_that_differs_is_a_note(node: Node, seconds: float, how: str) -> None:
    for moment in ("begin", "end"):
        node.write(f"01-{moment}", clock={"seconds": seconds, "uncertainty": 0.25})
    assert node.judge().result is Result.PASS
    assert node.reasons() == {
        Code.CLOCK_DIFFERS: f"the clock of the node local was 7.5 s {how} the clock of the"
        " controller (maximum error: 0.2 s): tokens can be invalid"
    }


def test_a_difference_within_the_error_of_the_measurement_is_no_note(node: Node) -> None:
    node.write("01-end", clock={"seconds": 7.5, "uncertainty": 4.0})
    assert node.reasons() == {}


def test_a_clock_that_was_set_during_the_run_is_a_note(node: Node) -> None:
    node.write("01-begin", clock={"seconds": -4.0, "uncertainty": 0.0})
    node.write("01-end", clock={"seconds": 4.0, "uncertainty": 0.0})
    assert "was -4.0 s before the tests, and +4.0 s after" in node.reasons()[Code.CLOCK_DIFFERS]


def test_the_clock_of_the_node_is_on_the_line_between_its_readings(node: Node) -> None:
    node.write("01-begin", clock={"seconds": 2.0, "uncertainty": 0.5})
    node.write("01-end", taken=ENDED.isoformat(), clock={"seconds": 5.0, "uncertainty": 0.25})
    clock = node_clock(node.run.path, RUN_ID)
    assert clock.error == timedelta(seconds=0.5)
    for moment, seconds in (
        (BEGAN - timedelta(hours=1), 2),
        (BEGAN, 2),
        (BEGAN + timedelta(minutes=1), 3),
        (ENDED, 5),
        (ENDED + timedelta(hours=1), 5),
    ):
        assert clock.of_node(moment) - moment == timedelta(seconds=seconds)


def test_without_readings_both_clocks_are_equal(node: Node) -> None:
    assert node_clock(node.run.path, "another run") == NodeClock()
    assert NodeClock().of_node(BEGAN) == BEGAN
    assert NodeClock().error == timedelta()

# SPDX-License-Identifier: Apache-2.0
"""The contract of nodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.node import FakeNode

from bsdgate.harness import process
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.base import Message, Node, ignore
from bsdgate.harness.nodes.local import LocalNode

ECHO = "unit.harness.nodes.test_contract:Echo"


class Echo:
    """An object on a node."""

    def __init__(self) -> None:
        self.calls = 0

    def twice(self, report: Callable[[Message], None], *, text: str) -> dict[str, Any]:
        """Report the text, and return it twice."""
        self.calls += 1
        report({"text": text})
        return {"calls": self.calls, "text": [text, text]}

    def refuse(self, _report: Any) -> None:
        """Raise UsageError."""
        raise UsageError("this is wrong", "do that")

    def close(self) -> None:
        """Do nothing."""


class NodeContract:
    """The tests; a subclass has the fixture ``node``, which is connected."""

    def test_its_name_is_a_valid_file_name(self, node: Node) -> None:
        assert Path(node.name).name == node.name

    def test_its_facts_are_strings(self, node: Node) -> None:
        facts = node.facts()
        assert facts["architecture"] in {"amd64", "arm64"}
        assert len(facts["utc_offset"]) == len("+0000")
        assert all(isinstance(value, str) for value in facts.values())

    def test_it_can_be_inspected_again(self, node: Node) -> None:
        first, second = node.inspect("one"), node.inspect("one")
        assert (first.run_id, first.name) == ("one", node.name)
        assert first.facts == second.facts == dict(node.facts())
        assert first.packages == second.packages
        assert first.booted < first.taken < second.taken
        assert abs((second.booted - first.booted).total_seconds()) < 2
        assert abs(first.clock.seconds) <= first.clock.uncertainty + 0.001

    def test_the_messages_of_its_kernel_are_returned_once(self, node: Node) -> None:
        first, second = node.kernel_messages(), node.kernel_messages()
        assert (list(first.buffer), list(first.console)) == ([], [])
        assert len(second.buffer) + len(second.console) < 100
        assert all(isinstance(line, str) for line in second.buffer)

    def test_a_command_runs_on_the_node_and_its_output_is_here(
        self, node: Node, tmp_path: Path
    ) -> None:
        argv = ["sh", "-c", 'printf "%s|" "$@"; echo error >&2; exit 3', "sh", "a b", "", "$x'\""]
        with node.start(argv, log=tmp_path / "log", stdout=process.PIPE) as running:
            assert running.read(30) == b"a b||$x'\"|"
            assert running.wait(30) == 3
        assert "error" in (tmp_path / "log").read_text()

    def test_a_command_reads_its_input(self, node: Node, tmp_path: Path) -> None:
        with node.start(
            ["cat"], log=tmp_path / "log", stdout=process.PIPE, stdin=process.PIPE
        ) as running:
            running.write(b"there\n")
            assert running.read(30) == b"there\n"
            running.close_input()
            assert running.wait(30) == 0

    def test_a_command_that_is_ended_ends_on_the_node(self, node: Node, tmp_path: Path) -> None:
        argv = ["sh", "-c", "echo begun; exec sleep 600"]
        with node.start(argv, log=tmp_path / "log", stdout=process.PIPE) as running:
            assert running.read(30) == b"begun\n"
            assert running.terminate() != 0

    def test_a_call_returns_and_reports_json(self, node: Node) -> None:
        reported: list[Message] = []
        echo = node.remote(ECHO)
        first = echo.call("twice", reported.append, text="Zürich")
        assert first == {"calls": 1, "text": ["Zürich", "Zürich"]}
        assert reported == [{"text": "Zürich"}]
        assert node.remote(ECHO).call("twice", ignore, text="")["calls"] == 2

    def test_an_error_there_is_an_error_here(self, node: Node) -> None:
        with pytest.raises(UsageError, match="this is wrong") as caught:
            node.remote(ECHO).call("refuse", ignore)
        assert caught.value.hint == "do that"

    def test_a_directory_is_copied_to_the_node_and_back(self, node: Node, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / "inner").mkdir(parents=True)
        (source / "inner" / "a file").write_text("content")
        there = node.push(source)
        node.pull(there, tmp_path / "back")
        assert (tmp_path / "back" / "inner" / "a file").read_text() == "content"

    def test_a_missing_directory_of_the_node_is_empty(self, node: Node, tmp_path: Path) -> None:
        node.pull(node.folder / "absent", tmp_path / "back")
        assert not list((tmp_path / "back").glob("*"))

    def test_ports_can_be_chosen_and_forwarded(self, node: Node) -> None:
        ports = node.choose_ports(3)
        assert len(ports) == 3
        node.forward([port for port in ports if port])

    def test_it_has_arguments_for_testinfra(self, node: Node) -> None:
        assert any(each.startswith("--hosts=") for each in node.testinfra())

    def test_it_can_be_closed_again(self, node: Node) -> None:
        node.remote(ECHO).call("twice", ignore, text="")
        node.close()
        node.close()


class TestLocalNode(NodeContract):
    @pytest.fixture
    def node(self, tmp_path: Path) -> Node:
        node = LocalNode(tmp_path)
        node.connect()
        return node


class TestFakeNode(NodeContract):
    @pytest.fixture
    def node(self, tmp_path: Path) -> Node:
        node = FakeNode(tmp_path, {ECHO: Echo()})
        node.connect()
        return node

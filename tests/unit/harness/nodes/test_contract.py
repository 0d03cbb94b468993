# SPDX-License-Identifier: Apache-2.0
"""What every node does, whatever machine it is."""

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
        """Raise an error that a user can correct."""
        raise UsageError("this is wrong", "do that")

    def close(self) -> None:
        """Have nothing to end."""


class NodeContract:
    """The tests; a subclass has the fixture ``node``, which is connected."""

    def test_it_has_a_name_that_can_be_a_file(self, node: Node) -> None:
        assert Path(node.name).name == node.name

    def test_its_facts_are_texts(self, node: Node) -> None:
        facts = node.facts()
        assert facts["architecture"] in {"amd64", "arm64"}
        assert len(facts["utc_offset"]) == len("+0000")
        assert all(isinstance(value, str) for value in facts.values())

    def test_a_command_runs_there_and_its_output_comes_here(
        self, node: Node, tmp_path: Path
    ) -> None:
        argv = ["sh", "-c", 'printf "%s|" "$@"; echo error >&2; exit 3', "sh", "a b", "", "$x'\""]
        with node.start(argv, log=tmp_path / "log", stdout=process.PIPE) as running:
            assert running.read(30) == b"a b||$x'\"|"
            assert running.wait(30) == 3
        assert "error" in (tmp_path / "log").read_text()

    def test_a_command_reads_what_is_written_to_it(self, node: Node, tmp_path: Path) -> None:
        with node.start(
            ["cat"], log=tmp_path / "log", stdout=process.PIPE, stdin=process.PIPE
        ) as running:
            running.write(b"there\n")
            assert running.read(30) == b"there\n"
            running.close_input()
            assert running.wait(30) == 0

    def test_a_command_that_is_ended_has_ended_there(self, node: Node, tmp_path: Path) -> None:
        argv = ["sh", "-c", "echo begun; exec sleep 600"]
        with node.start(argv, log=tmp_path / "log", stdout=process.PIPE) as running:
            assert running.read(30) == b"begun\n"
            assert running.terminate() != 0

    def test_a_call_returns_and_reports_what_json_can_carry(self, node: Node) -> None:
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

    def test_a_folder_is_brought_there_and_back(self, node: Node, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / "inner").mkdir(parents=True)
        (source / "inner" / "a file").write_text("content")
        there = node.push(source)
        node.pull(there, tmp_path / "back")
        assert (tmp_path / "back" / "inner" / "a file").read_text() == "content"

    def test_a_folder_that_does_not_exist_there_is_empty(self, node: Node, tmp_path: Path) -> None:
        node.pull(node.folder / "absent", tmp_path / "back")
        assert not list((tmp_path / "back").glob("*"))

    def test_ports_can_be_chosen_and_forwarded(self, node: Node) -> None:
        ports = node.choose_ports(3)
        assert len(ports) == 3
        node.forward([port for port in ports if port])

    def test_it_is_named_to_testinfra(self, node: Node) -> None:
        assert any(each.startswith("--hosts=") for each in node.testinfra())

    def test_it_is_closed_more_than_once(self, node: Node) -> None:
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

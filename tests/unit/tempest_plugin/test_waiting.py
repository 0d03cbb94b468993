# SPDX-License-Identifier: Apache-2.0
"""Waiting for an API, and provision steps of nodes."""

from typing import Any

import pytest
from tempest.lib import exceptions

from bsdgate.tempest_plugin import nodes, waiting


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "INTERVAL", 0)


class OneNode:
    """Ironic with one node, which is reserved until it is shown once after each step."""

    STEPS = {"manage": "manageable", "provide": "available", "active": "active"}  # noqa: RUF012

    def __init__(self, state: str, *, reservation: str | None = None) -> None:
        self.node: dict[str, Any] | None = {
            "provision_state": state,
            "reservation": reservation,
            "last_error": "no power",
        }
        self.verbs: list[str] = []

    def show_node(self, uuid: str) -> dict[str, Any]:
        if self.node is None:
            raise exceptions.NotFound
        shown = dict(self.node)
        self.node["reservation"] = None
        return shown

    def set_node_provision_state(self, uuid: str, verb: str) -> None:
        assert self.node is not None
        self.verbs.append(verb)
        state = {**self.STEPS, "deleted": "available", "rescue": "rescue failed"}[verb]
        self.node.update(provision_state=state, reservation="conductor")

    def delete_node(self, uuid: str) -> None:
        assert self.node is not None
        assert self.node["provision_state"] not in nodes.UNDEPLOYABLE
        assert self.node["reservation"] is None
        self.node = None


@pytest.fixture(autouse=True)
def options(monkeypatch: pytest.MonkeyPatch) -> None:
    class Options:
        provision_timeout = 5

    class Conf:
        bsdgate = Options

    monkeypatch.setattr(nodes, "CONF", Conf)


def test_a_timeout_of_zero_is_one_check() -> None:
    asked: list[bool] = []

    def check() -> bool:
        asked.append(True)
        return True

    waiting.wait_for(check, 0, "an answer")
    assert asked == [True]


def test_the_error_has_the_expected_state() -> None:
    with pytest.raises(exceptions.TimeoutException, match="waited more than 0 s for a server"):
        waiting.wait_for(lambda: False, 0, "a server")


def test_a_later_true_is_waited_for() -> None:
    answers = iter([False, False, True])
    waiting.wait_for(lambda: next(answers), 5, "the third check")
    assert list(answers) == []


def test_node_is_unlocked_after_a_step() -> None:
    ironic: Any = OneNode("manageable")
    nodes.drive(ironic, ["n"], "provide", "available")
    assert ironic.node["reservation"] is None


def test_failed_step_is_raised_with_its_error() -> None:
    ironic: Any = OneNode("active")
    with pytest.raises(exceptions.TempestException, match="n: no power"):
        nodes.drive(ironic, ["n"], "rescue", "rescue")


@pytest.mark.parametrize(
    ("state", "verbs"),
    [("enroll", []), ("available", []), ("active", ["deleted"]), ("deploy failed", ["deleted"])],
)
def test_node_is_removed_from_any_state(state: str, verbs: list[str]) -> None:
    ironic: Any = OneNode(state, reservation="conductor")
    nodes.remove(ironic, "n")
    assert ironic.node is None
    assert ironic.verbs == verbs


def test_removing_a_deleted_node_does_nothing() -> None:
    ironic: Any = OneNode("available")
    ironic.node = None
    nodes.remove(ironic, "n")
    assert ironic.verbs == []

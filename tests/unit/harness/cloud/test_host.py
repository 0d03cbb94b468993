# SPDX-License-Identifier: Apache-2.0
"""What the host of embedded clouds says of the health of one."""

import json
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.host import Host
from bsdgate.harness.nodes.base import ignore


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function: from the status of a cloud to what the host says of its health."""

    def of(state: str, **services: Any) -> list[tuple[str, str]]:
        status = {"state": state, "services": services}
        monkeypatch.setattr(Cloud, "status", lambda _: status)
        return Host().health(ignore, folder="cloud")

    return of


def service(state: str, log: Path) -> dict[str, Any]:
    return {"state": state, "exit_status": -9, "log": str(log)}


def test_a_dead_service_is_named_with_its_last_lines(health: Any, tmp_path: Path) -> None:
    log = tmp_path / "nova.log"
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    nova, glance = service("died", log), service("serving", log)
    ((code, text),) = health("degraded", nova=nova, glance=glance)
    assert code == "service-died"
    assert text.startswith("nova died with status -9; its last lines:\nline 10\n")
    assert text.endswith("line 19")


def test_a_dead_service_without_a_log_is_named(health: Any, tmp_path: Path) -> None:
    ((_, text),) = health("degraded", nova=service("died", tmp_path / "none"))
    assert text.startswith("nova died with status -9")


def test_a_cloud_that_is_ready_has_no_problem(health: Any, tmp_path: Path) -> None:
    assert health("ready", nova=service("serving", tmp_path)) == []


def test_a_cloud_that_is_gone_is_not_ready(health: Any) -> None:
    assert health("killed") == [("cloud-not-ready", "the cloud is killed")]


def test_the_state_of_a_cloud_is_that_of_its_folder(tmp_path: Path) -> None:
    """A folder in which no cloud was started has a cloud that was killed, or never came up."""
    (tmp_path / "status.json").write_text(json.dumps({"state": "ready", "services": {}}))
    assert Host().health(ignore, folder=str(tmp_path)) == [
        ("cloud-not-ready", "the cloud is killed")
    ]

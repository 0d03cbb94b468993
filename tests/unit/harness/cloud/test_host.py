# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.cloud.host: the health of a cloud."""

import json
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.cloud import templates
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.host import CloudHost
from bsdgate.harness.nodes.base import ignore


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that returns the health of a cloud with a given status."""

    def of(state: str, **services: Any) -> list[tuple[str, str]]:
        status = {"state": state, "services": services}
        monkeypatch.setattr(Cloud, "status", lambda _: status)
        return CloudHost().health(ignore, folder="cloud")

    return of


def service(state: str, log: Path) -> dict[str, Any]:
    return {"state": state, "exit_status": -9, "log": str(log)}


def test_a_service_that_died_is_a_problem_with_its_last_lines(health: Any, tmp_path: Path) -> None:
    log = tmp_path / "nova.log"
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    nova, glance = service("died", log), service("serving", log)
    ((code, text),) = health("degraded", nova=nova, glance=glance)
    assert code == "service-died"
    assert text.startswith("nova died with status -9; its last lines:\nline 10\n")
    assert text.endswith("line 19")


def test_a_service_that_died_without_a_log_is_a_problem(health: Any, tmp_path: Path) -> None:
    ((_, text),) = health("degraded", nova=service("died", tmp_path / "none"))
    assert text.startswith("nova died with status -9")


def test_a_cloud_that_is_ready_has_no_problem(health: Any, tmp_path: Path) -> None:
    assert health("ready", nova=service("serving", tmp_path)) == []


def test_a_cloud_that_has_ended_is_not_ready(health: Any) -> None:
    assert health("killed") == [("cloud-not-ready", "the cloud is killed")]


def test_a_directory_without_a_cloud_has_the_state_killed(tmp_path: Path) -> None:
    """The cloud was killed, or its start did not complete."""
    (tmp_path / "status.json").write_text(json.dumps({"state": "ready", "services": {}}))
    assert CloudHost().health(ignore, folder=str(tmp_path)) == [
        ("cloud-not-ready", "the cloud is killed")
    ]


def test_templates_that_make_the_start_faster_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path))

    def missing() -> list[str]:
        found: list[str] = CloudHost().missing_templates(ignore, services=["keystone"], nodes=[])
        return found

    whole, schema = missing()
    assert (whole[:6], schema) == ("cloud-", templates.schema_name("keystone"))
    for name in (schema, whole):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "origin").write_text("/data")
    CloudHost().add_template(ignore, folder=str(tmp_path / schema))
    assert missing() == [whole]
    CloudHost().add_template(ignore, folder=str(tmp_path / whole))
    assert missing() == []

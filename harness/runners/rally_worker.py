# SPDX-License-Identifier: Apache-2.0
"""The process that runs Rally's workloads, by Rally's API: ``CLOUD WORKSPACE MARK``.

One process replaces four commands of Rally, which need one to three seconds each for imports. Each
workload is a task of its own, so that the others run even if Rally refuses one. The report is
written after each workload, so it is complete even if the process is killed. The tasks have the
mark as a tag, so that a report of another run is detected.

The exit status is as in ``rally task start``: 0; 2 if an SLA failed; 1 if a task did not run.
"""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openstack
from rally import plugins
from rally.api import API
from rally.common import db
from rally.env.env_mgr import EnvManager
from rally.exceptions import RallyException

from bsdgate.harness import files

Send = Callable[..., None]

ROLE = "member"
FAILED_SLA = 2
NOT_RUN = 1


def main(cloud: str, workspace: Path, mark: str) -> int:
    """Run the workloads in ``workspace``/task.json; return the exit status."""
    os.umask(0o077)
    send = _reserve_output()
    workloads = json.loads((workspace / "task.json").read_bytes())
    api: Any = API(config_args=["--config-file", str(workspace / "rally.conf")], skip_db_check=True)
    schema: Any = db.schema
    schema.schema_create()
    plugins.load()
    with _user(openstack.connect(cloud=cloud)) as platform:
        spec = {"existing@openstack": platform}
        environment = EnvManager.create(cloud, spec).uuid
        tasks: list[str] = []
        statuses = set()
        for workload in workloads:
            name = next(iter(workload["scenario"]))
            send(id=name, status="inprogress")
            tasks.append(api.task.create(environment, tags=[mark])["uuid"])
            ended = _run(api, tasks[-1], workload)
            statuses.add(ended.exit_status)
            report = api.task.export(tasks, "json")["print"]
            files.write_atomically(workspace / "report.json", report.encode())
            # Only now, because the harness may kill this process after it.
            send(id=name, status=ended.status, text=ended.text)
    return next((each for each in (NOT_RUN, FAILED_SLA) if each in statuses), 0)


def _reserve_output() -> Send:
    """Use standard output for messages only; redirect other output to standard error."""
    fd = os.dup(1)
    os.dup2(2, 1)
    # Processes that Rally forks must not keep the pipe to the harness open.
    os.register_at_fork(after_in_child=lambda: os.close(fd))

    def send(**message: str) -> None:
        os.write(fd, json.dumps(message).encode() + b"\n")

    return send


@contextlib.contextmanager
def _user(cloud: Any) -> Iterator[dict[str, Any]]:
    """Make a user with its own project; yield Rally's platform; remove both afterwards.

    Rally would make new ones twice for every workload: once to validate it.
    """
    auth = cloud.config.config["auth"]
    access = cloud.session.auth.get_access(cloud.session)
    name, password = f"rally-{secrets.token_hex(4)}", secrets.token_urlsafe()
    admin = {
        "username": access.username,
        "password": auth["password"],
        "project_name": access.project_name,
        "user_domain_name": access.user_domain_name,
        "project_domain_name": access.project_domain_name,
    }
    with contextlib.ExitStack() as undo:
        project = cloud.identity.create_project(name=name, domain_id=access.project_domain_id)
        undo.callback(cloud.identity.delete_project, project)
        user = cloud.identity.create_user(
            name=name, password=password, domain_id=access.user_domain_id
        )
        undo.callback(cloud.identity.delete_user, user)
        role = cloud.identity.find_role(ROLE, ignore_missing=False)
        cloud.identity.assign_project_role_to_user(project, user, role)
        yield {
            "auth_url": auth["auth_url"],
            "region_name": cloud.config.region_name,
            "admin": admin,
            "users": [{**admin, "username": name, "password": password, "project_name": name}],
        }


class _Ended(NamedTuple):
    """The end of a workload: its part of the exit status, and the rest of its last message."""

    exit_status: int
    status: str
    text: str


def _run(api: Any, task: str, workload: dict[str, Any]) -> _Ended:
    """Run one workload as the task."""
    config = {"version": 2, "title": workload["title"], "subtasks": [workload]}
    try:
        api.task.start(None, config, task=task)
    except RallyException as error:
        # Rally's text has the whole workload before the reasons.
        return _Ended(NOT_RUN, "refused", str(error).rpartition("Reason(s):")[2].strip())
    found = api.task.get(task, detailed=True)
    if found["pass_sla"]:
        return _Ended(0, "success", _summary(found))
    return _Ended(FAILED_SLA, "fail", _summary(found))


def _summary(task: dict[str, Any]) -> str:
    iterations = task["subtasks"][0]["workloads"][0]["data"]
    errors = [": ".join(each["error"][:2]) for each in iterations if each["error"]]
    if errors:
        return f"{len(errors)} of {len(iterations)} iterations failed: {errors[0]}"
    if not iterations:
        return "no iteration ran"
    seconds = [each["duration"] for each in iterations]
    mean = sum(seconds) / len(seconds)
    return f"{len(seconds)} iterations, mean {mean:.2f} s, worst {max(seconds):.2f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))

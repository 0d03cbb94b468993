# SPDX-License-Identifier: Apache-2.0
"""A job of the layout as Zuul freezes it for a change, and the arguments of its build."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import yaml
from zuul import model
from zuul.executor.common import construct_build_params, make_change, make_src_dir
from zuul.model_api import MODEL_API
from zuul.zk.components import COMPONENT_REGISTRY
from zuul.zk.zkobject import LocalZKContext

from bsdgate.harness.zuul.executor.order import Order, Project
from bsdgate.harness.zuul.layout import OURS, Parsed

_PLAYBOOKS: Final = ("pre_run", "run", "post_run", "cleanup_run")


class Refused(Exception):
    """The job cannot be run. The text is for the user."""


@dataclass(frozen=True)
class Frozen:
    """A frozen job, and the arguments with which the scheduler starts its build."""

    job: Any
    arguments: dict[str, Any]


def freeze(parsed: Parsed, order: Order) -> Frozen:
    """Return the job of an order, with all variants of its parents applied.

    :raises Refused: Zuul does not run such a job, or it cannot be run without a Zuul.
    """
    COMPONENT_REGISTRY.registry = SimpleNamespace(model_api=MODEL_API)
    tenant = parsed.tenant
    tenant.default_ansible_version = "11"
    # Jobs that use a semaphore wait for each other in Zuul only.
    tenant.semaphore_handler = SimpleNamespace(getSemaphoreInfo=lambda _: {"name": "", "max": 1})
    change = _change(tenant, order)
    manager = parsed.layout.pipeline_managers.get(order.pipeline)
    if manager is None:
        known = ", ".join(parsed.layout.pipeline_managers)
        raise Refused(f"the tenant has no pipeline {order.pipeline}, only {known}")
    item = _item(manager, change)
    job = _freeze(parsed.layout, item, change, order.job)
    if not order.dry_run:
        _check(job, order)
    arguments = construct_build_params(
        order.build, parsed.connections, job, item, manager.pipeline, [make_change(item, change)]
    )
    _add_projects(arguments, order, tenant, job)
    arguments["zuul"] |= {"attempts": 1, "max_attempts": job.attempts}
    more: dict[str, Any] = {"zuul_event_id": order.build, "semaphore_handle": None, "ssh_keys": []}
    return Frozen(job, arguments | more)


def describe(job: Any) -> str:
    """Return a job in YAML: the values that Zuul would use."""
    shown = {
        "name": job.name,
        "ansible-version": job.ansible_version,
        "attempts": job.attempts,
        "timeout": job.timeout,
        "post-timeout": job.post_timeout,
        "semaphores": [each.name for each in job.semaphores],
        "required-projects": sorted(job.required_projects),
        "nodes": {name: node.label for node in job.nodeset.getNodes() for name in node.name},
        **{phase.replace("_", "-"): list(_paths(job, phase)) for phase in _PLAYBOOKS},
        "vars": dict(job.variables or {}),
        "host-vars": dict(job.host_variables or {}),
        "group-vars": dict(job.group_variables or {}),
        "extra-vars": dict(job.extra_variables or {}),
    }
    # As JSON, the values have none of the types of Zuul's parser.
    plain = json.loads(json.dumps(shown, default=dict))
    return str(yaml.safe_dump(plain, sort_keys=False, default_flow_style=False))


def _paths(job: Any, phase: str) -> Iterator[str]:
    for playbook in getattr(job, phase):
        yield playbook["path"]


def _change(tenant: Any, order: Order) -> Any:
    """Return the change of an order in Zuul's form; without a number it is a branch."""
    tested = order.projects[0] if order.projects else Project(OURS, "", "", "")
    _, project = tenant.getProject(tested.name)
    if project is None:
        known = ", ".join(sorted(each.name for each in tenant.all_projects))
        raise Refused(f"the tenant has no project {tested.name}, only {known}")
    change = model.Branch(project) if order.change is None else model.Change(project)
    change.branch = order.branch
    change.ref = f"refs/heads/{order.branch}"
    if order.change is not None:
        change.number, change.patchset = order.change
        change.ref = f"refs/changes/{change.number[-2:]:0>2}/{change.number}/{change.patchset}"
        change.url = f"https://{project.canonical_hostname}/{change.number}"
        change.commit_id, change.message = tested.commit, tested.message
    key = SimpleNamespace(reference=change.ref)
    change.cache_stat = SimpleNamespace(key=key)
    return change


def _item(manager: Any, change: Any) -> Any:
    """Return what Zuul needs of an item in a queue, which has only this change."""
    return SimpleNamespace(
        manager=manager,
        changes=[change],
        parameters={},
        event=None,
        merged_change_shas={},
        current_build_set=SimpleNamespace(
            job_graph=model.JobGraph({}), uuid="0" * 32, repo_state_keys=[], getPath=lambda: ""
        ),
        annotateLogger=lambda log: log,
        getChangeForJob=lambda _: change,
        getJobParentData=lambda _: ({}, {}, []),
    )


def _freeze(layout: Any, item: Any, change: Any, name: str) -> Any:
    """Return the frozen job, as if the project of the change ran it in the pipeline."""
    if name not in layout.jobs:
        raise Refused(f"there is no job {name}; doc/source/reference/jobs.rst has all jobs")
    found = layout.getProjectPipelineConfig(item, change)
    config = model.ProjectPipelineConfig()
    config.variables = found.variables if found else {}
    for variant in (found.job_list.jobs.get(name) if found else None) or [_variant(layout, name)]:
        config.job_list.addJob(variant)
    graph = item.current_build_set.job_graph
    errors: dict[str, Exception] = {}
    context = LocalZKContext(logging.getLogger("zuul"))
    try:
        layout.extendJobGraph(context, item, change, config, graph, None, True, True, [], errors)
    except model.JobConfigurationError as error:
        raise Refused(str(error)) from error
    for problem in errors.values():
        raise Refused(str(problem))
    return next(iter(graph.getJobs()), None) or _no_variant(name, change)


def _variant(layout: Any, name: str) -> Any:
    """Return a variant that changes nothing, as in the line of a project that only has the name."""
    variant = model.Job(name)
    variant.source_context = layout.getJob(name).source_context
    return variant


def _no_variant(name: str, change: Any) -> Any:
    raise Refused(f"the job {name} has no variant for the branch {change.branch}")


def _check(job: Any, order: Order) -> None:
    """Check that the job can be run here.

    :raises Refused: it needs a node that is not given, or a secret.
    """
    if any(playbook["secrets"] for phase in _PLAYBOOKS for playbook in getattr(job, phase)):
        raise Refused(f"the job {job.name} has a secret, which only the Zuul with its key can read")
    needed = {name for node in job.nodeset.getNodes() for name in node.name}
    if missing := needed - {*order.nodes, "controller"}:
        one = min(missing)
        raise Refused(f"the job {job.name} needs the node {one}: give --node {one}=ssh://USER@HOST")
    if unknown := sorted(set(order.nodes) - needed):
        raise Refused(f"the job {job.name} has no node {unknown[0]}, only {', '.join(needed)}")


def _add_projects(arguments: dict[str, Any], order: Order, tenant: Any, job: Any) -> None:
    """Add the given projects to the arguments, each with its commit.

    :raises Refused: the job requires a project that is not given.
    """
    given = {tenant.getProject(each.name)[1]: each for each in order.projects}
    required = [name for name in job.required_projects if tenant.getProject(name)[1] not in given]
    if required:
        raise Refused(f"the job {job.name} requires {required[0]}: give --project NAME=PATH for it")
    arguments["projects"] = []
    for project, each in given.items():
        arguments["zuul"]["projects"][project.canonical_name] = {
            "name": project.name,
            "short_name": project.name.split("/")[-1],
            "canonical_name": project.canonical_name,
            "canonical_hostname": project.canonical_hostname,
            "src_dir": make_src_dir(project.canonical_hostname, project.name, job.workspace_scheme),
            "required": project.canonical_name in job.required_projects,
            "checkout": order.branch,
            "checkout_description": "zuul branch",
            "commit": each.commit,
        }

# SPDX-License-Identifier: Apache-2.0
"""The files of Zuul that follow from the matrix of versions, and the page about the jobs.

``bsdgate zuul generate`` writes them. Jobs that no version has an influence on are in
``zuul.d/base.yaml``, which a person writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from bsdgate.harness.profiles.matrix import FreeBSD, Matrix

PROJECTS: Final = ("keystone", "ironic", "nova", "neutron", "glance", "placement")
SUITES: Final[Mapping[str, tuple[str, int]]] = {
    "smoke": ("The basic functions of each service", 3600),
    "gate": ("The whole API of each service", 10800),
}
"""The suites of the jobs: what they test, and the time limit in seconds."""
GUEST_SECONDS: Final = 1800
"""The additional time of a job that boots a guest."""
ARCHITECTURE: Final = "amd64"
"""The architecture of the jobs of a project."""

BASE: Final = Path("zuul.d", "base.yaml")
JOBS: Final = Path("zuul.d", "generated.yaml")
LABELS: Final = Path("doc", "zuul-tenant", "zuul.d", "labels.yaml")
"""The labels of the example tenant."""
PAGE: Final = Path("doc", "source", "reference", "jobs.rst")
COMMAND: Final = "bsdgate zuul generate"

Stanza = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Indents the items of a sequence, as yamllint requires."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Increase the indentation, also for a sequence."""
        super().increase_indent(flow, indentless=False)


def generated(matrix: Matrix, base: str) -> dict[Path, str]:
    """Return the generated files by their paths in the checkout.

    ``base`` is the content of ``zuul.d/base.yaml``.
    """
    made = stanzas(matrix)
    return {
        JOBS: _yaml(made),
        LABELS: _yaml(list(_labels(matrix))),
        PAGE: _page([*yaml.safe_load(base), *made]),
    }


def stanzas(matrix: Matrix) -> list[Stanza]:
    """Return nodesets, jobs and templates."""
    tested = [each for each in matrix.freebsd if each.architectures]
    default = next(each for each in tested if each.default)
    return [
        *_nodesets(tested),
        *_embedded(tested),
        _embedded_guest(default),
        *_jobs(tested, default),
        *_templates(tested),
    ]


def label(version: FreeBSD, architecture: str) -> str:
    """Return the label of nodes with a version, which is also the end of the nodeset's name."""
    return f"bsdgate-freebsd-{_word(version)}-{architecture}"


def _word(version: FreeBSD) -> str:
    return version.version.replace("/", "-")


def _nodesets(versions: Sequence[FreeBSD]) -> Iterator[Stanza]:
    for version in versions:
        for architecture in version.architectures:
            nodes = [
                {"name": "controller", "label": "bsdgate-controller"},
                {"name": "freebsd", "label": label(version, architecture)},
            ]
            yield {"nodeset": {"name": label(version, architecture), "nodes": nodes}}


def _labels(matrix: Matrix) -> Iterator[Stanza]:
    """Yield an image and a label for each tested version and architecture."""
    for version in matrix.freebsd:
        for architecture in version.architectures:
            name = label(version, architecture)
            yield {"image": {"name": name, "type": "cloud"}}
            yield {"label": {"name": name, "image": name, "flavor": "bsdgate"}}


def _embedded(versions: Sequence[FreeBSD]) -> Iterator[Stanza]:
    for version in versions:
        for architecture in version.architectures:
            suffix = f"{_suffix(version)}{'' if architecture == ARCHITECTURE else '-arm64'}"
            yield {
                "job": {
                    "name": f"bsdgate-embedded{suffix}",
                    "parent": "bsdgate-freebsd",
                    "description": f"The embedded cloud on FreeBSD {version.version}"
                    f" ({architecture}), without a change of a service: the suite smoke.",
                    "final": True,
                    "nodeset": label(version, architecture),
                    "timeout": SUITES["smoke"][1],
                    "vars": {"bsdgate_suite": "smoke"},
                }
            }


def _embedded_guest(version: FreeBSD) -> Stanza:
    seconds = SUITES["smoke"][1] + GUEST_SECONDS
    return {
        "job": {
            "name": "bsdgate-embedded-guest",
            "parent": "bsdgate-guest",
            "description": f"The embedded cloud in a guest with FreeBSD {version.version} on a"
            " Linux node, without a change of a service: the suite smoke.",
            "final": True,
            "timeout": seconds,
            "vars": {"bsdgate_suite": "smoke", "bsdgate_on": _image(version)},
        }
    }


def _jobs(versions: Sequence[FreeBSD], default: FreeBSD) -> Iterator[Stanza]:
    for project in PROJECTS:
        for suite in SUITES:
            for version in versions:
                yield _job(project, suite, version)
            yield _guest_job(project, suite, default)


def _job(project: str, suite: str, version: FreeBSD) -> Stanza:
    name = f"{_name(project, suite)}{_suffix(version)}"
    place = f"on FreeBSD {version.version}"
    more = {"nodeset": label(version, ARCHITECTURE)}
    return {"job": _project_job(name, "bsdgate-freebsd", project, suite, place) | more}


def _guest_job(project: str, suite: str, version: FreeBSD) -> Stanza:
    name = f"{_name(project, suite)}-guest"
    place = f"in a guest with FreeBSD {version.version} on a Linux node"
    job = _project_job(name, "bsdgate-guest", project, suite, place)
    job["timeout"] += GUEST_SECONDS
    job["vars"]["bsdgate_on"] = _image(version)
    return {"job": job}


def _image(version: FreeBSD) -> str:
    """Return the value of ``--on`` for a guest with a version."""
    return f"qemu:{version.version}-RELEASE"


def _project_job(name: str, parent: str, project: str, suite: str, place: str) -> Stanza:
    """Return a job that tests a change of a project; ``place`` describes the node."""
    what, seconds = SUITES[suite]
    return {
        "name": name,
        "parent": parent,
        "description": f"{what}, with the change of {project.capitalize()} {place}:"
        f" the suite {suite}.",
        "final": True,
        "timeout": seconds,
        "vars": {"bsdgate_project": project, "bsdgate_suite": suite},
    }


def _templates(versions: Sequence[FreeBSD]) -> Iterator[Stanza]:
    for project in PROJECTS:
        title = project.capitalize()
        nightly = [f"{_name(project, 'gate')}{_suffix(version)}" for version in versions]
        yield _template(
            f"bsdgate-{project}",
            f"{title} on nodes with FreeBSD: smoke for each change, gate each night.",
            {"check": [_name(project, "smoke")], "periodic-nightly": nightly},
        )
        yield _template(
            f"bsdgate-{project}-guest",
            f"{title} in a guest with FreeBSD, for a Zuul without nodes that have FreeBSD.",
            {"check": [f"{_name(project, 'smoke')}-guest"]},
        )


def _template(name: str, description: str, pipelines: Mapping[str, Sequence[str]]) -> Stanza:
    jobs = {pipeline: {"jobs": list(names)} for pipeline, names in pipelines.items()}
    return {"project-template": {"name": name, "description": description, **jobs}}


def _name(project: str, suite: str) -> str:
    return f"bsdgate-{project}-{suite}"


def _suffix(version: FreeBSD) -> str:
    return "" if version.default else f"-freebsd-{_word(version)}"


def _yaml(content: Sequence[Stanza]) -> str:
    head = f"---\n# SPDX-License-Identifier: Apache-2.0\n# Generated by: {COMMAND}\n\n"
    parts = (yaml.dump([stanza], Dumper=_Dumper, sort_keys=False, width=80) for stanza in content)
    return head + "\n".join(parts)


def _page(content: Sequence[Stanza]) -> str:
    """Return the page that documents each job and template."""
    lines = [f".. Generated by: {COMMAND}", "", "Zuul jobs", "=========", ""]
    for title, kind in (("Jobs", "job"), ("Templates", "project-template")):
        lines += [title, "-" * len(title), ""]
        for stanza in content:
            if found := stanza.get(kind):
                lines += [f"``{found['name']}``", *_description(found), ""]
    return "\n".join(lines)


def _description(stanza: Stanza) -> Iterator[str]:
    for line in stanza.get("description", "").strip().splitlines():
        yield f"    {line}".rstrip()

# SPDX-License-Identifier: Apache-2.0
"""Proposes known failures from FreeBSD CI's xfail lists and from Tempest's decorators.

A proposal is an entry of the known failures without an owner and a last day; a person has to
complete it before bsdgate uses it. Source code is parsed, never imported.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Outcome

# jobs/FreeBSD-stable-15-aarch64-KASAN_test/xfail-list
_JOB: Final = re.compile(r"FreeBSD-(main|stable-(\d+))-([a-z0-9]+)-([\w-]+)")
_DOTTED: Final = re.compile(r"(?<![^/])usr/(s?bin)/")
_TRACKERS: Final = {
    "launchpad": "https://launchpad.net/bugs/",
    "storyboard": "https://storyboard.openstack.org/#!/story/",
}
_DECORATORS: Final = {
    "unstable_test": "Upstream marks the test as unstable and reports its failure as a skip",
    "skip_because": "Upstream skips the test until its bug is resolved",
}
_HEAD: Final = """\
# Proposals. Complete each entry before you use the file: add an owner and the URL of a bug, explain
# in the reason why the test fails, set the day of expiry, then remove the line "proposal".
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry without an owner and a last day. ``source`` is the origin of the proposal.

    ``bug`` is a URL, or empty. ``scope`` has for each key the allowed values.
    """

    test: str
    source: str
    reason: str
    bug: str = ""
    outcome: Outcome = Outcome.FAIL
    scope: Mapping[str, Sequence[str]] = field(default_factory=dict)


_Job = tuple[str, str, str]
"""The name, the branch and the architecture of a job."""


def from_xfail_lists(lists: Mapping[str, str]) -> list[Proposal]:
    """Return proposals from FreeBSD CI's lists of expected failures: the text of each, by its path.

    A line is ``classname:name``, as in Kyua's JUnit report; the id of the test becomes
    ``path:name``, as in Kyua's list of tests. The path contains the name of a job, with branch and
    architecture. Architectures in which a test fails on the same branches share one proposal.

    :raises BsdgateError: a line has another form, or a path contains no name of a job.
    """
    known: dict[str, set[_Job]] = defaultdict(set)
    problems = []
    for path, text in sorted(lists.items()):
        job = _JOB.search(path)
        if job is None:
            problems.append(f"{path}: no job name such as FreeBSD-main-aarch64-test in the path")
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            program, _, name = line.strip().partition(":")
            if program and name:
                # Slashes are dots in a classname; usr.bin and usr.sbin have a dot in the path too.
                path_of = _DOTTED.sub(r"usr.\1/", program.replace(".", "/"))
                known[f"{path_of}:{name}"].add((job[0], job[1], job[3]))
            elif line.strip():
                problems.append(f"{path}:{number}: {line!r} does not have the form classname:name")
    if problems:
        raise BsdgateError(
            "\n".join(problems), "give unmodified lists of the repository freebsd/freebsd-ci"
        )
    branches = {branch for found in known.values() for _, branch, _ in found}
    return [one for test in sorted(known) for one in _proposed(test, known[test], branches)]


def _proposed(test: str, found: set[_Job], branches: set[str]) -> Iterator[Proposal]:
    """Yield one proposal for all architectures that list the test on the same branches."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for architecture in sorted({of for _, _, of in found}):
        on = {branch for _, branch, of in found if of == architecture}
        alike[_releases(on, branches)].append(architecture)
    for releases, architectures in sorted(alike.items()):
        jobs = sorted(job for job, _, of in found if of in architectures)
        scope: dict[str, Sequence[str]] = {"architecture": architectures}
        if releases:
            scope["freebsd"] = releases
        yield Proposal(
            test=test,
            source=f"xfail-list of {', '.join(jobs)}",
            reason="FreeBSD CI expects the test to fail and gives no reason",
            scope=scope,
        )


def _releases(on: set[str], branches: set[str]) -> tuple[str, ...]:
    """Return the versions of branches; main is newer than all stable ones; main alone: no limit."""
    stable = [int(branch.removeprefix("stable-")) for branch in branches - {"main"}]
    if "main" in on and not stable:
        return ()
    versions = [f"{branch.removeprefix('stable-')}.*" for branch in sorted(on - {"main"})]
    return (*versions, *([f">={max(stable) + 1}"] if "main" in on else []))


def from_source(package: str, folder: Path) -> list[Proposal]:
    """Return proposals for the tests of ``package`` that are marked as unstable or skipped.

    ``folder`` has the package's source. A proposal has the idempotent id of a test, which also
    matches the test in classes that inherit it, or, without such an id, its class and method.

    :raises BsdgateError: a file cannot be parsed as Python.
    """
    found: list[Proposal] = []
    for file in sorted(folder.rglob("*.py")):
        source = file.read_bytes()
        if not any(name.encode() in source for name in _DECORATORS):
            continue
        place = f"{package.replace('.', '/')}/{file.relative_to(folder)}"
        try:
            tree = ast.parse(source, filename=place)
        except (SyntaxError, ValueError, RecursionError) as reason:
            message = f"{file} cannot be read as Python: {reason}"
            raise BsdgateError(message, "reinstall the package that contains it") from None
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found += _marked_in(node, place)
    return found


def _marked_in(node: ast.ClassDef, place: str) -> Iterator[Proposal]:
    module = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    everything = f"{module}.{node.name}.*"
    yield from _marked(node, everything, place)
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            # A decorator of a helper method affects every test that calls the helper.
            test = method.name.startswith("test")
            own = f"{module}.{node.name}.{method.name}" if test else everything
            yield from _marked(method, own, place)


def _marked(node: ast.ClassDef | ast.FunctionDef, test: str, place: str) -> Iterator[Proposal]:
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    by_name: dict[str, list[ast.Call]] = defaultdict(list)
    for call in calls:
        by_name[ast.unparse(call.func).rpartition(".")[2]].append(call)
    uuid = next(map(_text, by_name["idempotent_id"]), None)
    for name, said in _DECORATORS.items():
        bugs = list(dict.fromkeys(bug for mark in by_name[name] for bug in _bugs(mark)))
        if by_name[name]:
            also = f" (also {', '.join(bugs[1:])})" if bugs[1:] else ""
            yield Proposal(
                test=f"id-{uuid}" if uuid else test,
                source=f"{name} at {place}:{by_name[name][0].lineno}, {node.name}",
                reason=f"{said}{also}",
                bug=bugs[0] if bugs else "",
                outcome=Outcome.SKIP,
            )


def _text(call: ast.Call) -> str | None:
    value = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    return value if isinstance(value, str) else None


def _bugs(call: ast.Call) -> list[str]:
    """Return the URLs of the bugs in a decorator: in its keywords, or in a text (``bug 17``)."""
    arguments = {
        word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)
    }
    tracker = _TRACKERS.get(str(arguments.get("bug_type", "launchpad")), "")
    text = str(arguments.get("bug", "")) or _text(call) or ""
    return [tracker + number for number in re.findall(r"\d+", text)] if tracker else []


def render(proposals: Iterable[Proposal], since: date) -> str:
    """Return proposals as the YAML text of a file of known failures, in the given order."""
    entries = [[_entry(proposal, since)] for proposal in proposals]
    parts = [
        yaml.dump(entry, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        for entry in entries
    ]
    return "\n".join([_HEAD, *parts])


def _entry(proposal: Proposal, since: date) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "proposal": proposal.source,
        "test": proposal.test,
        "bug": proposal.bug or None,
        "owner": None,
        "reason": proposal.reason,
        "since": since,
        "expires": None,
    }
    if proposal.outcome is not Outcome.FAIL:
        entry["outcome"] = str(proposal.outcome)
    if proposal.scope:
        entry["scope"] = {
            key: list(values) if len(values) > 1 else values[0]
            for key, values in proposal.scope.items()
        }
    return entry


class _Dumper(yaml.SafeDumper):
    """Writes None as an empty value, for a person to fill in."""


_Dumper.add_representer(
    type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "")
)

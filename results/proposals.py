# SPDX-License-Identifier: Apache-2.0
"""Proposes known failures from FreeBSD CI's xfail lists and from Tempest's decorators.

A proposal is an entry that a person has to complete before it is used: it has no owner and no last
day. Source code is read, never imported.
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
    "unstable_test": "Upstream calls it unstable and makes a skip of its failure",
    "skip_because": "Upstream skips it until its bug is resolved",
}
_HEAD: Final = """\
# Proposals: none of them is used before it is complete. Name an owner and the URL of a bug, say in
# the reason why it fails, set the day on which it expires, then remove its line "proposal".
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry without an owner and a last day. ``source`` is its origin.

    ``bug`` is a URL, or empty; ``scope`` has the alternatives of each key.
    """

    test: str
    source: str
    reason: str
    bug: str = ""
    outcome: Outcome = Outcome.FAIL
    scope: Mapping[str, Sequence[str]] = field(default_factory=dict)


_Job = tuple[str, str, str]
"""A job, its branch and its architecture."""


def from_xfail_lists(lists: Mapping[str, str]) -> list[Proposal]:
    """Return proposals from FreeBSD CI's lists, given as path in its repository and text.

    A line is ``classname:name``, as in Kyua's JUnit report; a test becomes ``path:name``, as Kyua
    lists it. The job in a path says for which branch and architecture; a test that is in several
    lists is proposed once for all of them, or once for each set of branches.

    :raises BsdgateError: a line has another form, or a path names no job.
    """
    known: dict[str, set[_Job]] = defaultdict(set)
    problems = []
    for path, text in sorted(lists.items()):
        job = _JOB.search(path)
        if job is None:
            problems.append(f"{path}: no job such as FreeBSD-main-aarch64-test is in this path")
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            program, _, name = line.strip().partition(":")
            if program and name:
                # A classname has dots for slashes, and those of the path: usr.bin, usr.sbin.
                path_of = _DOTTED.sub(r"usr.\1/", program.replace(".", "/"))
                known[f"{path_of}:{name}"].add((job[0], job[1], job[3]))
            elif line.strip():
                problems.append(f"{path}:{number}: {line!r} is not classname:name")
    if problems:
        raise BsdgateError("\n".join(problems), "give the lists as freebsd/freebsd-ci has them")
    branches = {branch for found in known.values() for _, branch, _ in found}
    return [one for test in sorted(known) for one in _proposed(test, known[test], branches)]


def _proposed(test: str, found: set[_Job], branches: set[str]) -> Iterator[Proposal]:
    """One proposal for the architectures that have the test on the same branches."""
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
            reason="FreeBSD CI expects it to fail and does not say why",
            scope=scope,
        )


def _releases(on: set[str], branches: set[str]) -> tuple[str, ...]:
    """The versions of branches; main is what follows the newest stable branch, if one is known."""
    stable = [int(branch.removeprefix("stable-")) for branch in branches - {"main"}]
    if "main" in on and not stable:
        return ()
    versions = [f"{branch.removeprefix('stable-')}.*" for branch in sorted(on - {"main"})]
    return (*versions, *([f">={max(stable) + 1}"] if "main" in on else []))


def from_source(package: str, folder: Path) -> list[Proposal]:
    """Return proposals for tests of ``package``, in ``folder``, marked as unstable or skipped.

    A test is named by its idempotent id, which holds for the classes that inherit it too, or else
    by its class and method.

    :raises BsdgateError: a file is not Python.
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
            raise BsdgateError(message, "reinstall the package that has it") from None
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
            # A decorator of a helper method has effect in each test that calls the helper.
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
    """Return the bugs of a decorator: keywords as in Tempest, or a text (``bug 1756301``)."""
    arguments = {
        word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)
    }
    tracker = _TRACKERS.get(str(arguments.get("bug_type", "launchpad")), "")
    text = str(arguments.get("bug", "")) or _text(call) or ""
    return [tracker + number for number in re.findall(r"\d+", text)] if tracker else []


def render(proposals: Iterable[Proposal], since: date) -> str:
    """Write proposals as the YAML of known failures, in the order given."""
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
    """Writes None as an empty value, which a person has to fill in."""


_Dumper.add_representer(
    type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "")
)

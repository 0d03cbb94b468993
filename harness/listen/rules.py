# SPDX-License-Identifier: Apache-2.0
"""What a buildset means: the verdict of each build, and the text about a buildset without builds.

Zuul's API says which builds a buildset has; a message only adds the data that they returned.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bsdgate.harness.listen.returned import File, Returned, UnusableError, find
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Build, Buildset
from bsdgate.results import document, strict_json
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Result, Verdict
from bsdgate.results.reporters import gerrit, review

ENDED: Final = frozenset({"SUCCESS", "FAILURE"})
"""The results of builds and buildsets that may have a verdict; others prove nothing."""

NOTICES: Final = {
    "CONFIG_ERROR": "Zuul's configuration is wrong",
    "MERGE_CONFLICT": "Zuul could not merge this change",
}
"""The results of buildsets that are reported with Zuul's text, and their meaning."""

SILENT: Final = frozenset({"DEQUEUED", "NO_JOBS", "MERGE_FAILURE"})
"""The results of buildsets after which nothing is posted."""

_PLACE: Final = re.compile(r'^  in "([^"\n]+)@([^"@\n]+)", line (\d{1,7})$', re.MULTILINE)

_PROBLEM: Final = re.compile(r"problem\s+was:\n\n((?:  .*(?:\n|$))+)")
_PROBLEM_BOUND: Final = 1000

Fetch = Callable[[str, File], bytes]
"""Returns the content of a file below a log URL."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The change of a buildset."""

    project: str
    change: int
    patchset: int


def subjects(buildset: Buildset) -> Iterator[Subject]:
    """Yield the changes of a buildset; a branch or a tag is none."""
    for ref in buildset.refs:
        if ref.change.isdecimal() and ref.patchset.isdecimal():
            yield Subject(ref.project, int(ref.change), int(ref.patchset))


def builds(
    buildset: Buildset,
    change: Subject,
    returned: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: Settings,
    fetch: Fetch,
) -> list[gerrit.Build]:
    """Return the builds of a buildset with their verdicts.

    ``returned`` is the data that builds returned, by uuid: of each message about the buildset.

    :raises LogsUnavailableError: ``fetch`` could not get a file.
    """
    final = [each for each in buildset.builds if each.final is not False]
    found = [_judged(each, change, returned.get(each.uuid, ()), settings, fetch) for each in final]
    present = {each.job_name for each in final}
    absent = [job for job in settings.required.get(change.project, ()) if job not in present]
    found += [gerrit.Build(job, None, "the job is not in the buildset") for job in absent]
    return found


def _judged(
    build: Build,
    change: Subject,
    data: Sequence[Mapping[str, Any]],
    settings: Settings,
    fetch: Fetch,
) -> gerrit.Build:
    """Return a build with its verdict, or with the reason why it has none."""
    url = build.log_url or ""
    counts = build.job_name in settings.jobs
    shown = gerrit.Build(build.job_name, None, voting=build.voting and counts, url=url)
    if not counts:
        return replace(shown, problem="it is not a job of this CI (the key jobs of the settings)")
    try:
        _check_build(build, change)
        given = find(data, build.artifacts)
        _check_items(given, change, settings)
        verdict = _verdict(given, build, change, fetch)
        comments = _comments(given, build, fetch)
    except UnusableError as error:
        return replace(shown, problem=str(error))
    return replace(shown, verdict=verdict, comments=comments)


def _check_build(build: Build, change: Subject) -> None:
    if build.result not in ENDED:
        raise UnusableError(f"Zuul ended the build with {build.result or 'no result'}")
    if not build.uuid or not build.log_url:
        raise UnusableError("the build has no logs")
    own = build.ref and (build.ref.project, build.ref.change, build.ref.patchset)
    if own != (change.project, str(change.change), str(change.patchset)):
        raise UnusableError("the build is of another change")


def _check_items(returned: Returned, change: Subject, settings: Settings) -> None:
    """Check that no change was tested together with one of bsdgate or of the tests."""
    if not settings.refused:
        return
    if returned.items is None:
        raise UnusableError("its post-run did not return the changes that were tested together")
    projects = [change.project, *(item.project for item in returned.items)]
    if refused := next((each for each in projects if each in settings.refused), None):
        raise UnusableError(f"it was tested together with a change of {refused}")


def _verdict(returned: Returned, build: Build, change: Subject, fetch: Fetch) -> Verdict:
    content = fetch(build.log_url or "", returned.verdict)
    try:
        verdict = document.parse(content)
    except EvidenceError as error:
        raise UnusableError(error.message) from None
    run = verdict.run
    own = (str(change.change), str(change.patchset))
    facts = (
        ("change and patchset", own, (returned.change, returned.patchset)),
        ("change and patchset", own, (run.change, run.patchset)),
        ("run", returned.run_id, run.run_id),
        ("result", returned.result, verdict.result),
    )
    for name, expected, given in facts:
        if expected != given:
            raise UnusableError(f"its verdict has another {name}")
    if verdict.result is Result.PASS and build.result != "SUCCESS":
        raise UnusableError(f"its verdict is PASS, but Zuul ended the build with {build.result}")
    return verdict


def _comments(returned: Returned, build: Build, fetch: Fetch) -> tuple[review.LineComment, ...]:
    if returned.comments is None:
        return ()
    content = fetch(build.log_url or "", returned.comments)
    try:
        return review.line_comments(strict_json.loads_object(content))
    except (ValueError, AttributeError) as error:
        raise UnusableError(f"{returned.comments.path}: {strict_json.explain(error)}") from None


def problem(text: str) -> str:
    """Return the problem in the text of a configuration error, without the excerpt of the file."""
    found = _PROBLEM.search(text)
    lines = found[1].splitlines() if found else []
    return "\n".join(line.strip() for line in lines)[:_PROBLEM_BOUND]


def place(text: str, project: str) -> tuple[str, int] | None:
    """Return the file and the line of a configuration error if it is in this project.

    Zuul writes the place after the excerpt of the file, which the change may have written.
    """
    found = _PLACE.findall(text)
    if not found or not found[-1][0].startswith(f"{project}/"):
        return None
    name, _, line = found[-1]
    return name.removeprefix(f"{project}/"), int(line)

# SPDX-License-Identifier: Apache-2.0
"""The verdicts of all jobs of a buildset as one review: message, vote, comments on lines.

The message is for a reviewer who has never heard of bsdgate: the reason comes first, and it has at
most LINES_BOUND lines.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bsdgate.results.ids import bare
from bsdgate.results.model import Cause, Excuse, Level, Outcome, Result, Run, Verdict, count
from bsdgate.results.reporters.failures import Failure, Group, groups
from bsdgate.results.reporters.review import Buildset, LineComment, Review
from bsdgate.results.reporters.text import duration, narrowing, plain

LINES_BOUND: Final = 25
"""The maximum number of lines of a message."""

LINE_BOUND: Final = 500
"""The maximum size of a line in bytes: Gerrit accepts messages of 16 kB."""

JOBS_SHOWN: Final = 6
FAILURES_SHOWN: Final = 4
"""The maximum numbers of jobs, and of failures, in a message."""

TEXT_SHOWN: Final = 19
"""The maximum number of lines of another program's text."""

TEXT_BOUND: Final = 200
"""The maximum size in bytes of a text in a line, such as the message of a failure."""

_WORDS: Final = {Result.PASS: "SUCCESS", Result.FAIL: "FAILURE", Result.ERROR: "ERROR"}
_NAMES: Final = {Outcome.SUCCESS: "passed", Outcome.SKIP: "skipped", Outcome.FAIL: "failed"}
_MEANINGS: Final[Mapping[Cause | Excuse, str]] = {
    Cause.CHANGE: ", not seen without this change",
    Cause.UNKNOWN: "; it is not known whether this change is the cause",
}
_SEVERITY: Final = (Result.FAIL, Result.ERROR, Result.PASS)


@dataclass(frozen=True, slots=True)
class Build:
    """A job of a buildset, and its verdict.

    ``problem`` is the reason why there is no verdict, such as the result that Zuul gave the build.
    ``url`` is the address of the report, ``comments`` are the failures on lines of the change.
    """

    job: str
    verdict: Verdict | None
    problem: str = ""
    voting: bool = True
    url: str = ""
    comments: tuple[LineComment, ...] = ()


_EXCUSES: Final[Mapping[Cause | Excuse, str]] = {
    Cause.BASE: "that failed on the base too",
    Cause.FLAKE: "that passed when run again",
    Excuse.KNOWN_FAILURE: "known before",
}
"""The excused failures of a job, after their number."""


@dataclass(frozen=True, slots=True)
class About:
    """The text about the CI: how to run the tests again, whom to ask, and the wiki page."""

    recheck: str = ""
    contact: str = ""
    wiki: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    """A build with its result for the vote; ``problem`` is the reason for ERROR.

    ``passed_partly``: all tests passed, but not all tests of the suite were run.
    """

    build: Build
    result: Result
    problem: str = ""
    passed_partly: bool = False
    groups: Sequence[Group] = ()

    @property
    def rank(self) -> tuple[bool, int]:
        return not self.build.voting, _SEVERITY.index(self.result)

    @property
    def word(self) -> str:
        return _WORDS[Result.PASS if self.passed_partly else self.result]


def review(
    builds: Sequence[Build], buildset: Buildset, about: About, label: str | None = "Verified"
) -> Review:
    """Return the review of a buildset; with ``label`` None it has no vote."""
    names = Counter(build.job for build in builds)
    runs = Counter(build.verdict.run.run_id for build in builds if build.verdict)
    jobs = [_job(build, buildset, names, runs) for build in builds]
    jobs.sort(key=lambda job: job.rank)
    vote = _vote(jobs)
    return Review(
        buildset,
        message="\n".join(_message(jobs, vote, buildset, about)),
        labels={label: vote} if label and vote else {},
        comments=_comments(jobs),
    )


def notice(
    headline: str,
    text: str,
    buildset: Buildset,
    about: About,
    *,
    labels: Mapping[str, int] | None = None,
    comments: tuple[LineComment, ...] = (),
) -> Review:
    """Return a review about a buildset without verdicts, with a text of another program."""
    # Four spaces begin a block without formatting, and no line of the text can be a mark.
    shown = [f"    {_cut(line, LINE_BOUND)}" for line in text.strip("\n").splitlines()]
    if len(shown) > TEXT_SHOWN:
        shown = [*shown[: TEXT_SHOWN - 1], "    …"]
    lines = [_cut(headline, LINE_BOUND), "", *shown, "", *_tail((), about), buildset.mark]
    return Review(buildset, "\n".join(lines), labels or {}, comments)


def _job(
    build: Build, buildset: Buildset, names: Mapping[str, int], runs: Mapping[str, int]
) -> _Job:
    verdict = build.verdict
    if verdict is None:
        return _Job(build, Result.ERROR, build.problem or "the job has no verdict")
    if names[build.job] > 1:
        return _Job(build, Result.ERROR, f"there are {names[build.job]} results of this job")
    if runs[verdict.run.run_id] > 1:
        return _Job(build, Result.ERROR, "another job has the verdict on the same run")
    if other := _other_change(verdict.run, buildset):
        return _Job(build, Result.ERROR, f"its verdict is on {other}")
    return _judged(build, verdict)


def _other_change(run: Run, buildset: Buildset) -> str:
    """Return the change of a run if it is not the change of the buildset; else empty."""
    if (run.change, run.patchset) == (str(buildset.change), str(buildset.patchset)):
        return ""
    return f"{run.change},{run.patchset}" if run.change else "no change"


def _judged(build: Build, verdict: Verdict) -> _Job:
    if verdict.result is Result.ERROR:
        return _Job(build, Result.ERROR, _reason(verdict, Level.ERROR))
    if verdict.result is Result.PASS and verdict.run.selection:
        problem = f"not all of its tests were run ({narrowing(verdict.run)})"
        return _Job(build, Result.ERROR, problem, passed_partly=True)
    return _Job(build, verdict.result, groups=groups(verdict))


def _vote(jobs: Sequence[_Job]) -> int:
    """Return -1, 0 (no vote) or +1."""
    results = {job.result for job in jobs if job.build.voting}
    if Result.FAIL in results:
        return -1
    return 1 if results == {Result.PASS} else 0


def _comments(jobs: Sequence[_Job]) -> tuple[LineComment, ...]:
    found = [one for job in jobs if job.result is Result.FAIL for one in job.build.comments]
    return tuple(dict.fromkeys(found))


def _message(jobs: Sequence[_Job], vote: int, buildset: Buildset, about: About) -> Iterator[str]:
    yield _cut(_headline(jobs, vote), LINE_BOUND)
    yield ""
    yield from map(_job_line, jobs[:JOBS_SHOWN])
    if left := Counter(job.word for job in jobs[JOBS_SHOWN:]):
        yield f"* and {', '.join(f'{number} {word}' for word, number in left.items())}"
    yield ""
    yield from _failures(jobs)
    yield from (_cut(line, LINE_BOUND) for line in _tail(jobs, about))
    yield buildset.mark


def _headline(jobs: Sequence[_Job], vote: int) -> str:
    deciding = [job for job in jobs if job.build.voting]
    if vote < 0:
        return f"FAIL: {_meaning_of_failure(deciding[0])}"
    if vote > 0:
        return f"PASS: no failure in {count(deciding, 'job')} counts against this change."
    if not deciding:
        return "NO VOTE: no voting job ran."
    first = deciding[0]
    return (
        f"NO VOTE, because {first.build.job} has no usable result: {_end(first.problem)}"
        " This says nothing about the change."
    )


def _meaning_of_failure(job: _Job) -> str:
    """Return why a job failed: the first group of failures that decides, or the first reason."""
    assert job.build.verdict is not None, "a job without a verdict has not failed"
    deciding = [group for group in job.groups if group.decides]
    if not deciding:
        return _end(_reason(job.build.verdict, Level.FAIL))
    first, others = deciding[0], sum(map(len, deciding[1:]))
    meaning = _MEANINGS.get(first.cause, f". {first.meaning}").removesuffix(".")
    more = f", and {others} with another cause" if others else ""
    return f"{count(list(first), 'failure')} in {job.build.job}{meaning}{more}."


def _reason(verdict: Verdict, level: Level) -> str:
    found = [reason for reason in verdict.reasons if reason.level is level]
    if not found:
        return f"the result is {verdict.result}"
    # More lines, such as the output of ssh, are in the report.
    first = found[0].message.partition("\n")[0]
    return f"{first} ({found[0].code})"


def _job_line(job: _Job) -> str:
    build = job.build
    outcomes = _cut(_outcomes(job), TEXT_BOUND)
    voting = "" if build.voting else " (non-voting)"
    rest = f" : {job.word} {outcomes}{voting}"
    head = f"* {_cut(build.job, TEXT_BOUND)}"
    # Half an address leads nowhere.
    with_url = f"{head} {plain(build.url)}"
    room = LINE_BOUND - len(rest.encode())
    return (with_url if build.url and len(with_url.encode()) <= room else head) + rest


def _outcomes(job: _Job) -> str:
    """Return the numbers of outcomes and the duration, or the reason why there is no result."""
    verdict = job.build.verdict
    if verdict is None or (job.problem and not job.passed_partly):
        return job.problem
    counts = verdict.counts
    numbers = [
        f"{counts[outcome]} {_NAMES.get(outcome, outcome)}"
        for outcome in Outcome
        if counts[outcome]
    ]
    text = f"{count(verdict.cases, 'test')}: {', '.join(numbers) or 'none'}"
    if verdict.seconds is not None:
        text += f", in {duration(verdict.seconds)}"
    return "; ".join(filter(None, [text, _not_counted(job.groups), narrowing(verdict.run)]))


def _not_counted(found: Sequence[Group]) -> str:
    """Return how many failures do not count, and why; empty if all count."""
    parts = [f"{len(group)} {_EXCUSES[group.cause]}" for group in found if not group.decides]
    return f"not counted: {', '.join(parts)}" if parts else ""


def _failures(jobs: Sequence[_Job]) -> Iterator[str]:
    """Yield the failures that count: two lines for each signature, then an empty line."""
    found: dict[tuple[str, str | None], tuple[Group, Sequence[Failure]]] = {}
    for group, alike in _counting(jobs):
        # Several jobs may have the same failure.
        found.setdefault((alike[0].case.id, alike[0].case.reason), (group, alike))
    if not found:
        return
    # In Markdown, four spaces after an empty line begin a block without formatting.
    yield "What failed, and the cause:"
    yield ""
    for group, alike in islice(found.values(), FAILURES_SHOWN):
        case = alike[0].case
        more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        yield f"    {_cut(bare(case.id), LINE_BOUND // 2)}{more}"
        reason = _cut(case.reason or str(case.outcome), TEXT_BOUND)
        yield f"        {group.title}: {reason}"
    if left := sum(len(alike) for _, alike in islice(found.values(), FAILURES_SHOWN, None)):
        yield f"    and {left} more, listed in the reports"
    yield ""


def _counting(jobs: Sequence[_Job]) -> Iterator[tuple[Group, Sequence[Failure]]]:
    for job in jobs:
        if job.result is Result.FAIL:
            for group in job.groups:
                if group.decides:
                    yield from ((group, alike) for alike in group.alike)


def _tail(jobs: Sequence[_Job], about: About) -> Iterator[str]:
    places = list(dict.fromkeys(_place(job.build.verdict.run) for job in jobs if job.build.verdict))
    where = f" These tests ran on {'; '.join(places)}." if places else ""
    yield f"bsdgate is a CI that tests OpenStack on FreeBSD.{where}"
    contact = f"Questions: {about.contact}" if about.contact else ""
    wiki = f"About this CI: {about.wiki}" if about.wiki else ""
    if help_text := ". ".join(filter(None, [about.recheck, contact, wiki])):
        yield help_text


def _place(run: Run) -> str:
    """Return the system on which a run was made, with its profile and release."""
    facts = run.facts
    if "freebsd" in facts:
        system = f"FreeBSD {facts['freebsd']}"
    else:
        name = facts.get("system", "").partition(" ")[0]
        system = f"{name}, which stands in for FreeBSD" if name else "an unknown system"
    # A profile may be a file; its folder is a detail of the machine.
    setting = f"profile {run.profile.rpartition('/')[2]}" if run.profile else ""
    release = f"OpenStack {run.release}" if run.release else ""
    inner = ", ".join(filter(None, [facts.get("architecture", ""), setting, release]))
    return f"{system} ({inner})" if inner else system


def _end(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _cut(text: str, bound: int) -> str:
    """Return printable text of at most ``bound`` bytes."""
    text = plain(text)
    if len(text.encode()) <= bound:
        return text
    return text.encode()[: bound - 4].decode(errors="ignore") + " …"

# SPDX-License-Identifier: Apache-2.0
"""A verdict as a short text for a terminal, without control characters."""

from collections.abc import Iterator, Sequence

from bsdgate.results.model import Cause, Outcome, Result, Run, Verdict, count
from bsdgate.results.reporters.failures import Failure, groups, mostly

# The maximum numbers of ids, failures and lines of a traceback.
IDS_SHOWN = 20
FAILURES_SHOWN = 10
LINES_SHOWN = 12
LINE_SHOWN = 300
"""The maximum length of a line, in characters."""
_FAILED = frozenset({Outcome.FAIL, Outcome.KNOWN_FAILURE})
PATTERN_SHOWN = 100
"""The maximum length of the pattern of ``--tests``; verdict.json has all of it."""


def render(verdict: Verdict) -> str:
    """Return ``verdict`` as text: result, counts, reasons with ids, ends of tracebacks."""
    parts = [*_head(verdict), *_reasons(verdict), *_failures(verdict), *_tail(verdict)]
    return "".join(f"{_cut(part, LINE_SHOWN)}\n" for part in parts)


def _cut(text: str, bound: int) -> str:
    return text if len(text) <= bound else text[: bound - 1] + "…"


def plain(text: str) -> str:
    """Return ``text`` with escapes for control, direction and other unprintable characters."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def describe_counts(verdict: Verdict) -> str:
    """Return the counts in one line: ``95 asked: 81 success, 13 skip, 1 fail``."""
    counts = verdict.counts
    states = (f"{counts[state]} {state}" for state in Outcome if counts[state])
    return _narrowed(f"{counts['asked']} asked: {', '.join(states) or 'nothing'}", verdict)


def narrowing(run: Run) -> str:
    """Return a text if ``--tests`` narrowed the run to a part of its suite; else empty."""
    pattern = plain(_cut(run.selection, PATTERN_SHOWN))
    return f"narrowed by --tests '{pattern}'" if pattern else ""


def _narrowed(line: str, verdict: Verdict) -> str:
    return "; ".join(filter(None, [line, narrowing(verdict.run)]))


def meaning(verdict: Verdict) -> str:
    """Return the meaning of the result in one line, and whether ``--tests`` narrowed the run."""
    return _narrowed(_meaning(verdict), verdict)


def _meaning(verdict: Verdict) -> str:
    if verdict.result is Result.ERROR:
        return "results incomplete: no verdict"
    failed = verdict.setup_failures or any(case.outcome in _FAILED for case in verdict.cases)
    if verdict.result is Result.PASS:
        rest = "all failures are excused" if failed else "none failed"
        return f"every requested test has one outcome, and {rest}"
    rest = "tests failed" if failed else f"the policy {plain(verdict.policy)} requires more"
    return f"the results are complete, and {rest}"


def duration(seconds: float) -> str:
    """Return a duration for people: ``12 ms``, ``5.0 s``, ``2 min 05 s``, ``1 h 03 min``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:  # noqa: PLR2004 (above that, tenths do not matter)
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _head(verdict: Verdict) -> Iterator[str]:
    run = verdict.run
    about = (run.profile, run.suite, run.release, run.under_test)
    yield f"{verdict.result}: {meaning(verdict)}"
    yield f"  run    {plain(' '.join(filter(None, (run.name, run.run_id))))}"
    yield f"  about  {plain(' '.join(filter(None, about)) or '-')}"
    yield f"  tests  {describe_counts(verdict)}"
    if said := mostly(verdict):
        yield f"  mostly {plain(said)}"


def _reasons(verdict: Verdict) -> Iterator[str]:
    for reason in verdict.reasons:
        yield ""
        yield f"{reason.level.upper()} {reason.code}: {plain(reason.message)}"
        yield from _ids(reason.ids)


def _ids(ids: Sequence[str]) -> Iterator[str]:
    for test_id in ids[:IDS_SHOWN]:
        yield f"    {plain(test_id)}"
    if len(ids) > IDS_SHOWN:
        yield f"    and {len(ids) - IDS_SHOWN} more, listed in verdict.json"


def _failures(verdict: Verdict) -> Iterator[str]:
    """Yield one traceback for each signature, of the failures that decide the result."""
    deciding = [group for group in groups(verdict) if group.decides]
    found = [(group.title, alike) for group in deciding for alike in group.alike]
    for title, alike in found[:FAILURES_SHOWN]:
        yield ""
        yield from _alike(title, alike)
    if left := sum(len(alike) for _, alike in found[FAILURES_SHOWN:]):
        yield ""
        yield f"--- and {left} more failures: see report.html"


def _alike(title: str, alike: Sequence[Failure]) -> Iterator[str]:
    """Show a group of failures that have the same signature: their ids and one traceback."""
    case, disposition = alike[0].case, alike[0].disposition
    what = plain(case.id) if len(alike) == 1 else f"{len(alike)} fail alike"
    yield f"--- {what}: {case.outcome} {plain(case.reason or '')}".rstrip()
    if len(alike) > 1:
        yield from _ids([failure.case.id for failure in alike])
    if disposition.cause is not Cause.UNKNOWN or disposition.signature:
        yield f"    cause: {title}"
    yield from (f"      {plain(line)}" for line in disposition.evidence)
    if disposition.tests:
        yield f"    {count(disposition.tests, 'test')} failed because of it"
    # The first attachment is the traceback. The logs after it are only in the HTML report.
    traceback = (case.details or "").split("\n\n", 1)[0].rstrip()
    yield from (f"    {plain(line)}" for line in traceback.splitlines()[-LINES_SHOWN:])


def _tail(verdict: Verdict) -> Iterator[str]:
    yield ""
    for attempt in verdict.attempts:
        status = "unknown" if attempt.exit_status is None else attempt.exit_status
        yield f"{attempt.name}: {attempt.state}, {attempt.asked} asked, exit status {status}"
    yield f"{verdict.result}: {describe_counts(verdict)}"

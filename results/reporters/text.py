# SPDX-License-Identifier: Apache-2.0
"""A verdict for a terminal: short, and with nothing in it that a terminal would obey."""

from collections.abc import Iterable, Iterator, Sequence

from bsdgate.results.model import Case, Level, Outcome, Result, Verdict

IDS_SHOWN = 20
FAILURES_SHOWN = 10
LINES_SHOWN = 12

_MEANING = {
    Result.PASS: "every asked test is accounted for and none failed",
    Result.FAIL: "tests failed",
    Result.ERROR: "the evidence is not whole, so it proves nothing",
}


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as text: result, counts, reasons with their ids, failures' last lines."""
    parts = [*_head(verdict), *_reasons(verdict), *_failures(verdict), *_tail(verdict)]
    return "\n".join(parts) + "\n"


def plain(text: str) -> str:
    """``text`` with control, direction and other unprintable characters spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def describe_counts(verdict: Verdict) -> str:
    """The counts in one line: ``95 asked: 81 success, 13 skip, 1 fail``."""
    counts = verdict.counts
    states = (f"{counts[state]} {state}" for state in Outcome if counts[state])
    return f"{counts['asked']} asked: {', '.join(states) or 'nothing'}"


def _head(verdict: Verdict) -> Iterator[str]:
    run = verdict.run
    about = (run.profile, run.suite, run.release, run.change, *run.sources)
    yield f"{verdict.result}: {_MEANING[verdict.result]}"
    yield f"  run    {plain(' '.join(filter(None, (run.name, run.run_id))))}"
    yield f"  of     {plain(' '.join(filter(None, about)) or '-')}"
    yield f"  tests  {describe_counts(verdict)}"


def _reasons(verdict: Verdict) -> Iterator[str]:
    for level in Level:
        for reason in verdict.reasons:
            if reason.level is level:
                yield ""
                yield f"{level.upper()} {reason.code}: {plain(reason.message)}"
                yield from _ids(reason.ids)


def _ids(ids: Sequence[str]) -> Iterator[str]:
    for test_id in ids[:IDS_SHOWN]:
        yield f"    {plain(test_id)}"
    if len(ids) > IDS_SHOWN:
        yield f"    and {len(ids) - IDS_SHOWN} more, listed in verdict.json"


def failures(verdict: Verdict) -> list[Case]:
    """Everything that failed, fixtures first, failures among duplicates and excused ones last."""
    order = {Outcome.FAIL: 0, Outcome.DUPLICATED: 1, Outcome.XFAIL: 2}
    found = [case for case in verdict.cases if case.outcome is Outcome.FAIL or case.details]
    return [*verdict.fixtures, *sorted(found, key=lambda case: order.get(case.outcome, 3))]


def _failures(verdict: Verdict) -> Iterator[str]:
    shown = [case for case in failures(verdict) if case.outcome is not Outcome.XFAIL]
    for case in shown[:FAILURES_SHOWN]:
        yield ""
        yield f"--- {plain(case.id)}: {case.outcome} {plain(case.reason or '')}".rstrip()
        yield from (f"    {plain(line)}" for line in _last_lines(case.details or ""))
    if len(shown) > FAILURES_SHOWN:
        yield ""
        yield f"--- and {len(shown) - FAILURES_SHOWN} more failures: see report.html"


def _last_lines(details: str) -> Iterable[str]:
    # The first attachment is the traceback; the logs after it are for the HTML report.
    return details.split("\n\n", 1)[0].rstrip().splitlines()[-LINES_SHOWN:]


def _tail(verdict: Verdict) -> Iterator[str]:
    yield ""
    for attempt in verdict.attempts:
        status = "unknown" if attempt.exit_status is None else attempt.exit_status
        yield f"{attempt.name}: {attempt.state}, {attempt.asked} asked, exit status {status}"
    yield f"{verdict.result}: {describe_counts(verdict)}"

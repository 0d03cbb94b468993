# SPDX-License-Identifier: Apache-2.0
"""One workload of Rally's task report: its case, and how long its atomic actions took.

For a workload of another shape the functions raise one of ``documents.SHAPE_ERRORS``.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from bsdgate.results.model import Case, Code, Found, Outcome, Reason, Timing, error
from bsdgate.results.parsers import documents
from bsdgate.results.parsers.details import REASON_BOUND, tail
from bsdgate.results.parsers.documents import duration, seconds, text

ACTIONS_BOUND: Final = 1000
"""Atomic actions of one workload, each counted once however often it happens."""

ACTION_BOUND: Final = 400
"""Characters of the names of an action and of those that it is a part of."""

Hook = tuple[str, str, int]
"""The names of a hook's action and trigger, and a number of runs."""


def findings(
    name: str, raw: Mapping[str, Any], iterations: int | None, hooks: Sequence[Hook] | None
) -> list[Found]:
    """The case, the problem, and the timings of a success; what was asked is compared.

    A workload that is not complete has a case only if a failure can be seen.
    """
    data = list(raw["data"])
    errors = [list(one["error"]) for one in data if one["error"]]
    actions = [one["atomic_actions"] for one in data]
    failed = [f"{len(errors)} of {len(data)} iterations failed"] if errors else []
    reasons = (*failed, *_sla_errors(raw), *_context_errors(raw), *_hook_errors(raw))
    reason = "; ".join(reasons)[:REASON_BOUND] or None
    start, texts = raw["start_time"], [one[-1] for one in errors if isinstance(one[-1], str)]
    case = Case(
        id=name,
        outcome=Outcome.FAIL if reason else Outcome.SUCCESS,
        started=None if start is None else datetime.fromtimestamp(seconds(start), UTC),
        seconds=duration(raw["full_duration"]),
        reason=reason,
        details=tail("\n".join(dict.fromkeys(texts))) or None,
    )
    problem = None
    lost = _wrong_count(raw, len(data), len(errors), iterations) or _lost_hooks(hooks, raw)
    # Rally writes the results of SLAs when the workload has ended: a killed one has none.
    if not raw["sla_results"]:
        problem = error(Code.IN_PROGRESS, f"{name}: begun and never ended", (name,))
    elif lost:
        problem = error(Code.ITERATIONS, f"{name}: {lost}", (name,))
    if problem:
        return [case, problem] if reason else [problem]
    return [case] if reason else [case, *_timings(name, actions)]


def _sla_errors(raw: Mapping[str, Any]) -> list[str]:
    without_detail = [] if raw["pass_sla"] is True else ["rally says that an SLA failed"]
    criteria = raw["sla_results"]["sla"] if raw["sla_results"] else []
    return [text(one["detail"]) for one in criteria if one["success"] is not True] or without_detail


def _wrong_count(raw: Mapping[str, Any], count: int, failed: int, asked: int | None) -> str | None:
    reported = int(raw["total_iteration_count"]), int(raw["failed_iteration_count"])
    if count == 0:
        return "not one iteration ran"
    if asked is not None and count != asked:
        return f"{asked} iterations were asked, {count} are there"
    if reported != (count, failed):
        counted = f"{count} iterations and {failed} failures are there"
        return f"{counted}, rally counts {reported[0]} and {reported[1]}"
    return None


def _context_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    """Failed cleanups of a workload's contexts, which no SLA of Rally's includes.

    The report has them since its format 1.1.
    """
    for context in raw.get("contexts_results") or ():
        if failed := context["cleanup"]["error"]:
            yield f"cleanup of {text(context['plugin_name'])} failed: {failed[1]}"


def _hook_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    for each in raw.get("hooks") or ():
        for run in each.get("results") or ():
            if run["status"] != "success":
                yield f"a hook ended in {text(run['status'])}"


def hook(config: Mapping[str, Any]) -> tuple[str, str, Any]:
    """The names of a hook's action and trigger, and the settings of the trigger."""
    ((action, _),) = config["action"].items()
    ((trigger, settings),) = config["trigger"].items()
    return text(action), text(trigger), settings


def _lost_hooks(asked: Sequence[Hook] | None, raw: Mapping[str, Any]) -> str | None:
    """Which hook is not there, or ran less often than asked; None if there is none.

    Rally's report has hooks in another order and with more settings than the task, so those of one
    action and trigger are compared only by the number of their runs.
    """
    ran = [
        (*hook(one["config"])[:2], len(one.get("results") or ())) for one in raw.get("hooks") or ()
    ]
    for action, trigger in sorted({one[:2] for one in asked or ()}):
        wanted, found = (
            sorted((times for *names, times in hooks if names == [action, trigger]), reverse=True)
            for hooks in (asked or (), ran)
        )
        which = f"hook {action} by {trigger}"
        if len(found) < len(wanted):
            return f"{which}: {len(wanted)} were asked, {len(found)} are there"
        for want, times in zip(wanted, found, strict=False):
            if times < want:
                return f"{which}: {want} runs were asked, {times} are there"
    return None


def _timings(name: str, iterations: Iterable[Any]) -> Iterator[Timing | Reason]:
    """How long each atomic action took in these iterations: the median, as one may be far off.

    What an iteration does several times under one name is summed, as in Rally's own tables.
    """
    found: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    try:
        for number, actions in enumerate(iterations):
            for path, took in _actions(actions):
                if took >= 0:  # else the clock was set back while the action ran
                    found[path][number] += took
                if len(found) > ACTIONS_BOUND:
                    raise ValueError(f"more than {ACTIONS_BOUND} of them")
        for path, spent in found.items():
            yield Timing(name + path, seconds(median(spent.values())))
    except (*documents.SHAPE_ERRORS, RecursionError) as reason:
        yield documents.misshapen(f"the list of atomic actions of {name}", reason)


def _actions(actions: Iterable[Mapping[str, Any]], within: str = "") -> Iterator[tuple[str, float]]:
    """The path of each action, with the names of those that it is a part of, and its seconds."""
    for action in actions:
        path = f"{within}/{text(action['name'])}"
        if len(path) > ACTION_BOUND:
            raise ValueError(f"a name of {len(path)} characters")
        yield path, action["finished_at"] - action["started_at"]
        yield from _actions(action["children"], path)

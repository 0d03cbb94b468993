# SPDX-License-Identifier: Apache-2.0
"""Reads Rally's task report (``rally task report --json``): cases of workloads, times of actions.

A verification report (``rally verify report --type json``) is recognised by its keys and read by
``verification``, which makes one case per test.

A passed SLA does not prove a success: it passes without any iteration, and may allow failures.
"""

import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, BinaryIO, Final

from bsdgate.results import strict_json
from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Case, Code, Dated, Found, Outcome, Reason, Timing, error
from bsdgate.results.parsers import documents, verification
from bsdgate.results.parsers.details import REASON_BOUND, tail
from bsdgate.results.parsers.documents import duration, seconds, text

HOOKS_BOUND: Final = 100
"""The maximum number of hooks that a workload may ask for."""

ACTIONS_BOUND: Final = 1000
"""The maximum number of different atomic actions of one workload."""

ACTION_BOUND: Final = 400
"""The maximum number of characters of an action's path: the parents' names, then its name."""

AskedHook = tuple[str, str, int]
"""The names of a hook's action and trigger, and the number of runs."""


@dataclass(frozen=True, slots=True)
class AskedWorkload:
    """The requested part of a workload. ``iterations`` is None if its runner counts time.

    ``hooks`` has the minimum number of runs of each hook; None if asked.json is from an earlier
    bsdgate, which did not list hooks.
    """

    iterations: int | None
    hooks: tuple[AskedHook, ...] | None = None


Asked = Mapping[str, AskedWorkload]
"""The requested workloads, by id."""


def read_asked(content: bytes) -> dict[str, AskedWorkload]:
    """Read asked.json, the workloads to run; raise ValueError if it is not a list of them."""
    entries = strict_json.loads(content)
    if not isinstance(entries, list):
        raise ValueError("not a list of workloads")
    return workloads(entries)


def workloads(entries: Iterable[Any]) -> dict[str, AskedWorkload]:
    """Return the requested workloads from entries ``{"name": ..., "iterations": ...}``.

    An entry may have ``"hooks"``, as in version 2 of Rally's task format. Raises ValueError for an
    invalid entry. YAML aliases may repeat parts of an entry without end, so no entry is searched
    in depth or shown as a whole.
    """
    seen: Counter[str] = Counter()
    asked: dict[str, AskedWorkload] = {}
    for entry in entries:
        try:
            name, iterations, hooks = text(entry["name"]), entry["iterations"], entry.get("hooks")
            if iterations is not None and (type(iterations) is not int or iterations < 1):
                raise ValueError(f"iterations is {reprlib.repr(iterations):.80}, not 1 or more")
            if hooks is not None and len(hooks) > HOOKS_BOUND:
                raise ValueError(f"more than {HOOKS_BOUND} hooks")
            hooks = None if hooks is None else tuple(_asked(one, iterations) for one in hooks)
        except documents.SHAPE_ERRORS as reason:
            what = f"{reprlib.repr(entry):.80} is not a workload with name, iterations and hooks"
            raise ValueError(f"{what}: {type(reason).__name__}: {reason}") from None
        asked[_id(seen, name)] = AskedWorkload(iterations, hooks)
    return asked


def _asked(config: Mapping[str, Any], iterations: int | None) -> AskedHook:
    """Return a hook and the minimum number of its runs.

    The number is 1 if a time, or a trigger that is not Rally's own, starts the hook.
    """
    action, trigger, when = _names(config)
    times = 1
    if trigger == "event":
        times = len(when["at"])
    elif trigger == "periodic" and when["unit"] == "iteration" and iterations is not None:
        end = min(int(when.get("end", iterations)), iterations)
        times = max(1, len(range(int(when.get("start", 1)), end + 1, int(when["step"]))))
    return action, trigger, times


def _id(seen: Counter[str], name: str) -> str:
    """Return the next workload's id: its scenario's name, with ``#2`` and so on if used again.

    Rally's ``position`` starts again in each subtask, so it does not identify a workload.
    """
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}#{seen[name]}"


def parse(stream: BinaryIO, asked: Asked) -> Iterator[Found | Dated]:
    """Yield a case per workload, the times of its actions, and the problems of the report.

    An incomplete workload gives an error, and a failed case if a part of it failed. Otherwise it
    has no case, because it is not a success.
    """
    report = documents.read(stream)
    if isinstance(report, Reason):
        yield report
    elif "verifications" in report:
        yield from verification.take_apart(report)
    else:
        yield from documents.bounded(_tasks(report, asked))


def _tasks(report: Mapping[str, Any], asked: Asked) -> Iterator[Found]:
    """Yield cases, timings and problems. A malformed part is an error; the rest is still read."""
    seen: Counter[str] = Counter()
    for task in _members(report, "tasks"):
        if isinstance(task, Mapping):
            yield from _status(task)
    for raw in _members(report, "tasks", "subtasks", "workloads"):
        yield from [raw] if isinstance(raw, Reason) else _workload(seen, raw, asked)


def _workload(seen: Counter[str], raw: Any, asked: Asked) -> list[Found]:
    what = "a workload"
    try:
        (scenario,) = raw["scenario"]
        if len(text(scenario)) > ID_BOUND:
            raise ValueError(f"scenario has {len(scenario)} characters, more than {ID_BOUND}")
        name = _id(seen, scenario)
        what = f"the workload {name[:80]}"
        return _results(name, raw, asked.get(name, AskedWorkload(None)))
    except documents.SHAPE_ERRORS as reason:
        return [documents.misshapen(what, reason)]


def _members(thing: Any, *keys: str) -> Iterator[Any]:
    """Yield the members of the nested lists at ``keys``; a Reason for each that is not a list."""
    if not keys or isinstance(thing, Reason):
        yield thing
        return
    try:
        found = list(thing[keys[0]])
    except documents.SHAPE_ERRORS as reason:
        found = [documents.misshapen("the report", reason)]
    for one in found:
        yield from _members(one, *keys[1:])


def _status(task: Mapping[str, Any]) -> Iterator[Reason]:
    try:
        if (status := text(task["status"])) != "finished":
            message = f"the task {text(task['uuid'])[:80]} has the status {status[:80]!r}"
            yield error(Code.TRUNCATED, f"{message}, not 'finished'")
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("a task", reason)


# One workload of a report: a malformed one raises one of SHAPE_ERRORS -----------------------


def _results(name: str, raw: Mapping[str, Any], load: AskedWorkload) -> list[Found]:
    """Return the case, an error if the workload is incomplete, and the timings of a success.

    An incomplete workload has a case only if a part of it failed.
    """
    data = list(raw["data"])
    errors = [list(one["error"]) for one in data if one["error"]]
    actions = [one["atomic_actions"] for one in data]
    failed = [f"{len(errors)} of {len(data)} iterations failed"] if errors else []
    reason = "; ".join([*failed, *_other_failures(raw)])[:REASON_BOUND] or None
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
    lost = _wrong_count(raw, load, len(data), len(errors)) or _lost_hooks(load.hooks or (), raw)
    # Rally writes the results of SLAs when the workload has ended: a killed workload has none.
    if not raw["sla_results"]:
        problem = error(Code.IN_PROGRESS, f"{name}: began and never ended", (name,))
    elif lost:
        problem = error(Code.ITERATIONS, f"{name}: {lost}", (name,))
    if problem:
        return [case, problem] if reason else [problem]
    return [case] if reason else [case, *_timings(name, actions)]


def _wrong_count(
    raw: Mapping[str, Any], load: AskedWorkload, count: int, failed: int
) -> str | None:
    reported = int(raw["total_iteration_count"]), int(raw["failed_iteration_count"])
    if count == 0:
        return "not one iteration ran"
    if load.iterations is not None and count != load.iterations:
        return f"{load.iterations} iterations were requested, the report has {count}"
    if reported != (count, failed):
        counted = f"the report counts {reported[0]} iterations and {reported[1]} failures"
        return f"{counted}, but lists {count} and {failed}"
    return None


def _other_failures(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the failures of SLAs, of hooks, and of the cleanup of contexts, which no SLA checks.

    The report has contexts since version 1.1 of its format.
    """
    criteria = raw["sla_results"]["sla"] if raw["sla_results"] else []
    broken = [text(one["detail"]) for one in criteria if one["success"] is not True]
    yield from broken
    if raw["pass_sla"] is not True and not broken:
        yield "pass_sla is not true, but no SLA is listed as failed"
    for context in raw.get("contexts_results") or ():
        if failed := context["cleanup"]["error"]:
            yield f"cleanup of {text(context['plugin_name'])} failed: {failed[1]}"
    for run in (run for hook in raw.get("hooks") or () for run in hook.get("results") or ()):
        if run["status"] != "success":
            yield f"a hook ended with the status {text(run['status'])!r}"


def _names(config: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Return the names of a hook's action and trigger, and the settings of the trigger."""
    ((action, _),) = config["action"].items()
    ((trigger, settings),) = config["trigger"].items()
    return text(action), text(trigger), settings


def _lost_hooks(asked: Sequence[AskedHook], raw: Mapping[str, Any]) -> str | None:
    """Return a message about a hook that is missing or ran less often than requested, or None.

    Rally's report has hooks in another order and with more settings than the task. So hooks with
    the same action and trigger are compared only by the number of their runs.
    """
    ran = [
        (*_names(one["config"])[:2], len(one.get("results") or ()))
        for one in raw.get("hooks") or ()
    ]
    for action, trigger in sorted({one[:2] for one in asked}):
        wanted, found = (
            sorted((times for *names, times in hooks if names == [action, trigger]), reverse=True)
            for hooks in (asked, ran)
        )
        which = f"hook {action} by {trigger}"
        if len(found) < len(wanted):
            return f"{which}: {len(wanted)} were requested, the report has {len(found)}"
        for want, times in zip(wanted, found, strict=False):
            if times < want:
                return f"{which}: {want} runs were requested, the report has {times}"
    return None


def _timings(name: str, iterations: Iterable[Any]) -> Iterator[Timing | Reason]:
    """Yield the time of each atomic action: the median of iterations, as one may be far off.

    Actions of one iteration with the same path are added up, as in Rally's own tables.
    """
    found: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    try:
        for number, actions in enumerate(iterations):
            for path, took in _actions(actions):
                if took >= 0:  # else the clock was set back while the action ran
                    found[path][number] += took
                if len(found) > ACTIONS_BOUND:
                    raise ValueError(f"more than {ACTIONS_BOUND} atomic actions")
        for path, spent in found.items():
            yield Timing(name + path, seconds(median(spent.values())))
    except (*documents.SHAPE_ERRORS, RecursionError) as reason:
        yield documents.misshapen(f"the list of atomic actions of {name}", reason)


def _actions(actions: Iterable[Mapping[str, Any]], within: str = "") -> Iterator[tuple[str, float]]:
    """Yield the path of each action (the parents' names, then its name), and its seconds."""
    for action in actions:
        path = f"{within}/{text(action['name'])}"
        if len(path) > ACTION_BOUND:
            raise ValueError(f"a path has {len(path)} characters, more than {ACTION_BOUND}")
        yield path, action["finished_at"] - action["started_at"]
        yield from _actions(action["children"], path)

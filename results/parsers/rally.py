# SPDX-License-Identifier: Apache-2.0
"""Rally's task report (``rally task report --json``): a case per workload, its actions' timings.

Its verification report (``rally verify report --type json``) is told by its shape and goes to
``verification``: one case per test, and no iterations.

Rally's own answer is not taken: an SLA passes on no iterations at all, and may allow failures.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class Load:
    """What was asked of a workload. ``iterations`` is None where a runner counts time instead.

    ``hooks`` are the names of each hook's action and trigger, and how often it has to run at
    least. A list that was written before hooks were in it has None.
    """

    iterations: int | None
    hooks: tuple[tuple[str, str, int], ...] | None = None


Asked = Mapping[str, Load]
"""What was asked, by the workload's id."""

ACTIONS_BOUND: Final = 1000
"""Atomic actions of one workload, each told once however often it happens."""

ACTION_BOUND: Final = 400
"""Characters of an action's name and of those that it is a part of."""


class _Names:
    """Ids of workloads: the scenario's name, with ``#2`` and so on where it is used again.

    Rally's ``position`` starts anew in each subtask, so it does not tell workloads apart.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def next(self, name: str) -> str:
        self._seen[name] += 1
        count = self._seen[name]
        return name if count == 1 else f"{name}#{count}"


def read_asked(content: bytes) -> dict[str, Load]:
    """Read asked.json: a list of ``{"name": ..., "iterations": ...}`` in the task's order.

    Each may have ``"hooks"``, as the task has them in version 2 of Rally's format. Raises
    ValueError, saying what is wrong.
    """
    names = _Names()
    asked: dict[str, Load] = {}
    for entry in strict_json.loads(content):
        try:
            name, iterations = entry["name"], entry["iterations"]
        except (TypeError, KeyError):
            raise ValueError(f"{entry!r:.80} has no name and iterations") from None
        if iterations is not None and (type(iterations) is not int or iterations < 1):
            raise ValueError(f"{name}: {iterations!r} iterations")
        try:
            hooks = _asked_hooks(entry.get("hooks"), iterations)
        except (*documents.SHAPE_ERRORS, OverflowError) as reason:
            raise ValueError(f"{name}: hooks: {type(reason).__name__}: {reason}") from None
        asked[names.next(str(name))] = Load(iterations, hooks)
    return asked


def _asked_hooks(hooks: Any, iterations: int | None) -> tuple[tuple[str, str, int], ...] | None:
    return None if hooks is None else tuple(_asked_hook(hook, iterations) for hook in hooks)


def _asked_hook(hook: Mapping[str, Any], iterations: int | None) -> tuple[str, str, int]:
    """A hook's action and trigger, and how often it has to run.

    A hook by time, or by the trigger of a plugin, has to run once at least.
    """
    ((action, _),) = hook["action"].items()
    ((trigger, when),) = hook["trigger"].items()
    times = 1
    if trigger == "event":
        times = len(when["at"])
    elif trigger == "periodic" and when["unit"] == "iteration" and iterations is not None:
        end = min(int(when.get("end", iterations)), iterations)
        times = max(1, len(range(int(when.get("start", 1)), end + 1, int(when["step"]))))
    return text(action), text(trigger), times


def _run_hooks(raw: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """The same of what a report tells of a workload's hooks: how often each has run."""
    found = []
    for hook in raw.get("hooks") or ():
        ((action, _),) = hook["config"]["action"].items()
        ((trigger, _),) = hook["config"]["trigger"].items()
        found.append((text(action), text(trigger), len(hook.get("results") or ())))
    return found


def parse(stream: BinaryIO, asked: Asked) -> Iterator[Found | Dated]:
    """Read a report: a case per workload and how long its actions took, or what is wrong with it.

    A workload that lacks iterations is no success: it is a failure if one can be seen in what is
    there, else it has no case, and in both cases there is an error beside it.
    """
    report = documents.read(stream)
    if isinstance(report, Reason):
        yield report
        return
    if "verifications" in report:
        yield from verification.take_apart(report)
        return
    yield from documents.bounded(_tasks(report, asked))


def _tasks(report: Mapping[str, Any], asked: Asked) -> Iterator[Found]:
    """All that the report says; of what has another shape, that it has, and then the rest."""
    names = _Names()
    for task in _members(report, "tasks"):
        if isinstance(task, Mapping):
            yield from _status(task)
    for raw in _members(report, "tasks", "subtasks", "workloads"):
        if isinstance(raw, Reason):
            yield raw
            continue
        try:
            name = names.next(_scenario(raw))
        except documents.SHAPE_ERRORS as reason:
            yield documents.misshapen("a workload", reason)
            continue
        try:
            workload = _Workload(name, raw)
        except documents.SHAPE_ERRORS as reason:
            yield documents.misshapen(f"the workload {name[:80]}", reason)
        else:
            yield from _workload(workload, asked.get(name, Load(None)))


def _members(thing: Any, *keys: str) -> Iterator[Any]:
    """What is in the lists within lists of these names; a Reason in place of what is no list."""
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
            message = f"rally says that the task {text(task['uuid'])[:80]} is {status[:80]!r}"
            yield error(Code.TRUNCATED, message)
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("a task", reason)


def _scenario(raw: Mapping[str, Any]) -> str:
    (name,) = raw["scenario"]
    if len(text(name)) > ID_BOUND:
        raise ValueError(f"a scenario's name of {len(name)} characters")
    return text(name)


class _Workload:
    """What we read of one workload of the report; raises one of SHAPE_ERRORS if absent."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self.name = name
        iterations = list(raw["data"])
        self.count = len(iterations)
        self.errors = [list(one["error"]) for one in iterations if one["error"]]
        self.actions = [one["atomic_actions"] for one in iterations]
        self.total = int(raw["total_iteration_count"])
        self.failed = int(raw["failed_iteration_count"])
        # Rally writes them when the workload has ended: one that was killed has none.
        self.ended = bool(raw["sla_results"])
        criteria = raw["sla_results"]["sla"] if self.ended else []
        self.broken_slas = [text(one["detail"]) for one in criteria if one["success"] is not True]
        if raw["pass_sla"] is not True and not self.broken_slas:
            self.broken_slas.append("rally says that an SLA failed")
        self.around = [*_context_errors(raw), *_hook_errors(raw)]
        self.hooks = _run_hooks(raw)
        start = raw["start_time"]
        self.started = None if start is None else datetime.fromtimestamp(seconds(start), UTC)
        self.seconds = duration(raw["full_duration"])

    @property
    def reason(self) -> str | None:
        found = [f"{len(self.errors)} of {self.count} iterations failed"] if self.errors else []
        found += [*self.broken_slas, *self.around]
        return "; ".join(found)[:REASON_BOUND] or None

    @property
    def details(self) -> str | None:
        last = (error[-1] for error in self.errors)
        texts = (part for part in last if isinstance(part, str))
        return tail("\n".join(dict.fromkeys(texts))) or None

    def complaint(self, asked: Load) -> Reason | None:
        """What is wrong with the number of iterations, or with how often hooks ran, if anything."""
        if not self.ended:
            return error(Code.IN_PROGRESS, f"{self.name}: begun and never ended", (self.name,))
        if said := self._miscounted(asked):
            return error(Code.ITERATIONS, f"{self.name}: {said}", (self.name,))
        return None

    def _miscounted(self, asked: Load) -> str | None:
        if self.count == 0:
            return "not one iteration ran"
        if asked.iterations is not None and self.count != asked.iterations:
            return f"{asked.iterations} iterations were asked, {self.count} are there"
        if (self.total, self.failed) != (self.count, len(self.errors)):
            counted = f"{self.count} iterations and {len(self.errors)} failures are there"
            return f"{counted}, rally counts {self.total} and {self.failed}"
        return None if asked.hooks is None else _lost_hooks(asked.hooks, self.hooks)


def _context_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    """What went wrong in removing a workload's surroundings: no SLA of Rally's asks for that.

    The report has it since its format 1.1.
    """
    for context in raw.get("contexts_results") or ():
        if failed := context["cleanup"]["error"]:
            yield f"cleanup of {text(context['plugin_name'])} failed: {failed[1]}"


def _hook_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    for hook in raw.get("hooks") or ():
        for one in hook.get("results") or ():
            if one["status"] != "success":
                yield f"a hook ended in {text(one['status'])}"


def _lost_hooks(
    asked: Iterable[tuple[str, str, int]], ran: Iterable[tuple[str, str, int]]
) -> str | None:
    """Say which hook is not there, or did not run as often as it has to; None if all are.

    Rally's report has them in another order and with more settings than the task, so hooks of one
    action and trigger are compared by the number of their runs only.
    """
    for action, trigger in sorted({hook[:2] for hook in asked}):
        wanted, found = (
            sorted((times for *names, times in hooks if names == [action, trigger]), reverse=True)
            for hooks in (asked, ran)
        )
        which = f"hook {action} by {trigger}"
        if len(found) < len(wanted):
            return f"{which}: {len(wanted)} were asked, {len(found)} are there"
        for want, times in zip(wanted, found, strict=False):
            if times < want:
                return f"{which}: {want} runs were asked, {times} are there"
    return None


def _workload(workload: _Workload, asked: Load) -> Iterator[Found]:
    complaint = workload.complaint(asked)
    failed = workload.reason is not None
    if failed or complaint is None:
        yield Case(
            id=workload.name,
            outcome=Outcome.FAIL if failed else Outcome.SUCCESS,
            started=workload.started,
            seconds=workload.seconds,
            reason=workload.reason,
            details=workload.details,
        )
    if complaint is not None:
        yield complaint
    elif not failed:
        yield from _timings(workload.name, workload.actions)


def _timings(name: str, iterations: Iterable[Any]) -> Iterator[Timing | Reason]:
    """How long each atomic action took in these iterations: the median, for one may be far off.

    What an iteration does several times under one name is summed, as in Rally's own tables.
    """
    found: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    try:
        for number, actions in enumerate(iterations):
            for way, took in _actions(actions):
                if took >= 0:  # else the clock was set back while the action ran
                    found[way][number] += took
                if len(found) > ACTIONS_BOUND:
                    raise ValueError(f"more than {ACTIONS_BOUND} of them")
        for way, spent in found.items():
            yield Timing(name + way, seconds(median(spent.values())))
    except (*documents.SHAPE_ERRORS, RecursionError) as reason:
        yield documents.misshapen(f"what {name} says of its atomic actions", reason)


def _actions(actions: Iterable[Mapping[str, Any]], within: str = "") -> Iterator[tuple[str, float]]:
    """Each action with those that it is a part of, and its seconds."""
    for action in actions:
        way = f"{within}/{text(action['name'])}"
        if len(way) > ACTION_BOUND:
            raise ValueError(f"a name of {len(way)} characters")
        yield way, action["finished_at"] - action["started_at"]
        yield from _actions(action["children"], way)

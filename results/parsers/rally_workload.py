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


class Workload:
    """The used parts of one workload in the report."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self.name = name
        iterations = list(raw["data"])
        self._count = len(iterations)
        self._errors = [list(one["error"]) for one in iterations if one["error"]]
        self._actions = [one["atomic_actions"] for one in iterations]
        self._total = int(raw["total_iteration_count"])
        self._failed = int(raw["failed_iteration_count"])
        # Rally writes the results of SLAs when the workload has ended: a killed one has none.
        self._ended = bool(raw["sla_results"])
        criteria = raw["sla_results"]["sla"] if self._ended else []
        broken_slas = [text(one["detail"]) for one in criteria if one["success"] is not True]
        if raw["pass_sla"] is not True and not broken_slas:
            broken_slas.append("rally says that an SLA failed")
        self._failures = [*broken_slas, *_context_errors(raw), *_hook_errors(raw)]
        self._hooks = _run_hooks(raw)
        start = raw["start_time"]
        self._started = None if start is None else datetime.fromtimestamp(seconds(start), UTC)
        self._seconds = duration(raw["full_duration"])

    def findings(self, iterations: int | None, hooks: Sequence[Hook] | None) -> Iterator[Found]:
        """Yield the case, the problem, and the timings of a success; compare with what was asked.

        A workload that is not complete has a case only if a failure can be seen.
        """
        reason = self._reason()
        problem = self._problem(iterations, hooks)
        if reason or problem is None:
            yield Case(
                id=self.name,
                outcome=Outcome.FAIL if reason else Outcome.SUCCESS,
                started=self._started,
                seconds=self._seconds,
                reason=reason,
                details=self._details(),
            )
        if problem is not None:
            yield problem
        elif not reason:
            yield from _timings(self.name, self._actions)

    def _reason(self) -> str | None:
        failed = len(self._errors)
        found = [f"{failed} of {self._count} iterations failed"] if failed else []
        return "; ".join(found + self._failures)[:REASON_BOUND] or None

    def _details(self) -> str | None:
        last = (one[-1] for one in self._errors)
        texts = (part for part in last if isinstance(part, str))
        return tail("\n".join(dict.fromkeys(texts))) or None

    def _problem(self, iterations: int | None, hooks: Sequence[Hook] | None) -> Reason | None:
        if not self._ended:
            return error(Code.IN_PROGRESS, f"{self.name}: begun and never ended", (self.name,))
        message = self._wrong_count(iterations)
        if message is None and hooks is not None:
            message = _lost_hooks(hooks, self._hooks)
        return error(Code.ITERATIONS, f"{self.name}: {message}", (self.name,)) if message else None

    def _wrong_count(self, iterations: int | None) -> str | None:
        if self._count == 0:
            return "not one iteration ran"
        if iterations is not None and self._count != iterations:
            return f"{iterations} iterations were asked, {self._count} are there"
        if (self._total, self._failed) != (self._count, len(self._errors)):
            counted = f"{self._count} iterations and {len(self._errors)} failures are there"
            return f"{counted}, rally counts {self._total} and {self._failed}"
        return None


def _context_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    """Failed cleanups of a workload's contexts, which no SLA of Rally's includes.

    The report has them since its format 1.1.
    """
    for context in raw.get("contexts_results") or ():
        if failed := context["cleanup"]["error"]:
            yield f"cleanup of {text(context['plugin_name'])} failed: {failed[1]}"


def _hook_errors(raw: Mapping[str, Any]) -> Iterator[str]:
    for hook in raw.get("hooks") or ():
        for one in hook.get("results") or ():
            if one["status"] != "success":
                yield f"a hook ended in {text(one['status'])}"


def _run_hooks(raw: Mapping[str, Any]) -> list[Hook]:
    """The hooks of a workload, and how often each has run."""
    found = []
    for hook in raw.get("hooks") or ():
        ((action, _),) = hook["config"]["action"].items()
        ((trigger, _),) = hook["config"]["trigger"].items()
        found.append((text(action), text(trigger), len(hook.get("results") or ())))
    return found


def _lost_hooks(asked: Iterable[Hook], ran: Iterable[Hook]) -> str | None:
    """Which hook is not there, or ran less often than asked; None if there is none.

    Rally's report has hooks in another order and with more settings than the task, so those of one
    action and trigger are compared only by the number of their runs.
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

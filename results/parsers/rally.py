# SPDX-License-Identifier: Apache-2.0
"""Rally's task report (``rally task report --json``): a case per workload, its actions' timings.

A verification report (``rally verify report --type json``) is recognised by its keys and goes to
``verification``: one case per test, and no iterations.

Rally's own result is not used: an SLA passes without any iteration, and may allow failures.
"""

import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from bsdgate.results import strict_json
from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Code, Dated, Found, Reason, error
from bsdgate.results.parsers import documents, verification
from bsdgate.results.parsers.documents import text
from bsdgate.results.parsers.rally_workload import Hook, findings, hook

HOOKS_BOUND = 100
"""The most hooks of one workload that are asked."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a workload was asked to run. ``iterations`` is None if its runner counts time.

    ``hooks`` are the names of each hook's action and trigger, and how often it has to run at
    least; None in a list of an earlier bsdgate, which has no hooks.
    """

    iterations: int | None
    hooks: tuple[Hook, ...] | None = None


Asked = Mapping[str, Load]
"""What was asked, by the workload's id."""


def read_asked(content: bytes) -> dict[str, Load]:
    """Read asked.json; raise ValueError if it is not a list of workloads."""
    entries = strict_json.loads(content)
    if not isinstance(entries, list):
        raise ValueError("not a list of workloads")
    return workloads(entries)


def workloads(entries: Iterable[Any]) -> dict[str, Load]:
    """What was asked, of ``{"name": ..., "iterations": ...}`` in the task's order.

    Each may have ``"hooks"``, as the task has them in version 2 of Rally's format. Raises
    ValueError for an invalid entry. Aliases of YAML may repeat parts of an entry without end, so
    none is searched in depth or shown whole.
    """
    seen: Counter[str] = Counter()
    asked: dict[str, Load] = {}
    for entry in entries:
        try:
            name, iterations, hooks = text(entry["name"]), entry["iterations"], entry.get("hooks")
            if iterations is not None and (type(iterations) is not int or iterations < 1):
                raise ValueError(f"{reprlib.repr(iterations):.80} iterations")
            if hooks is not None and len(hooks) > HOOKS_BOUND:
                raise ValueError(f"more than {HOOKS_BOUND} hooks")
            hooks = None if hooks is None else tuple(_asked(one, iterations) for one in hooks)
        except documents.SHAPE_ERRORS as reason:
            what = f"{reprlib.repr(entry):.80} is no workload with name, iterations and hooks"
            raise ValueError(f"{what}: {type(reason).__name__}: {reason}") from None
        asked[_id(seen, name)] = Load(iterations, hooks)
    return asked


def _asked(config: Mapping[str, Any], iterations: int | None) -> Hook:
    """A hook, and how often it has to run: once at least by time, or by the trigger of a plugin."""
    action, trigger, when = hook(config)
    times = 1
    if trigger == "event":
        times = len(when["at"])
    elif trigger == "periodic" and when["unit"] == "iteration" and iterations is not None:
        end = min(int(when.get("end", iterations)), iterations)
        times = max(1, len(range(int(when.get("start", 1)), end + 1, int(when["step"]))))
    return action, trigger, times


def _id(seen: Counter[str], name: str) -> str:
    """The id of the next workload: its scenario's name, with ``#2`` and so on if used again.

    Rally's ``position`` starts anew in each subtask, so it does not distinguish workloads.
    """
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}#{seen[name]}"


def parse(stream: BinaryIO, asked: Asked) -> Iterator[Found | Dated]:
    """Read a report: a case per workload and how long its actions took, or what is wrong with it.

    An incomplete workload is not a success: it is a failure if its iterations have one, else it
    has no case. In both cases there is an error too.
    """
    report = documents.read(stream)
    if isinstance(report, Reason):
        yield report
    elif "verifications" in report:
        yield from verification.take_apart(report)
    else:
        yield from documents.bounded(_tasks(report, asked))


def _tasks(report: Mapping[str, Any], asked: Asked) -> Iterator[Found]:
    """All findings of the report. A part of an unexpected shape is an error; the rest is read."""
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
            raise ValueError(f"a scenario's name of {len(scenario)} characters")
        name = _id(seen, scenario)
        what = f"the workload {name[:80]}"
        load = asked.get(name, Load(None))
        return findings(name, raw, load.iterations, load.hooks)
    except documents.SHAPE_ERRORS as reason:
        return [documents.misshapen(what, reason)]


def _members(thing: Any, *keys: str) -> Iterator[Any]:
    """Yield the members of nested lists with these names; a Reason if one is not a list."""
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

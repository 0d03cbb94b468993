# SPDX-License-Identifier: Apache-2.0
"""Compares the inspections of the node of a run: before and after the tests.

Each time that a run begins or is resumed (a session) the node is inspected, and again when the
tests have ended. The versions and packages must be the same in all inspections: else the tests did
not run on one system. The node must not be rebooted between the begin and the end of a session.
"""

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, Field

from bsdgate.results import strict_json
from bsdgate.results.attempts import HEAD_BOUND, UnreadableError, open_plain
from bsdgate.results.model import Code, Reason, error, note

FOLDER: Final = "node"
"""The folder with the inspections, in a run directory."""
TOLERANCE: Final = timedelta(seconds=5)
"""The difference between the clocks that needs a note: a greater one can make tokens invalid."""
SECONDS_BOUND: Final = 4e9
"""The maximum difference between the clocks, in seconds: a clock can be in 1970."""
FILES_BOUND: Final = 1000
"""The maximum number of inspections."""
SHOWN: Final = 5
"""The maximum number of differences in a message."""

_NAME: Final = re.compile(r"(\d{2,4})-(begin|end)\.json")
# Facts that may change: the offset of local time (at the begin of summer time) and measured values.
_CONSTANT: Final = re.compile(
    r"system|architecture|python|freebsd(?:_\w+)?|osreldate|userland_osreldate"
)


class _Clock(BaseModel):
    seconds: Annotated[float, Field(ge=-SECONDS_BOUND, le=SECONDS_BOUND)]
    uncertainty: Annotated[float, Field(ge=0, le=SECONDS_BOUND)]

    @property
    def ahead(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    @property
    def error(self) -> timedelta:
        return timedelta(seconds=self.uncertainty)


class _Repository(BaseModel):
    name: str
    url: str
    enabled: bool
    priority: int

    def __str__(self) -> str:
        state = "enabled" if self.enabled else "disabled"
        return f"{self.url} ({state}, priority {self.priority})"


class Inspection(BaseModel):
    """The fields that are read from an inspection of the node."""

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=1)]
    run_id: str
    name: str
    taken: AwareDatetime
    booted: AwareDatetime
    clock: _Clock
    facts: dict[str, str]
    packages: dict[str, str]
    repositories: tuple[_Repository, ...]

    @property
    def constant(self) -> Mapping[str, str]:
        """What must not change during a run, by its name in messages."""
        return {
            **{name: value for name, value in self.facts.items() if _CONSTANT.fullmatch(name)},
            **{f"the package {name}": version for name, version in self.packages.items()},
            **{f"the repository {each.name}": str(each) for each in self.repositories},
        }


@dataclass(frozen=True, slots=True)
class Session:
    """The inspections of a session; None: the inspection was not made, or cannot be used."""

    begin: Inspection | None = None
    end: Inspection | None = None


def load(
    run_dir: Path, run_id: str, node: str | None = None
) -> tuple[dict[int, Session], list[Reason]]:
    """Return the sessions of a run by number, and the problems of files that cannot be used.

    ``node`` is the name that the node must have; None: any name.
    """
    found: dict[int, dict[str, Inspection]] = {}
    problems: list[Reason] = []
    try:
        paths = _paths(run_dir / FOLDER)
    except UnreadableError as reason:
        return {}, [error(reason.code, str(reason))]
    for path in paths:
        match = _NAME.fullmatch(path.name)
        try:
            if match is None:
                raise UnreadableError("not the name of an inspection, such as 01-begin.json")
            found.setdefault(int(match[1]), {})[match[2]] = _read(path, run_id, node)
        except UnreadableError as reason:
            problems.append(error(reason.code, f"{FOLDER}/{path.name}: {reason}"))
    return {number: Session(**each) for number, each in sorted(found.items())}, problems


def _paths(folder: Path) -> list[Path]:
    """Return the files in the folder, which must not be a link; none without a folder.

    :raises UnreadableError: the folder cannot be read, or has too many files.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise UnreadableError(f"{folder.name} is not a folder")
        paths = sorted(islice(folder.iterdir(), FILES_BOUND + 1))
    except FileNotFoundError:
        return []
    except OSError as reason:
        raise UnreadableError(f"{folder.name}: {reason.strerror}") from None
    if len(paths) > FILES_BOUND:
        raise UnreadableError(f"{folder.name} has over {FILES_BOUND} files", Code.TOO_LARGE)
    return paths


def _read(path: Path, run_id: str, node: str | None) -> Inspection:
    with open_plain(path, HEAD_BOUND) as file:
        content = file.read()
    try:
        inspection = Inspection.model_validate(strict_json.loads_object(content))
    except ValueError as reason:
        raise UnreadableError(strict_json.explain(reason), Code.DAMAGED) from None
    if inspection.run_id != run_id or inspection.name != (node or inspection.name):
        raise UnreadableError("this is of another run or node", Code.FOREIGN_EVIDENCE)
    return inspection


def check(sessions: Mapping[int, Session], begun: int, *, ended: bool) -> Iterator[Reason]:
    """Yield the problems of the sessions of a run.

    ``begun`` is the number of sessions in the journal. ``ended``: whether the last session must
    have an inspection after the tests.
    """
    for number in range(1, begun + 1):
        session = sessions.get(number, Session())
        lost = [("begin", session.begin)] + [("end", session.end)] * (ended and number == begun)
        for moment, inspection in lost:
            if inspection is None:
                yield error(Code.EVIDENCE_LOST, _lost(number, moment))
    yield from _changes(sessions)
    if sessions:
        yield from _reboot(sessions[max(sessions)])
    yield from set(_clocks(sessions.values()))


def _lost(number: int, moment: str) -> str:
    when = "before" if moment == "begin" else "after"
    path = f"{FOLDER}/{number:02d}-{moment}.json"
    return f"there is no inspection of the node {when} the tests ({path})"


def _changes(sessions: Mapping[int, Session]) -> Iterator[Reason]:
    """Yield the changes from each inspection to the next one."""
    for before, after in pairwise(_made(sessions.values())):
        changed = list(_differences(before.constant, after.constant))
        if changed:
            more = f"; and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            shown = "; ".join(changed[:SHOWN])
            yield error(
                Code.NODE_CHANGED, f"the node {after.name} changed during the run: {shown}{more}"
            )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None:
            yield f"{name} was added: {now}"
        elif now is None:
            yield f"{name} was removed: {was}"
        elif was != now:
            yield f"{name} was {was}, and is {now}"


def _reboot(session: Session) -> Iterator[Reason]:
    begin, end = session.begin, session.end
    if begin is not None and end is not None and end.booted > begin.taken:
        yield error(
            Code.NODE_REBOOTED,
            f"the node {end.name} was rebooted during the run: it booted at"
            f" {end.booted:%Y-%m-%d %H:%M:%S %Z}, and the run began on it at"
            f" {begin.taken:%Y-%m-%d %H:%M:%S %Z}",
        )


def _clocks(sessions: Iterable[Session]) -> Iterator[Reason]:
    for session in sessions:
        begin, end = session.begin, session.end
        for one in _made([session]):
            if abs(one.clock.ahead) - one.clock.error > TOLERANCE:
                yield note(Code.CLOCK_DIFFERS, _wrong(one))
        if begin is not None and end is not None and _jump(begin, end) > TOLERANCE:
            message = (
                f"the clock of the node {end.name} was set during the run: its difference to the"
                f" clock of the controller was {begin.clock.seconds:+.1f} s before the tests, and"
                f" {end.clock.seconds:+.1f} s after the tests"
            )
            yield note(Code.CLOCK_DIFFERS, message)


def _wrong(one: Inspection) -> str:
    how = "ahead of" if one.clock.seconds > 0 else "behind"
    return (
        f"the clock of the node {one.name} was {abs(one.clock.seconds):.1f} s {how} the clock of"
        f" the controller (maximum error: {one.clock.uncertainty:.1f} s): tokens can be invalid"
    )


def _jump(begin: Inspection, end: Inspection) -> timedelta:
    """Return by how much the clock of the node was set, at least."""
    return abs(end.clock.ahead - begin.clock.ahead) - begin.clock.error - end.clock.error


@dataclass(frozen=True, slots=True)
class NodeClock:
    """The measured differences between the clock of the node and the clock of the controller.

    ``readings`` are sorted: the time of the controller, by how much the node was ahead, and the
    maximum error.
    """

    readings: Sequence[tuple[datetime, timedelta, timedelta]] = ()

    def of_node(self, moment: datetime) -> datetime:
        """Return the time of the node at a moment, which is a time of the controller."""
        return moment + self._ahead(moment)

    def _ahead(self, moment: datetime) -> timedelta:
        """Return by how much the node was ahead: on the line between two readings."""
        before = [one for one in self.readings if one[0] <= moment]
        after = [one for one in self.readings if one[0] > moment]
        if not before or not after:
            nearest = before[-1:] or after[:1]
            return nearest[0][1] if nearest else timedelta()
        (began, first, _), (ended, last, _) = before[-1], after[0]
        return first + (last - first) * ((moment - began) / (ended - began))

    @property
    def error(self) -> timedelta:
        """The maximum error of all readings."""
        return max((error for _, _, error in self.readings), default=timedelta())


def node_clock(run_dir: Path, run_id: str) -> NodeClock:
    """Return the clock of the node of a run; inspections that cannot be used are ignored."""
    sessions, _ = load(run_dir, run_id)
    made = _made(sessions.values())
    return NodeClock(tuple(sorted((one.taken, one.clock.ahead, one.clock.error) for one in made)))


def _made(sessions: Iterable[Session]) -> list[Inspection]:
    return [one for each in sessions for one in (each.begin, each.end) if one is not None]

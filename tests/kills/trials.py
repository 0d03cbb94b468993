# SPDX-License-Identifier: Apache-2.0
"""Carry out a trial: start a run, send a signal to one of its processes, check the result."""

import contextlib
import fcntl
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import psutil
import yaml
from functional.place import Place, Started, listening, wait_for
from functional.run_folder import RunFolder, runs

from kills import proof
from kills.family import Reaper, find
from kills.schedule import HARNESS, Moment, Trial

PROFILES = Path(__file__).parents[2] / "harness" / "profiles"
TESTS = (
    r"tempest\.api\.identity\."
    r"(v3\.test_api_discovery|admin\.v3\.test_projects\.ProjectsTestJSON\.test_project_create_)"
)
"""A pattern of ten quick tests in two modules, one module for each of Tempest's two workers."""
SHALLOW = {"options": {"DEFAULT": {"max_project_tree_depth": 1}}}
"""Keystone options with which one of these tests fails."""
ENDS = 300.0
"""The maximum number of seconds of a run, also of one that waits for a stopped process."""
OFTEN = 0.005
"""Seconds between two checks of the output of a run: some steps take hardly longer."""
EMPTY = 20.0
"""The maximum number of seconds after the end of a run until all its processes have ended."""
CODES = {"PASS": 0, "FAIL": 1, "ERROR": 3}
LIMITS = {"start": ("deploy", 60), "configure": ("configure", 40), "run": ("test", 40)}
"""Time limits if a process stays stopped: five times the moment's seconds, or this minimum."""
PATIENT: Mapping[str, float] = {"start": 900, "configure": 300, "run": 900}
"""Time limits of the other runs, long enough for a slow machine."""


@dataclass
class Outcome:
    """The outcome of a trial, and its problems."""

    trial: Trial
    hit: str = ""
    delay: float = 0.0
    code: int | None = None
    text: str = ""
    result: str | None = None
    seconds: float = 0.0
    resumed: str | None = None
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        line = f"{self.trial} after {self.delay:.2f} s{self.hit}: exit {self.code}, "
        line += f"{self.result or 'no verdict'}, {self.seconds:.0f} s"
        line += f", resumed: {self.resumed}" if self.resumed else ""
        return "\n    ".join([line, *self.problems])


@contextlib.contextmanager
def default_signals() -> Iterator[None]:
    """Give child processes the default actions of SIGHUP and SIGTERM, as a shell does.

    Under nohup they would ignore SIGHUP. A child process inherits that a signal is ignored, but
    not a handler.
    """
    numbers = (signal.SIGHUP, signal.SIGTERM)
    ignored = [each for each in numbers if signal.getsignal(each) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


class Bench:
    """A place for trials, one after another.

    ``wanted`` are the ids of the tests that a pass needs, and ``seconds`` are the durations of
    the moments on this machine; both come from a whole run.
    """

    def __init__(self, place: Place, reaper: Reaper) -> None:
        self.place = place
        self.reaper = reaper
        self.wanted: set[str] = set()
        self.seconds: dict[str, float] = {}
        self._strays: set[str] = set()

    # Whole runs ---------------------------------------------------------------------------

    def whole_run(self) -> list[str]:
        """Carry out a run without a signal; return its problems."""
        done = self._start(self._profile(PATIENT)).done(ENDS)
        run = runs(self.place)[-1]
        if done.code:
            return [f"the next run does not pass: {done}", *self._left()]
        self.wanted = self.wanted or proof.asked(run.path)
        self.seconds |= _durations(run)
        return [*proof.lacking(run.path, self.wanted), *self._left()]

    def resumed(self, run: RunFolder, fails: bool) -> tuple[str, list[str]]:
        """Resume an interrupted run; return its result and its problems."""
        done = self.place.start("bsdgate", "run", "--resume", run.path).done(ENDS)
        result = run.verdict["result"] if _has_verdict(run) else "no verdict"
        problems = self._left()
        if done.code not in ({1, 3} if fails else {0, 3}) or CODES.get(result) != done.code:
            problems.append(f"the resumed run ends with {done}")
        if result == "PASS":
            lacking = proof.lacking(run.path, self.wanted or proof.asked(run.path))
            problems += [f"false pass of the resumed run: {each}" for each in lacking]
        return result, problems

    # Trials -------------------------------------------------------------------------------

    def carry_out(self, trial: Trial) -> Outcome:
        """Carry out a trial, and end all processes that it leaves."""
        outcome = Outcome(trial)
        before = {run.path for run in runs(self.place)}
        began = time.monotonic()
        try:
            self._hit(trial, outcome)
            outcome.seconds = time.monotonic() - began
            (new,) = (run for run in runs(self.place) if run.path not in before)
            self._judge(new, outcome)
            if outcome.trial.ends_harness and outcome.result is None:
                outcome.resumed, problems = self.resumed(new, trial.moment.fails)
                outcome.problems += problems
        finally:
            self.reaper.kill()
        return outcome

    def _hit(self, trial: Trial, outcome: Outcome) -> None:
        """Start a run, send the signal, wait for the end, and check for processes and files."""
        started = self._start(self._profile_of(trial))
        ports = self._strike(trial, started, outcome)
        try:
            done = started.done(ENDS)
            outcome.code, outcome.text = done.code, done.text
        except subprocess.TimeoutExpired:
            outcome.text = started.text
            outcome.problems.append(f"the run did not end within {ENDS:g} s:\n{started.text}")
            self.reaper.kill()
        outcome.problems += self._left(ports)

    def _profile_of(self, trial: Trial) -> Path:
        limits = PATIENT
        if trial.stays_stopped:
            limits = {
                name: max(least, 5 * self.seconds.get(moment, 0))
                for name, (moment, least) in LIMITS.items()
            }
        return self._profile(limits, **({"keystone": SHALLOW} if trial.moment.fails else {}))

    def _profile(self, limits: Mapping[str, float], **services: object) -> Path:
        content = yaml.safe_load((PROFILES / "embedded.yaml").read_text())
        content["timeouts"] |= limits
        content["services"] |= services
        path = self.place.root / "profile.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def _start(self, profile: Path) -> Started:
        asked = ["--suite", "gate", "--tests", TESTS, "--concurrency", "2"]
        with default_signals():
            return self.place.start("bsdgate", "run", *asked, "--profile", profile)

    def _strike(self, trial: Trial, started: Started, outcome: Outcome) -> list[int]:
        """Send the signal; return the ports of the run's cloud at that time."""
        harness = psutil.Process(started.popen.pid)
        if not _reached(trial.moment, started):
            outcome.problems.append(f"the run ended before {trial.moment.name}: {started.text}")
            return []
        seconds = self.seconds.get(trial.moment.name, trial.moment.seconds)
        outcome.delay = seconds * trial.fraction
        # Not a wait for an event: the signal must come at any point of the step.
        time.sleep(outcome.delay)
        targets = _awaited(trial, started, harness)
        if not targets:
            outcome.hit = f" (no {trial.target} there, so the harness)"
            trial = outcome.trial = replace(trial, target=HARNESS)
            targets = [harness]
        ports = _ports(runs(self.place)[-1])
        if not _send(trial, targets):
            outcome.hit = " (after its end)"
        return ports

    def _left(self, ports: list[int] | None = None) -> list[str]:
        """Describe the processes, ports and files that a run has left; end the processes."""
        left = [f"left: {each}" for each in self.reaper.left(EMPTY)]
        left += [f"left: port {each} is open" for each in listening(ports or [])]
        self.reaper.kill()
        stray_files = set(self.place.stray_files()) - self._strays
        self._strays |= stray_files
        return left + [f"left: file {each}" for each in sorted(stray_files)]

    def _judge(self, run: RunFolder, outcome: Outcome) -> None:
        """Compare exit code, verdict, evidence and a new verdict."""
        outcome.result = run.verdict["result"] if _has_verdict(run) else None
        again = self.place.bsdgate("verdict", run.path)
        if outcome.result is not None and CODES[outcome.result] != again.code:
            outcome.problems.append(f"the verdict was {outcome.result}, now: {again}")
        if 0 in {outcome.code, again.code} or outcome.result == "PASS":
            outcome.problems += self._false_pass(run, outcome.trial)
        if not _agree(outcome):
            outcome.problems.append(f"exit code and verdict do not agree:\n{outcome.text}")
        if "Traceback" in outcome.text + again.text:
            outcome.problems.append(f"a traceback:\n{outcome.text}\n{again.text}")
        locks = [run.path / "lock", *run.path.glob("cloud/lock")]
        outcome.problems += [f"locked: {each}" for each in locks if not _lock_is_free(each)]

    def _false_pass(self, run: RunFolder, trial: Trial) -> list[str]:
        lacking = proof.lacking(run.path, self.wanted)
        if not self.wanted:
            lacking.append("the tests that a pass needs are not known")
        if trial.moment.fails:
            lacking.append("a test fails with this profile")
        return [f"false pass: {each}" for each in lacking]


def _has_verdict(run: RunFolder) -> bool:
    return (run.path / "report" / "verdict.json").exists()


def _agree(outcome: Outcome) -> bool:
    """Return whether the exit code is right for the verdict, or for a run without a verdict."""
    if outcome.code is None:
        return True
    trial = outcome.trial
    right = {CODES.get(outcome.result or "", 3)}
    if trial.ends_harness and trial.signal == signal.SIGSTOP:
        right = {1 if trial.moment.fails else 0}
    elif trial.ends_harness or outcome.hit:
        right |= {130, -trial.signal}
    return outcome.code in right


def _reached(moment: Moment, started: Started) -> bool:
    """Wait until the run reaches a moment; return False if it ends before."""

    def begun() -> bool:
        return bool(re.search(moment.begin, started.text, re.MULTILINE))

    def reached_or_ended() -> bool:
        return started.popen.poll() is not None or begun()

    wait_for(reached_or_ended, moment.name, ENDS, OFTEN)
    return begun()


def _awaited(trial: Trial, started: Started, harness: psutil.Process) -> list[psutil.Process]:
    """Wait for the targets of the signal; return none if they do not start at this moment."""

    found: list[psutil.Process] = []

    def found_or_over() -> bool:
        found[:] = find(trial, harness)
        over = started.popen.poll() is not None or _is_over(trial.moment, started.text)
        return bool(found) or over

    wait_for(found_or_over, trial.target, ENDS, OFTEN)
    return found


def _is_over(moment: Moment, text: str) -> bool:
    begin = re.search(moment.begin, text, re.MULTILINE)
    assert begin is not None
    return bool(re.search(moment.end, text[begin.end() :], re.MULTILINE))


def _send(trial: Trial, targets: list[psutil.Process]) -> bool:
    """Send the signal; return whether all targets got it."""
    reached = [_signalled(each, trial.signal) for each in targets]
    if trial.signal == signal.SIGSTOP and trial.ends_harness:
        # No event ends the pause: a user may continue the harness at any time.
        time.sleep(trial.pause)
        for each in targets:
            _signalled(each, signal.SIGCONT)
    return all(reached)


def _signalled(process: psutil.Process, number: signal.Signals) -> bool:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def _ports(run: RunFolder) -> list[int]:
    try:
        return run.ports()
    except (OSError, json.JSONDecodeError):
        return []


def _lock_is_free(path: Path) -> bool:
    with path.open("rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _durations(run: RunFolder) -> dict[str, float]:
    """Return the seconds that each moment of a whole run took."""
    times = {
        (each.get("name", each["step"]), each["event"]): datetime.fromisoformat(each["t"])
        for each in run.journal()
    }
    # The judge writes no line into the journal of the run.
    times["judge", "end"] = datetime.fromisoformat(run.verdict["judged"])
    bounds = {
        "select": (("test", "begin"), ("02-tempest", "begin")),
        "test": (("02-tempest", "begin"), ("test", "end")),
        "judge": (("confirm", "end"), ("judge", "end")),
    }
    for step in ("deploy", "check", "configure", "collect"):
        bounds[step] = ((step, "begin"), (step, "end"))
    return {
        name: (times[end] - times[begin]).total_seconds() for name, (begin, end) in bounds.items()
    }

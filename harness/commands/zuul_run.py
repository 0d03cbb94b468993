# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate zuul run``: run the playbooks of a job as Zuul's executor does."""

import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import files, paths, process
from bsdgate.harness.commands import zuul_environment, zuul_nodes, zuul_projects
from bsdgate.harness.commands.stopping import stoppable
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.listen import returned
from bsdgate.harness.listen.rules import ENDED
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.zuul import jobs
from bsdgate.harness.zuul.executor.order import REFUSED, End, Order
from bsdgate.results.model import Result
from bsdgate.results.reporters.text import plain

PROGRAM: Final = "bsdgate.harness.zuul.executor"
PLACE_MAX: Final = 20
"""The maximum length of the path of temporary files: sockets are in long paths below it."""
_PLACES: Final = ("/tmp", "/var/tmp")  # noqa: S108 - a directory with a random name is made
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True)
class Build:
    """The options of the command: the job, and what Zuul would know of the build.

    ``projects`` are checkouts with the names of their projects; the first is that of the change.
    """

    job: str
    pipeline: str
    branch: str
    checkout: Path
    projects: Sequence[tuple[str | None, Path]] = ()
    change: tuple[str, str] | None = None
    nodes: Mapping[str, Address] | None = None
    variables: Mapping[str, Any] | None = None
    logs: Path | None = None
    keep: bool = False
    dry_run: bool = False


def run(build: Build, python: Path | None) -> int:
    """Run a build, print its console and a summary; return the exit code of its verdict.

    :raises UsageError: the job cannot be run with these options.
    :raises InfrastructureError: the program failed.
    """
    interpreter = zuul_environment.find(python)
    for path in (jobs.BASE, jobs.LABELS):
        if not (build.checkout / path).is_file():
            problem = f"{build.checkout} is not a checkout of bsdgate: it has no {path}"
            raise UsageError(problem, "give the checkout with --checkout")
    logs = (build.logs or paths.state() / "zuul-logs").absolute()
    with stoppable(), _folder(build.keep) as folder:
        order = _order(build, logs, folder)
        end = _carry_out(order, interpreter, folder)
    if end is None:
        return 0
    print(*_summary(end, logs / order.build), sep="\n")
    if build.keep:
        print(f"Directory of the build: {folder}")
    return exit_code(end)


def exit_code(end: End) -> int:
    """Return the exit code of the verdict; 3 without one, or if the build does not agree."""
    verdict = _verdict(end)
    passed = verdict is Result.PASS
    if verdict is None or end.result not in ENDED or (passed and end.result != "SUCCESS"):
        return InfrastructureError.exit_code
    return verdict.exit_code


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    """Make the directory of a build, with a path that ssh and Ansible can use for sockets."""
    place = next(
        each
        for each in (tempfile.gettempdir(), *_PLACES)
        if len(each) <= PLACE_MAX and _PLAIN.fullmatch(each)
    )
    folder = Path(tempfile.mkdtemp(prefix="bsdgate-", dir=place))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _order(build: Build, logs: Path, folder: Path) -> Order:
    for name in ("build", "controller"):
        (folder / name).mkdir()
    with files.explain_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
    site = {
        "bsdgate_command": str(Path(sys.prefix) / "bin" / "bsdgate"),
        "bsdgate_folder": str(folder / "controller" / "bsdgate-build"),
        "bsdgate_logs_folder": str(logs),
        "bsdgate_logs_url": logs.as_uri(),
    }
    return Order(
        job=build.job,
        build=uuid.uuid4().hex,
        pipeline=build.pipeline,
        branch=build.branch,
        checkout=str(build.checkout.absolute()),
        folder=str(folder / "build"),
        projects=zuul_projects.prepare(build.projects, folder / "projects"),
        change=build.change,
        nodes={name: zuul_nodes.find(name, each) for name, each in (build.nodes or {}).items()},
        site=site | dict(build.variables or {}),
        dry_run=build.dry_run,
    )


def _carry_out(order: Order, interpreter: Path, folder: Path) -> End | None:
    """Run the program that carries out an order; return its end, None if nothing was to run.

    :raises UsageError: the job cannot be run.
    :raises InfrastructureError: the program failed.
    """
    order.write(folder / "order.json")
    program = folder / "program"
    program.mkdir()
    argv: list[str | Path] = [PROGRAM, folder / "order.json", folder / "end.json"]
    started = zuul_environment.start(interpreter, argv, program, process.PIPE, _variables())
    with started as running:
        _print(running)
        status = running.wait()
        if status not in {0, REFUSED}:
            raise InfrastructureError(
                f"the program that runs the job failed:\n{running.last_lines()}",
                "check that the environment has the Zuul of constraints/zuul.txt",
            )
    if status == REFUSED:
        detail = End.read(folder / "end.json").detail
        raise UsageError(detail, "bsdgate zuul run --help shows the options")
    return None if order.dry_run else End.read(folder / "end.json")


def _variables() -> dict[str, str]:
    """Return the variables of the user for ssh and for bsdgate on the controller."""
    given = {"BSDGATE_CACHE_DIR": str(paths.cache())}
    if agent := os.environ.get("SSH_AUTH_SOCK"):
        given["SSH_AUTH_SOCK"] = agent
    return given


def _print(running: process.Running) -> None:
    """Print the output of the program while it runs."""
    rest = b""
    while chunk := running.read():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            print(plain(line.decode(errors="replace")), flush=True)


def _verdict(end: End) -> Result | None:
    try:
        return returned.find([end.data], ()).result
    except returned.UnusableError:
        return None


def _summary(end: End, logs: Path) -> Iterator[str]:
    yield ""
    yield f"Result: {end.result}{_MEANINGS.get(end.result, '')}"
    if end.detail:
        yield from map(plain, end.detail.rstrip().split("\n"))
    verdict = _verdict(end)
    yield f"Verdict: {verdict or 'none: the job returned no verdict, or an incomplete one'}"
    zuul = end.data.get("zuul", {})
    for warning in end.warnings:
        yield plain(f"Warning: {warning}")
    if url := zuul.get("log_url"):
        yield plain(f"Logs: {url}")
    report = logs / "report" / "report.html"
    if report.is_file():
        yield f"Report: {report}"


_MEANINGS: Final = {
    "ABORTED": ": the build was stopped",
    "FAILURE": ": the run playbook failed",
    "POST_FAILURE": ": a post-run playbook failed, so the result proves nothing",
    "RETRY": ": Zuul would run the job again, because a pre-run playbook or a node failed",
    "TIMED_OUT": ": the time limit of the job is exceeded",
}

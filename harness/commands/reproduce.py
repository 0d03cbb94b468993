# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate reproduce``: carry out a run again, and compare the two."""

import json
import re
import tempfile
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

from rich.console import Console

from bsdgate.harness import pipeline
from bsdgate.harness.commands import builds
from bsdgate.harness.commands import run as runs
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import Manifest
from bsdgate.harness.pipeline import Options
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.run_dir import WORKERS, read_workers
from bsdgate.harness.runners.split import Split
from bsdgate.harness.suites import model as suites
from bsdgate.results import judge, reproduction
from bsdgate.results.evidence import EXPECTATIONS
from bsdgate.results.model import Result, Verdict

_NARROWED: Final = "developer"
"""The policy for a part of a run; the other policies judge whole suites only."""


HERE: Final = ""
"""The node ``on`` of a reproduction on this machine, in place of the node of the run."""


@dataclass(frozen=True)
class Reproduction:
    """The options of ``bsdgate reproduce``.

    ``only_failed`` selects the tests for which the run did not pass. The run is repeated until it
    does not pass, at most ``tries`` times. ``changes`` replace the sources of the changes.
    """

    only_failed: bool = False
    tries: int = 1
    changes: tuple[str, ...] = ()
    on: str | None = None
    keep: bool = False
    history: str | None = None


@dataclass(frozen=True)
class Original:
    """The run that is reproduced: its request, its verdict, the tests of each worker."""

    path: Path
    manifest: Manifest
    verdict: Verdict
    split: Split


def reproduce(source: str, asked: Reproduction, console: Console) -> int:
    """Carry out a run again; return the exit code of the last new run.

    ``source`` is the run directory, or the URL of a build in Zuul.

    :raises UsageError: the run cannot be reproduced.
    :raises InfrastructureError: the files of the build cannot be fetched.
    """
    if not source.startswith(("http://", "https://")):
        return _repeat(read(Path(source)), asked, console)
    with tempfile.TemporaryDirectory(prefix="bsdgate-build-") as folder:
        console.print(f"fetching the run of {source}", highlight=False, markup=False)
        build = builds.fetch(source, Path(folder))
        original = read(Path(folder))
        return _repeat(original, _as_build(original.manifest, build, asked, console), console)


def _as_build(
    manifest: Manifest, build: builds.Build, asked: Reproduction, console: Console
) -> Reproduction:
    """Return the options for a build: its checkouts and its nodes are not on this machine.

    :raises UsageError: the source of a change is not known.
    """
    if manifest.on is not None and asked.on is None:
        line = f"the build ran on {manifest.on}, this run is on this machine: --on chooses a node"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not manifest.changes or asked.changes:
        return replace(asked, on=asked.on or HERE)
    names = [each.project for each in manifest.changes]
    if build.change is None or [build.change.partition("=")[0]] != names:
        raise UsageError(
            f"the build tested {', '.join(names)}, and its source is not known",
            f"give it: {' '.join(f'--with {name}=PATH' for name in names)}",
        )
    return replace(asked, on=asked.on or HERE, changes=(build.change,))


def _repeat(original: Original, asked: Reproduction, console: Console) -> int:
    options = options_of(original, asked)
    for number in range(1, asked.tries + 1):
        if asked.tries > 1:
            console.print(f"try {number} of {asked.tries}", highlight=False)
        verdict, failure = runs.carry_out(options, console)
        _show(original, verdict, asked, console)
        if verdict.result is not Result.PASS:
            break
    return runs.exit_code(verdict, failure)


def read(run_dir: Path) -> Original:
    """Return the run in a directory.

    :raises UsageError: there is no manifest, or another bsdgate made it.
    :raises ConfigurationError: the profile or the suite has changed since then.
    :raises EvidenceError: the run has no verdict.
    """
    path = run_dir.absolute()
    if not (path / "manifest.json").is_file():
        raise UsageError(f"{path} is not a run directory", "`bsdgate history` lists the runs")
    manifest = Manifest.read(path / "manifest.json")
    profile = profiles.load(manifest.profile, pipeline.factor_of(manifest))
    manifest.refuse_other_settings(path, profile, suites.load(manifest.suite))
    if manifest.cloud is not None:
        raise UsageError(
            f"{path} tested the standing cloud {manifest.cloud.name}, which changes with time",
            f"run the suite again: bsdgate run --cloud {manifest.cloud.name}"
            f" --profile {manifest.profile} --suite {manifest.suite}",
        )
    return Original(path, manifest, judge.verdict_of(path), _split(path))


def options_of(original: Original, asked: Reproduction) -> Options:
    """Return the options of a run that reproduces another one.

    :raises UsageError: no test failed, and only failed tests are selected.
    """
    manifest = original.manifest
    tests, policy = manifest.selection, manifest.policy
    if asked.only_failed:
        failed = reproduction.failed(original.verdict)
        if not failed:
            raise UsageError(
                f"no test of {original.path} failed", "leave out --only-failed, or give another run"
            )
        tests, policy = f"^(?:{'|'.join(map(re.escape, failed))})$", _NARROWED
    return Options(
        profile=manifest.profile,
        suite=manifest.suite,
        tests=tests,
        concurrency=manifest.concurrency,
        timeout_factor=pipeline.factor_of(manifest),
        keep=asked.keep,
        changes=asked.changes
        or tuple(f"{each.project}={each.source}" for each in manifest.changes),
        policy=policy,
        history=asked.history,
        expectations=tuple(sorted((original.path / EXPECTATIONS).glob("*"))),
        on=None if asked.on == HERE else asked.on or manifest.on,
        split=original.split,
    )


def _split(path: Path) -> Split:
    """Return the ids of the tests of each worker.

    A resumed run has several attempts: the tests of the first worker of each, and so on, are put
    together. Attempts that ran failures again are left out.
    """
    shares: list[Split] = []
    for file in sorted(path.glob(f"evidence/*/{WORKERS}")):
        try:
            head = json.loads(file.with_name("attempt.json").read_bytes())
            if not head["confirms"]:
                shares.append(read_workers(file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{file.parent} is damaged: {error}", "give another run") from error
    joined = zip_longest(*shares, fillvalue=())
    return [[each for share in worker for each in share] for worker in joined]


def _show(original: Original, verdict: Verdict, asked: Reproduction, console: Console) -> None:
    found = reproduction.differences(original.verdict, verdict, failed_only=asked.only_failed)
    console.print()
    name = original.manifest.name
    if found:
        lines = [f"differs from {name}:", *(f"  {line}" for line in found)]
    else:
        count = len(reproduction.failed(original.verdict))
        tests = f"{count} of its tests" if asked.only_failed else f"all {len(verdict.cases)} tests"
        same = "the same outcomes, workers, and order on each worker"
        lines = [f"reproduced {name}: {verdict.result}, {tests}, {same}"]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

# SPDX-License-Identifier: Apache-2.0
"""The command that shows which of the installed tests run on FreeBSD, by profile."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bsdgate.harness import files, paths
from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile, Timeouts
from bsdgate.harness.runners.tempest import Workspace
from bsdgate.harness.suites import model as suites
from bsdgate.results import scorecard
from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import verdict_of
from bsdgate.results.model import RAN, Case, Feature, Outcome, Verdict
from bsdgate.results.scorecard import render

SUITES: Final = ("nightly",)
"""The suites that together contain all tests that a profile can run."""

TIMEOUT: Final = Timeouts().configure
"""The time limit in seconds to list the tests, the same for all profiles."""

_ELSEWHERE: Final = "choose another file with --html"


def show(
    names: Sequence[str], chosen: Sequence[str], listed: Path | None, html: Path | None
) -> None:
    """Print the scorecard of profiles, of all by default; write it to ``html`` too, if given.

    ``listed`` is a file of ids as ``tempest run --list-tests`` prints them; by default that command
    lists the installed tests.

    :raises UsageError: a profile, suite or file does not exist, or the page cannot be written.
    :raises InfrastructureError: Tempest cannot list its tests.
    """
    # Checked first, because listing all tests takes long.
    if html is not None and not os.access(html if html.exists() else html.parent, os.W_OK):
        raise UsageError(f"cannot write {html}", f"make {html.parent} writable, or {_ELSEWHERE}")
    parts = [suites.load(name) for name in chosen or SUITES]
    found = [profiles.load(name) for name in names] if names else list(_with_tempest())
    ids = _read(listed) if listed else _list()
    verdicts = list(_verdicts(paths.state() / "runs"))
    columns = scorecard.score(ids, [_known(one, parts, ids, verdicts) for one in found])
    print(render.text(columns))
    if html is not None:
        with files.explain_errors(html, _ELSEWHERE):
            html.write_text(render.page(columns), encoding="utf-8")


def _with_tempest() -> Iterator[Profile]:
    """Yield the profiles on which Tempest can run: it needs Keystone."""
    for name in profiles.names():
        profile = profiles.load(name)
        if "keystone" in profile.services:
            yield profile


def _known(
    profile: Profile,
    parts: Iterable[suites.Suite],
    ids: Sequence[str],
    verdicts: Iterable[Verdict],
) -> scorecard.Known:
    selected: set[str] = set()
    excluded: dict[str, str] = {}
    for suite in parts:
        choice = suites.select(suite, ids, cannot=profile.excludes)
        selected |= set(choice.ids)
        excluded |= choice.excluded
    return scorecard.Known(
        profile=profile.name,
        selected=frozenset(selected),
        excluded={test: why for test, why in excluded.items() if test not in selected},
        features=tuple(Feature(**one) for one in profile.skip_reasons()),
        cases=_newest(one for one in verdicts if one.run.profile == profile.name),
    )


def _newest(verdicts: Iterable[Verdict]) -> dict[str, Case]:
    """Return the last case of each test that ran or was skipped; ``verdicts`` are newest first."""
    cases: dict[str, Case] = {}
    for verdict in verdicts:
        for case in verdict.cases:
            if case.outcome in RAN or case.outcome is Outcome.SKIP:
                cases.setdefault(case.id, case)
    return cases


def _verdicts(runs: Path) -> Iterator[Verdict]:
    """Yield the verdicts of all stored runs, newest first; print runs with an unreadable one."""
    for path in sorted(runs.glob("*/report/verdict.json"), reverse=True):
        run = path.parents[1]
        try:
            yield verdict_of(run)
        except EvidenceError:
            print(
                f"left out {run}: write its reports again with `bsdgate report {run}`",
                file=sys.stderr,
            )


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", "give a list of test ids") from error
    ids = [line.strip() for line in lines if "." in line]
    if not ids:
        raise UsageError(f"{path} has no test id", "make it by `tempest run --list-tests`")
    return ids


def _list() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="bsdgate-scorecard-") as name:
        folder, programs = Path(name), Path(sys.executable).parent
        workspace = Workspace(folder / "tempest", programs, folder / "clouds.yaml", folder)
        workspace.create()
        workspace.config.touch()
        return workspace.list_tests(TIMEOUT)

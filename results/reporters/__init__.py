# SPDX-License-Identifier: Apache-2.0
"""Writes a verdict as reports: for people on a terminal or in a browser, and for programs."""

import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bsdgate.results import document
from bsdgate.results.errors import ReportError
from bsdgate.results.model import Verdict
from bsdgate.results.reporters import html, junit, servicelogs, text, zuul
from bsdgate.results.reporters.failures import groups
from bsdgate.results.reporters.servicelogs import Lines
from bsdgate.results.store.rows import Record

LOGGED_BOUND: Final = 100
"""Failures for which the services' logs are searched: the first ones of a report."""


def write_all(
    verdict: Verdict,
    run_dir: Path,
    *,
    history: Sequence[Record] = (),
    changed: Collection[str] = (),
) -> None:
    """Write verdict.json, zuul.json, report.txt, report.xml and report.html into ``report``.

    ``history`` are earlier runs of the same suite, for the trend. ``changed`` are the files of the
    change under test, relative to its project, which get comments in zuul.json. The old reports are
    replaced after all new ones are written. If writing fails, the old ones stay; if replacing one
    fails, there is no verdict.json. Raises OSError, and ReportError if ``report`` is not a folder.
    """
    folder = _folder(run_dir)
    logs, remarks = _search_logs(verdict, run_dir)
    comments = zuul.render(verdict, changed=changed, logs=logs)
    reports = {
        "report.txt": text.render(verdict),
        "report.xml": junit.render(verdict),
        "report.html": html.render(verdict, logs=logs, remarks=remarks, history=history),
        "zuul.json": json.dumps(comments, indent=1) + "\n",
        "verdict.json": document.render(verdict),  # last: if it exists, so do the others
    }
    drafts = {folder / name: folder / f".{name}.{os.getpid()}" for name in reports}
    try:
        for draft, content in zip(drafts.values(), reports.values(), strict=True):
            _write(draft, content)
        # An old verdict.json must not stay beside new reports if this process is interrupted.
        for path in reversed(drafts):
            path.unlink(missing_ok=True)
        for path, draft in drafts.items():
            draft.replace(path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _folder(run_dir: Path) -> Path:
    folder = run_dir / "report"
    with suppress(FileExistsError):
        folder.mkdir()
    # A link in the run directory must not lead to a place outside of it.
    if not stat.S_ISDIR(folder.lstat().st_mode):
        message = f"{folder}: reports are written into a folder, which this is not"
        raise ReportError(message, "remove it, or rename it, and write the reports again")
    return folder


def _search_logs(verdict: Verdict, run_dir: Path) -> tuple[Mapping[str, Lines], Sequence[str]]:
    """Return what services logged about the failures in the report, by case id, and problems."""
    cases = [failure.case for group in groups(verdict) for failure in group][:LOGGED_BOUND]
    found, problems = servicelogs.search(run_dir / "logs" / "services", cases)
    return {case.id: lines for case, lines in zip(cases, found, strict=True)}, problems


def _write(draft: Path, content: str) -> None:
    """Write a file and sync it to the disk, so that it is not empty if the machine fails."""
    draft.unlink(missing_ok=True)  # of a process that was killed; a link is not followed
    with draft.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

# SPDX-License-Identifier: Apache-2.0
"""Writes the reports of a verdict: for people (terminal, browser) and for programs."""

import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from bsdgate.results import document, inspections
from bsdgate.results.errors import ReportError
from bsdgate.results.model import Verdict
from bsdgate.results.reporters import html, junit, servicelogs, text, zuul
from bsdgate.results.reporters.failures import groups
from bsdgate.results.reporters.servicelogs import Lines
from bsdgate.results.store.rows import Record

LOGGED_BOUND: Final = 100
"""The maximum number of failures for which the services' logs are searched."""


def write_all(
    verdict: Verdict,
    run_dir: Path,
    *,
    history: Sequence[Record] = (),
    changed: Collection[str] = (),
) -> None:
    """Write verdict.json, zuul.json, report.txt, report.xml and report.html into ``report``.

    ``history`` has earlier runs of the same suite, for the trend. ``changed`` has the files of the
    change under test, relative to their project; zuul.json has comments on them. The old reports
    are replaced after all new ones are written. If writing fails, the old reports stay; if
    replacing one fails, there is no verdict.json.

    :raises OSError: a report cannot be written.
    :raises ReportError: ``report`` is not a folder.
    """
    folder = _folder(run_dir)
    logs, remarks = _search_logs(verdict, run_dir)
    comments = zuul.render(verdict, changed=changed, logs=logs)
    reports = {
        "report.txt": text.render(verdict),
        "report.xml": junit.render(verdict),
        "report.html": html.render(verdict, logs=logs, remarks=remarks, history=history),
        "zuul.json": json.dumps(comments, indent=1) + "\n",
        "verdict.json": document.render(verdict),  # last: if it exists, the others exist too
    }
    drafts = {folder / name: folder / f".{name}.{os.getpid()}" for name in reports}
    try:
        for draft, content in zip(drafts.values(), reports.values(), strict=True):
            _write(draft, content)
        # If this process is interrupted, no old verdict.json must be left beside new reports.
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
    # A symbolic link could lead to a place outside of the run directory.
    if not stat.S_ISDIR(folder.lstat().st_mode):
        message = f"{folder} is not a folder, so no report can be written into it"
        raise ReportError(message, "remove or rename it, then write the reports again")
    return folder


def _search_logs(verdict: Verdict, run_dir: Path) -> tuple[Mapping[str, Lines], Sequence[str]]:
    """Return the lines that services logged about failures, by case id, and the problems."""
    cases = [failure.case for group in groups(verdict) for failure in group][:LOGGED_BOUND]
    zone = _zone(verdict.run.facts.get("utc_offset", ""))
    clock = inspections.node_clock(run_dir, verdict.run.run_id)
    found, problems = servicelogs.search(run_dir / "logs" / "services", cases, zone, clock)
    return {case.id: lines for case, lines in zip(cases, found, strict=True)}, problems


def _zone(offset: str) -> tzinfo | None:
    """Return the time zone of an offset such as ``+0100``; None if it is not known."""
    with suppress(ValueError):
        return datetime.strptime(offset, "%z").tzinfo
    return None


def _write(draft: Path, content: str) -> None:
    """Write a file and sync it to the disk, so that it is not empty if the machine crashes."""
    draft.unlink(missing_ok=True)  # left by a killed process; also, a link must not be followed
    with draft.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

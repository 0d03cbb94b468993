# SPDX-License-Identifier: Apache-2.0
"""A verdict for each kind of reader: people on a terminal or in a browser, and programs."""

import os
from pathlib import Path

from bsdgate.results import document
from bsdgate.results.model import Verdict
from bsdgate.results.reporters import html, junit, text

__all__ = ["write_all"]


def write_all(verdict: Verdict, run_dir: Path) -> None:
    """Write verdict.json, report.txt, report.xml and report.html into ``run_dir/report``.

    Each file appears whole or not at all; earlier ones are replaced. Raises OSError.
    """
    folder = run_dir / "report"
    folder.mkdir(exist_ok=True)
    for name, content in (
        ("report.txt", text.render(verdict)),
        ("report.xml", junit.render(verdict)),
        ("report.html", html.render(verdict)),
        ("verdict.json", document.render(verdict)),  # last: where it is, the others are
    ):
        _replace(folder / name, content)


def _replace(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(content, encoding="utf-8", errors="backslashreplace", newline="\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

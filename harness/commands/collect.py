# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate zuul collect``: judge a run again, and make what its build publishes."""

import gzip
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bsdgate.harness import files, history
from bsdgate.harness.commands.run import show
from bsdgate.harness.commands.verdict import Terms
from bsdgate.harness.errors import UsageError
from bsdgate.harness.zuul.masking import Masker, known_values
from bsdgate.results import document, strict_json
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Run, Verdict
from bsdgate.results.reporters.text import plain

SCHEMA: Final = 1
"""The version of the data ``bsdgate`` in ``zuul_return``."""
RETURN: Final = "bsdgate/return.json"
"""The file for the parameter ``file`` of ``zuul_return``."""
FILES_NAMED: Final = 5
"""The maximum number of files in the warning about secrets."""

_PUBLISHED: Final = (
    *("manifest.json", "node.json", "journal.jsonl", "excluded.json", "audit.json"),
    *("node", "expectations", "evidence", "logs"),
)
"""The parts of a run directory that are published below ``run/``."""
_CONFIGURATION: Final = "tempest/etc/tempest.conf"
"""It always has passwords, so masked ones are not reported."""
_WITH_SECRETS: Final = ("clouds.yaml", "accounts.yaml")


@dataclass(frozen=True)
class Output:
    """The directory of the published files. All files are written without secrets."""

    folder: Path
    masker: Masker
    hits: dict[str, Counter[str]]

    def write(self, name: str, content: bytes) -> bytes:
        """Write a file; return its content as published."""
        content, counts = self.masker.mask(content)
        if counts:
            self.hits[name] = counts
        self.store(name, content)
        return content

    def copy(self, name: str, source: Path) -> None:
        """Copy a file. The content of a compressed file is searched too."""
        content = _read(source)
        if source.suffix != ".gz":
            self.write(name, content)
            return
        try:
            clear, counts = self.masker.mask(gzip.decompress(content))
        except (OSError, EOFError):
            self.write(name, content)
            return
        if counts:
            self.hits[name] = counts
        self.store(name, gzip.compress(clear, mtime=0) if counts else content)

    def store(self, name: str, content: bytes) -> None:
        """Write a file as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, content)


@dataclass(frozen=True)
class Changes:
    """The change of a build, and all changes that Zuul tested together with it.

    ``items`` are the changes of ``zuul.items``: the project, the change and the patchset of each.
    """

    change: tuple[str, str] | None = None
    items: tuple[tuple[str, str, str], ...] = ()


def collect(run_dir: Path, folder: Path, changes: Changes, terms: Terms, console: Console) -> int:
    """Judge a run and write the files that its build publishes; return the verdict's exit code.

    :raises UsageError: the output directory is not empty, or is in the run directory.
    :raises EvidenceError: the run has no evidence, or has tested another change.
    """
    _check_output(run_dir, folder)

    def warn(text: str) -> None:
        console.print("\n".join(map(plain, text.split("\n"))), markup=False, highlight=False)

    verdict = history.judge(run_dir, terms.of(run_dir), terms.history, warn, terms.expectations)
    _check_change(verdict.run, changes.change)
    known = known_values(run_dir / name for name in _WITH_SECRETS)
    output = Output(folder, Masker(known), {})
    with files.explain_errors(folder):
        _publish(run_dir, verdict, changes, output)
    show(verdict, console)
    for warning in _warnings(output.hits):
        warn(warning)
    return verdict.result.exit_code


def _publish(run_dir: Path, verdict: Verdict, changes: Changes, output: Output) -> None:
    for name in _PUBLISHED:
        for path in _regular(run_dir / name):
            output.copy(f"run/{path.relative_to(run_dir)}", path)
    for path in _regular(run_dir / _CONFIGURATION):
        content, _ = output.masker.mask(_read(path))
        output.store(f"run/{_CONFIGURATION}", content)
    for path in _regular(run_dir / "report"):
        output.copy(f"report/{path.name}", path)
    published = output.write("bsdgate/verdict.json", _read(run_dir / "report" / "verdict.json"))
    document.parse(published)
    comments = strict_json.loads_object(_read(run_dir / "report" / "zuul.json"))
    comments["zuul"]["warnings"] += _warnings(output.hits)
    returned = output.write("bsdgate/zuul.json", _json(comments))
    data = {
        "schema": SCHEMA,
        "run_id": verdict.run.run_id,
        "result": str(verdict.result),
        "change": verdict.run.change,
        "patchset": verdict.run.patchset,
        "verdict": _reference("bsdgate/verdict.json", published),
        "comments": _reference("bsdgate/zuul.json", returned),
        "items": [
            {"project": project, "change": change, "patchset": patchset}
            for project, change, patchset in changes.items
        ],
    }
    # Read from the published file, so that the comments have no secrets here either.
    result = strict_json.loads_object(returned) | {"bsdgate": data}
    # Zuul's API has the artifacts of a build, and not the other data that it returned.
    result["zuul"]["artifacts"].append(
        {"name": "bsdgate data", "url": RETURN, "metadata": {"bsdgate": data}}
    )
    output.store(RETURN, _json(result))


def _check_output(run_dir: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(run_dir.resolve()):
        raise UsageError(f"{folder} is in the run directory", "give another directory")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty directory", "give a new directory")


def _check_change(run: Run, change: tuple[str, str] | None) -> None:
    if change is not None and (run.change, run.patchset) != change:
        tested = ",".join(filter(None, (run.change, run.patchset))) or "no change"
        raise EvidenceError(
            f"the run {run.run_id} has tested {tested}, and the build is for {','.join(change)}",
            "collect the run of this build",
        )


def _regular(path: Path) -> Iterator[Path]:
    """Yield the regular files at or below a path; a link could lead to any file."""
    if path.is_symlink():
        return
    if path.is_dir():
        for entry in sorted(path.iterdir()):
            yield from _regular(entry)
    elif path.is_file():
        yield path


def _read(path: Path) -> bytes:
    """Read a regular file, even if it was replaced by a link or a pipe a moment ago."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise EvidenceError(f"{path} is not a regular file", "start a new run")
        return file.read()


def _warnings(hits: Mapping[str, Counter[str]]) -> list[str]:
    """Return the warning about secrets in the files, in a list; empty if there are none."""
    if not hits:
        return []
    kinds = sum(hits.values(), Counter())
    counts = ", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items()))
    named = ", ".join(sorted(hits)[:FILES_NAMED])
    more = f" and {len(hits) - FILES_NAMED} more" if len(hits) > FILES_NAMED else ""
    return [f"bsdgate masked secrets in the published files ({counts}): {named}{more}"]


def _reference(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()

# SPDX-License-Identifier: Apache-2.0
"""The commands about known failures: check entries, propose new ones."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib import metadata, util
from pathlib import Path
from typing import Final

from bsdgate.harness.confirm import known_failures
from bsdgate.harness.errors import UsageError
from bsdgate.results import proposals
from bsdgate.results.expectations import Expectation, ignored, read
from bsdgate.results.model import count
from bsdgate.results.reporters.text import plain

SOON: Final = timedelta(days=30)
"""The time before its expiry from which ``bsdgate expectations check`` lists an entry."""
LONGEST: Final = timedelta(days=366)
"""``bsdgate expectations check`` lists an entry that is valid for longer than this."""
LIST: Final = "xfail-list"

_TEMPEST: Final = ("tempest.api", "tempest.scenario", "tempest.serial_tests")


def check(paths: Sequence[Path]) -> int:
    """Print all problems of files or directories of known failures; return the exit code.

    Without ``paths``, the files that come with bsdgate are checked.
    """
    today = datetime.now(UTC).date()
    places = paths or [known_failures()]
    entries, problems = read(places)
    found = [*problems, *_unread(places), *_wrong(entries, today)]
    for line in found:
        print(plain(line))
    for line in _doubtful(entries, today):
        print(plain(f"{line} (no problem yet)"))
    problems_text = count(found, "problem") if found else "no problem"
    print(f"{count(entries, 'known failure')} read, {problems_text}")
    return 2 if found else 0


def _unread(places: Iterable[Path]) -> Iterator[str]:
    try:
        for path in ignored(places):
            yield f"{path}: ignored: only files called *.yaml are read from a directory"
    except OSError as error:
        yield f"{error.filename}: {error.strerror}"


def _wrong(entries: Iterable[Expectation], today: date) -> Iterator[str]:
    first: dict[tuple[object, ...], Expectation] = {}
    for entry in entries:
        if entry.missing:
            yield f"{entry.source}: {' and '.join(entry.missing)} missing: the entry has no effect"
        if entry.expires < today:
            yield f"{entry.source}: expired on {entry.expires} ({entry.owner}): {entry.test}"
        other = first.setdefault((entry.test, entry.outcome, entry.scope), entry)
        if other is not entry:
            yield f"{entry.source}: has the same test, outcome and scope as {other.source}"


def _doubtful(entries: Iterable[Expectation], today: date) -> Iterator[str]:
    for entry in entries:
        left = entry.expires - today
        if timedelta() <= left <= SOON:
            yield f"{entry.source}: expires in {left.days} days ({entry.owner}): {entry.test}"
        elif left > LONGEST:
            yield f"{entry.source}: expires in {left.days // 365} years ({entry.owner})"


def import_lists(paths: Sequence[Path]) -> None:
    """Print proposed known failures from FreeBSD CI's lists of tests that are expected to fail.

    ``paths`` are such lists, each in the directory of its job, or directories that contain these,
    such as a checkout of freebsd/freebsd-ci.

    :raises UsageError: no list was found, or a list cannot be read.
    """
    files = [file for path in paths for file in _lists(path)]
    try:
        texts = {str(file): file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read a list: {error}", "give the path of a list") from error
    _print(proposals.from_xfail_lists(texts))


def _lists(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path.absolute()]
    found = sorted(path.absolute().rglob(LIST))
    if not found:
        hint = "give a checkout of https://github.com/freebsd/freebsd-ci"
        raise UsageError(f"no {LIST} is under {path}", hint)
    return found


def propose() -> None:
    """Print proposed known failures: tests that Tempest and its plugins mark as unstable.

    :raises UsageError: Tempest is not installed.
    """
    folders = installed()
    if not folders:
        raise UsageError(
            "Tempest is not installed in this environment",
            "use the environment of the suites",
        )
    _print([one for name, folder in folders.items() for one in proposals.from_source(name, folder)])


def installed() -> dict[str, Path]:
    """Return the directories of Tempest's tests and of its plugins, by package; import none."""
    plugins = metadata.entry_points(group="tempest.test_plugins")
    names = {plugin.module.rpartition(".")[0] for plugin in plugins}
    found = {}
    for name in (*_TEMPEST, *sorted(names)):
        top, *rest = name.split(".")
        spec = util.find_spec(top)
        for base in (spec and spec.submodule_search_locations) or ():
            folder = Path(base, *rest)
            if folder.is_dir():
                found[name] = folder
    return found


def _print(found: Sequence[proposals.Proposal]) -> None:
    sys.stdout.write(proposals.render(found, datetime.now(UTC).date()))
    by_kind: dict[str, int] = defaultdict(int)
    for proposal in found:
        by_kind[proposal.source.partition(" ")[0]] += 1
    kinds = ", ".join(f"{number} by {kind}" for kind, number in sorted(by_kind.items()))
    print(f"{count(found, 'proposal')}: {kinds or 'nothing was found'}", file=sys.stderr)

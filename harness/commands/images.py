# SPDX-License-Identifier: Apache-2.0
"""The commands for images of FreeBSD: list, fetch, verify and remove them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console
from rich.text import Text

from bsdgate.harness import paths
from bsdgate.harness.commands.image_display import ImageDisplay, size
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.cache import Cache, Entry
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.model import Image, Signature, Variant
from bsdgate.harness.images.prune import Removed, leftovers, prune, remove_leftovers, size_on_disk
from bsdgate.harness.images.resolve import Resolver
from bsdgate.harness.images.settings import Limits, Settings
from bsdgate.harness.images.versions import Version, nearest
from bsdgate.harness.profiles import matrix
from bsdgate.results.reporters.text import plain

NOTHING: Final = "no image is in the cache: `bsdgate image fetch 15.1` gets one"

_TITLES: Final = ("size", "fetched", "used", "signature", "end of life", "name")
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def show(console: Console) -> None:
    """Print a table of the images in the cache, the one that was used last first."""
    with ImageDisplay(console) as display:
        cache = _cache(display)
        entries, incomplete = cache.entries(), leftovers(cache)
    if not entries and not incomplete:
        _print(console, NOTHING)
        return
    now = datetime.now(UTC)
    rows = [_TITLES, *(_row(entry, now) for entry in entries)]
    rows += [
        (size(each.size), "", _age(each.changed, now), "", "", each.name) for each in incomplete
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ".join(cells).rstrip(), "" if number else "dim"), soft_wrap=True)


def show_published(settings: Settings, limits: Limits, variant: Variant, console: Console) -> None:
    """Print the versions in the release tree."""
    with ImageDisplay(console) as display:
        resolver = Resolver(settings, _cache(display), Client(limits))
        for version in resolver.versions(variant):
            end = _end_of_life(version)
            _print(console, f"{version!s:16} end of life {end}" if end else str(version))


def fetch(
    name: str, variant: Variant, settings: Settings, limits: Limits, console: Console
) -> None:
    """Fetch an image into the cache, and print its properties."""
    client = Client(limits)
    with ImageDisplay(console) as display:
        cache = _cache(display)
        ref = Resolver(settings, cache, client).resolve(name, variant)
        image = cache.get(ref, client)
    entry = next((each for each in cache.entries() if each.path == image.path), None)
    for title, text in _facts(image, entry):
        _print(console, f"{title:10} {text}")


def verify(names: Sequence[str], console: Console) -> None:
    """Compute the checksums of images again.

    :raises InfrastructureError: at least one has changed, or is not complete.
    """
    with ImageDisplay(console) as display:
        cache = _cache(display)
        entries = _named(cache, names)
        if not entries:
            _print(console, NOTHING)
        problems = 0
        for entry in entries:
            problem = cache.check(entry)
            problems += problem is not None
            _print(console, f"{_name(entry)}: {problem or 'unchanged'}")
    if problems:
        raise InfrastructureError(
            f"verify: {problems} of {len(entries)} images are damaged",
            "`bsdgate image prune NAME` removes one, `bsdgate image fetch` gets it again",
        )


def remove(names: Sequence[str], days: float | None, console: Console) -> None:
    """Remove the named images, or all that were not used for ``days`` days; None: all."""
    with ImageDisplay(console) as display:
        cache = _cache(display)
        entries = _named(cache, names)
        since = None if days is None or names else datetime.now(UTC) - timedelta(days=days)
        removed = list(prune(cache, entries, since))
        if not names:
            removed += remove_leftovers(cache, since)
    _report(removed, console)


def _cache(display: ImageDisplay) -> Cache:
    return Cache(paths.cache() / "images", display)


def _named(cache: Cache, names: Iterable[str]) -> list[Entry]:
    """Return the images with these names, or all images.

    :raises UsageError: there is none with one of these names.
    """
    entries = cache.entries()
    wanted = {name.removesuffix(".xz") for name in names}
    found = [entry for entry in entries if _name(entry) in wanted]
    for name in sorted(wanted - {_name(entry) for entry in found}):
        close = nearest(name, [_name(entry) for entry in entries])
        hint = f"the nearest is {close}" if close else NOTHING
        raise UsageError(f"no image {name!r} is in the cache", hint)
    return found if wanted else entries


def _name(entry: Entry) -> str:
    return plain(entry.record.name if entry.record else entry.key)


def _row(entry: Entry, now: datetime) -> tuple[str, ...]:
    taken, used = size(size_on_disk(entry.folder)), _age(entry.used, now)
    record = entry.record
    if record is None or entry.image is None:
        return taken, "", used, "", "", f"{_name(entry)} (damaged)"
    end = _end_of_life(record.release.version) if record.release else ""
    return taken, _age(record.fetched, now), used, record.signature, end, _name(entry)


def _end_of_life(version: Version) -> str:
    """Return the last day of support of a version; empty if the matrix has none."""
    return str(matrix.end_of_life(matrix.name(version.number, version.branch)) or "")


def _age(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    for number, unit in _UNITS:
        if seconds >= number:
            return f"{seconds // number:.0f} {unit} ago"
    return "now"


def _facts(image: Image, entry: Entry | None) -> Iterable[tuple[str, str]]:
    yield "image", plain(image.name)
    yield "path", plain(str(image.path))
    yield "format", image.format
    yield "sha256", image.sha256
    record = None if entry is None else entry.record
    if record is None:
        yield "checksum", "none is published: a local file"
        return
    published = f"{record.published}, as published"
    yield "checksum", published if record.published else "none is published for this location"
    yield "signature", _SIGNATURES[record.signature]


_SIGNATURES: Final = {
    Signature.GOOD: "good: a key of the keyring has signed the checksum",
    Signature.UNCHECKED: "not checked: give --keyring",
    Signature.NOT_PUBLISHED: "none is published for this image",
}


def _report(removed: Sequence[Removed], console: Console) -> None:
    for each in removed:
        what = "kept, in use" if each.in_use else "removed"
        _print(console, f"{what} {plain(each.name)} ({size(each.size)})")
    gone = [each.size for each in removed if not each.in_use]
    _print(console, f"{len(gone)} removed, {size(sum(gone))}")


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)

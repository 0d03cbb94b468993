# SPDX-License-Identifier: Apache-2.0
"""The commands ``bsdgate image``: their options and arguments."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bsdgate.harness.images.model import Format, Variant
from bsdgate.harness.images.settings import DOWNLOAD_SECONDS, SIGNATURES, TREE, Limits, Settings
from bsdgate.harness.images.tree import ARCHITECTURES, FLAVOURS

_TREE = click.option(
    "--tree",
    default=TREE,
    envvar="BSDGATE_IMAGE_TREE",
    metavar="URL",
    help="FreeBSD's release tree, or a mirror: the folder with `releases`.",
)
_DOWNLOAD_TIMEOUT = click.option(
    "--download-timeout",
    "seconds",
    default=DOWNLOAD_SECONDS,
    type=click.FloatRange(min=0, min_open=True),
    envvar="BSDGATE_DOWNLOAD_TIMEOUT",
    metavar="SECONDS",
    show_default=f"{DOWNLOAD_SECONDS:g}",
    help="The time limit of a download.",
)
_FLAVOUR = click.option(
    "--flavour",
    type=click.Choice(list(FLAVOURS)),
    default=Variant.flavour,
    help="The kind of image.",
)
_NAMES = click.argument("names", metavar="[NAME]...", nargs=-1)


@click.group()
def image() -> None:
    """List, fetch, verify and remove images of FreeBSD."""


@image.command("list")
@click.option("--published", is_flag=True, help="List the versions in the release tree.")
@_FLAVOUR
@_TREE
@_DOWNLOAD_TIMEOUT
def image_list(published: bool, flavour: str, tree: str, seconds: float) -> None:
    """List the images in the cache, with size and age."""
    from bsdgate.harness.commands import images

    if published:
        settings, variant = Settings(tree), Variant(flavour=flavour)
        images.show_published(settings, Limits(total=seconds), variant, Console())
    else:
        images.show(Console())


@image.command("fetch")
@click.option(
    "--architecture",
    type=click.Choice([*ARCHITECTURES, "aarch64"]),
    default=Variant.architecture,
    help="aarch64 is arm64.",
)
@click.option(
    "--filesystem",
    type=click.Choice(["ufs", "zfs"]),
    default=Variant.filesystem,
    help="The file system in the image.",
)
@click.option(
    "--format",
    "disk_format",
    type=click.Choice([each.value for each in Format]),
    default=Variant.format.value,
    help="The format of the image.",
)
@_FLAVOUR
@_TREE
@click.option(
    "--signatures",
    default=SIGNATURES,
    envvar="BSDGATE_IMAGE_SIGNATURES",
    metavar="URL",
    help="The folder with the signed checksums of all releases.",
)
@click.option(
    "--keyring",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="BSDGATE_IMAGE_KEYRING",
    help="Require a signature by a key in this file, which gpgv reads.",
)
@_DOWNLOAD_TIMEOUT
@click.argument("name", metavar="VERSION|PATH|URL")
def image_fetch(name: str, architecture: str, tree: str, seconds: float, **more: Any) -> None:
    """Get an image into the cache: download, verify and unpack it.

    VERSION is 15.1, 15.2-RC1, 15.1-STABLE, 16.0-CURRENT or a dated snapshot, such as
    15.1-STABLE-20261119. A URL may end with #sha512=DIGITS.
    """
    from bsdgate.harness.commands import images

    variant = Variant(
        architecture="arm64" if architecture == "aarch64" else architecture,
        filesystem=more["filesystem"],
        flavour=more["flavour"],
        format=Format(more["disk_format"]),
    )
    settings = Settings(tree, more["signatures"], more["keyring"])
    images.fetch(name, variant, settings, Limits(total=seconds), Console())


@image.command("verify")
@_NAMES
def image_verify(names: tuple[str, ...]) -> None:
    """Compute the checksums of images in the cache again, by default of all."""
    from bsdgate.harness.commands import images

    images.verify(names, Console())


@image.command("prune")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove images that were not used for this number of days.",
    show_default="30",
)
@click.option("--all", "everything", is_flag=True, help="Remove all images that are not in use.")
@_NAMES
def image_prune(days: float | None, everything: bool, names: tuple[str, ...]) -> None:
    """Remove images and incomplete downloads that were not used for 30 days, or the named images.

    An image that a virtual machine uses is never removed.
    """
    from bsdgate.harness.commands import images

    if (days is not None) + everything + bool(names) > 1:
        raise click.UsageError("give one of --older-than, --all and NAME")
    if everything:
        images.remove((), None, Console())
    else:
        images.remove(names, 30 if days is None else days, Console())

# SPDX-License-Identifier: Apache-2.0
"""The signature of published checksums, checked by gpgv with a keyring of the user.

FreeBSD publishes a signed copy of the checksums of each release on its web site. There is none
beside the images of snapshots, betas and release candidates: those are announced by signed mail.
"""

import tempfile
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images import checksums, tree
from bsdgate.harness.images.client import Client, NotFound
from bsdgate.harness.images.model import Digest, Release, Signature

STAGE: Final = "signature"

_SECONDS: Final = 60.0


def check(
    client: Client, site: str, keyring: Path | None, release: Release, named: tuple[str, Digest]
) -> Signature:
    """Check that a key of the keyring has signed the digest of a file.

    ``site`` is the URL of the directory that has a directory for each release. ``named`` is the
    name of the file and its digest.

    :raises InfrastructureError: no key of the keyring has signed it, or the signed digest differs.
    """
    name, digest = named
    path = tree.signed_checksums(release, digest.algorithm)
    if path is None:
        return Signature.NOT_PUBLISHED
    if keyring is None:
        return Signature.UNCHECKED
    url = f"{site.rstrip('/')}/{path}"
    try:
        text = client.text(url, STAGE)
    except NotFound as error:
        raise InfrastructureError(
            error.message, "use another site with --signatures, or leave --keyring out"
        ) from error
    signed = checksums.parse(_signed_text(text, keyring, url)).get(name)
    if signed != digest:
        signed_text = signed or "no checksum"
        raise InfrastructureError(
            f"{STAGE}: {url}: for {name} it has {signed_text}, the release tree has {digest}",
            "one of the two servers has other files; do not use this image",
        )
    return Signature.GOOD


def _signed_text(text: str, keyring: Path, url: str) -> str:
    """Return the part of a text that a key of the keyring has signed."""
    if not keyring.is_file():
        raise UsageError(f"{STAGE}: there is no keyring {keyring}", "correct --keyring")
    with tempfile.TemporaryDirectory(prefix="bsdgate-") as scratch:
        folder = Path(scratch)
        (folder / "signed.asc").write_text(text, encoding="utf-8")
        words = ("gpgv", "--homedir", folder, "--keyring", keyring.absolute())
        ended = process.run(
            [*words, "--output", folder / "text", folder / "signed.asc"],
            log=folder / "gpgv.log",
            timeout=_SECONDS,
            check=False,
        )
        if ended.exit_status != 0:
            said = (folder / "gpgv.log").read_text(encoding="utf-8", errors="replace")
            raise InfrastructureError(
                f"{STAGE}: {url}: no key of {keyring} has signed it\n{said.rstrip()}",
                "check that the keyring has the keys of FreeBSD's release engineers",
            )
        return (folder / "text").read_text(encoding="utf-8")

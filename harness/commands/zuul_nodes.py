# SPDX-License-Identifier: Apache-2.0
"""The nodes of ``bsdgate zuul run``: addresses with the settings of the user's ssh.

A playbook does not use these settings, so the address and the host keys are found here, as a
launcher of Zuul knows them.
"""

import contextlib
import getpass
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.zuul.executor.order import Node

_SECONDS: Final = 30.0
_SSH_PORT: Final = 22


def find(name: str, address: Address) -> Node:
    """Return a node with its host keys.

    :raises UsageError: no file of known hosts has a key of the node.
    """
    settings = dict(_settings(address))
    host, port = settings.get("hostname", address.host), int(settings.get("port", _SSH_PORT))
    known = host if port == _SSH_PORT else f"[{host}]:{port}"
    keys = sorted({*_keys(known, settings.get("userknownhostsfile", "").split())})
    if not keys:
        raise UsageError(
            f"--node {name}={address}: the host key of {known} is not known",
            f"run `ssh -p {port} {host}` once, and check the key that it shows",
        )
    return Node(host, port, settings.get("user", getpass.getuser()), keys)


def _settings(address: Address) -> Iterator[tuple[str, str]]:
    """Yield the settings of ssh for an address."""
    printed = process.output(["ssh", "-G", *address.options], timeout=_SECONDS)
    for line in printed.splitlines():
        key, _, value = line.partition(" ")
        yield key, value


def _keys(host: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the types and keys of a host in the files of known hosts."""
    for path in (Path(each).expanduser() for each in known):
        if path.is_file():
            # The status is 1 if the file has no key of the host.
            with contextlib.suppress(process.ProcessError):
                argv = ["ssh-keygen", "-F", host, "-f", str(path)]
                for line in process.output(argv, timeout=_SECONDS).splitlines():
                    words = line.split()
                    if words and not words[0].startswith(("#", "@")):
                        yield " ".join(words[1:3])

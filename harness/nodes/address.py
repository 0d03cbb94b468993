# SPDX-License-Identifier: Apache-2.0
"""The address of a node over ssh: ``ssh://[USER@]HOST[:PORT]``.

HOST may be an alias in the user's ssh configuration. USER and PORT have the defaults of ssh.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bsdgate.harness.errors import UsageError

FORM: Final = "ssh://USER@HOST[:PORT]"

# ssh would read a word that begins with a hyphen as an option.
_URL: Final = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*)|\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_PASSWORD: Final = re.compile(r"(?P<scheme>[A-Za-z]+://)(?P<user>[^:@/]*):[^@]*@")
_PORT_MAX: Final = 65535


@dataclass(frozen=True)
class Address:
    """The host, and the user and the port if the URL has them.

    With ``config``, ssh uses this configuration file instead of the configuration of the user.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config: Path | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address in a URL.

        :raises UsageError: the URL is not an address, or it has a password.
        """
        if _PASSWORD.match(url):
            shown = _PASSWORD.sub(r"\g<scheme>\g<user>:***@", url)
            raise UsageError(
                f"--on {shown}: the URL has a password, which other users of this machine can see",
                f"give {FORM} without it, and let ssh use a key",
            )
        found = _URL.fullmatch(url)
        port = int(found["port"]) if found and found["port"] else None
        if found is None or (port is not None and not 0 < port <= _PORT_MAX):
            raise UsageError(f"--on {url}: this is not the address of a node", f"give {FORM}")
        return cls(found["host"] or found["ipv6"], found["user"], port)

    def __str__(self) -> str:
        """Return the URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{host}{port}"

    @property
    def name(self) -> str:
        """The name of the node; it is a valid file name."""
        words = ("ssh", self.user, self.host, self.port)
        return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(str(word) for word in words if word))

    @property
    def options(self) -> list[str]:
        """The arguments of ssh for the configuration, the user, the port and the host."""
        config = ["-F", str(self.config)] if self.config else []
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*config, *user, *port, self.host]

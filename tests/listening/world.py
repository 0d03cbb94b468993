# SPDX-License-Identifier: Apache-2.0
"""What a listener of a trial talks to, and its files."""

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from fakes.faults import Proxy, proxying
from fakes.zuul import Zuul, simulated
from functional import mosquitto
from functional.gerrit import Gerrit
from functional.listen_settings import ACCOUNTS, settings
from functional.mosquitto import Broker

from bsdgate.harness.listen.inbox import Inbox
from listening.process import Job

TIMEOUT = 12.0
"""The time limit of a request to Gerrit; after half of it, Gerrit gives up a post."""


@dataclass(frozen=True)
class World:
    """A simulated Zuul, a proxy before Gerrit, a broker, and the folder of a listener."""

    zuul: Zuul
    proxy: Proxy
    broker: Broker
    folder: Path

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.folder / "state" / "inbox")

    @property
    def reviews(self) -> list[Path]:
        """The files of the reviews that wait."""
        return sorted((self.folder / "state" / "reviews").glob("*.json"))

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def has_settled_all(self) -> bool:
        """Return whether the listener has settled all buildsets, and posted all reviews."""
        if self.reviews or len(self.inbox):
            return False
        seen = self.inbox.seen()
        floor = seen.floor or 0
        if seen.again:
            return False
        known = list(self.zuul.buildsets.values())
        return all(each["uuid"] in seen.done or each["_id"] < floor for each in known)

    def configure(self) -> Job:
        """Write the settings of the listener."""
        for name, (user, password) in ACCOUNTS.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(f"machine 127.0.0.1 login {user} password {password}\n")
        given = settings(self.zuul, self.broker, self.proxy.url)
        given["zuul"] |= {"poll": 2, "grace": 2}
        given["gerrit"]["timeout"] = TIMEOUT
        path = self.folder / "listen.yaml"
        path.write_text(yaml.safe_dump(given))
        return Job(str(path), str(self.log))


@contextmanager
def world(server: Gerrit, folder: Path) -> Iterator[World]:
    """Run the servers of a trial."""
    with ExitStack() as stack:
        zuul = stack.enter_context(simulated())
        proxy = stack.enter_context(proxying(server.url))
        # Half of the time limit is Gerrit's deadline.
        proxy.hold = TIMEOUT / 2
        broker = stack.enter_context(mosquitto.broker(folder / "mosquitto"))
        yield World(zuul, proxy, broker, folder)
        proxy.settle()


def damage(files: Iterable[Path], choose: random.Random) -> None:
    """Damage one of the files, if there is one."""
    if found := list(files):
        path = choose.choice(found)
        content = path.read_bytes()
        middle = len(content) // 2
        altered = content[:middle] + b"\x00" + content[middle + 1 :]
        path.write_bytes(choose.choice([b"", content[:middle], altered]))

# SPDX-License-Identifier: Apache-2.0
"""The events of a real Gerrit, read by the ssh client."""

import queue
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from fakes.zuul import Zuul, simulated, verdict
from functional import gerrit, mosquitto
from functional.gerrit import CI, PROJECT, Gerrit
from functional.listen_settings import ACCOUNTS, settings
from functional.listening import CONNECTED, Listener
from functional.mosquitto import Broker
from functional.place import free_port, wait_for

from bsdgate.harness.listen.events import Events, Patchset
from bsdgate.harness.listen.settings import Events as Settings

# The first test may make the site of Gerrit, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

START = 120.0


@dataclass(frozen=True)
class Reached:
    """A Gerrit, and the file of settings of the ssh client with the host ``review``."""

    server: Gerrit
    config: Path


@pytest.fixture(scope="session")
def reached(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reached]:
    try:
        home = gerrit.find(request.config.rootpath / ".tox" / "gerrit")
    except gerrit.Missing as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("review")
    shutil.copytree(home.site, folder / "site")
    url, port = f"http://127.0.0.1:{free_port()}", free_port()
    options = home.loading()
    with gerrit.started(home, folder / "site", url, options, f"127.0.0.1:{port}") as process:
        process.wait_until_ready()
        server = Gerrit(url, process.log)
        yield Reached(server, configure(server, folder, port))


def configure(server: Gerrit, folder: Path, port: int) -> Path:
    """Give the CI a key; write the settings of the ssh client."""
    key, known = folder / "key", folder / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    done = requests.post(
        f"{server.url}/a/accounts/self/sshkeys",
        key.with_suffix(".pub").read_bytes(),
        auth=CI,
        headers={"Content-Type": "text/plain"},
        timeout=START,
    )
    assert done.ok, done.text
    scan = ["ssh-keyscan", "-p", str(port), "127.0.0.1"]
    known.write_bytes(subprocess.run(scan, check=True, capture_output=True).stdout)
    config = folder / "config"
    config.write_text(
        f"Host review\n  HostName 127.0.0.1\n  Port {port}\n  User {CI[0]}\n"
        f"  IdentityFile {key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n"
    )
    return config


def test_an_uploaded_patchset_is_an_event(reached: Reached, tmp_path: Path) -> None:
    found: queue.SimpleQueue[Patchset] = queue.SimpleQueue()
    lines: list[str] = []
    settings = Settings(destination="review", config=reached.config)
    events = Events(settings, tmp_path / "events.log", found.put, lines.append)
    change = reached.server.new_change()

    def upload() -> bool:
        # Gerrit does not say from when on it sends events.
        reached.server.new_patchset(change)
        return not found.empty()

    events.start()
    try:
        wait_for(upload, "an event", interval=1.0)
        patchset = found.get()
        assert (patchset.project, patchset.change) == (PROJECT, change)
        assert patchset.number > 1
        assert events.began is not None
    finally:
        events.stop()
    assert lines == []


def test_a_server_that_refuses_the_key_is_reported(reached: Reached, tmp_path: Path) -> None:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    settings = Settings(destination="stranger@review", config=reached.config)
    events = Events(settings, tmp_path / "events.log", lambda patchset: None, lines.put)
    events.start()
    try:
        assert "Permission denied" in lines.get(timeout=START)
        assert events.began is None
    finally:
        events.stop()


def test_the_listener_names_a_patchset_that_zuul_has_missed(
    reached: Reached, tmp_path: Path
) -> None:
    with simulated() as zuul, mosquitto.broker(tmp_path / "mosquitto") as broker:
        given = settings(zuul, broker, reached.server.url)
        given |= {"watch": [PROJECT], "pipelines": {"check": {"deadline": 1, "enqueue": True}}}
        given["gerrit"]["events"] = {"destination": "review", "config": str(reached.config)}
        given["zuul"]["token"] = "token"
        listener = Listener(tmp_path, given, ACCOUNTS)
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text("canary-of-the-token")
        listener.start()
        try:
            _follow(listener, reached.server, zuul, broker)
        finally:
            listener.close()
        assert "canary" not in "".join(listener.output)


def _follow(listener: Listener, server: Gerrit, zuul: Zuul, broker: Broker) -> None:
    listener.until(CONNECTED)
    change = server.new_change()
    listener.until(f"warning: {change},1: Zuul has no buildset for it")
    listener.until(f"{change},1: enqueued in check")
    assert [one[2]["change"] for one in zuul.enqueued] == [f"{change},1"]
    missing = f"not healthy: {change},1: Zuul has no buildset for it"
    wait_for(lambda: missing in listener.check()[1], "the warning in the state")
    broker.publish(zuul.add("b1", change, verdict(change)))
    listener.until("b1: posted")
    wait_for(lambda: listener.check()[0] == 0, "the end of the warning")
    assert listener.end() == 0

# SPDX-License-Identifier: Apache-2.0
"""A real Mosquitto on loopback, with accounts and an ACL: only Zuul publishes under its topics."""

import contextlib
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from functional.place import free_port
from paho.mqtt.enums import CallbackAPIVersion

ZUUL = ("zuul", "canary-of-zuul")
LISTENER = ("listener", "canary-of-the-listener")
OTHER = ("other", "canary-of-another-account")
START = 60.0
TRIES = 10
_DAEMON = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
_ACL = """\
user zuul
topic write zuul/#
user listener
topic read zuul/#
user other
topic readwrite other/#
"""


class Missing(Exception):
    """Mosquitto is missing on this machine."""


def find() -> str:
    """Return the path of Mosquitto.

    :raises Missing: it is not installed.
    """
    if _DAEMON is None or shutil.which("mosquitto_passwd") is None:
        raise Missing("mosquitto is missing: install the package mosquitto")
    return _DAEMON


class Broker:
    """A broker that can be ended and started again; it keeps sessions and messages on disk.

    ``encrypted``: with a certificate for its address, which is ``ca`` itself.
    """

    def __init__(self, folder: Path, *, encrypted: bool = False) -> None:
        self._daemon = find()
        self.port = free_port()
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        folder.mkdir()
        passwords, acl = folder / "passwords", folder / "acl"
        passwords.touch(mode=0o600)
        for name, password in (ZUUL, LISTENER, OTHER):
            subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True)
        acl.write_text(_ACL)
        acl.chmod(0o600)
        self.ca = certificate(folder) if encrypted else None
        tls = f"certfile {self.ca}\nkeyfile {folder / 'key.pem'}\n" if encrypted else ""
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\n{tls}"
            f"allow_anonymous false\npassword_file {passwords}\n"
            f"acl_file {acl}\npersistence true\npersistence_location {folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nlog_dest stderr\n"
            f"user {folder.owner()}\n"
        )

    @property
    def running(self) -> bool:
        return self._popen is not None

    def start(self) -> None:
        """Start the broker, if it does not run."""
        tries = 0
        while not self.running:
            tries += 1
            # A client of another server may have the port for a moment.
            assert self._try_to_start() or tries < TRIES, (self._folder / "log").read_text()

    def _try_to_start(self) -> bool:
        dies = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*dies, self._daemon, "-c", str(self._folder / "mosquitto.conf")]
        self._popen = subprocess.Popen(command, stderr=subprocess.PIPE)
        ready: queue.Queue[bool] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=[self._popen, ready])
        self._reader.start()
        if not (started := ready.get(timeout=START)):
            self.stop()
        return started

    def _read(self, popen: subprocess.Popen[bytes], ready: queue.Queue[bool]) -> None:
        assert popen.stderr is not None
        with popen.stderr, (self._folder / "log").open("ab") as log:
            for line in popen.stderr:
                log.write(line)
                log.flush()
                if line.rstrip().endswith(b"running"):
                    ready.put(True)
        ready.put(False)

    def stop(self) -> None:
        if self._popen is not None and self._reader is not None:
            self._end(self._popen)
            self._reader.join()
            self._popen = None

    def _end(self, popen: subprocess.Popen[bytes]) -> None:
        # Mosquitto forgets a signal that comes before its main loop.
        while popen.poll() is None:
            popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(1)

    def publish(self, message: Mapping[str, Any] | bytes, who: tuple[str, str] = ZUUL) -> None:
        """Publish a message with qos 1; return when the broker has acknowledged it."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(*who)
        if self.ca is not None:
            client.tls_set(str(self.ca))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        payload = message if isinstance(message, bytes) else json.dumps(message)
        client.publish("zuul/openstack/check/1/1", payload, qos=1).wait_for_publish(START)
        client.disconnect()
        client.loop_stop()


def certificate(folder: Path) -> Path:
    """Make a certificate and its key; return the path of the certificate."""
    found = folder / "certificate.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(found)]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *request, *files, *names], check=True, capture_output=True)
    return found


@contextlib.contextmanager
def broker(folder: Path, *, encrypted: bool = False) -> Iterator[Broker]:
    """Run a broker."""
    found = Broker(folder, encrypted=encrypted)
    try:
        found.start()
        yield found
    finally:
        found.stop()

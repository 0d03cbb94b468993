# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate listen``: the listener as a process, and its health."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from bsdgate.harness import files, folders, paths
from bsdgate.harness.commands.holds import read_token
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.listen import health, settings
from bsdgate.harness.listen.broker import Connection
from bsdgate.harness.listen.events import Events
from bsdgate.harness.listen.inbox import Inbox
from bsdgate.harness.listen.judge import Judge
from bsdgate.harness.listen.listener import Listener, Parts
from bsdgate.harness.listen.logs import Logs
from bsdgate.harness.listen.poll import Poll
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.silence import Silence
from bsdgate.harness.listen.zuul import Api
from bsdgate.harness.reviews import credentials
from bsdgate.harness.reviews.client import Client, Limits
from bsdgate.harness.reviews.spool import Spool
from bsdgate.results.reporters.text import plain

USER: Final = "BSDGATE_MQTT_USER"
PASSWORD: Final = "BSDGATE_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
"""The variables with the user and the password for the broker."""


def listen(config: Path, console: Console) -> int:
    """Listen until SIGTERM or SIGINT."""
    given = settings.read(config)
    folder = _folder(given)
    report = _printing(console)
    with _alone(folder):
        inbox, spool = Inbox(folder / "inbox"), Spool(folder / "reviews")
        gerrit = given.gerrit
        account = credentials.find(gerrit.url, gerrit.credentials, os.environ)
        limits = Limits(total=gerrit.timeout, deadline=gerrit.timeout / 2)
        client = Client(gerrit.url, account, limits)
        api = Api(given.zuul.url, given.zuul.tenant, token=_token(given))
        judge = Judge(given, api, Logs(given.zuul.logs), client)
        poll = Poll(given, api, inbox, report)
        silence = Silence(given, api, client, inbox, report)

        def store(payload: bytes) -> None:
            listener.store(payload)

        connection = Connection(given.broker, _account(given), store, report)
        connected = connection.connected.is_set
        parts = Parts(given, inbox, spool, judge, poll, silence, client, connected)
        listener = Listener(parts, folder, report)
        watching = _watching(silence, given, folder, report)
        with _stopped_by_signals(listener.stop), spool.locked(report), watching:
            connection.start()
            try:
                listener.run()
            finally:
                connection.stop()
        report("stopped")
    return 0


def check(config: Path, console: Console) -> int:
    """Print the health of the listener; return the exit code."""
    report = _plain_printing(console)
    lines, problems = health.check(_folder(settings.read(config)))
    for line in lines:
        report(line)
    for problem in problems:
        report(f"not healthy: {problem}")
    if not problems:
        report("healthy")
    return InfrastructureError.exit_code if problems else 0


@contextlib.contextmanager
def _watching(
    silence: Silence, given: Settings, folder: Path, report: Callable[[str], None]
) -> Iterator[None]:
    """Read the events of Gerrit, if the settings say how."""
    if given.gerrit.events is None:
        yield
        return
    silence.events = Events(given.gerrit.events, folder / "events.log", silence.add, report)
    silence.events.start()
    try:
        yield
    finally:
        silence.events.stop()


def _token(given: Settings) -> str:
    """Return the token for Zuul; nothing if nothing is to be enqueued."""
    enqueues = any(pipeline.enqueue for pipeline in given.pipelines.values())
    return read_token(given.zuul.token, os.environ) if enqueues else ""


def _folder(given: Settings) -> Path:
    return given.state or paths.state() / "listen"


def _account(given: Settings) -> credentials.Credentials:
    broker = given.broker
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    return credentials.find(f"mqtt://{host}", broker.credentials, os.environ, (USER, PASSWORD))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Exclude other listeners with the same state directory."""
    with files.explain_errors(folder):
        folders.make(folder)
        path = folder / health.LOCK
        fd = files.take_lock(path)
    if fd is None:
        raise UsageError(
            f"process {files.holder(path) or 'unknown'} listens already with {folder}",
            "end it first, or give another state directory in the settings",
        )
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _printing(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line with the time; several threads may call it."""
    show = _plain_printing(console)

    def report(line: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        show(f"{moment} {line}")

    return report


def _plain_printing(console: Console) -> Callable[[str], None]:
    def report(line: str) -> None:
        text = "\n".join(map(plain, line.split("\n")))
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return report
